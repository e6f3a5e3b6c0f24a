/**
 * MQTT 5.0 Maximum Packet Size: messages that are too large, and Reason Strings and User Properties that are left out.
 * A rule about what a broker may not add is vacuous for a broker that never adds it, even where it has nothing to fear.
 */
import type { Case, Context } from '../context.js'
import { expect, expectSame, vacuous } from '../outcome.js'
import { P, type Properties, publish, pubrec, pubrel, subscribe, unsubscribe } from '../wire/bytes.js'
import type { Client } from '../wire/client.js'
import { type Packet, propertyOf, TYPE } from '../wire/decode.js'

type Provoke = (c: Context, client: Client) => Promise<Packet>

/** What makes our broker put User Properties on its answers; others take no notice. */
export const ASKING = [P.userProperty, ['tallymq-acknowledgement', 'durability']] as const

/**
 * First with room for everything; then with just enough, and with a byte less each time until it is gone.
 * @param what the property the statement is about.
 * @param provoke gets the answer, from a client whose CONNECT has these properties. undefined: there was none.
 */
export async function leavesOut(
  c: Context,
  what: number,
  provoke: (list: Properties) => Promise<Packet | undefined>,
): Promise<void> {
  const asking = what === P.userProperty ? [ASKING] : []
  const isSaid = (answer: Packet | undefined) => answer !== undefined && propertyOf(answer, what) !== undefined
  const within = async (limit: number) => {
    const answer = await provoke([...asking, [P.maximumPacketSize, limit]])
    const size = answer?.bytes.length ?? 0
    expect(size <= limit, `${size} bytes, ${limit} are allowed`)
    return answer
  }
  const free = await provoke(asking)
  if (free === undefined || !isSaid(free)) vacuous('the broker never puts it there, even with room')
  // Nothing obliges a broker to say what it could.
  if (!isSaid(await within(free.bytes.length))) c.remark('it is left out where it would just fit')
  let answer: Packet | undefined = free
  while (answer !== undefined && isSaid(answer)) answer = await within(answer.bytes.length - 1)
}

/** CONNACK has to fit, too. */
async function accepted(c: Context, url: URL, properties: Properties): Promise<Client> {
  const client = await c.open(url)
  client.send(client.connectBytes({ clientId: c.id(), properties }))
  const connack = await client.take(TYPE.connack).catch(() => null)
  if (connack?.code !== 0) vacuous('the broker accepts nobody with so small a Maximum Packet Size')
  return client
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
      await leavesOut(c, what, async (list) => provoke(c, await accepted(c, url, list)))
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
        const refusal = (list: Properties) => c.refuses({ properties: [...list, [P.authMethod, 'X-NONE']] })
        for (const limit of [5, 12]) {
          const size = (await refusal([[P.maximumPacketSize, limit]]))?.bytes.length ?? 0
          expect(size <= limit, `CONNACK of ${size} bytes, ${limit} are allowed`)
        }
        await leavesOut(c, what, refusal)
      },
    },
    {
      title: `DISCONNECT comes without ${name} when it would exceed the Maximum Packet Size, or not at all`,
      v5: disconnect,
      run: async (c) => {
        await leavesOut(c, what, async (list) => {
          const client = await accepted(c, c.url, list)
          return c.breaks(client, publish(5, c.topic(), 'x', { qos: 3, id: 1 }))
        })
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
  {
    title: 'a CONNACK that accepts comes without User Properties when they would exceed the Maximum Packet Size',
    v5: '3.2.2-20',
    run: (c) =>
      leavesOut(c, P.userProperty, async (list) => {
        const client = await c.open()
        client.send(client.connectBytes({ clientId: c.id(), properties: list }))
        return client.take(TYPE.connack)
      }),
  },
]
