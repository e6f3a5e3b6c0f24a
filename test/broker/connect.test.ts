/**
 * CONNECT: client identifiers, what CONNACK says, authentication at once, later and refused, and what a refusal leaves.
 */
import t from 'tap'
type Tester = Pick<typeof t, 'equal' | 'ok'>
import { utf8Encode } from '../../src/base/utf8.js'
import type { Access, AuthenticationResult } from '../../src/core/ports/access.js'
import { PacketType, type WillMessage } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { ALLOW_ALL, type TestBroker, type TestClient, testBroker } from '../support/test-broker.js'

const willTo = (topicName: string): WillMessage => ({
  topicName,
  payload: utf8Encode('gone'),
  qos: 1,
  retain: false,
  properties: {},
})

function assertRefused(t: Tester, host: TestBroker, client: TestClient, reasonCode: number): void {
  const [connack] = client.take('CONNACK')
  t.equal(connack?.reasonCode, reasonCode)
  t.equal(connack?.sessionPresent, false)
  t.ok((client.link.closedWith?.detail.length ?? 0) > 10, 'the refusal says what to change')
  const said = client.connection.protocolLevel === 5 ? client.link.closedWith?.detail : undefined
  t.equal(connack?.properties.reasonString, said)
  t.equal(client.link.closedWith?.reasonCode, reasonCode)
  t.equal(client.connection.state, 'closed')
  t.equal(host.events.filter(({ type }) => type === 'connect-refused').length, 1)
}

t.test('CONNACK says what the broker allows, and only what differs from the default', async (t) => {
  const plain = testBroker().connect('a').take('CONNACK')[0]
  t.same(plain?.properties, { maximumPacketSize: 2_097_152, topicAliasMaximum: 64, serverKeepAliveSec: 3_600 })
  t.equal(plain?.durability, 'flush')
  t.same(plain?.resume, { queuedMessages: 0, lost: [] })
  const limits = {
    maximumPacketSize: 1_000,
    receiveMaximum: 20,
    topicAliasMaximum: 0,
    keepAliveMaxSec: 60,
    sessionExpiryIntervalMaxSec: 100,
  }
  const bounded = testBroker({ limits }).connect('a', {
    keepAliveSec: 61,
    properties: { sessionExpiryIntervalSec: 101 },
  })
  t.same(bounded.take('CONNACK')[0]?.properties, {
    maximumPacketSize: 1_000,
    receiveMaximum: 20,
    serverKeepAliveSec: 60,
    sessionExpiryIntervalSec: 100,
  })
  t.equal(bounded.connection.keepAliveSec, 60)
})

t.test('a Keep Alive within the bound stays the client’s; none at all gets the bound', async (t) => {
  const host = testBroker({ limits: { keepAliveMaxSec: 60 } })
  const within = host.connect('a', { keepAliveSec: 60 })
  t.equal(within.take('CONNACK')[0]?.properties.serverKeepAliveSec, undefined)
  t.equal(within.connection.keepAliveSec, 60)
  const none = host.connect('b', { keepAliveSec: 0 })
  t.equal(none.take('CONNACK')[0]?.properties.serverKeepAliveSec, 60)
  const unbounded = testBroker({ limits: { keepAliveMaxSec: 0 } }).connect('c', { keepAliveSec: 0 })
  t.equal(unbounded.take('CONNACK')[0]?.properties.serverKeepAliveSec, undefined)
})

t.test('MQTT 5 without a client identifier gets one, and is told', async (t) => {
  const host = testBroker()
  for (const cleanStart of [true, false]) {
    const client = host.connect('', { cleanStart, properties: { sessionExpiryIntervalSec: 60 } })
    const assigned = client.take('CONNACK')[0]?.properties.assignedClientIdentifier ?? ''
    t.match(assigned, /^auto-id-\d$/)
    client.cut()
    const again = host.resume(assigned).take('CONNACK')[0]
    t.equal(again?.sessionPresent, true, 'the identifier is good for the next connection')
    t.equal(again?.properties.assignedClientIdentifier, undefined, 'the client’s own is not assigned')
  }
})

t.test('MQTT 3.1.1 without a client identifier needs clean session 1', async (t) => {
  const host = testBroker()
  assertRefused(
    t,
    host,
    host.connect('', { protocolLevel: 4, cleanStart: false }),
    ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
  )
  t.equal(host.connect('', { protocolLevel: 4, cleanStart: true }).take('CONNACK')[0]?.reasonCode, 0)
})

t.test('a client identifier may be long, odd, and as large as the bound in bytes', async (t) => {
  const host = testBroker({ limits: { clientIdBytesMax: 40 } })
  for (const clientId of ['ü'.repeat(20), 'a b/#+', 'x'.repeat(40)]) {
    t.equal(host.connect(clientId).take('CONNACK')[0]?.reasonCode, 0, clientId)
  }
  assertRefused(t, host, host.connect('ü'.repeat(21)), ReasonCode.CLIENT_IDENTIFIER_NOT_VALID)
})

t.test('MQTT 3.1.1 sessions with clean session 0 live as long as the option says', async (t) => {
  const host = testBroker({ limits: { mqtt311SessionExpiryIntervalSec: 100 } })
  host.connect('a', { protocolLevel: 4, cleanStart: false }).cut()
  host.advance(99_000)
  const again = host.connect('a', { protocolLevel: 4, cleanStart: false })
  t.equal(again.take('CONNACK')[0]?.sessionPresent, true)
  again.cut()
  host.advance(100_000)
  t.equal(host.core.sessionCount, 0)
})

t.test('MQTT 3.1.1 clean session 1 keeps nothing', async (t) => {
  const host = testBroker()
  host.connect('a', { protocolLevel: 4, cleanStart: true }).cut()
  t.equal(host.core.sessionCount, 0)
})

t.test('enhanced authentication is refused with 0x8C', async (t) => {
  const host = testBroker()
  const client = host.connect('a', { properties: { authenticationMethod: 'SCRAM-SHA-1' } })
  assertRefused(t, host, client, ReasonCode.BAD_AUTHENTICATION_METHOD)
})

t.test('a Will Topic with a wildcard, empty, too deep, or the server’s own is refused', async (t) => {
  for (const topicName of ['', 'a/+', 'a/#', 'a/b/c', '$SYS/x', '$share/g/t']) {
    const host = testBroker({ limits: { topicLevelsMax: topicName === 'a/b/c' ? 2 : 10 } })
    const client = host.connect('a', { will: willTo(topicName) })
    assertRefused(t, host, client, ReasonCode.TOPIC_NAME_INVALID)
    t.equal(host.core.sessionCount, 0)
  }
})

const refusing = (result: AuthenticationResult | Promise<AuthenticationResult>): Access => ({
  allowsEverything: false,
  authenticate: () => result,
  authorize: () => true,
})
const BAD_PASSWORD: AuthenticationResult = {
  accepted: false,
  reasonCode: ReasonCode.BAD_USER_NAME_OR_PASSWORD,
  detail: 'user name or password is wrong',
}

t.test('a refused CONNECT leaves no session, no connection, no journal record', async (t) => {
  const host = testBroker({ access: refusing(BAD_PASSWORD), presence: true })
  const client = host.resume('a', { will: willTo('w') })
  assertRefused(t, host, client, ReasonCode.BAD_USER_NAME_OR_PASSWORD)
  t.equal(host.core.sessionCount, 0)
  t.equal(host.core.connectionCount, 0)
  t.equal(host.commits, 0)
  t.same(
    host.events.map(({ type }) => type),
    ['recovered', 'connect-refused'],
  )
})

t.test('an answer that takes its time: nothing moves before it, reading goes on after it', async (t) => {
  let answer: (result: AuthenticationResult) => void = () => undefined
  const host = testBroker({ access: refusing(new Promise((resolve) => (answer = resolve))) })
  const client = host.resume('a')
  t.same(client.link.arrived, [])
  t.equal(client.link.isReading, false)
  t.equal(host.core.sessionCount, 0)
  t.equal(host.commits, 0)
  answer({ accepted: true, username: 'ann' })
  await null
  await null
  host.settle()
  t.equal(client.take('CONNACK')[0]?.reasonCode, 0)
  t.equal(client.link.isReading, true)
})

t.test('a refusal that takes its time is the same refusal', async (t) => {
  const host = testBroker({ access: refusing(Promise.resolve(BAD_PASSWORD)) })
  const client = host.resume('a')
  await null
  await null
  host.settle()
  assertRefused(t, host, client, ReasonCode.BAD_USER_NAME_OR_PASSWORD)
  t.equal(host.commits, 0)
})

t.test('a client that leaves while it is being authenticated is not connected by the answer', async (t) => {
  for (const leave of ['cut', 'disconnect'] as const) {
    let answer: (result: AuthenticationResult) => void = () => undefined
    const host = testBroker({ access: refusing(new Promise((resolve) => (answer = resolve))) })
    const client = host.resume('a')
    client[leave]()
    answer({ accepted: true, username: null })
    await null
    await null
    host.settle()
    t.equal(client.connection.state, 'closed')
    t.equal(host.core.sessionCount, 0)
    t.same(client.take('CONNACK'), [])
  }
})

t.test('until a newcomer is authenticated the client it names is not touched', async (t) => {
  let isGood = true
  const access: Access = {
    ...ALLOW_ALL,
    allowsEverything: false,
    authenticate: () => (isGood ? { accepted: true, username: 'ann' } : Promise.resolve(BAD_PASSWORD)),
  }
  const host = testBroker({ access })
  const ann = host.resume('a', { will: willTo('w') }).subscribe('t', 1)
  isGood = false
  const thief = host.connect('a', { cleanStart: true })
  t.equal(ann.connection.state, 'connected')
  await null
  await null
  host.settle()
  t.equal(thief.take('CONNACK')[0]?.reasonCode, ReasonCode.BAD_USER_NAME_OR_PASSWORD)
  t.equal(ann.connection.state, 'connected')
  t.same(ann.take('DISCONNECT'), [])
})

t.test('the session of another user is neither resumed nor taken over nor ended', async (t) => {
  const access: Access = {
    allowsEverything: false,
    authenticate: ({ connect }) => ({ accepted: true, username: connect.username ?? null }),
    authorize: () => true,
  }
  const host = testBroker({ access })
  const ann = host.resume('a', { username: 'ann' }).subscribe('t', 1)
  for (const cleanStart of [true, false]) {
    const bob = host.connect('a', { username: 'bob', cleanStart })
    t.equal(bob.take('CONNACK')[0]?.reasonCode, ReasonCode.NOT_AUTHORIZED)
  }
  t.equal(ann.connection.state, 'connected')
  ann.cut()
  t.equal(host.connect('a', { username: 'bob' }).take('CONNACK')[0]?.reasonCode, ReasonCode.NOT_AUTHORIZED)
  const next = host.crash()
  t.equal(next.connect('a').take('CONNACK')[0]?.reasonCode, ReasonCode.NOT_AUTHORIZED, 'nor after a restart')
  t.equal(next.resume('a', { username: 'ann' }).take('CONNACK')[0]?.sessionPresent, true)
})

t.test('a Will that may not be published refuses the CONNECT', async (t) => {
  const access: Access = { ...ALLOW_ALL, allowsEverything: false, authorize: (_who, action) => action !== 'publish' }
  const host = testBroker({ access })
  assertRefused(t, host, host.connect('a', { will: willTo('w') }), ReasonCode.NOT_AUTHORIZED)
  t.equal(host.connect('a').take('CONNACK')[0]?.reasonCode, 0)
})

t.test('a refusal fits the Maximum Packet Size of the client, without its sentence if need be', async (t) => {
  const host = testBroker({ access: refusing(BAD_PASSWORD) })
  const bare = { type: PacketType.CONNACK, sessionPresent: false, reasonCode: 0x86, properties: {} }
  const bytes = JSON.stringify(bare).length
  const small = host.connect('a', { properties: { maximumPacketSize: bytes } })
  t.same(small.take('CONNACK'), [bare])
  const tiny = host.connect('b', { properties: { maximumPacketSize: bytes - 1 } })
  t.same(tiny.take('CONNACK'), [], 'what does not fit at all is not sent')
  t.equal(tiny.link.closedWith?.reasonCode, 0x86)
})

t.test('a DISCONNECT fits the Maximum Packet Size of the client, without its sentence if need be', async (t) => {
  const host = testBroker()
  const client = host.connect('a', { properties: { maximumPacketSize: 60 } })
  host.core.disconnect(client.connection, ReasonCode.ADMINISTRATIVE_ACTION, 'x'.repeat(100), host.clock.nowMs())
  t.same(client.take('DISCONNECT'), [{ type: PacketType.DISCONNECT, reasonCode: 0x98, properties: null }])
})

t.test('CONNACK waits until the session is durable', async (t) => {
  const host = testBroker({ holdCommits: true })
  const client = host.resume('a')
  host.turn()
  t.same(client.take('CONNACK'), [])
  host.settle()
  t.equal(client.take('CONNACK').length, 1)
})
