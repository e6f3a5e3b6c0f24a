/** SUBSCRIBE, UNSUBSCRIBE and their answers; what a subscription delivers and at which QoS. */
import type { Case, Context } from '../context.js'
import { expect, expectSame, vacuous } from '../outcome.js'
import {
  hex,
  NOT_UTF8,
  P,
  packet,
  puback,
  pubcomp,
  pubrec,
  subscribe,
  u16,
  unsubscribe,
  varint,
} from '../wire/bytes.js'
import { hexCode } from '../wire/client.js'
import { isDup, qosOf, TYPE, propertiesOf } from '../wire/decode.js'

const none = (c: Context) => (c.isV5 ? [0] : [])
const identifier = (value: number) => [[P.subscriptionId, value]] as const

export const subscribing: readonly Case[] = [
  {
    title: 'SUBSCRIBE is answered by one SUBACK with its Packet Identifier',
    v5: '3.8.4-1 3.8.4-2 2.2.1-6 3.8.4-6',
    v311: '3.8.4-1 3.8.4-2 2.3.1-7 3.8.4-5',
    run: async (c) => {
      const client = await c.connect()
      const ids = [1, 500, 65_535, 0xabcd]
      client.send(...ids.map((id) => subscribe(c.version, id, [[c.topic(String(id)), 0]])))
      const found: number[] = []
      for (const _ of ids) found.push((await client.take(TYPE.suback)).id)
      expectSame(found.sort(), ids.sort(), 'Packet Identifiers')
      await client.ping()
      expectSame(client.waiting(TYPE.suback).length, 0, 'further SUBACKs')
    },
  },
  {
    title: 'each filter gets its code, at most the QoS that was asked for',
    v5: '3.8.4-6 3.8.4-7 3.9.3-2 3.8.4-5 3.9.3-1',
    v311: '3.8.4-5 3.9.3-2 3.8.4-4 3.9.3-1',
    run: async (c) => {
      const client = await c.connect()
      for (const count of [1, 2, 50]) {
        const asked = Array.from({ length: count }, (_, index) => [c.topic(`${count}/${index}`), index % 3] as const)
        const { codes } = await client.trySubscribe(asked)
        expectSame(codes.length, count, 'codes')
        codes.forEach((code, index) => {
          expect(code <= index % 3, `code ${hexCode(code)} for QoS ${index % 3}`)
        })
      }
    },
  },
  {
    title: 'several filters in one SUBSCRIBE act like several SUBSCRIBEs',
    v5: '3.8.4-5',
    v311: '3.8.4-4',
    run: async (c) => {
      const client = await c.connect()
      const names = ['a', 'b', 'c'].map((name) => c.topic(name))
      await client.subscribe([...names.map((name) => [name, 1] as const), [names[0] as string, 0]])
      for (const name of names) {
        await c.publishOnce(name, 'x')
        const message = await client.message(name)
        // The same filter twice: the last one counts.
        expectSame(qosOf(message), name === names[0] ? 0 : 1, 'QoS')
      }
      await c.nothing(client)
    },
  },
  {
    title: 'delivered QoS is the lesser of published and granted QoS: live, retained and queued',
    v5: '3.8.4-8 3.8.4-7',
    v311: '3.8.4-6',
    run: async (c) => {
      for (const granted of [0, 1, 2]) {
        const topic = c.topic(String(granted))
        const clientId = c.id()
        const live = await c.subscriber(topic, granted)
        const away = await c.subscriber(topic, granted, { clientId, keep: 60 })
        await away.disconnect()
        for (const published of [0, 1, 2]) {
          await c.retain(topic, String(published), { qos: published })
          const wanted = Math.min(granted, published)
          expectSame(qosOf(await live.message(topic)), wanted, `QoS of ${published} to ${granted}`)
          const later = await c.subscriber(topic, granted)
          expectSame(qosOf(await later.message(topic)), wanted, `QoS of ${published} retained to ${granted}`)
        }
        const back = await c.connect({ clientId, keep: 60 })
        const queued = [1, 2].map((published) => Math.min(granted, published))
        await c.fence(back)
        const found = back.waiting(TYPE.publish).filter(({ payload }) => payload.toString() !== '0')
        if (granted > 0) expectSame(found.map(qosOf), queued, `QoS of queued to ${granted}`)
        else
          expect(
            found.every((packet) => qosOf(packet) === 0),
            'QoS of queued to 0',
          )
      }
    },
  },
  {
    title: 'a second SUBSCRIBE of a filter replaces the first',
    v5: '3.8.4-3',
    v311: '3.8.4-3',
    run: async (c) => {
      const client = await c.connect()
      // The QoS alone, up and down; both; the identifier alone.
      for (const [qos, id] of [
        [0, 1],
        [2, 1],
        [1, 1],
        [0, 2],
        [0, 3],
      ] as const) {
        await client.subscribe(c.topic(), qos, c.isV5 ? identifier(id) : [])
        await c.publishOnce(c.topic(), 'x', { qos: 2 })
        const message = await client.message()
        expectSame(qosOf(message), qos, 'QoS')
        if (c.isV5) expectSame(propertiesOf(message, P.subscriptionId), [id], 'Subscription Identifiers')
      }
      await c.nothing(client)
    },
  },
  {
    title: 'replacing a subscription loses no message',
    v5: '3.8.4-4',
    v311: '3.8.4-3',
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 1)
      const publisher = await c.connect()
      const publishing = (async () => {
        for (let index = 0; index < 60; index += 1) await publisher.publish(c.topic(), String(index), { qos: 1 })
      })()
      for (let count = 0; count < 20; count += 1) await client.subscribe(c.topic(), 1)
      await publishing
      const found = (await client.messages(60)).map(({ payload }) => Number(payload.toString()))
      expectSame(found, [...found.keys()], 'messages')
    },
  },
  {
    title: 'with overlapping subscriptions a message comes at the highest QoS of them',
    v5: '3.3.4-2',
    v311: '3.3.5-1',
    run: async (c) => {
      const client = await c.connect()
      await client.subscribe([
        [c.topic('+'), 0],
        [c.topic('b'), 2],
        [c.topic('#'), 1],
      ])
      await c.publishOnce(c.topic('b'), 'x', { qos: 2 })
      await c.fence(client)
      const found = client.waiting(TYPE.publish).map(qosOf)
      expectSame(Math.max(...found), 2, 'highest QoS')
      expect(found.length === 1 || found.length === 3, `${found.length} copies`)
    },
  },
  {
    title: 'Subscription Identifiers come with the messages of their subscriptions',
    v5: '3.3.4-3 3.3.4-4 3.3.4-5',
    run: async (c) => {
      const client = await c.connect()
      const other = await c.connect()
      await client.subscribe(c.topic('+'), 0, identifier(1))
      await client.subscribe(c.topic('b'), 0, identifier(268_435_455))
      await client.subscribe(c.topic('#'), 0)
      await other.subscribe(c.topic('b'), 0, identifier(7))
      await c.publishOnce(c.topic('b'), 'x')
      await c.fence(client)
      const copies = client.waiting(TYPE.publish).map((each) => propertiesOf(each, P.subscriptionId).map(Number).sort())
      if (copies.length === 1) expectSame(copies, [[1, 268_435_455]], 'identifiers of one copy')
      else expectSame(copies.map(String).sort(), ['', '1', '268435455'], 'identifiers of the copies')
      expectSame(propertiesOf(await other.message(), P.subscriptionId), [7], 'identifiers of another client')
    },
  },
  {
    title: 'a Subscription Identifier comes with retained and queued messages, too',
    v5: '3.3.4-3',
    run: async (c) => {
      const clientId = c.id()
      await c.retain(c.topic(), 'retained')
      const client = await c.connect({ clientId, keep: 60 })
      await client.subscribe(c.topic(), 1, identifier(42))
      expectSame(propertiesOf(await client.message(), P.subscriptionId), [42], 'identifier of a retained message')
      await client.disconnect()
      await c.publishOnce(c.topic(), 'queued')
      const back = await c.connect({ clientId, keep: 60 })
      expectSame(propertiesOf(await back.message(), P.subscriptionId), [42], 'identifier of a queued message')
    },
  },
  {
    title: 'No Local keeps messages from who published them, and from nobody else',
    v5: '3.8.3-3',
    run: async (c) => {
      const clientId = c.id()
      const client = await c.connect({ clientId, keep: 60 })
      await client.subscribe(c.topic(), 0x05)
      await client.publish(c.topic(), 'own', { qos: 1 })
      await c.publishOnce(c.topic(), 'of another')
      expectSame((await client.message()).payload.toString(), 'of another', 'the first message')
      await client.disconnect()
      const back = await c.connect({ clientId, keep: 60 })
      await back.publish(c.topic(), 'own, later', { qos: 1 })
      await c.nothing(back, back)
    },
  },
  {
    title: 'No Local on a shared subscription ends the connection',
    v5: '3.8.3-4 4.13.1-1',
    run: (c) => c.breaksNew(subscribe(5, 3, [[`$share/g/${c.topic()}`, 0x04]]), 0x82),
  },
  {
    title: 'reserved bits of the Subscription Options end the connection',
    v5: '3.8.3-5 4.13.1-1',
    v311: '3.8.3-4',
    run: async (c) => {
      const wrong = c.isV5 ? [0x40, 0x80, 0xc1] : [0x04, 0x80, 0x40, 0x08]
      for (const options of wrong) await c.breaksNew(subscribe(c.version, 3, [[c.topic(), options]]), 0x81)
    },
  },
  {
    title: 'QoS 3 in SUBSCRIBE ends the connection',
    v5: '4.13.1-1',
    v311: '3.8.3-4',
    run: (c) => c.breaksNew(subscribe(c.version, 3, [[c.topic(), 3]]), 0x82, 0x81),
  },
  {
    title: 'Retain Handling 3 ends the connection',
    v5: '4.13.1-1',
    run: (c) => c.breaksNew(subscribe(5, 3, [[c.topic(), 0x30]]), 0x82, 0x81),
  },
  {
    title: 'Subscription Identifier 0, or two of them, end the connection',
    v5: '4.13.1-1',
    run: async (c) => {
      await c.breaksNew(subscribe(5, 3, [[c.topic(), 0]], identifier(0)), 0x82)
      await c.breaksNew(subscribe(5, 3, [[c.topic(), 0]], [...identifier(1), ...identifier(2)]), 0x82, 0x81)
    },
  },
  {
    title: 'flags of SUBSCRIBE other than 0010 end the connection',
    v5: '3.8.1-1 2.1.3-1',
    v311: '3.8.1-1 2.2.2-2',
    run: async (c) => {
      for (const first of [0x80, 0x83, 0x8a]) {
        const sent = subscribe(c.version, 3, [[c.topic(), 0]])
        sent[0] = first
        await c.breaksNew(sent, 0x81)
      }
    },
  },
  {
    title: 'flags of UNSUBSCRIBE other than 0010 end the connection',
    v5: '3.10.1-1 2.1.3-1',
    v311: '3.10.1-1 2.2.2-2',
    run: async (c) => {
      for (const first of [0xa0, 0xa3, 0xa6]) {
        const sent = unsubscribe(c.version, 3, [c.topic()])
        sent[0] = first
        await c.breaksNew(sent, 0x81)
      }
    },
  },
  {
    title: 'a filter that is not UTF-8 ends the connection',
    v5: '3.8.3-1 1.5.4-1',
    v311: '3.8.3-1 1.5.3-1',
    run: async (c) => {
      for (const wrong of NOT_UTF8) await c.breaksNew(subscribe(c.version, 3, [[wrong, 0]]), 0x81, 0x8f)
    },
  },
  {
    title: 'U+0000 in a filter ends the connection',
    v5: '1.5.4-2 4.7.3-2',
    v311: '1.5.3-2 4.7.3-2',
    run: async (c) => {
      await c.breaksNew(subscribe(c.version, 3, [[hex('6100'), 0]]), 0x81, 0x8f)
      await c.breaksNew(unsubscribe(c.version, 3, [hex('6100')]), 0x81, 0x8f)
    },
  },
  {
    title: 'a filter of UNSUBSCRIBE that is not UTF-8, or runs past the packet, ends the connection',
    v5: '3.10.3-1 1.5.4-1',
    v311: '3.10.3-1',
    run: async (c) => {
      for (const wrong of NOT_UTF8) await c.breaksNew(unsubscribe(c.version, 3, [wrong]), 0x81, 0x8f)
      await c.breaksNew(packet(0xa2, u16(3), none(c), u16(99), Buffer.from('short')), 0x81)
    },
  },
  {
    title: 'a SUBSCRIBE without a filter ends the connection',
    v5: '3.8.3-2 4.13.1-1',
    v311: '3.8.3-3 4.8.0-1',
    run: (c) => c.breaksNew(packet(0x82, u16(3), none(c)), 0x82, 0x81),
  },
  {
    title: 'an UNSUBSCRIBE without a filter ends the connection',
    v5: '3.10.3-2 4.13.1-1',
    v311: '3.10.3-2 4.8.0-1',
    run: (c) => c.breaksNew(packet(0xa2, u16(3), none(c)), 0x82, 0x81),
  },
  {
    title: 'a SUBSCRIBE that ends within a filter, or before its options, ends the connection',
    v5: '3.8.3-1 4.13.1-1',
    v311: '3.8.3-1 4.8.0-1',
    run: async (c) => {
      await c.breaksNew(packet(0x82, u16(3), none(c), u16(99), Buffer.from('short')), 0x81)
      await c.breaksNew(packet(0x82, u16(3), none(c), c.topic()), 0x81, 0x82)
    },
  },
  {
    title: 'a SUBSCRIBE without its Property Length is malformed',
    v5: '2.2.2-1',
    // The length of the filter is read as Property Length 0 and a filter that is longer than the packet.
    run: (c) => c.breaksNew(packet(0x82, u16(3), 'zzzz', 0), 0x81, 0x82),
  },
  {
    title: 'an overlong variable byte integer is no packet of ours (what a broker does about it is open)',
    v5: '1.5.5-1',
    run: async (c) => {
      for (const [what, sent] of [
        ['Property Length', packet(0x82, u16(3), hex('8000'), c.topic(), 0)],
        ['Remaining Length', hex('C08000')],
      ] as const) {
        const client = await c.connect()
        client.send(sent, hex('C000'))
        const answer = await client.take(TYPE.pingresp).catch(() => null)
        expect(answer !== null || client.isClosed, 'neither closed nor read')
        if (answer !== null) c.remark(`an overlong ${what} was accepted`)
      }
      const other = await c.subscriber(c.topic(), 1, {}, identifier(128))
      await c.publishOnce(c.topic(), 'x'.repeat(200))
      const message = await other.message()
      expect(message.bytes.includes(Buffer.from([P.subscriptionId, ...varint(128)])), 'the identifier 128 as 80 01')
    },
  },
  {
    title: 'a refused filter gets its code at its place, the others are granted',
    v5: '3.9.3-1 3.8.4-7 3.8.4-5 3.9.3-2',
    v311: '3.9.3-1 3.9.3-2 3.8.4-5',
    run: async (c) => {
      const { url, deniedTopic } = c.restricted()
      const client = await c.connect({}, url)
      const asked = [
        [c.topic('a'), 0],
        [deniedTopic, 1],
        [c.topic('b'), 2],
      ] as const
      const { codes } = await client.trySubscribe(asked)
      const refused = codes[1] ?? 0
      if (c.isV5 && refused < 0x80) vacuous('the denied topic may be subscribed to')
      if (!c.isV5 && refused !== 0x80) vacuous('the denied topic may be subscribed to')
      expectSame([codes.length, codes[0], codes[2]], [3, 0, 2], 'codes')
      await client.publish(c.topic('b'), 'x', { qos: 1 })
      await client.message(c.topic('b'))
    },
  },
]

export const unsubscribing: readonly Case[] = [
  {
    title: 'UNSUBSCRIBE is answered by UNSUBACK with its Packet Identifier',
    v5: '3.10.4-4 3.10.4-5 2.2.1-6 3.11.3-2',
    v311: '3.10.4-4 2.3.1-7',
    run: async (c) => {
      const client = await c.subscriber(c.topic())
      client.send(unsubscribe(c.version, 9, [c.topic()]))
      const answer = await client.take(TYPE.unsuback)
      expectSame([answer.id, answer.codes], [9, c.isV5 ? [0] : []], 'Packet Identifier and codes')
      await client.ping()
      expectSame(client.waiting(TYPE.unsuback).length, 0, 'further UNSUBACKs')
    },
  },
  {
    title: 'UNSUBSCRIBE of an unknown filter is answered, too',
    v5: '3.10.4-5 3.11.3-2',
    v311: '3.10.4-5',
    run: async (c) => {
      const client = await c.connect()
      client.send(unsubscribe(c.version, 9, [c.topic()]))
      const answer = await client.take(TYPE.unsuback)
      expectSame([answer.id, answer.codes], [9, c.isV5 ? [0x11] : []], 'Packet Identifier and codes')
    },
  },
  {
    title: 'UNSUBSCRIBE ends the subscription whose filter is the same, character by character, and no other',
    v5: '3.10.4-1 3.11.3-1',
    v311: '3.10.4-1',
    run: async (c) => {
      const client = await c.subscriber(c.topic('+'), 0)
      const names = [c.topic('b'), c.topic('#'), c.topic('+/'), c.topic('+').toUpperCase()]
      const unknown = await client.unsubscribe(...names)
      if (c.isV5) expectSame(unknown.codes, [0x11, 0x11, 0x11, 0x11], 'codes')
      await c.publishOnce(c.topic('b'), 'still')
      await client.message(c.topic('b'))
      await client.unsubscribe(c.topic('+'))
      await c.publishOnce(c.topic('b'), 'not any more')
      await c.nothing(client)
    },
  },
  {
    title: 'after UNSUBACK nothing more is queued for the client',
    v5: '3.10.4-2',
    v311: '3.10.4-2',
    run: async (c) => {
      const clientId = c.id()
      const client = await c.subscriber(c.topic(), 1, { clientId, keep: 60 })
      await client.unsubscribe(c.topic())
      await c.publishOnce(c.topic(), 'live')
      await c.nothing(client)
      await client.disconnect()
      await c.publishOnce(c.topic(), 'away')
      const back = await c.connect({ clientId, keep: 60 })
      await c.nothing(back)
    },
  },
  {
    title: 'a QoS 2 delivery that was begun is completed after UNSUBSCRIBE',
    v5: '3.10.4-3',
    v311: '3.10.4-3',
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 2)
      client.acknowledges = false
      await c.publishOnce(c.topic(), 'x', { qos: 2 })
      const { id } = await client.message()
      await client.unsubscribe(c.topic())
      client.send(pubrec(id))
      expectSame((await client.take(TYPE.pubrel)).id, id, 'Packet Identifier of PUBREL')
      client.send(pubcomp(id))
      await client.ping()
    },
  },
  {
    title: 'a QoS 1 delivery without PUBACK comes again after UNSUBSCRIBE and a new connection',
    v5: '3.10.4-3',
    v311: '3.10.4-3',
    run: async (c) => {
      const clientId = c.id()
      const client = await c.subscriber(c.topic(), 1, { clientId, keep: 60 })
      client.acknowledges = false
      await c.publishOnce(c.topic(), 'x')
      const { id } = await client.message()
      await client.unsubscribe(c.topic())
      client.cut()
      const back = await c.connect({ clientId, keep: 60 })
      const again = await back.message()
      expectSame([again.id, isDup(again)], [id, true], 'Packet Identifier and DUP')
      back.send(puback(id))
    },
  },
  {
    title: 'several filters in one UNSUBSCRIBE act like several, with one UNSUBACK and the codes in their order',
    v5: '3.10.4-6 3.11.3-1 3.11.3-2',
    v311: '3.10.4-6',
    run: async (c) => {
      const client = await c.connect()
      const names = ['a', 'b', 'c'].map((name) => c.topic(name))
      await client.subscribe(names.map((name) => [name, 1]))
      const [a, b, last] = names as [string, string, string]
      const answer = await client.unsubscribe(a, c.topic('unknown'), last)
      if (c.isV5) expectSame(answer.codes, [0, 0x11, 0], 'codes')
      for (const name of names) await c.publishOnce(name, 'x')
      expectSame((await client.message()).topic, b, 'topic that is left')
      await c.nothing(client)
    },
  },
]
