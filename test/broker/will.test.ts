/** The Will: when it is sent, when it is not, and that it is sent once [v5 3.1.2.5, 3.1.3.2.2, MQTT-3.14.4-3]. */
import t from 'tap'
import { utf8Encode } from '../../src/base/utf8.js'
import { type ConnectPacket, PacketType, type WillMessage } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { ALLOW_ALL, type TestBroker, type TestClient, testBroker } from '../support/test-broker.js'

const willOf = (will: Partial<WillMessage> = {}): WillMessage => ({
  topicName: 'w',
  payload: utf8Encode('gone'),
  qos: 1,
  retain: false,
  properties: {},
  ...will,
})

/** A watcher that survives restarts, and a client with a Will and a session of an hour. */
function withWill(will: Partial<WillMessage> = {}, connect: Partial<ConnectPacket> = {}) {
  const host = testBroker()
  host.resume('watcher').subscribe('w', 2)
  const client = host.resume('a', { will: willOf(will), ...connect })
  return { host, client }
}

/** What the watcher gets from here on. */
const seen = (host: TestBroker): string[] => host.resume('watcher').drain()

t.test('a lost connection sends it, a normal DISCONNECT does not, 0x04 and any error do', async (t) => {
  const endings: readonly [name: string, end: (client: TestClient) => void, isSent: boolean][] = [
    ['lost', (client) => client.cut(), true],
    ['DISCONNECT 0x00', (client) => client.disconnect(0), false],
    ['DISCONNECT 0x04', (client) => client.disconnect(ReasonCode.DISCONNECT_WITH_WILL_MESSAGE), true],
    ['DISCONNECT 0x80', (client) => client.disconnect(ReasonCode.UNSPECIFIED_ERROR), true],
    ['protocol error', (client) => client.send({ type: PacketType.AUTH, reasonCode: 0, properties: {} }), true],
    ['keep alive', ({ host, connection }) => host.core.overdue(connection, host.clock.nowMs()), true],
    [
      'by an administrator',
      ({ host, connection }) =>
        host.core.disconnect(connection, ReasonCode.ADMINISTRATIVE_ACTION, 'maintenance', host.clock.nowMs()),
      true,
    ],
    ['shutdown', ({ host }) => host.core.drain(host.clock.nowMs()), true],
  ]
  for (const [name, end, isSent] of endings) {
    const { host, client } = withWill()
    end(client)
    host.settle()
    t.same(seen(host), isSent ? ['gone'] : [], name)
    host.advance(10_000_000)
    t.same(seen(host), [], `${name}: once`)
  }
})

t.test('the discarded Will of a normal DISCONNECT does not come back with a restart', async (t) => {
  const { host, client } = withWill({ properties: { willDelayIntervalSec: 10 } })
  client.disconnect(0)
  const next = host.crash()
  next.advance(60_000)
  t.same(seen(next), [])
})

t.test('the delay holds it back, exactly so long', async (t) => {
  const { host, client } = withWill({ properties: { willDelayIntervalSec: 10 } })
  client.cut()
  host.advance(9_999)
  t.same(seen(host), [])
  host.advance(1)
  t.same(seen(host), ['gone'])
})

t.test('coming back before the delay is over cancels it; the new Will is the one that counts', async (t) => {
  const { host, client } = withWill({ properties: { willDelayIntervalSec: 10 } })
  client.cut()
  host.advance(9_000)
  const again = host.resume('a', { will: willOf({ payload: utf8Encode('second') }) })
  host.advance(60_000)
  t.same(seen(host), [])
  again.cut()
  t.same(seen(host), ['second'])
})

t.test('coming back without a Will leaves none', async (t) => {
  const { host, client } = withWill({ properties: { willDelayIntervalSec: 10 } })
  client.cut()
  host.resume('a').cut()
  host.advance(60_000)
  t.same(seen(host), [])
})

t.test('the end of the session sends it before the delay is over, once', async (t) => {
  const ways: readonly [name: string, sessionExpiryIntervalSec: number, end: (host: TestBroker) => void][] = [
    ['expiry', 5, (host) => host.advance(5_000)],
    ['clean start', 3_600, (host) => void host.connect('a', { cleanStart: true })],
    ['expiry 0', 0, () => undefined],
  ]
  for (const [name, sessionExpiryIntervalSec, end] of ways) {
    const { host, client } = withWill(
      { properties: { willDelayIntervalSec: 100 } },
      { properties: { sessionExpiryIntervalSec } },
    )
    client.cut()
    if (sessionExpiryIntervalSec > 0) t.same(seen(host), [], name)
    end(host)
    t.same(seen(host), ['gone'], name)
    host.advance(1_000_000)
    t.same(seen(host), [], name)
  }
})

t.test('DISCONNECT 0x04 with a shorter session expiry sends it when the session ends', async (t) => {
  const { host, client } = withWill({ properties: { willDelayIntervalSec: 100 } })
  client.disconnect(ReasonCode.DISCONNECT_WITH_WILL_MESSAGE, { sessionExpiryIntervalSec: 10 })
  host.advance(9_999)
  t.same(seen(host), [])
  host.advance(1)
  t.same(seen(host), ['gone'])
})

t.test('a crash is a lost connection: without delay the Will goes out at the restart, once', async (t) => {
  const { host } = withWill()
  const next = host.crash()
  t.same(seen(next.settle()), ['gone'])
  t.same(seen(next.crash()), [])
})

t.test('a crash of a client without a lasting session sends its Will too', async (t) => {
  const { host } = withWill(
    { properties: { willDelayIntervalSec: 50 } },
    { properties: { sessionExpiryIntervalSec: 0 } },
  )
  const next = host.crash()
  next.advance(0)
  t.same(seen(next), ['gone'])
  t.equal(next.core.sessionCount, 1)
})

t.test('the delay goes on through a restart', async (t) => {
  const { host, client } = withWill({ properties: { willDelayIntervalSec: 100 } })
  client.cut()
  host.advance(60_000)
  const next = host.crash()
  next.advance(39_999)
  t.same(seen(next), [])
  next.advance(1)
  t.same(seen(next), ['gone'])
  t.same(seen(next.crash()), [])
})

t.test('a crash between the Will’s firing and its commit loses neither and doubles nothing', async (t) => {
  const { host, client } = withWill()
  client.link.isOpen = false
  host.core.closed(client.connection, 'reset', host.clock.nowMs())
  host.turn()
  const next = host.crash()
  t.same(seen(next.settle()), ['gone'])
  t.same(seen(next.crash()), [])
})

t.test('it has the QoS, retain flag, payload and properties that CONNECT said, without the delay', async (t) => {
  const properties = {
    willDelayIntervalSec: 1,
    messageExpiryIntervalSec: 100,
    contentType: 'text/plain',
    payloadFormatIndicator: 1 as const,
    responseTopic: 'r',
    correlationData: new Uint8Array([1]),
    userProperties: [['a', 'b']] as const,
  }
  const { host, client } = withWill({ qos: 2, retain: true, properties })
  client.cut()
  const next = host.crash()
  next.advance(1_000)
  const [publish] = next.resume('watcher').take('PUBLISH')
  const { willDelayIntervalSec: _delay, ...expected } = properties
  t.same(publish?.properties, expected)
  t.equal(publish?.qos, 2)
  t.equal(publish?.retain, false)
  next.advance(30_000)
  const [retained] = next.connect('late').subscribe('w', 1).take('PUBLISH')
  t.equal(retained?.retain, true)
  t.equal(retained?.properties?.messageExpiryIntervalSec, 70, 'the expiry begins when it is sent')
})

t.test('the bytes of the network chunk that CONNECT came in are not needed afterwards', async (t) => {
  const chunk = new Uint8Array(1_000).fill(0x61)
  const host = testBroker()
  const watcher = host.connect('watcher').subscribe('w', 1)
  const properties = { correlationData: chunk.subarray(20, 22) }
  const client = host.connect('a', { will: willOf({ payload: chunk.subarray(10, 14), properties }) })
  chunk.fill(0)
  client.cut()
  const [publish] = watcher.take('PUBLISH')
  t.same(publish?.payload, utf8Encode('aaaa'))
  t.same(publish?.properties?.correlationData, utf8Encode('aa'))
})

t.test('an empty retained Will removes the retained message', async (t) => {
  const host = testBroker()
  host.connect('b').publish('w', 'online', 1, { retain: true })
  host.settle()
  host.connect('a', { will: willOf({ payload: new Uint8Array(0), retain: true }) }).cut()
  t.equal(host.core.retainedCount, 0)
})

t.test('rights that were taken away in the meantime: it is not sent, and that is an event', async (t) => {
  let isAllowed = true
  const access = {
    ...ALLOW_ALL,
    allowsEverything: false,
    authorize: (_who: unknown, action: string) => action !== 'publish' || isAllowed,
  }
  const host = testBroker({ access })
  const watcher = host.connect('watcher').subscribe('w', 1)
  const client = host.resume('a', { will: willOf({ properties: { willDelayIntervalSec: 10 } }) })
  isAllowed = false
  client.cut()
  host.advance(10_000)
  isAllowed = true
  host.advance(1_000_000)
  t.same(watcher.payloads(), [])
  t.equal(host.events.filter(({ type }) => type === 'will-refused').length, 1)
})

t.test('the Will of a client reaches its own session through a plain subscription, not through No Local', async (t) => {
  for (const noLocal of [false, true]) {
    const host = testBroker()
    host.resume('a', { will: willOf() }).subscribe('w', 1, { noLocal }).cut()
    t.same(host.resume('a').drain(), noLocal ? [] : ['gone'])
  }
})
