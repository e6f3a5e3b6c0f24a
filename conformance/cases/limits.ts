/** What a broker announces in CONNACK that it does not do: each limit is looked for on all listeners of the run. */
import type { Case, Context } from '../context.js'
import { expect, expectSame, vacuous } from '../outcome.js'
import { P, publish, subscribe } from '../wire/bytes.js'
import type { Client } from '../wire/client.js'
import { describe, propertyOf, TYPE } from '../wire/decode.js'

const NO_QOS = 'every listener does QoS 2; name one with a maximum QoS: --limited-url'
const NO_RETAIN = 'every listener retains; name one that does not: --limited-url'

const maximumQos = (c: Context) => (client: Client) => c.given(client, P.maximumQos) !== undefined
const noRetain = (c: Context) => (client: Client) => c.given(client, P.retainAvailable) === 0

/** A CONNECT that is right but asks for what this listener does not do. */
async function refusesWill(c: Context, url: URL, will: { qos?: number; retain?: boolean }, code: number) {
  const client = await c.open(url)
  client.send(client.connectBytes({ clientId: c.id(), will: { topic: c.topic(), ...will } }))
  await client.closed()
  const [connack] = client.waiting(TYPE.connack)
  expect(connack === undefined || connack.code >= 0x80, 'the CONNECT was accepted')
  if (connack?.code !== code) c.remark(`${connack === undefined ? 'no CONNACK' : describe(connack)}, not ${code}`)
}

export const limits: readonly Case[] = [
  {
    title: 'Maximum QoS is 0 or 1 where it is announced, and absent where QoS 2 is done',
    v5: '3.2.2-9',
    run: async (c) => {
      const plain = await c.connect()
      const announced = c.given(plain, P.maximumQos)
      expect(announced === undefined || announced < 2, `Maximum QoS ${announced}`)
      const url = await c.limited(maximumQos(c), NO_QOS)
      const client = await c.connect({}, url)
      expect([0, 1].includes(c.given(client, P.maximumQos) ?? -1), 'Maximum QoS is neither 0 nor 1')
    },
  },
  {
    title: 'a broker with a Maximum QoS grants every SUBSCRIBE, at most that QoS',
    v5: '3.2.2-10 3.8.4-7',
    run: async (c) => {
      const url = await c.limited(maximumQos(c), NO_QOS)
      const client = await c.connect({}, url)
      const maximum = c.given(client, P.maximumQos) ?? 2
      for (const qos of [0, 1, 2]) {
        const { codes } = await client.subscribe(c.topic(String(qos)), qos)
        if ((codes[0] ?? 3) > maximum) c.remark(`QoS ${codes[0]} was granted, Maximum QoS is ${maximum}`)
      }
    },
  },
  {
    title: 'a PUBLISH above the Maximum QoS ends the connection',
    v5: '3.2.2-11 4.13.1-1',
    run: async (c) => {
      const url = await c.limited(maximumQos(c), NO_QOS)
      const client = await c.connect({}, url)
      await c.breaks(client, publish(5, c.topic(), 'x', { qos: 2, id: 1 }), 0x9b)
    },
  },
  {
    title: 'a Will above the Maximum QoS is refused',
    v5: '3.2.2-12',
    run: async (c) => refusesWill(c, await c.limited(maximumQos(c), NO_QOS), { qos: 2 }, 0x9b),
  },
  {
    title: 'a Will that is to be retained is refused by a broker that retains nothing',
    v5: '3.2.2-13',
    run: async (c) => refusesWill(c, await c.limited(noRetain(c), NO_RETAIN), { retain: true }, 0x9a),
  },
  {
    title: 'a PUBLISH with RETAIN 1 to a broker that retains nothing ends the connection',
    v5: '3.2.2-14 4.13.1-1',
    run: async (c) => {
      const client = await c.connect({}, await c.limited(noRetain(c), NO_RETAIN))
      await c.breaks(client, publish(5, c.topic(), 'x', { retain: true }), 0x9a)
    },
  },
  {
    title: 'a packet of the Maximum Packet Size of the broker is taken, a larger one ends the connection',
    v5: '3.2.2-15 4.13.1-1',
    run: async (c) => {
      const isSmall = (client: Client) =>
        (c.given(client, P.maximumPacketSize) ?? Number.POSITIVE_INFINITY) <= 4_194_304
      const url = await c.limited(
        isSmall,
        'no listener announces a Maximum Packet Size of 4 MiB or less: --limited-url',
      )
      const client = await c.connect({}, url)
      const maximum = c.given(client, P.maximumPacketSize) as number
      const sized = (size: number) => {
        const empty = publish(5, c.topic(), 'x'.repeat(size - 1_000), { qos: 1, id: 1 })
        return publish(5, c.topic(), 'x'.repeat(size - 1_000 + size - empty.length), { qos: 1, id: 1 })
      }
      expectSame(sized(maximum).length, maximum, 'size of the packet')
      client.send(sized(maximum))
      await client.take(TYPE.puback)
      await c.breaks(client, sized(maximum + 1), 0x95)
    },
  },
  {
    title: 'a broker without wildcards, shared subscriptions or identifiers refuses them',
    v5: '4.13.1-1',
    run: async (c) => {
      const features = [
        { property: P.wildcardAvailable, filter: c.topic('#'), list: [] },
        { property: P.sharedAvailable, filter: `$share/g/${c.topic()}`, list: [] },
        { property: P.subscriptionIdAvailable, filter: c.topic(), list: [[P.subscriptionId, 1]] as const },
      ]
      let isTested = false
      for (const { property, filter, list } of features) {
        const isOff = (client: Client) => c.given(client, property) === 0
        const url = await c.limited(isOff, '').catch(() => null)
        if (url === null) continue
        isTested = true
        const client = await c.connect({}, url)
        client.send(subscribe(5, 3, [[filter, 0]], list))
        const answer = await client.take(TYPE.suback).catch(() => undefined)
        expect(answer === undefined ? client.isClosed : (answer.codes[0] ?? 0) >= 0x80, `${filter} was granted`)
      }
      if (!isTested) vacuous('every listener does all of them')
    },
  },
  {
    title: 'a 3.1.1 broker without wildcards refuses them with 0x80',
    v311: '3.8.3-2',
    run: async (c) => {
      let isRefused = false
      for (const url of c.listeners) {
        const client = await c.connect({}, url)
        const { codes } = await client.trySubscribe([[c.topic('#'), 0]])
        if (codes[0] === 0x80) isRefused = true
        else {
          expectSame(codes, [0], 'codes')
          await client.publish(c.topic('a'), 'x')
          await client.message(c.topic('a'))
        }
      }
      if (!isRefused) vacuous('every listener does wildcards; name one that does not: --limited-url')
    },
  },
  {
    title: 'announced values are in their ranges',
    v5: '3.2.2-9 3.2.2-8',
    run: async (c) => {
      const { connack } = await c.connect()
      for (const [id, value] of connack?.properties ?? []) {
        if (id === P.receiveMaximum || id === P.maximumPacketSize) expect(Number(value) > 0, `property ${id} is 0`)
        if (id === P.maximumQos) expect(Number(value) < 2, `Maximum QoS ${value}`)
        if (id === P.retainAvailable || id === P.wildcardAvailable)
          expect(Number(value) < 2, `property ${id}: ${value}`)
      }
      expect(
        connack !== null && propertyOf(connack, P.sessionExpiry) !== 0,
        'the session expiry is 0 without being asked',
      )
    },
  },
]
