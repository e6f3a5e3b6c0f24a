/** CONNECT that is right, CONNACK, client identifiers, takeover, and what is refused for a reason of the broker. */
import type { Case } from '../context.js'
import { expect, expectSame, vacuous } from '../outcome.js'
import { disconnect, P, PINGREQ, publish, pubrec, pubrel, subscribe, unsubscribe } from '../wire/bytes.js'
import { hexCode } from '../wire/client.js'
import { describe, qosOf, TYPE, propertyOf } from '../wire/decode.js'
import { ASKING } from './sizes.js'

export const connecting: readonly Case[] = [
  {
    title: 'a CONNECT that is right is accepted with code 0',
    v5: '3.1.4-5 3.2.2-2 4.2.0-1',
    v311: '3.1.4-4 3.2.2-1 7.1.1-1 7.0.0-2',
    run: async (c) => {
      const { connack } = await c.connect()
      expectSame([connack?.ackFlags, connack?.code], [0, 0], 'CONNACK')
      if (!c.isV5) expectSame(connack?.bytes.toString('hex'), '20020000', 'CONNACK')
    },
  },
  {
    title: 'a CONNECT with every field of the payload is read field by field',
    v5: '3.1.3-1 3.1.2-7',
    v311: '3.1.3-1 3.1.2-9',
    run: async (c) => {
      const topic = c.topic('will')
      const watcher = await c.subscriber(topic, 2)
      const { username = 'user', password = 'password' } = c.options
      const properties = c.isV5 ? ([[P.contentType, 'text/x']] as const) : []
      const will = { topic, payload: 'six fields', qos: 1, properties }
      const client = await c.connect({ will, username, password })
      client.cut()
      const message = await watcher.message(topic)
      expectSame(message.payload.toString(), 'six fields', 'the Will')
      expectSame(qosOf(message), 1, 'QoS of the Will')
      if (c.isV5) expectSame(propertyOf(message, P.contentType), 'text/x', 'Content Type')
    },
  },
  {
    title: 'a password without a user name is well formed',
    v5: '3.1.2-19',
    run: async (c) => {
      if (c.options.username !== undefined && c.options.restrictedUrls.length === 0) vacuous('credentials are needed')
      const client = await c.open()
      client.send(client.connectBytes({ clientId: c.id(), password: 'alone', flags: 0x42, payload: [c.id(), 'alone'] }))
      const { code } = await client.take(TYPE.connack)
      expect([0, 0x86, 0x87].includes(code), `code ${hexCode(code)}`)
    },
  },
  {
    title: 'client identifiers of 1 to 23 digits and letters are allowed',
    v5: '3.1.3-5',
    v311: '3.1.3-5',
    run: async (c) => {
      const unique = c.id()
      const all = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
      const ids = [0, 20, 40].map((from) => (unique.slice(-5) + all.slice(from)).slice(0, 23))
      ids.push('q', unique.padEnd(23, 'Z').slice(-23), all.slice(39))
      for (const clientId of ids) await (await c.connect({ clientId })).disconnect()
    },
  },
  {
    title: 'an empty client identifier gets one of its own, or is refused',
    v5: '3.1.3-6 3.2.2-16',
    run: async (c) => {
      const assigned = new Set<unknown>()
      for (let count = 0; count < 5; count += 1) {
        const client = await c.open()
        client.send(client.connectBytes({ clientId: '' }))
        const connack = await client.take(TYPE.connack)
        if (connack.code === 0x85) return client.closed()
        expect(connack.code === 0, `code ${hexCode(connack.code)}`)
        const id = propertyOf(connack, P.assignedClientId)
        expect(typeof id === 'string' && id.length > 0, 'no Assigned Client Identifier')
        assigned.add(id)
      }
      expectSame(assigned.size, 5, 'different identifiers')
    },
  },
  {
    title: 'an assigned client identifier is as good as one of the client',
    v5: '3.1.3-7 3.2.2-16 3.1.3-2',
    run: async (c) => {
      const client = await c.connect({ clientId: '', clean: true, keep: 60 })
      const clientId = String(propertyOf(client.connack as never, P.assignedClientId))
      client.cut()
      const again = await c.connect({ clientId, keep: 0 })
      expectSame(again.connack?.ackFlags, 1, 'Session Present')
    },
  },
  {
    title: 'empty client identifiers with clean session 1 are clients of their own, or are refused with 2',
    v311: '3.1.3-6 3.1.3-7',
    run: async (c) => {
      const clients = await Promise.all([c.open(), c.open()])
      for (const client of clients) {
        client.send(client.connectBytes({ clientId: '' }))
        const { code } = await client.take(TYPE.connack)
        if (code === 2) return client.closed()
        expect(code === 0, `return code ${code}`)
      }
      for (const client of clients) await client.ping()
      const [first, second] = clients
      await first.subscribe(c.topic())
      await second.publish(c.topic(), 'to the other')
      await first.message(c.topic())
    },
  },
  {
    title: 'an empty client identifier with clean session 0 gets return code 2, then the end',
    v311: '3.1.3-8 3.1.3-7 3.2.2-5 3.2.2-4',
    run: async (c) => {
      const client = await c.open()
      client.send(client.connectBytes({ clientId: '', clean: false }))
      expectSame((await client.take(TYPE.connack)).bytes.toString('hex'), '20020002', 'CONNACK')
      await client.closed()
    },
  },
  {
    title: 'a client identifier that is refused ends the connection',
    v5: '3.1.3-8 3.2.2-7',
    v311: '3.1.3-9 3.2.2-5',
    run: async (c) => {
      for (const clientId of [300, 2_000, 60_000].map((length) => 'x'.repeat(length))) {
        const client = await c.open()
        client.send(client.connectBytes({ clientId }))
        const connack = await client.take(TYPE.connack).catch(() => null)
        if (connack?.code === 0) continue
        await client.closed()
        if (c.isV5) return
        return expectSame(connack?.code, 2, 'return code')
      }
      vacuous('the broker accepts every client identifier')
    },
  },
  {
    title: 'a second connection of a client identifier ends the first',
    v5: '3.1.4-3 3.1.3-2 3.14.4-2',
    v311: '3.1.4-2 3.1.3-2',
    run: async (c) => {
      const clientId = c.id()
      const first = await c.connect({ clientId })
      const second = await c.connect({ clientId })
      await first.closed()
      const goodbye = first.waiting(TYPE.disconnect)
      if (c.isV5 && goodbye[0]?.code !== 0x8e) c.remark('no DISCONNECT 0x8e for the connection that is taken over')
      if (!c.isV5) expectSame(first.inbox.length, 0, 'packets to the connection that is taken over')
      await second.ping()
    },
  },
  {
    title: 'a takeover goes through Clean Start as any CONNECT does',
    v5: '3.1.4-4 3.1.2-4 3.1.2-5',
    v311: '3.1.4-3 3.1.2-4 3.1.2-6',
    run: async (c) => {
      const clientId = c.id()
      const first = await c.connect({ clientId, keep: 60 })
      await first.subscribe(c.topic(), 1)
      const second = await c.connect({ clientId, keep: 60 })
      expectSame(second.connack?.ackFlags, 1, 'Session Present of a takeover')
      await first.closed()
      await c.publishOnce(c.topic(), 'kept')
      await second.message(c.topic())
      const third = await c.connect({ clientId, clean: true, ...(c.isV5 ? { keep: 60 } : {}) })
      expectSame(third.connack?.ackFlags, 0, 'Session Present after a clean takeover')
      await second.closed()
      await c.publishOnce(c.topic(), 'not subscribed any more')
      await c.nothing(third)
    },
  },
  {
    title: 'different client identifiers have different sessions',
    v5: '3.1.3-2',
    v311: '3.1.3-2',
    run: async (c) => {
      const [one, other] = [c.id(), c.id()]
      const client = await c.connect({ clientId: one, keep: 60 })
      await client.subscribe(c.topic(), 1)
      await client.disconnect()
      const stranger = await c.connect({ clientId: other, keep: 60 })
      expectSame(stranger.connack?.ackFlags, 0, 'Session Present of a stranger')
      await c.publishOnce(c.topic(), 'for the first only')
      await c.nothing(stranger)
      const back = await c.connect({ clientId: one, keep: 60 })
      expectSame(back.connack?.ackFlags, 1, 'Session Present')
      await back.message(c.topic())
    },
  },
  {
    title: 'packets that were sent behind CONNECT are answered behind CONNACK',
    v5: '3.2.0-1',
    v311: '3.2.0-1',
    run: async (c) => {
      const client = await c.open()
      const connect = client.connectBytes({ clientId: c.id() })
      client.send(connect, subscribe(c.version, 1, [[c.topic(), 0]]), PINGREQ)
      await client.take(TYPE.pingresp)
      expectSame(client.inbox[0]?.type, TYPE.connack, 'the first packet')
      expectSame(client.waiting(TYPE.suback).length, 1, 'SUBACKs')
    },
  },
  {
    title: 'CONNACK comes before the messages of a resumed session',
    v5: '3.2.0-1 3.1.2-5',
    v311: '3.2.0-1 3.1.2-5',
    run: async (c) => {
      const clientId = c.id()
      const client = await c.connect({ clientId, keep: 60 })
      await client.subscribe(c.topic(), 1)
      await client.disconnect()
      await c.publishOnce(c.topic(), 'queued')
      const again = await c.open()
      again.send(again.connectBytes({ clientId, keep: 60 }))
      await again.message(c.topic())
      expectSame(again.inbox[0]?.type, TYPE.connack, 'the first packet')
    },
  },
  {
    title: 'bytes that come one at a time make the same packets',
    v5: '4.2.0-1',
    v311: '7.1.1-1',
    run: async (c) => {
      const client = await c.open()
      const sent = Buffer.concat([
        client.connectBytes({ clientId: c.id() }),
        subscribe(c.version, 9, [[c.topic(), 0]]),
        publish(c.version, c.topic(), 'piece by piece'),
      ])
      for (const byte of sent) {
        client.send(Uint8Array.of(byte))
        await new Promise(setImmediate)
      }
      expectSame((await client.message(c.topic())).payload.toString(), 'piece by piece', 'payload')
    },
  },
  {
    title: 'wrong credentials end the connection, and CONNACK says so with Session Present 0',
    v5: '3.1.4-2 3.2.2-6 3.2.2-7 4.13.2-1',
    v311: '3.2.2-4 3.2.2-5',
    run: async (c) => {
      const { url } = c.restricted()
      const clientId = c.id()
      const owner = await c.connect({ clientId, keep: 60 }, url)
      await owner.disconnect()
      const client = await c.open(url)
      client.send(client.connectBytes({ clientId, keep: 60, password: 'not the password' }))
      await client.closed()
      const [connack] = client.waiting(TYPE.connack)
      expectSame(client.inbox.length, connack === undefined ? 0 : 1, 'packets')
      if (connack === undefined) return
      expect(c.isV5 ? connack.code >= 0x80 : [4, 5].includes(connack.code), `code ${hexCode(connack.code)}`)
      expectSame(connack.ackFlags, 0, 'Connect Acknowledge Flags')
      if (c.isV5 && ![0x86, 0x87].includes(connack.code)) c.remark(`CONNACK ${hexCode(connack.code)}, not 0x86 or 0x87`)
    },
  },
  {
    title: 'nothing behind a refused CONNECT is done',
    v5: '3.1.4-6 3.2.2-7 3.14.0-1',
    v311: '3.1.4-5 3.2.2-5',
    run: async (c) => {
      const watcher = await c.subscriber(c.topic(), 1)
      const client = await c.open()
      const { version } = c
      c.willBeRetained(c.topic())
      client.send(
        client.connectBytes({ clientId: c.id(), level: 6 }),
        publish(version, c.topic(), 'not this'),
        publish(version, c.topic(), 'nor this', { retain: true }),
        subscribe(version, 3, [[c.topic(), 0]]),
        disconnect(),
      )
      await client.closed()
      expect(
        client.inbox.every(({ type }) => type === TYPE.connack),
        'an answer behind a refused CONNECT',
      )
      await c.nothing(watcher)
      expectSame((await c.retainedOn(c.topic())).length, 0, 'retained messages')
    },
  },
  {
    title: 'nothing behind a CONNECT with wrong credentials is done',
    v5: '3.1.4-6',
    v311: '3.1.4-5',
    run: async (c) => {
      const { url } = c.restricted()
      const watcher = await c.connect({}, url)
      await watcher.subscribe(c.topic(), 1)
      const client = await c.open(url)
      const connect = client.connectBytes({ clientId: c.id(), password: 'wrong' })
      client.send(connect, publish(c.version, c.topic(), 'not this', { qos: 1, id: 1 }))
      await client.closed()
      await c.nothing(watcher, await c.connect({}, url))
    },
  },
  {
    title: 'without Request Response Information there is none in CONNACK',
    v5: '3.1.2-28',
    run: async (c) => {
      const { connack } = await c.connect({ properties: [[P.requestResponse, 0]] })
      expectSame(propertyOf(connack as never, P.responseInformation), undefined, 'Response Information')
    },
  },
  {
    title: 'the first connection of a client identifier finds no session, Clean Start or not',
    v5: '3.1.2-6 3.2.2-3',
    v311: '3.1.2-4 3.2.2-3',
    run: async (c) => {
      const client = await c.connect({ keep: 60 })
      expectSame(client.connack?.ackFlags, 0, 'Session Present')
      await client.subscribe(c.topic())
      await client.publish(c.topic(), 'works')
      await client.message(c.topic())
    },
  },
  {
    title: 'with Request Problem Information 0 the acknowledgements carry a code and nothing more',
    v5: '3.1.2-29',
    run: async (c) => {
      const fields = { properties: [[P.requestProblem, 0], ASKING] } as const
      const client = await c.connect(fields)
      client.acknowledges = false
      client.send(pubrel(4_711), pubrec(4_711), unsubscribe(5, 6, [c.topic()]))
      const answers = [await client.take(TYPE.pubcomp), await client.take(TYPE.pubrel)]
      answers.push(await client.take(TYPE.unsuback))
      if (c.options.deniedTopic !== undefined) {
        const { url, deniedTopic } = c.restricted()
        const denied = await c.connect(fields, url)
        for (const qos of [1, 2]) denied.send(publish(5, deniedTopic, 'x', { qos, id: qos }))
        denied.send(subscribe(5, 7, [[deniedTopic, 0]]))
        for (const type of [TYPE.puback, TYPE.pubrec, TYPE.suback]) answers.push(await denied.take(type))
      }
      for (const answer of answers) {
        const said = answer.properties.filter(([id]) => id === P.reasonString || id === P.userProperty)
        expectSame(said, [], `properties of ${describe(answer)}`)
      }
    },
  },
]
