/** The Will: when it is published, when not, and what it carries. */
import type { Case, Context } from '../context.js'
import { expect, expectSame } from '../outcome.js'
import { connect, disconnect, hex, P, publish, type WillFields } from '../wire/bytes.js'
import type { Client } from '../wire/client.js'
import { isRetain, type Packet, qosOf, TYPE, propertyOf, propertiesOf } from '../wire/decode.js'

interface Pair {
  readonly watcher: Client
  readonly client: Client
  readonly topic: string
}

/** A client with a Will, and one that waits for it. */
async function willPair(c: Context, fields: Parameters<Context['connect']>[0] = {}, will?: Partial<WillFields>) {
  const topic = c.topic('will')
  const watcher = await c.subscriber(topic, 2)
  const client = await c.connect({ ...fields, will: { topic, payload: 'will', ...will } })
  return { watcher, client, topic } satisfies Pair
}

async function willComes({ watcher, topic }: Pair): Promise<Packet> {
  const message = await watcher.message(topic)
  expectSame(message.payload.toString(), 'will', 'the Will')
  return message
}

export const wills: readonly Case[] = [
  {
    title: 'a connection that breaks publishes the Will',
    v5: '3.1.2-7 3.1.2-8',
    v311: '3.1.2-8',
    run: async (c) => {
      const pair = await willPair(c)
      pair.client.cut()
      await willComes(pair)
    },
  },
  {
    title: 'the end of the stream without DISCONNECT publishes the Will',
    v5: '3.1.2-8',
    v311: '3.1.2-8',
    run: async (c) => {
      const pair = await willPair(c)
      pair.client.finish()
      await willComes(pair)
    },
  },
  {
    title: 'a protocol error publishes the Will',
    v5: '3.1.2-8 4.13.1-1',
    v311: '3.1.2-8 4.8.0-1',
    run: async (c) => {
      const pair = await willPair(c)
      await c.breaks(pair.client, publish(c.version, c.topic(), 'x', { qos: 3, id: 1 }), 0x81)
      await willComes(pair)
    },
  },
  {
    title: 'a takeover publishes the Will of the first connection',
    v5: '3.1.2-8 3.1.4-3',
    v311: '3.1.2-8 3.1.4-2',
    run: async (c) => {
      const clientId = c.id()
      const pair = await willPair(c, { clientId })
      await c.connect({ clientId })
      await willComes(pair)
    },
  },
  {
    title: 'Keep Alive that runs out publishes the Will',
    v5: '3.1.2-8 3.1.2-22',
    v311: '3.1.2-8 3.1.2-24',
    isSlow: true,
    run: async (c) => {
      const pair = await willPair(c, { keepAlive: 1 })
      await willComes(pair)
      await pair.client.closed()
    },
  },
  {
    title: 'DISCONNECT removes the Will',
    v5: '3.1.2-8 3.1.2-10 3.14.4-3',
    v311: '3.1.2-8 3.1.2-10 3.14.4-3',
    run: async (c) => {
      const pair = await willPair(c)
      pair.client.send(disconnect())
      await pair.client.closed()
      await c.nothing(pair.watcher)
    },
  },
  {
    title: 'DISCONNECT removes the Will for good: also when its session ends later',
    v5: '3.1.2-10 3.14.4-3',
    isSlow: true,
    run: async (c) => {
      const pair = await willPair(c, { keep: 1, clean: true }, { properties: [[P.willDelay, 1]] })
      await pair.client.disconnect(0)
      await c.wait(2_500)
      await c.nothing(pair.watcher)
    },
  },
  {
    title: 'DISCONNECT 0x04 and above 0x80 publish the Will',
    v5: '3.1.2-8 4.13.2-1',
    run: async (c) => {
      for (const code of [0x04, 0x80, 0x82]) {
        const pair = await willPair(c)
        await pair.client.disconnect(code)
        await willComes(pair)
        await pair.watcher.disconnect()
      }
    },
  },
  {
    title: 'a Will that was published does not come again',
    v5: '3.1.2-10',
    v311: '3.1.2-10 3.1.2-12',
    run: async (c) => {
      const clientId = c.id()
      const pair = await willPair(c, { clientId, keep: 60 })
      pair.client.cut()
      await willComes(pair)
      const again = await c.connect({ clientId, keep: 60 })
      again.cut()
      await (await c.connect({ clientId, keep: 60 })).disconnect()
      await c.nothing(pair.watcher)
    },
  },
  {
    title: 'a client without a Will publishes none',
    v5: '3.1.2-10',
    v311: '3.1.2-12',
    run: async (c) => {
      const clientId = c.id()
      const pair = await willPair(c, { clientId, keep: 60 })
      pair.client.send(disconnect())
      await pair.client.closed()
      const again = await c.connect({ clientId, keep: 60 })
      again.finish()
      await again.closed()
      await c.nothing(pair.watcher)
    },
  },
  {
    title: 'Will QoS is the QoS it is published with',
    v5: '3.1.2-7',
    v311: '3.1.2-9',
    run: async (c) => {
      for (const qos of [0, 1, 2]) {
        const pair = await willPair(c, {}, { qos })
        pair.client.cut()
        expectSame(qosOf(await willComes(pair)), qos, 'QoS')
        await pair.watcher.disconnect()
      }
    },
  },
  {
    title: 'Will Retain 0: the Will is not retained',
    v5: '3.1.2-14',
    v311: '3.1.2-16',
    run: async (c) => {
      const pair = await willPair(c)
      pair.client.cut()
      await willComes(pair)
      expectSame((await c.retainedOn(pair.topic)).length, 0, 'retained messages')
    },
  },
  {
    title: 'Will Retain 1: the Will is retained',
    v5: '3.1.2-15',
    v311: '3.1.2-17',
    run: async (c) => {
      c.willBeRetained(c.topic('will'))
      const pair = await willPair(c, {}, { retain: true, qos: 1 })
      pair.client.cut()
      await willComes(pair)
      const found = await c.retainedOn(pair.topic)
      expectSame(
        found.map(({ payload }) => payload.toString()),
        ['will'],
        'retained',
      )
      expect(isRetain(found[0] as Packet), 'RETAIN 1')
    },
  },
  {
    title: 'User Properties of the Will keep their order',
    v5: '3.1.3-10',
    run: async (c) => {
      const list = ['k=1', 'k=2', 'a=3', 'k=1'].map((each) => each.split('=') as [string, string])
      const properties = list.map((pair) => [P.userProperty, pair] as const)
      const pair = await willPair(c, {}, { properties })
      pair.client.cut()
      expectSame(propertiesOf(await willComes(pair), P.userProperty), list, 'User Properties')
    },
  },
  {
    title: 'properties of the Will are those of the message',
    v5: '3.1.3-1 3.1.2-7',
    run: async (c) => {
      const properties = [
        [P.payloadFormat, 1],
        [P.contentType, 'text/plain'],
        [P.responseTopic, 'conformance/answer'],
        [P.correlationData, hex('00FF')],
      ] as const
      const pair = await willPair(c, {}, { properties })
      pair.client.cut()
      const message = await willComes(pair)
      expectSame(propertyOf(message, P.payloadFormat), 1, 'Payload Format Indicator')
      expectSame(propertyOf(message, P.contentType), 'text/plain', 'Content Type')
      expectSame(propertyOf(message, P.responseTopic), 'conformance/answer', 'Response Topic')
      expectSame(propertyOf(message, P.correlationData), hex('00FF'), 'Correlation Data')
      expectSame(propertyOf(message, P.willDelay), undefined, 'Will Delay Interval')
    },
  },
  {
    title: 'Will Delay holds the Will back until it has run out',
    v5: '3.1.2-8',
    isSlow: true,
    run: async (c) => {
      const pair = await willPair(c, { keep: 60, clean: true }, { properties: [[P.willDelay, 2]] })
      const since = performance.now()
      pair.client.cut()
      await willComes(pair)
      const ms = performance.now() - since
      expect(ms > 1_000, `the Will came after ${Math.round(ms)} ms, its delay was 2 s`)
    },
  },
  {
    title: 'the end of the session publishes the Will before its delay has run out',
    v5: '3.1.2-8',
    isSlow: true,
    run: async (c) => {
      const expiring = await willPair(c, { keep: 1, clean: true }, { properties: [[P.willDelay, 3_600]] })
      expiring.client.cut()
      await willComes(expiring)
      const unkept = await willPair(c, {}, { properties: [[P.willDelay, 3_600]] })
      unkept.client.cut()
      await willComes(unkept)
    },
  },
  {
    title: 'a connection that resumes the session in time keeps the Will from being sent',
    v5: '3.1.3-9 3.1.2-8',
    isSlow: true,
    run: async (c) => {
      const clientId = c.id()
      const pair = await willPair(c, { clientId, keep: 60 }, { properties: [[P.willDelay, 4]] })
      pair.client.cut()
      await c.connect({ clientId, keep: 60 })
      await c.wait(5_500)
      await c.nothing(pair.watcher)
    },
  },
  {
    title: 'Clean Start 1 within the delay ends the session, and so publishes the Will',
    v5: '3.1.2-8',
    run: async (c) => {
      const clientId = c.id()
      const pair = await willPair(c, { clientId, keep: 60 }, { properties: [[P.willDelay, 3_600]] })
      pair.client.cut()
      await c.connect({ clientId, clean: true })
      await willComes(pair)
    },
  },
  {
    title: 'a takeover that resumes the session keeps a delayed Will from being sent',
    v5: '3.1.3-9',
    isSlow: true,
    run: async (c) => {
      const clientId = c.id()
      const pair = await willPair(c, { clientId, keep: 60 }, { properties: [[P.willDelay, 3]] })
      await c.connect({ clientId, keep: 60 })
      await c.wait(4_500)
      await c.nothing(pair.watcher)
    },
  },
  {
    title: 'a Will of a refused CONNECT is never published',
    v5: '3.1.4-6',
    v311: '3.1.4-5',
    run: async (c) => {
      const topic = c.topic('will')
      const watcher = await c.subscriber(topic)
      const client = await c.open()
      client.send(connect(c.version, { clientId: c.id(), flags: 0x07, will: { topic } }))
      await client.closed()
      expect(
        client.waiting(TYPE.connack).every(({ code }) => code !== 0),
        'the CONNECT was accepted',
      )
      await c.nothing(watcher)
    },
  },
  {
    title: 'a second CONNECT publishes the Will',
    v5: '3.1.2-8',
    v311: '3.1.2-8',
    run: async (c) => {
      const pair = await willPair(c)
      await c.breaks(pair.client, connect(c.version, { clientId: pair.client.clientId }), 0x82)
      await willComes(pair)
    },
  },
]
