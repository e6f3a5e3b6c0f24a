/** PINGREQ, Keep Alive, DISCONNECT of the client, and how the broker ends a connection. */
import type { Case, Context } from '../context.js'
import { expect, expectSame, vacuous } from '../outcome.js'
import { disconnect, hex, P, packet, PINGREQ, publish } from '../wire/bytes.js'
import type { Client } from '../wire/client.js'
import { TYPE } from '../wire/decode.js'

/** Longer than any broker checks Keep Alive late. */
const GRACE_MS = 12_000
/** What a run can wait for. */
const SHORT_SEC = 10

/**
 * Connects, is silent and measures from before CONNECT is sent: whatever delays this process makes the time longer.
 * @param keepAliveSec what the client asks for. @param inForce what is in force, once the CONNACK is there.
 */
async function closedBySilence(c: Context, client: Client, keepAliveSec: number, inForce: () => number): Promise<void> {
  const since = performance.now()
  await client.connect({ clientId: c.id(), keepAlive: keepAliveSec })
  const windowMs = inForce() * 1_500
  await client.closed(windowMs + GRACE_MS)
  const ms = performance.now() - since
  expect(ms > windowMs * 0.95, `closed after ${Math.round(ms)} ms, Keep Alive was ${windowMs / 1_500} s`)
}

export const lifetime: readonly Case[] = [
  {
    title: 'PINGREQ is answered by PINGRESP, each by one',
    v5: '3.12.4-1',
    v311: '3.12.4-1',
    run: async (c) => {
      const client = await c.connect()
      client.send(PINGREQ, PINGREQ, PINGREQ)
      for (let count = 0; count < 3; count += 1) {
        expectSame((await client.take(TYPE.pingresp)).bytes.toString('hex'), 'd000', 'PINGRESP')
      }
      await client.subscribe(c.topic())
      expectSame(client.inbox.length, 0, 'further packets')
    },
  },
  {
    title: 'flags of PINGREQ other than 0, and a body, end the connection',
    v5: '2.1.3-1 4.13.1-1',
    v311: '2.2.2-2 4.8.0-1',
    run: async (c) => {
      await c.breaksNew(hex('C100'), 0x81)
      await c.breaksNew(hex('C800'), 0x81)
      await c.breaksNew(hex('C00100'), 0x81)
    },
  },
  {
    title: 'a packet type that is reserved, or only for servers, ends the connection',
    v5: '4.13.1-1',
    v311: '4.8.0-1',
    run: async (c) => {
      const others = ['0000', '2000', '9004000100 00', 'B0020001']
      if (!c.isV5) others.push('F000')
      for (const digits of others) await c.breaksNew(hex(digits), 0x81, 0x82)
    },
  },
  {
    title: 'a Remaining Length of five bytes ends the connection',
    v5: '4.13.1-1',
    v311: '4.8.0-1',
    run: (c) => c.breaksNew(hex('30FFFFFFFF01'), 0x81, 0x95),
  },
  {
    title: 'a client that is silent for one and a half times Keep Alive is disconnected, not before',
    v5: '3.1.2-22 3.2.2-22',
    v311: '3.1.2-24',
    isSlow: true,
    run: async (c) => {
      const client = await c.open()
      await closedBySilence(c, client, 2, () => {
        if (c.given(client, P.serverKeepAlive) !== undefined) vacuous('the broker set a Keep Alive of its own')
        return 2
      })
      const [goodbye] = client.waiting(TYPE.disconnect)
      if (goodbye !== undefined) expectSame(goodbye.code, 0x8d, 'DISCONNECT')
    },
  },
  {
    title: 'a client that sends within Keep Alive stays connected',
    v5: '3.1.2-22 3.2.2-22',
    v311: '3.1.2-24',
    isSlow: true,
    run: async (c) => {
      const client = await c.connect({ keepAlive: 3 })
      for (let count = 0; count < 4; count += 1) {
        await c.wait(2_000)
        // Any packet counts.
        if (count % 2 === 0) await client.ping()
        else client.send(publish(c.version, c.topic(), 'x'))
      }
      await client.ping()
    },
  },
  {
    title: 'with Keep Alive 0 nobody is disconnected for silence',
    v5: '3.1.2-22',
    v311: '3.1.2-24',
    isSlow: true,
    run: async (c) => {
      const client = await c.connect({ keepAlive: 0 })
      await c.wait(5_000)
      await client.ping()
    },
  },
  {
    title: 'messages to a client do not count for its Keep Alive',
    v5: '3.1.2-22',
    v311: '3.1.2-24',
    isSlow: true,
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 0, { keepAlive: 2 })
      const publisher = await c.connect()
      const until = performance.now() + 3_000 + GRACE_MS
      while (!client.isClosed && performance.now() < until) {
        await publisher.publish(c.topic(), 'x')
        await c.wait(300)
      }
      await client.closed(1)
    },
  },
  {
    title: 'flags of DISCONNECT other than 0 end the connection as an error: the Will is due',
    v5: '3.14.1-1 2.1.3-1',
    v311: '3.14.1-1 2.2.2-2',
    run: async (c) => {
      const topic = c.topic('will')
      const watcher = await c.subscriber(topic)
      const client = await c.connect({ will: { topic, payload: 'due' } })
      await c.breaks(client, hex('E100'), 0x81)
      expectSame((await watcher.message(topic)).payload.toString(), 'due', 'the Will')
    },
  },
  {
    title: 'DISCONNECT is the end, also when the client goes on (which should not be done)',
    v5: '3.14.4-1',
    run: async (c) => {
      const watcher = await c.subscriber(c.topic(), 1)
      const client = await c.connect()
      client.send(disconnect(), publish(c.version, c.topic(), 'x', { qos: 1, id: 2 }), PINGREQ)
      await client.closed()
      // A duty of the client; that the rest is not done is a SHOULD.
      if (client.inbox.length > 0) c.remark('a packet behind DISCONNECT was answered')
      await c.fence(watcher)
      if (watcher.waiting(TYPE.publish).length > 0) c.remark('a PUBLISH behind DISCONNECT was forwarded')
    },
  },
  {
    title: 'a DISCONNECT of the broker is the last packet, then it closes',
    v5: '3.14.4-1 3.14.4-2 4.13.2-1 3.14.2-1 3.14.2-2',
    run: async (c) => {
      const client = await c.connect()
      client.send(publish(5, c.topic(), 'x', { qos: 3, id: 1 }), PINGREQ)
      await client.closed()
      const last = client.inbox.at(-1)
      if (last?.type !== TYPE.disconnect) vacuous('the broker closes without DISCONNECT')
      expectSame(client.waiting(TYPE.pingresp).length, 0, 'PINGRESPs behind the error')
      expect(last.code >= 0x80, `DISCONNECT ${last.code}`)
    },
  },
  {
    title: 'a DISCONNECT with a reason of its own, and one with a property twice, end the connection',
    v5: '3.14.2-1 4.13.1-1',
    run: async (c) => {
      const client = await c.connect()
      client.send(disconnect(0x77))
      await client.closed()
      const twice = [
        [P.reasonString, 'r'],
        [P.reasonString, 'r'],
      ] as const
      await c.breaksNew(disconnect(0, twice), 0x81, 0x82)
    },
  },
  {
    title: 'a packet that never becomes complete is not done when the connection ends',
    v5: '4.2.0-1 4.13.1-1',
    v311: '7.1.1-1 4.8.0-1',
    run: async (c) => {
      const watcher = await c.subscriber(c.topic(), 0)
      const client = await c.connect()
      client.send(publish(c.version, c.topic(), 'cut short').subarray(0, -3))
      client.finish()
      await client.closed()
      await c.nothing(watcher)
    },
  },
  {
    title: 'a property of an acknowledgement that is there twice, or does not belong there, ends the connection',
    v5: '4.13.1-1',
    run: async (c) => {
      const reason = [P.reasonString, 'r'] as const
      const twice = packet(0x40, 0, 1, 0, 8, ...reason, ...reason)
      await c.breaksNew(twice, 0x81, 0x82)
      await c.breaksNew(packet(0x40, 0, 1, 0, 3, P.topicAlias, 0, 1), 0x81, 0x82)
    },
  },
  {
    title: 'a Server Keep Alive is what is enforced, not what the client asked for',
    v5: '3.1.2-22',
    isSlow: true,
    run: async (c) => {
      const asked = 60
      const isSet = (client: Client) => (c.given(client, P.serverKeepAlive) ?? asked) <= SHORT_SEC
      const url = await c.limited(isSet, `no listener sets a Keep Alive of ${SHORT_SEC} s or less: --limited-url`)
      const client = await c.open(url)
      await closedBySilence(c, client, asked, () => c.given(client, P.serverKeepAlive) ?? asked)
    },
  },
]
