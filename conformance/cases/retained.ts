/** Retained messages: what is kept, what is sent to whom, and with which RETAIN flag. */
import type { Case, Context } from '../context.js'
import { expect, expectSame } from '../outcome.js'
import { P } from '../wire/bytes.js'
import { isRetain, type Packet, qosOf } from '../wire/decode.js'

const payloads = (found: readonly Packet[]) => found.map(({ payload }) => payload.toString())

const expectRetained = async (c: Context, topic: string, ...wanted: readonly string[]) =>
  expectSame(payloads(await c.retainedOn(topic)), wanted, 'retained on the topic')

export const retained: readonly Case[] = [
  {
    title: 'the last message with RETAIN 1 is kept for later subscribers',
    v5: '3.3.1-5',
    v311: '3.3.1-5 3.3.1-8',
    run: async (c) => {
      const topic = c.topic()
      await c.retain(topic, 'a')
      await c.retain(topic, 'b')
      const found = await c.retainedOn(topic, 2)
      expectSame(payloads(found), ['b'], 'retained')
      expectSame(qosOf(found[0] as Packet), 1, 'QoS it was published with')
    },
  },
  {
    title: 'retained messages outlive the session of their publisher',
    v5: '3.3.1-5',
    v311: '3.1.2-7',
    run: async (c) => {
      const topic = c.topic()
      const clientId = c.id()
      const publisher = await c.connect({ clientId })
      c.willBeRetained(topic)
      await publisher.publish(topic, 'stays', { qos: 1, retain: true })
      await publisher.disconnect()
      await (await c.connect({ clientId })).disconnect()
      await expectRetained(c, topic, 'stays')
    },
  },
  {
    title: 'a wildcard subscription gets the retained message of each topic',
    v5: '3.3.1-9',
    v311: '3.3.1-6',
    run: async (c) => {
      await c.retain(c.topic('tree/1'), 'one')
      await c.retain(c.topic('tree/2'), 'two')
      expectSame(payloads(await c.retainedOn(c.topic('tree/#'))).sort(), ['one', 'two'], 'retained')
    },
  },
  {
    title: 'an empty message with RETAIN 1 is delivered and erases what was retained',
    v5: '3.3.1-6 3.3.1-7',
    v311: '3.3.1-10 3.3.1-11',
    run: async (c) => {
      const topic = c.topic()
      await c.retain(topic, 'a')
      const live = await c.subscriber(topic, 1)
      expectSame((await live.message(topic)).payload.toString(), 'a', 'retained')
      await c.retain(topic, '')
      const message = await live.message(topic)
      expectSame([message.payload.length, isRetain(message)], [0, false], 'length and RETAIN of the empty message')
      await expectRetained(c, topic)
    },
  },
  {
    title: 'an empty message is never kept',
    v5: '3.3.1-7',
    v311: '3.3.1-11',
    run: async (c) => {
      await c.retain(c.topic(), '')
      await expectRetained(c, c.topic())
    },
  },
  {
    title: 'a message with RETAIN 0 leaves what is retained as it is',
    v5: '3.3.1-8',
    v311: '3.3.1-12',
    run: async (c) => {
      const topic = c.topic()
      await c.publishOnce(topic, 'x')
      await expectRetained(c, topic)
      await c.retain(topic, 'a')
      await c.publishOnce(topic, 'b')
      await c.publishOnce(topic, '')
      await expectRetained(c, topic, 'a')
    },
  },
  {
    title: 'a retained QoS 0 message displaces the one before',
    v5: '3.3.1-5',
    v311: '3.3.1-7',
    run: async (c) => {
      const topic = c.topic()
      await c.retain(topic, 'a')
      const publisher = await c.connect()
      await publisher.publish(topic, 'b', { qos: 0, retain: true })
      await publisher.ping()
      const found = payloads(await c.retainedOn(topic))
      expect(!found.includes('a'), 'the displaced message is still there')
      if (c.isV5) expectSame(found, ['b'], 'retained')
    },
  },
  {
    title: 'Retain Handling 0 sends retained messages at every SUBSCRIBE',
    v5: '3.3.1-9 3.8.4-4',
    v311: '3.8.4-3 3.3.1-6',
    run: async (c) => {
      const topic = c.topic()
      await c.retain(topic, 'r')
      const client = await c.subscriber(topic, 1)
      expectSame(isRetain(await client.message(topic)), true, 'RETAIN')
      await client.subscribe(topic, 1)
      expectSame(isRetain(await client.message(topic)), true, 'RETAIN of the second time')
    },
  },
  {
    title: 'Retain Handling 1 sends retained messages when the subscription is new, and only then',
    v5: '3.3.1-10',
    run: async (c) => {
      const topic = c.topic()
      await c.retain(topic, 'r')
      const clientId = c.id()
      const client = await c.subscriber(topic, 0x11, { clientId, keep: 60 })
      await client.message(topic)
      await client.subscribe(topic, 0x11)
      await c.retainedFence(client)
      expectSame(payloads(client.inbox), [], 'retained messages for a subscription that exists')
      await client.disconnect()
      const again = await c.connect({ clientId, keep: 60 })
      await again.subscribe(topic, 0x11)
      await c.retainedFence(again)
      expectSame(payloads(again.inbox), [], 'retained messages for one that exists in a resumed session')
      await again.unsubscribe(topic)
      await again.subscribe(topic, 0x11)
      await again.message(topic)
    },
  },
  {
    title: 'Retain Handling 2 sends no retained messages',
    v5: '3.3.1-11',
    run: async (c) => {
      await c.retain(c.topic(), 'r')
      const client = await c.subscriber(c.topic(), 0x21)
      await c.retainedFence(client)
      expectSame(payloads(client.inbox), [], 'retained messages')
    },
  },
  {
    title: 'a message that is forwarded has RETAIN 0',
    v5: '3.3.1-12',
    v311: '3.3.1-9',
    run: async (c) => {
      for (const qos of [0, 1, 2]) {
        const topic = c.topic(String(qos))
        const clientId = c.id()
        const live = await c.subscriber(topic, qos)
        const away = await c.subscriber(topic, qos, { clientId, keep: 60 })
        await away.disconnect()
        await c.retain(topic, 'r', { qos })
        expectSame(isRetain(await live.message(topic)), false, `RETAIN, live at QoS ${qos}`)
        const back = await c.connect({ clientId, keep: 60 })
        if (qos > 0) expectSame(isRetain(await back.message(topic)), false, 'RETAIN, from the queue')
      }
    },
  },
  {
    title: 'Retain As Published keeps the flag as it was published',
    v5: '3.3.1-13',
    run: async (c) => {
      for (const qos of [0, 1, 2]) {
        const topic = c.topic(String(qos))
        const clientId = c.id()
        const live = await c.subscriber(topic, 0x08 | qos)
        const away = await c.subscriber(topic, 0x08 | qos, { clientId, keep: 60 })
        await away.disconnect()
        await c.retain(topic, 'r', { qos })
        await c.publishOnce(topic, 'n', { qos })
        const back = await c.connect({ clientId, keep: 60 })
        for (const client of qos === 0 ? [live] : [live, back]) {
          expectSame((await client.messages(2, topic)).map(isRetain), [true, false], `RETAIN at QoS ${qos}`)
        }
      }
    },
  },
  {
    title: 'a retained message comes with RETAIN 1, whatever Retain As Published says',
    v5: '3.3.1-9',
    run: async (c) => {
      await c.retain(c.topic(), 'r')
      for (const options of [0x01, 0x09]) {
        const client = await c.subscriber(c.topic(), options)
        expectSame(isRetain(await client.message(c.topic())), true, 'RETAIN')
      }
    },
  },
  {
    title: 'a retained message keeps its properties',
    v5: '3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-20 3.3.4-3',
    run: async (c) => {
      const properties = [
        [P.payloadFormat, 1],
        [P.contentType, 'text/plain'],
        [P.responseTopic, 'r/1'],
        [P.correlationData, Buffer.from([0, 255])],
        [P.userProperty, ['n', 'v']],
      ] as const
      await c.retain(c.topic(), 'r', { properties })
      const client = await c.subscriber(c.topic(), 1, {}, [[P.subscriptionId, 42]])
      const message = await client.message(c.topic())
      const wanted = [...properties, [P.subscriptionId, 42] as const].map(String).sort()
      expectSame(message.properties.map(String).sort(), wanted, 'properties')
    },
  },
]
