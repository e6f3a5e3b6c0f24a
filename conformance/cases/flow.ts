/** MQTT 5.0 flow control: Receive Maximum in both directions, and what a full quota does not stop. */
import type { Case, Context } from '../context.js'
import { expect, expectSame } from '../outcome.js'
import { P, puback, pubcomp, publish, pubrec } from '../wire/bytes.js'
import type { Client } from '../wire/client.js'
import { qosOf, TYPE } from '../wire/decode.js'

/** A subscriber that acknowledges nothing by itself and takes this many messages at a time. */
async function limited(c: Context, receiveMaximum: number, clientId = c.id()): Promise<Client> {
  const fields = { clientId, keep: 60, clean: true, properties: [[P.receiveMaximum, receiveMaximum]] as const }
  const client = await c.connect(fields)
  client.acknowledges = false
  await client.subscribe(c.topic(), 2)
  return client
}

async function publishMany(c: Context, count: number, qos: (index: number) => number): Promise<Client> {
  const publisher = await c.connect()
  for (let index = 0; index < count; index += 1) await publisher.publish(c.topic(), String(index), { qos: qos(index) })
  return publisher
}

/** Everything that could be sent is here; there are exactly so many. */
async function expectWaiting(c: Context, client: Client, publisher: Client, count: number): Promise<void> {
  await c.fence(client, publisher, 0)
  expectSame(client.waiting(TYPE.publish).filter((packet) => qosOf(packet) > 0).length, count, 'messages in flight')
}

export const flowControl: readonly Case[] = [
  {
    title: 'the broker keeps to the Receive Maximum of the client',
    v5: '3.3.4-9 4.9.0-1 4.9.0-2',
    run: async (c) => {
      const client = await limited(c, 2)
      const publisher = await publishMany(c, 6, (index) => 1 + (index % 2))
      await expectWaiting(c, client, publisher, 2)
      client.send(puback((await client.take(TYPE.publish, (packet) => qosOf(packet) === 1)).id))
      await expectWaiting(c, client, publisher, 2)
    },
  },
  {
    title: 'with Receive Maximum 1 the second QoS 1 message comes after PUBACK',
    v5: '4.9.0-2 3.3.4-9',
    run: async (c) => {
      const client = await limited(c, 1)
      const publisher = await publishMany(c, 3, () => 1)
      for (const text of ['0', '1', '2']) {
        await expectWaiting(c, client, publisher, 1)
        const message = await client.message()
        expectSame(message.payload.toString(), text, 'message')
        client.send(puback(message.id))
      }
    },
  },
  {
    title: 'with Receive Maximum 1 the second QoS 2 message comes after PUBCOMP, not after PUBREC',
    v5: '4.9.0-2 3.3.4-9',
    run: async (c) => {
      const client = await limited(c, 1)
      const publisher = await publishMany(c, 2, () => 2)
      const { id } = await client.message()
      client.send(pubrec(id))
      await client.take(TYPE.pubrel)
      await expectWaiting(c, client, publisher, 0)
      client.send(pubcomp(id))
      expectSame((await client.message()).payload.toString(), '1', 'the second message')
    },
  },
  {
    title: 'PUBREC of 0x80 and more, and PUBACK of 0x80 and more, free their place',
    v5: '4.9.0-2 4.3.3-4',
    run: async (c) => {
      const client = await limited(c, 1)
      await publishMany(c, 3, (index) => 2 - (index % 2))
      client.send(pubrec((await client.message()).id, 0x80))
      client.send(puback((await client.message()).id, 0x80))
      expectSame((await client.message()).payload.toString(), '2', 'the third message')
    },
  },
  {
    title: 'the quota starts afresh with every connection',
    v5: '4.9.0-1 3.3.4-9',
    run: async (c) => {
      const clientId = c.id()
      const client = await limited(c, 2, clientId)
      const publisher = await publishMany(c, 9, () => 1)
      await expectWaiting(c, client, publisher, 2)
      client.cut()
      const back = await c.open()
      back.acknowledges = false
      await back.connect({ clientId, keep: 60, properties: [[P.receiveMaximum, 4]] })
      await back.messages(4)
      await expectWaiting(c, back, publisher, 0)
    },
  },
  {
    title: 'a resumed session with more in flight than the new Receive Maximum stays within it',
    v5: '3.3.4-9 4.9.0-1',
    run: async (c) => {
      const clientId = c.id()
      const client = await limited(c, 5, clientId)
      const publisher = await publishMany(c, 5, () => 1)
      await expectWaiting(c, client, publisher, 5)
      client.cut()
      const back = await c.open()
      back.acknowledges = false
      await back.connect({ clientId, keep: 60, properties: [[P.receiveMaximum, 2]] })
      await expectWaiting(c, back, publisher, 2)
      for (const text of ['0', '1', '2', '3', '4']) {
        const message = await back.message()
        expectSame(message.payload.toString(), text, 'message')
        back.send(puback(message.id))
      }
    },
  },
  {
    title: 'a full quota stops nothing but PUBLISH',
    v5: '3.3.4-10 4.9.0-3',
    run: async (c) => {
      const client = await limited(c, 1)
      await publishMany(c, 3, () => 1)
      await client.message()
      await client.ping()
      await client.subscribe(c.topic('other'), 0)
      await client.publish(c.topic('other'), 'qos 0 is not counted', { qos: 1 })
      await client.message(c.topic('other'))
      await client.publish(c.topic('third'), 'x', { qos: 2 })
      await client.unsubscribe(c.topic('other'))
    },
  },
  {
    title: 'a client that has more in flight than the Receive Maximum of the broker is disconnected',
    v5: '3.3.4-7 4.13.1-1',
    run: async (c) => {
      const open = (client: Client) => (c.given(client, P.receiveMaximum) ?? 65_535) <= 1_000
      const url = await c.limited(open, 'no listener has a Receive Maximum of 1000 or less: --limited-url')
      const client = await c.connect({}, url)
      const maximum = c.given(client, P.receiveMaximum) as number
      for (let id = 1; id <= maximum; id += 1) client.send(publish(5, c.topic(), 'x', { qos: 2, id }))
      for (let id = 1; id <= maximum; id += 1) await client.take(TYPE.pubrec)
      await client.ping()
      expect(!client.isClosed, 'closed at exactly the Receive Maximum')
      await c.breaks(client, publish(5, c.topic(), 'x', { qos: 2, id: maximum + 1 }), 0x93)
    },
  },
]
