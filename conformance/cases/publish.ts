/** PUBLISH: form, flags, topic, what is answered and what a subscriber sees of it. */
import type { Case, Context } from '../context.js'
import { expect, expectSame } from '../outcome.js'
import { hex, NOT_UTF8, P, type Properties, packet, publish, u16 } from '../wire/bytes.js'
import { isDup, isRetain, qosOf, TYPE } from '../wire/decode.js'

/** A publication that ends the connection and reaches nobody who subscribed to this topic. */
async function breaksAndForwardsNothing(c: Context, sent: Uint8Array, ...codes: readonly number[]): Promise<void> {
  const watcher = await c.subscriber(c.topic('#'), 2)
  await c.breaksNew(sent, ...codes)
  await c.nothing(watcher)
}

/** A PUBLISH to the topic of the case with these properties. */
const withProperties = (c: Context, ...list: Properties) => publish(c.version, c.topic(), 'x', { properties: list })

export const publishing: readonly Case[] = [
  {
    title: 'a QoS 0 message comes as it was sent, without a Packet Identifier',
    v5: '2.2.1-2 3.3.4-1 2.2.2-1',
    v311: '2.3.1-5 3.3.4-1',
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 2)
      const payload = hex('0001020300FF')
      client.send(publish(c.version, c.topic(), payload))
      const message = await client.message(c.topic())
      expectSame([message.payload.toString('hex'), qosOf(message)], [payload.toString('hex'), 0], 'payload and QoS')
      expectSame(message.bytes.toString('hex'), publish(c.version, c.topic(), payload).toString('hex'), 'the packet')
      await client.ping()
      expectSame(client.inbox.length, 0, 'answers to QoS 0')
    },
  },
  {
    title: 'QoS 1 is answered by PUBACK with its Packet Identifier',
    v5: '2.2.1-5 3.3.4-1 4.3.2-4 3.4.2-1',
    v311: '2.3.1-6 3.3.4-1 4.3.2-2',
    run: async (c) => {
      const client = await c.connect()
      for (const id of [0x1234, 1, 65_535]) {
        const answer = await client.publish(c.topic(), 'x', { qos: 1, id })
        expect([0, 0x10].includes(answer?.code ?? -1), `PUBACK ${answer?.code}`)
        if (!c.isV5) expectSame(answer?.bytes.length, 4, 'length of PUBACK')
      }
    },
  },
  {
    title: 'QoS 2 is answered by PUBREC, its PUBREL by PUBCOMP, with its Packet Identifier',
    v5: '2.2.1-5 3.3.4-1 4.3.3-8 4.3.3-11 3.5.2-1 3.7.2-1',
    v311: '2.3.1-6 3.3.4-1 4.3.3-2',
    run: async (c) => {
      const client = await c.connect()
      for (const id of [0x4321, 1, 65_535]) {
        const answer = await client.publish(c.topic(), 'x', { qos: 2, id })
        expect([0, 0x10].includes(answer?.code ?? -1), `PUBREC ${answer?.code}`)
      }
    },
  },
  {
    title: 'Packet Identifier 0 ends the connection',
    v5: '2.2.1-3 4.13.1-1',
    v311: '2.3.1-1',
    run: async (c) => {
      for (const qos of [1, 2]) {
        const sent = publish(c.version, c.topic(), 'x', { qos, id: 0 })
        await breaksAndForwardsNothing(c, sent, 0x81, 0x82)
      }
      await c.breaksNew(packet(0x82, u16(0), c.isV5 ? 0 : [], c.topic(), 0), 0x81, 0x82)
      await c.breaksNew(packet(0xa2, u16(0), c.isV5 ? 0 : [], c.topic()), 0x81, 0x82)
    },
  },
  {
    title: 'QoS 3 ends the connection',
    v5: '3.3.1-4 4.13.1-1',
    v311: '3.3.1-4 4.8.0-1',
    run: (c) => breaksAndForwardsNothing(c, publish(c.version, c.topic(), 'x', { qos: 3, id: 7 }), 0x81),
  },
  {
    title: 'DUP of the publisher is not passed on',
    v5: '3.3.1-3 4.3.2-2 4.3.3-2',
    v311: '3.3.1-3 4.3.2-1 4.3.3-1',
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 2)
      for (const qos of [1, 2]) {
        await client.publish(c.topic(), 'x', { qos, dup: true })
        const message = await client.message(c.topic())
        expectSame([qosOf(message), isDup(message), isRetain(message)], [qos, false, false], 'QoS, DUP, RETAIN')
      }
    },
  },
  {
    title: 'a QoS 0 message has DUP 0',
    v5: '3.3.1-2 4.3.1-1',
    v311: '3.3.1-2 4.3.1-1',
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 0)
      for (const qos of [0, 1, 2]) {
        await client.publish(c.topic(), 'x', { qos, dup: qos > 0 })
        const message = await client.message(c.topic())
        expectSame([qosOf(message), isDup(message)], [0, false], 'QoS and DUP')
      }
    },
  },
  {
    title: 'a Topic Name that is not UTF-8 ends the connection',
    v5: '1.5.4-1 3.3.2-1 4.13.1-1',
    v311: '1.5.3-1 3.3.2-1',
    run: async (c) => {
      const [first, ...others] = NOT_UTF8
      const prefix = Buffer.from(c.topic(''))
      const topic = (wrong: Uint8Array) => Buffer.concat([prefix, wrong])
      await breaksAndForwardsNothing(c, publish(c.version, topic(first as Uint8Array), 'x'), 0x81)
      for (const wrong of others) await c.breaksNew(publish(c.version, topic(wrong), 'x'), 0x81)
    },
  },
  {
    title: 'U+0000 in a Topic Name ends the connection',
    v5: '1.5.4-2 4.7.3-2',
    v311: '1.5.3-2 4.7.3-2',
    run: (c) => breaksAndForwardsNothing(c, publish(c.version, Buffer.from(c.topic('a\0b')), 'x'), 0x81),
  },
  {
    title: 'U+FEFF is a character of a topic like any other',
    v5: '1.5.4-3',
    v311: '1.5.3-3',
    run: async (c) => {
      const name = `\uFEFF${c.topic('bom')}`
      const client = await c.connect()
      await client.subscribe([
        [Buffer.from(name), 0],
        [c.topic('bom'), 0],
      ])
      await client.publish(c.topic('bom'), 'without', { qos: 1 })
      client.send(publish(c.version, Buffer.from(name), 'with'))
      const messages = await client.messages(2)
      expectSame(
        messages.map((each) => `${each.topic} ${each.payload}`).sort(),
        [`${c.topic('bom')} without`, `${name} with`].sort(),
        'messages',
      )
      await c.nothing(client, client)
    },
  },
  {
    title: 'a wildcard in a Topic Name is refused and nothing is forwarded',
    v5: '3.3.2-2 4.7.0-1',
    v311: '3.3.2-2 4.7.1-1',
    run: async (c) => {
      const watcher = await c.subscriber(c.topic('#'), 2)
      for (const name of [c.topic('+'), c.topic('a/#'), c.topic('a+b')]) {
        await c.breaksNew(publish(c.version, name, 'x'), 0x81, 0x82, 0x90)
        const client = await c.connect()
        client.send(publish(c.version, name, 'x', { qos: 1, id: 5 }))
        if (!c.isV5) await client.closed()
        else {
          const answer = await client.take(TYPE.puback).catch(() => undefined)
          expect(answer === undefined ? client.isClosed : answer.code >= 0x80, 'neither refused nor closed')
        }
      }
      await c.nothing(watcher)
    },
  },
  {
    title: 'an empty Topic Name without an alias ends the connection',
    v5: '4.7.3-1 4.13.1-1',
    v311: '4.7.3-1',
    run: async (c) => {
      await c.breaksNew(publish(c.version, '', 'x'), 0x82)
      await c.breaksNew(publish(c.version, '', 'x', { qos: 1, id: 3 }), 0x82)
    },
  },
  {
    title: 'a property of PUBLISH that is no text ends the connection',
    v5: '1.5.7-1 3.3.2-13 3.3.2-19 4.13.1-1',
    run: async (c) => {
      const bad = hex('61FF')
      for (const list of [
        [[P.responseTopic, bad]],
        [[P.contentType, bad]],
        [[P.userProperty, [bad, 'v']]],
        [[P.userProperty, ['n', bad]]],
        [[P.userProperty, ['n', hex('00')]]],
      ] as Properties[]) {
        await breaksAndForwardsNothing(c, withProperties(c, ...list), 0x81)
      }
    },
  },
  {
    title: 'a Response Topic with a wildcard ends the connection',
    v5: '3.3.2-14',
    run: async (c) => {
      await breaksAndForwardsNothing(c, withProperties(c, [P.responseTopic, 'a/+']), 0x81, 0x82, 0x90)
      await breaksAndForwardsNothing(c, withProperties(c, [P.responseTopic, '#']), 0x81, 0x82, 0x90)
    },
  },
  {
    title: 'a Subscription Identifier from a client ends the connection',
    v5: '3.3.4-6 4.13.1-1',
    run: (c) => breaksAndForwardsNothing(c, withProperties(c, [P.subscriptionId, 5]), 0x82),
  },
  {
    title: 'a property of PUBLISH that may be there once is not there twice',
    v5: '4.13.1-1',
    run: async (c) => {
      for (const property of [
        [P.topicAlias, 1],
        [P.responseTopic, 'r'],
        [P.correlationData, 'd'],
        [P.contentType, 't'],
      ] as Properties) {
        await breaksAndForwardsNothing(c, withProperties(c, property, property), 0x81, 0x82)
      }
    },
  },
  {
    title: 'a property that does not belong to PUBLISH ends the connection',
    v5: '4.13.1-1 2.2.2-1',
    run: async (c) => {
      for (const property of [
        [P.sessionExpiry, 1],
        [P.reasonString, 'r'],
        [P.serverKeepAlive, 1],
      ] as Properties) {
        await breaksAndForwardsNothing(c, withProperties(c, property), 0x81, 0x82)
      }
      await breaksAndForwardsNothing(c, packet(0x30, c.topic(), 5, P.messageExpiry, 0, 0), 0x81, 0x82)
      await breaksAndForwardsNothing(c, packet(0x30, c.topic(), 100, P.payloadFormat, 1), 0x81, 0x82)
    },
  },
  {
    title: 'a PUBLISH that ends within its topic or its Packet Identifier ends the connection',
    v5: '3.3.2-1 4.13.1-1',
    v311: '3.3.2-1 4.8.0-1',
    run: async (c) => {
      await c.breaksNew(packet(0x30, u16(200), Buffer.from('short')), 0x81, 0x82)
      await c.breaksNew(packet(0x30, 0), 0x81, 0x82)
      await c.breaksNew(packet(0x32, c.topic(), 0), 0x81, 0x82)
    },
  },
  {
    title: 'the Topic Name that is sent matches the Topic Filter',
    v5: '3.3.2-3',
    v311: '3.3.2-3',
    run: async (c) => {
      const client = await c.subscriber(c.topic('a/+/c'), 0)
      for (const name of ['a/b', 'x', 'a/b/c/d', 'a/b/c', 'b/b/c']) await c.publishOnce(c.topic(name), name)
      expectSame((await client.message()).topic, c.topic('a/b/c'), 'Topic Name')
      await c.nothing(client)
    },
  },
  {
    title: 'a connection that is broken does not touch the others',
    v5: '4.13.1-1',
    v311: '4.8.0-1',
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 1)
      await c.breaksNew(publish(c.version, c.topic(), 'x', { qos: 3, id: 7 }), 0x81)
      await client.publish(c.topic(), 'y', { qos: 1 })
      await client.message(c.topic())
    },
  },
  {
    title: 'a refused PUBLISH is acknowledged or ends the connection, and reaches nobody',
    v5: '3.3.4-1 3.4.2-1 3.5.2-1',
    v311: '3.3.5-2',
    run: async (c) => {
      const { url, deniedTopic } = c.restricted()
      const watcher = await c.connect({}, url)
      await watcher.trySubscribe([[`${deniedTopic.split('/')[0]}/#`, 1]])
      for (const qos of [1, 2]) {
        const client = await c.connect({}, url)
        client.send(publish(c.version, deniedTopic, c.id(), { qos, id: 5 }))
        const answer = await client.take(qos === 1 ? TYPE.puback : TYPE.pubrec).catch(() => undefined)
        if (answer === undefined) expect(client.isClosed, 'neither acknowledged nor closed')
        else if (c.isV5) expect(answer.code >= 0x80, 'a refused PUBLISH was acknowledged as if it were not')
      }
      await c.nothing(watcher, await c.connect({}, url))
    },
  },
]
