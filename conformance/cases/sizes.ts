/**
 * MQTT 5.0 Maximum Packet Size: messages that are too large, and Reason Strings and User Properties that are left out.
 * A rule about what a broker may not add is vacuous for a broker that never adds it, even where it has nothing to fear.
 */
import type { Case, Context } from '../context.js'
import { expect, expectSame, vacuous } from '../outcome.js'
import { P, publish, pubrec, pubrel, subscribe, unsubscribe } from '../wire/bytes.js'
import type { Client } from '../wire/client.js'
import { type Packet, propertyOf, TYPE } from '../wire/decode.js'

type Provoke = (c: Context, client: Client) => Promise<Packet>

interface Connected {
  readonly client: Client
  readonly answer: Packet
}

/**
 * First with room for everything, then with as little as CONNACK needs: the answer comes without what does not fit.
 * `what` is the property the statement is about.
 */
async function leavesOut(what: number, provoke: (limit?: number) => Promise<Connected>) {
  const { client, answer } = await provoke()
  const isSaid = propertyOf(answer, what) !== undefined
  const limit = client.connack?.bytes.length ?? 0
  const limited = await provoke(limit)
  const size = limited.answer.bytes.length
  expect(size <= limit, `${size} bytes, ${limit} are allowed`)
  if (!isSaid) vacuous('the broker never puts it there, even with room')
  if (answer.bytes.length <= limit) vacuous(`it fits into the ${limit} bytes that CONNACK needs`)
}

const both = (title: string, reason: string, user: string, provoke: Provoke, where = here): Case[] =>
  [
    { name: 'a Reason String', what: P.reasonString, v5: reason },
    { name: 'User Properties', what: P.userProperty, v5: user },
  ].map(({ name, what, v5 }) => ({
    title: `${title} comes without ${name} when it would exceed the Maximum Packet Size`,
    v5,
    run: async (c) => {
      const url = where(c)
      const provoked = async (limit?: number): Promise<Connected> => {
        const client = await c.connect(limit === undefined ? {} : { properties: [[P.maximumPacketSize, limit]] }, url)
        return { client, answer: await provoke(c, client) }
      }
      await leavesOut(what, provoked)
    },
  }))

const here = (c: Context): URL => c.url
const restricted = (c: Context): URL => c.restricted().url

const refusedPublish =
  (qos: 1 | 2): Provoke =>
  async (c, client) => {
    client.send(publish(5, c.restricted().deniedTopic, 'x', { qos, id: 5 }))
    return client.take(qos === 1 ? TYPE.puback : TYPE.pubrec)
  }

const brokerPubrel: Provoke = async (c, client) => {
  client.acknowledges = false
  await client.subscribe(c.topic(), 2)
  // An unknown Packet Identifier: 0x92, if anything is to be explained at all.
  client.send(pubrec(4_711))
  return client.take(TYPE.pubrel)
}

const unknownPubrel: Provoke = async (_, client) => {
  client.send(pubrel(4_711))
  return client.take(TYPE.pubcomp)
}

const refusedSubscribe: Provoke = async (c, client) => {
  client.send(subscribe(5, 5, [[c.restricted().deniedTopic, 0]]))
  return client.take(TYPE.suback)
}

const unknownUnsubscribe: Provoke = async (c, client) => {
  client.send(unsubscribe(5, 5, [c.topic()]))
  return client.take(TYPE.unsuback)
}

export const packetSizes: readonly Case[] = [
  {
    title: 'a message above the Maximum Packet Size does not come, and the connection stays',
    v5: '3.1.2-24',
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 1, { properties: [[P.maximumPacketSize, 100]] })
      for (const qos of [0, 1, 2]) await c.publishOnce(c.topic(), 'x'.repeat(200), { qos })
      await c.nothing(client)
    },
  },
  {
    title: 'a message above the Maximum Packet Size counts as delivered: the next one comes, and it is not tried again',
    v5: '3.1.2-25',
    run: async (c) => {
      const limits = [
        [P.maximumPacketSize, 100],
        [P.receiveMaximum, 1],
      ] as const
      const clientId = c.id()
      const client = await c.subscriber(c.topic(), 2, { clientId, keep: 60, properties: limits })
      for (const qos of [1, 2]) {
        await c.publishOnce(c.topic(), 'x'.repeat(200), { qos })
        await c.publishOnce(c.topic(), 'small', { qos })
        expectSame((await client.message()).payload.toString(), 'small', 'message')
      }
      await client.disconnect()
      const back = await c.connect({ clientId, keep: 60 })
      await c.nothing(back)
    },
  },
  {
    title: 'a message above the Maximum Packet Size does not block a queue',
    v5: '3.1.2-25',
    run: async (c) => {
      const clientId = c.id()
      const away = await c.subscriber(c.topic(), 1, { clientId, keep: 60 })
      await away.disconnect()
      await c.publishOnce(c.topic(), 'x'.repeat(200))
      await c.publishOnce(c.topic(), 'small')
      const back = await c.connect({ clientId, keep: 60, properties: [[P.maximumPacketSize, 100]] })
      expectSame((await back.message()).payload.toString(), 'small', 'message')
      await c.nothing(back)
    },
  },
  {
    title: 'a retained message above the Maximum Packet Size is left out',
    v5: '3.1.2-24',
    run: async (c) => {
      await c.retain(c.topic(), 'x'.repeat(200))
      const client = await c.subscriber(c.topic(), 1, { properties: [[P.maximumPacketSize, 100]] })
      await c.retainedFence(client)
      expectSame(client.waiting(TYPE.publish).length, 0, 'retained messages')
    },
  },
  {
    title: 'a packet of exactly the Maximum Packet Size of the client comes',
    v5: '3.1.2-24',
    run: async (c) => {
      const size = publish(5, c.topic(), 'x'.repeat(100)).length
      const client = await c.subscriber(c.topic(), 0, { properties: [[P.maximumPacketSize, size]] })
      await c.publishOnce(c.topic(), 'x'.repeat(101))
      await c.publishOnce(c.topic(), 'x'.repeat(100))
      expectSame((await client.message()).bytes.length, size, 'size')
    },
  },
  ...both('PUBACK', '3.4.2-2', '3.4.2-3', refusedPublish(1), restricted),
  ...both('PUBREC', '3.5.2-2', '3.5.2-3', refusedPublish(2), restricted),
  ...both('PUBREL', '3.6.2-2', '3.6.2-3', brokerPubrel),
  ...both('PUBCOMP', '3.7.2-2', '3.7.2-3', unknownPubrel),
  ...both('SUBACK', '3.9.2-1', '3.9.2-2', refusedSubscribe, restricted),
  ...both('UNSUBACK', '3.11.2-1', '3.11.2-2', unknownUnsubscribe),
  ...[
    { name: 'a Reason String', what: P.reasonString, connack: '3.2.2-19', disconnect: '3.14.2-3' },
    { name: 'User Properties', what: P.userProperty, connack: '3.2.2-20', disconnect: '3.14.2-4' },
  ].flatMap(({ name, what, connack, disconnect }): Case[] => [
    {
      title: `a CONNACK that refuses comes without ${name} when it would exceed the Maximum Packet Size, or not at all`,
      v5: connack,
      run: async (c) => {
        const refusal = async (limit?: number) => {
          const list = limit === undefined ? [] : ([[P.maximumPacketSize, limit]] as const)
          return c.refuses({ properties: [...list, [P.authMethod, 'X-NONE']] })
        }
        const free = await refusal()
        for (const limit of [5, 12]) {
          const size = (await refusal(limit))?.bytes.length ?? 0
          expect(size <= limit, `CONNACK of ${size} bytes, ${limit} are allowed`)
        }
        const isSaid = free !== undefined && propertyOf(free, what) !== undefined
        if (!isSaid) vacuous('the broker never puts it there, even with room')
      },
    },
    {
      title: `DISCONNECT comes without ${name} when it would exceed the Maximum Packet Size, or not at all`,
      v5: disconnect,
      run: async (c) => {
        const goodbye = async (limit?: number) => {
          const list = limit === undefined ? [] : ([[P.maximumPacketSize, limit]] as const)
          const client = await c.connect({ properties: list })
          return c.breaks(client, publish(5, c.topic(), 'x', { qos: 3, id: 1 }))
        }
        const free = await goodbye()
        // CONNACK has to fit, too.
        const size = (await goodbye(40))?.bytes.length ?? 0
        expect(size <= 40, `DISCONNECT of ${size} bytes, 40 are allowed`)
        const isSaid = free !== undefined && propertyOf(free, what) !== undefined
        if (!isSaid) vacuous('the broker never puts it there, even with room')
      },
    },
  ]),
  {
    title: 'a CONNACK that exceeds the Maximum Packet Size is not sent',
    v5: '3.1.2-24',
    run: async (c) => {
      for (const limit of [2, 5, 8]) {
        const client = await c.open()
        client.send(client.connectBytes({ clientId: '', properties: [[P.maximumPacketSize, limit]] }))
        const answer = await client.take(TYPE.connack).catch(() => null)
        expect(answer !== null || client.isClosed, 'neither answered nor closed')
        expect((answer?.bytes.length ?? 0) <= limit, `CONNACK of ${answer?.bytes.length} bytes, ${limit} are allowed`)
      }
    },
  },
]
