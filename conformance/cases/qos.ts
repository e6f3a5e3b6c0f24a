/** QoS 1 and 2 in both directions: what is acknowledged, what is sent again after a connection is lost, what is not. */
import type { Case, Context } from '../context.js'
import { expect, expectSame } from '../outcome.js'
import { P, puback, pubcomp, publish, pubrec, pubrel } from '../wire/bytes.js'
import type { Client } from '../wire/client.js'
import { describe, isDup, type Packet, qosOf, TYPE } from '../wire/decode.js'

const KEEP = 60

/** A session that is kept, subscribed to the topic of the case, that acknowledges nothing by itself. */
async function silentSubscriber(c: Context, clientId: string, qos: number): Promise<Client> {
  const client = await c.subscriber(c.topic(), qos, { clientId, keep: KEEP })
  client.acknowledges = false
  return client
}

/** Cuts the connection and resumes its session, still without acknowledging anything. */
async function resume(c: Context, client: Client): Promise<Client> {
  const { clientId } = client
  client.cut()
  const again = await c.open()
  again.acknowledges = false
  const connack = await again.connect({ clientId, keep: KEEP })
  expectSame(connack.ackFlags, 1, 'Session Present')
  return again
}

/** The session has nothing in flight: neither of PUBLISH nor of PUBREL. */
async function nothingIsResent(c: Context, client: Client): Promise<void> {
  const again = await resume(c, client)
  again.acknowledges = true
  await c.nothing(again)
  expectSame(again.waiting(TYPE.pubrel).map(describe), [], 'PUBRELs')
}

const texts = (messages: readonly Packet[]) => messages.map(({ payload }) => payload.toString())

export const qualityOfService: readonly Case[] = [
  {
    title: 'messages in flight have Packet Identifiers that differ and are not 0',
    v5: '2.2.1-4 4.3.2-1 4.3.3-1',
    v311: '2.3.1-1 2.3.1-4 4.3.2-1 4.3.3-1',
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 2)
      client.acknowledges = false
      const publisher = await c.connect()
      for (let count = 0; count < 8; count += 1) await publisher.publish(c.topic(), 'x', { qos: 1 + (count % 2) })
      const messages = await client.messages(8)
      expectSame(new Set(messages.map(({ id }) => id)).size, 8, 'different Packet Identifiers')
      expect(
        messages.every(({ id }) => id > 0),
        'Packet Identifier 0',
      )
    },
  },
  {
    title: 'the first PUBLISH of a message has DUP 0 and its QoS',
    v5: '4.3.2-2 4.3.3-2',
    v311: '4.3.2-1 4.3.3-1',
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 2)
      for (const qos of [1, 2]) {
        await c.publishOnce(c.topic(), 'x', { qos })
        const message = await client.message()
        expectSame([qosOf(message), isDup(message)], [qos, false], 'QoS and DUP')
      }
    },
  },
  {
    title: 'a QoS 1 message without PUBACK is sent again with DUP 1 and its Packet Identifier when the session resumes',
    v5: '3.3.1-1 4.3.2-3 4.4.0-1',
    v311: '3.3.1-1 4.3.2-1 4.4.0-1 2.3.1-4',
    run: async (c) => {
      const client = await silentSubscriber(c, c.id(), 1)
      await c.publishOnce(c.topic(), 'x')
      const { id } = await client.message()
      const again = await resume(c, client)
      const repeated = await again.message()
      expectSame([repeated.id, isDup(repeated), qosOf(repeated)], [id, true, 1], 'Packet Identifier, DUP, QoS')
      again.send(puback(id))
      await again.ping()
      await nothingIsResent(c, again)
    },
  },
  {
    title: 'a QoS 2 message without PUBREC is sent again with DUP 1 and its Packet Identifier when the session resumes',
    v5: '3.3.1-1 4.3.3-3 4.4.0-1',
    v311: '3.3.1-1 4.3.3-1 4.4.0-1',
    run: async (c) => {
      const client = await silentSubscriber(c, c.id(), 2)
      await c.publishOnce(c.topic(), 'x', { qos: 2 })
      const { id } = await client.message()
      const again = await resume(c, client)
      const repeated = await again.message()
      expectSame([repeated.id, isDup(repeated), qosOf(repeated)], [id, true, 2], 'Packet Identifier, DUP, QoS')
      again.send(pubrec(id))
      expectSame((await again.take(TYPE.pubrel)).id, id, 'Packet Identifier of PUBREL')
      again.send(pubcomp(id))
      await again.ping()
      await nothingIsResent(c, again)
    },
  },
  {
    title: 'PUBREC is answered by PUBREL, and PUBREL without PUBCOMP is sent again, the PUBLISH is not',
    v5: '2.2.1-5 4.3.3-4 4.3.3-5 4.3.3-6 4.4.0-1 3.6.2-1',
    v311: '2.3.1-6 3.6.1-1 4.3.3-1 4.4.0-1',
    run: async (c) => {
      const client = await silentSubscriber(c, c.id(), 2)
      await c.publishOnce(c.topic(), 'x', { qos: 2 })
      const { id } = await client.message()
      client.send(pubrec(id))
      const pubrelPacket = await client.take(TYPE.pubrel)
      expectSame([pubrelPacket.id, pubrelPacket.bytes[0]], [id, 0x62], 'Packet Identifier and first byte of PUBREL')
      const again = await resume(c, client)
      expectSame((await again.take(TYPE.pubrel)).id, id, 'Packet Identifier of the second PUBREL')
      await again.ping()
      expectSame(texts(again.waiting(TYPE.publish)), [], 'PUBLISH behind PUBREL')
      again.send(pubcomp(id))
      await again.ping()
      await nothingIsResent(c, again)
    },
  },
  {
    title: 'PUBACK of 0x80 and more counts: the message does not come again',
    v5: '4.4.0-2',
    run: async (c) => {
      const client = await silentSubscriber(c, c.id(), 1)
      await c.publishOnce(c.topic(), 'x')
      client.send(puback((await client.message()).id, 0x80))
      await client.ping()
      await nothingIsResent(c, client)
    },
  },
  {
    title: 'PUBREC of 0x80 and more ends the exchange: no PUBREL, and the message does not come again',
    v5: '4.4.0-2 4.3.3-4',
    run: async (c) => {
      const client = await silentSubscriber(c, c.id(), 2)
      await c.publishOnce(c.topic(), 'x', { qos: 2 })
      client.send(pubrec((await client.message()).id, 0x80))
      await client.ping()
      expectSame(client.waiting(TYPE.pubrel).map(describe), [], 'PUBRELs')
      await nothingIsResent(c, client)
    },
  },
  {
    title: 'nothing is sent again while the connection lives',
    v5: '4.4.0-1',
    isSlow: true,
    run: async (c) => {
      const client = await silentSubscriber(c, c.id(), 2)
      await c.publishOnce(c.topic(), 'one', { qos: 1 })
      await c.publishOnce(c.topic(), 'two', { qos: 2 })
      await client.messages(2)
      for (let count = 0; count < 6; count += 1) {
        await c.wait(1_000)
        await client.ping()
      }
      expectSame(client.inbox.map(describe), [], 'packets')
    },
  },
  {
    title: 'messages in flight are sent again in the order of their first sending',
    v5: '4.4.0-1',
    v311: '4.6.0-1 4.6.0-6 4.4.0-1',
    run: async (c) => {
      const client = await silentSubscriber(c, c.id(), 2)
      const publisher = await c.connect()
      for (const text of 'abcde') await publisher.publish(c.topic(), text, { qos: 1 })
      const first = await client.messages(5)
      const again = await resume(c, client)
      const second = await again.messages(5)
      expectSame(texts(second), [...'abcde'], 'order')
      expectSame(
        second.map(({ id }) => id),
        first.map(({ id }) => id),
        'Packet Identifiers',
      )
    },
  },
  {
    title: 'after PUBACK the same Packet Identifier is a new message, whatever DUP says',
    v5: '4.3.2-5',
    v311: '4.3.2-2',
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 1)
      const publisher = await c.connect()
      await publisher.publish(c.topic(), 'one', { qos: 1, id: 5 })
      await publisher.publish(c.topic(), 'two', { qos: 1, id: 5, dup: true })
      expectSame(texts(await client.messages(2)), ['one', 'two'], 'messages')
    },
  },
  {
    title: 'a QoS 2 PUBLISH that is repeated before PUBREL gets PUBREC each time, and is delivered once',
    v5: '4.3.3-10',
    v311: '4.3.3-2',
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 2)
      const clientId = c.id()
      const publisher = await c.connect({ clientId, keep: KEEP })
      const sent = (dup: boolean) => publish(c.version, c.topic(), 'once', { qos: 2, id: 6, dup })
      publisher.send(sent(false))
      await publisher.take(TYPE.pubrec)
      publisher.send(sent(true))
      const second = await publisher.take(TYPE.pubrec)
      expect(second.code < 0x80, `PUBREC ${second.code} for a repetition`)
      publisher.cut()
      const again = await c.connect({ clientId, keep: KEEP })
      again.send(sent(true))
      expect((await again.take(TYPE.pubrec)).code < 0x80, 'PUBREC of 0x80 or more for a repetition')
      again.send(pubrel(6))
      await again.take(TYPE.pubcomp)
      expectSame(texts([await client.message()]), ['once'], 'the message')
      await c.nothing(client, again)
    },
  },
  {
    title: 'after PUBCOMP the same Packet Identifier is a new message',
    v5: '4.3.3-12',
    v311: '4.3.3-2',
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 2)
      const publisher = await c.connect()
      await publisher.publish(c.topic(), 'one', { qos: 2, id: 6 })
      await publisher.publish(c.topic(), 'two', { qos: 2, id: 6 })
      expectSame(texts(await client.messages(2)), ['one', 'two'], 'messages')
      await c.nothing(client, publisher)
    },
  },
  {
    title: 'a repeated PUBREL, and one for an unknown Packet Identifier, get PUBCOMP',
    v5: '4.3.3-11 3.7.2-1 2.2.1-5',
    v311: '4.3.3-2',
    run: async (c) => {
      const publisher = await c.connect()
      await publisher.publish(c.topic(), 'x', { qos: 2, id: 6 })
      for (const id of [6, 4_711]) {
        publisher.send(pubrel(id))
        const answer = await publisher.take(TYPE.pubcomp)
        expectSame(answer.id, id, 'Packet Identifier')
        expect([0, 0x92].includes(answer.code), `PUBCOMP ${answer.code}`)
      }
    },
  },
  {
    title: 'after a PUBREC that refuses, the Packet Identifier is a new message',
    v5: '4.3.3-9',
    run: async (c) => {
      const { url, deniedTopic } = c.restricted()
      const client = await c.connect({}, url)
      await client.subscribe(c.topic(), 2)
      const refused = await client.publish(deniedTopic, 'x', { qos: 2, id: 6 })
      expect((refused?.code ?? 0) >= 0x80, 'the denied topic is not denied')
      await client.publish(c.topic(), 'y', { qos: 2, id: 6 })
      expectSame(texts([await client.message(c.topic())]), ['y'], 'the message')
    },
  },
  {
    title: 'the acknowledgement of a QoS 2 exchange goes on after the publisher is gone and back',
    v5: '4.3.3-11 4.3.3-10',
    v311: '4.3.3-2 4.1.0-1',
    run: async (c) => {
      const watcher = await c.subscriber(c.topic(), 2)
      const clientId = c.id()
      const publisher = await c.connect({ clientId, keep: KEEP })
      publisher.send(publish(c.version, c.topic(), 'x', { qos: 2, id: 6 }))
      await publisher.take(TYPE.pubrec)
      publisher.cut()
      const again = await c.connect({ clientId, keep: KEEP })
      again.send(pubrel(6))
      const answer = await again.take(TYPE.pubcomp)
      expectSame([answer.id, answer.code], [6, 0], 'Packet Identifier and code of PUBCOMP')
      await watcher.message()
      await c.nothing(watcher, again)
    },
  },
  {
    title: 'flags of PUBREL other than 0010 end the connection',
    v5: '3.6.1-1 2.1.3-1',
    v311: '3.6.1-1 2.2.2-2',
    run: async (c) => {
      for (const first of [0x60, 0x61, 0x6a]) {
        const sent = pubrel(6)
        sent[0] = first
        await c.breaksNew(sent, 0x81)
      }
    },
  },
  {
    title: 'flags of PUBACK, PUBREC and PUBCOMP other than 0 end the connection',
    v5: '2.1.3-1 4.13.1-1',
    v311: '2.2.2-2',
    run: async (c) => {
      for (const [sent, flag] of [
        [puback(1), 1],
        [pubrec(1), 2],
        [pubcomp(1), 2],
      ] as const) {
        sent[0] = (sent[0] as number) | flag
        await c.breaksNew(sent, 0x81)
      }
    },
  },
  {
    title: 'PUBACKs come in the order of their PUBLISHes',
    v5: '4.3.2-4',
    v311: '4.6.0-2 4.6.0-6',
    run: async (c) => {
      const client = await c.connect()
      const ids = [1, 2, 3, 9, 5]
      client.send(...ids.map((id) => publish(c.version, c.topic(), 'x', { qos: 1, id })))
      const found: number[] = []
      for (const _ of ids) found.push((await client.take(TYPE.puback)).id)
      if (!c.isV5) expectSame(found, ids, 'order of PUBACKs')
      expectSame(found.sort(), ids.sort(), 'PUBACKs')
    },
  },
  {
    title: 'PUBRECs come in the order of their PUBLISHes',
    v5: '4.3.3-8',
    v311: '4.6.0-3 4.6.0-6',
    run: async (c) => {
      const client = await c.connect()
      const ids = [1, 2, 3, 9, 5]
      client.send(...ids.map((id) => publish(c.version, c.topic(), 'x', { qos: 2, id })))
      const found: number[] = []
      for (const _ of ids) found.push((await client.take(TYPE.pubrec)).id)
      if (!c.isV5) expectSame(found, ids, 'order of PUBRECs')
      expectSame(found.sort(), ids.sort(), 'PUBRECs')
    },
  },
  {
    title: 'PUBRELs come in the order of the PUBRECs',
    v5: '4.3.3-4',
    v311: '4.6.0-4 4.6.0-6',
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 2)
      client.acknowledges = false
      for (const text of 'abc') await c.publishOnce(c.topic(), text, { qos: 2 })
      const [a, b, last] = (await client.messages(3)).map(({ id }) => id) as [number, number, number]
      client.send(pubrec(b), pubrec(a), pubrec(last))
      const found: number[] = []
      for (let count = 0; count < 3; count += 1) found.push((await client.take(TYPE.pubrel)).id)
      expectSame(found, [b, a, last], 'order of PUBRELs')
    },
  },
  {
    title: 'messages of one publisher, topic and QoS arrive in their order',
    v5: '4.6.0-5 4.6.0-6',
    v311: '4.6.0-5 4.6.0-6',
    run: async (c) => {
      for (const qos of [0, 1, 2]) await inOrder(c, await c.subscriber(c.topic(`q${qos}`), qos), qos, 200)
    },
  },
  {
    title: 'messages that waited for an absent client arrive in their order, before newer ones',
    v5: '4.6.0-5 4.6.0-6',
    v311: '4.6.0-5 4.6.0-6',
    run: async (c) => {
      for (const qos of [1, 2]) {
        const topic = c.topic(`q${qos}`)
        const clientId = c.id()
        const away = await c.subscriber(topic, qos, { clientId, keep: KEEP })
        await away.disconnect()
        const publisher = await c.connect()
        const sent = Array.from({ length: 60 }, (_, index) => String(index))
        for (const text of sent) await publisher.publish(topic, text, { qos })
        const properties = c.isV5 ? ([[P.receiveMaximum, 1]] as const) : []
        const back = await c.connect({ clientId, keep: KEEP, properties })
        for (const text of ['60', '61']) await publisher.publish(topic, text, { qos })
        expectSame(texts(await back.messages(62, topic)), [...sent, '60', '61'], `order at QoS ${qos}`)
      }
    },
  },
  {
    title: 'what is acknowledged reaches every session that matches, present or not',
    v5: '4.5.0-1',
    v311: '4.5.0-1 3.1.2-5',
    run: async (c) => {
      const clientId = c.id()
      const away = await c.subscriber(c.topic(), 1, { clientId, keep: KEEP })
      await away.disconnect()
      const [one, two] = [await c.subscriber(c.topic(), 1), await c.subscriber(c.topic('+'), 2)]
      await c.publishOnce(c.topic(), 'all', { qos: 1 })
      await c.publishOnce(c.topic(), 'of it', { qos: 2 })
      const back = await c.connect({ clientId, keep: KEEP })
      for (const client of [one, two, back]) {
        expectSame(texts(await client.messages(2, c.topic())), ['all', 'of it'], 'messages')
      }
    },
  },
  {
    title: 'an unknown reason in PUBACK, PUBREC, PUBREL or PUBCOMP does no harm to others',
    v5: '3.4.2-1 3.5.2-1 3.6.2-1 3.7.2-1',
    run: async (c) => {
      for (const answer of [puback(1, 0x7f), pubrec(1, 0x7f), pubrel(1, 0x7f), pubcomp(1, 0x7f)]) {
        const client = await c.connect()
        client.send(answer)
        client.send(Buffer.from('C000', 'hex'))
        // Closed or answered: both are allowed.
        await client.take(TYPE.pingresp).catch(() => expect(client.isClosed, 'neither closed nor answered'))
      }
      await (await c.connect()).ping()
    },
  },
  {
    title: 'Packet Identifiers start over after 65,535, without 0 and without one that is still in flight',
    v5: '2.2.1-4 4.3.2-1',
    v311: '2.3.1-1 2.3.1-4 4.3.2-1',
    isLong: true,
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 1)
      const publisher = await c.connect()
      client.acknowledges = false
      await publisher.publish(c.topic(), 'held back', { qos: 1 })
      const held = await client.message()
      client.acknowledges = true
      const atOnce = 20
      for (let sent = 0; sent < 65_600; sent += atOnce) {
        const acknowledged = Array.from({ length: atOnce }, () => publisher.publish(c.topic(), 'x', { qos: 1 }))
        for (const { id } of await client.messages(atOnce)) {
          expect(id !== 0 && id !== held.id, `Packet Identifier ${id}, ${held.id} is in flight`)
        }
        await Promise.all(acknowledged)
      }
    },
  },
]

async function inOrder(c: Context, client: Client, qos: number, count: number): Promise<void> {
  const topic = c.topic(`q${qos}`)
  const publisher = await c.connect()
  // As many at a time as every broker takes.
  const atOnce = 10
  for (let from = 0; from < count; from += atOnce) {
    const part = Array.from({ length: atOnce }, (_, index) => String(from + index))
    await Promise.all(part.map((text) => publisher.publish(topic, text, { qos })))
  }
  const wanted = Array.from({ length: count }, (_, index) => String(index))
  expectSame(texts(await client.messages(count)), wanted, `order at QoS ${qos}`)
}
