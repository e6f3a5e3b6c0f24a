/** How long a session lives, and what is in it. */
import type { Case } from '../context.js'
import { expectSame } from '../outcome.js'
import { disconnect, P, publish, pubrel } from '../wire/bytes.js'
import { TYPE } from '../wire/decode.js'

export const sessions: readonly Case[] = [
  {
    title: 'a session that is kept is found again, with its subscriptions and messages',
    v5: '3.1.2-5 3.1.2-23 3.2.2-3 3.1.4-4',
    v311: '3.1.2-4 3.1.2-5 3.2.2-2 3.1.4-3 4.1.0-1',
    run: async (c) => {
      const clientId = c.id()
      const client = await c.subscriber(c.topic(), 2, { clientId, keep: 60 })
      await client.disconnect()
      await c.publishOnce(c.topic(), 'one', { qos: 1 })
      await c.publishOnce(c.topic(), 'two', { qos: 2 })
      const back = await c.connect({ clientId, keep: 60 })
      expectSame(back.connack?.ackFlags, 1, 'Session Present')
      const found = (await back.messages(2)).map(({ payload }) => payload.toString())
      expectSame(found, ['one', 'two'], 'messages')
      await c.publishOnce(c.topic(), 'three')
      await back.message()
    },
  },
  {
    title: 'a clean start throws the session away',
    v5: '3.1.2-4 3.2.2-2 3.1.4-4',
    v311: '3.1.2-6 3.2.2-1 3.1.4-3',
    run: async (c) => {
      const clientId = c.id()
      const client = await c.subscriber(c.topic(), 1, { clientId, keep: 60 })
      await client.disconnect()
      await c.publishOnce(c.topic(), 'queued')
      const clean = await c.connect({ clientId, clean: true, ...(c.isV5 ? { keep: 60 } : {}) })
      expectSame(clean.connack?.ackFlags, 0, 'Session Present')
      await c.publishOnce(c.topic(), 'not subscribed')
      await c.nothing(clean)
    },
  },
  {
    title: 'a session that is not kept ends with its connection',
    v5: '3.1.2-23 3.2.2-3',
    v311: '3.1.2-6 3.2.2-3',
    run: async (c) => {
      const clientId = c.id()
      const client = await c.subscriber(c.topic(), 1, { clientId })
      await client.disconnect()
      const back = await c.connect({ clientId, keep: 60 })
      expectSame(back.connack?.ackFlags, 0, 'Session Present')
      await c.publishOnce(c.topic(), 'x')
      await c.nothing(back)
    },
  },
  {
    title: 'a session that is not kept ends with its connection, also when that is cut',
    v5: '3.1.2-23',
    v311: '3.1.2-6',
    run: async (c) => {
      const clientId = c.id()
      const client = await c.subscriber(c.topic(), 1, { clientId })
      client.finish()
      await client.closed()
      const back = await c.connect({ clientId, keep: 60 })
      expectSame(back.connack?.ackFlags, 0, 'Session Present')
    },
  },
  {
    title: 'a session outlives several connections with all that is in flight',
    v5: '3.1.2-5 3.1.2-23',
    v311: '4.1.0-1 3.1.2-4',
    run: async (c) => {
      const clientId = c.id()
      const first = await c.subscriber(c.topic(), 1, { clientId, keep: 60 })
      first.acknowledges = false
      // A QoS 2 exchange of its own that is open, and a message it has not acknowledged.
      first.send(publish(c.version, c.topic('other'), 'x', { qos: 2, id: 77 }))
      await first.take(TYPE.pubrec)
      await c.publishOnce(c.topic(), 'y')
      const { id } = await first.message()
      first.cut()
      const second = await c.open()
      second.acknowledges = false
      await second.connect({ clientId, keep: 60 })
      expectSame((await second.message()).id, id, 'Packet Identifier')
      second.cut()
      const third = await c.connect({ clientId, keep: 60 })
      expectSame((await third.message()).id, id, 'Packet Identifier')
      third.send(pubrel(77))
      expectSame((await third.take(TYPE.pubcomp)).code, 0, 'PUBCOMP of the open exchange')
    },
  },
  {
    title: 'a session lasts as long as its connection',
    v5: '4.1.0-1',
    v311: '4.1.0-2',
    isSlow: true,
    run: async (c) => {
      const clientId = c.id()
      const fields = c.isV5 ? { clientId, clean: true, keep: 1 } : { clientId }
      const client = await c.subscriber(c.topic(), 1, fields)
      await c.wait(3_000)
      await c.publishOnce(c.topic(), 'still here')
      await client.message()
    },
  },
  {
    title: 'a session ends when its Session Expiry Interval has run out, retained messages stay',
    v5: '4.1.0-2 3.2.2-3',
    isSlow: true,
    run: async (c) => {
      const clientId = c.id()
      const client = await c.subscriber(c.topic(), 1, { clientId, keep: 1 })
      await client.publish(c.topic('kept'), 'retained', { qos: 1, retain: true })
      c.willBeRetained(c.topic('kept'))
      await client.disconnect()
      await c.publishOnce(c.topic(), 'queued')
      await c.wait(3_500)
      const back = await c.connect({ clientId, keep: 60 })
      expectSame(back.connack?.ackFlags, 0, 'Session Present')
      await c.publishOnce(c.topic(), 'not subscribed')
      await c.nothing(back)
      expectSame((await c.retainedOn(c.topic('kept'))).length, 1, 'retained messages')
    },
  },
  {
    title: 'a Session Expiry Interval in DISCONNECT takes the place of that in CONNECT',
    v5: '3.1.2-23 4.1.0-2',
    run: async (c) => {
      const clientId = c.id()
      const client = await c.subscriber(c.topic(), 1, { clientId, keep: 60 })
      await client.disconnect(0, [[P.sessionExpiry, 0]])
      const back = await c.connect({ clientId, keep: 60 })
      expectSame(back.connack?.ackFlags, 0, 'Session Present')
    },
  },
  {
    title: 'a Session Expiry Interval in DISCONNECT that was 0 in CONNECT is a protocol error',
    v5: '4.13.1-1 3.1.2-8',
    run: async (c) => {
      const topic = c.topic('will')
      const watcher = await c.subscriber(topic)
      const client = await c.connect({ will: { topic, payload: 'due' } })
      await c.breaks(client, disconnect(0, [[P.sessionExpiry, 60]]), 0x82)
      expectSame((await watcher.message(topic)).payload.toString(), 'due', 'the Will')
    },
  },
  {
    title: 'a session with the longest expiry is kept',
    v5: '3.1.2-23',
    run: async (c) => {
      const clientId = c.id()
      const client = await c.subscriber(c.topic(), 1, { clientId, keep: 0xffff_ffff })
      await client.disconnect()
      const back = await c.connect({ clientId, keep: 1 })
      expectSame(back.connack?.ackFlags, 1, 'Session Present')
    },
  },
  {
    title: 'retained messages do not come because a session is resumed',
    v5: '3.1.2-5',
    v311: '3.1.2-4',
    run: async (c) => {
      const clientId = c.id()
      const client = await c.subscriber(c.topic(), 1, { clientId, keep: 60 })
      await c.retain(c.topic(), 'r')
      await client.message()
      await client.disconnect()
      const back = await c.connect({ clientId, keep: 60 })
      await c.nothing(back)
    },
  },
]
