/** Connecting, refusals, keep-alive, and coming back: when, how often, and when not. */
import t from 'tap'
import type { ClientState, ConnectOptions } from '../../../src/client/api.js'
import { reconnectDelayMs } from '../../../src/client/reconnect.js'
import { PacketType } from '../../../src/protocol/packets.js'
import { connackPacket, ScriptedBroker, settle, stateOf } from '../../support/client-script.js'

t.test('the delay is random between 0 and a bound that doubles up to its cap', async (t) => {
  const policy = { minDelayMs: 100, maxDelayMs: 1_000, attemptsMax: Number.POSITIVE_INFINITY }
  const bounds = [1, 2, 3, 4, 5, 50, 5_000].map((attempt) => reconnectDelayMs(attempt, policy, () => 0.999_999))
  t.same(bounds, [99, 199, 399, 799, 999, 999, 999])
  t.equal(
    reconnectDelayMs(7, policy, () => 0),
    0,
  )
})

t.test('connect resolves on CONNACK, and says what came with it', async (t) => {
  const broker = new ScriptedBroker()
  broker.answer = () => ({
    sessionPresent: true,
    durability: 'flush',
    resume: { queuedMessages: 3, lost: [] },
    properties: { assignedClientIdentifier: 'assigned', receiveMaximum: 10 },
  })
  const states: ClientState[] = []
  const client = await broker.open({ onState: (state) => void states.push(state) })
  t.equal(client.clientId, 'assigned')
  t.match(client.connack, { sessionPresent: true, durability: 'flush', resume: { queuedMessages: 3 } })
  t.same(states, [{ name: 'connecting' }, { name: 'connected', sessionPresent: true }])
  const first = await broker.at(0)
  t.match(first.connect, { clientId: '', cleanStart: true, properties: { sessionExpiryIntervalSec: 60 } })
  first.drop()
  const second = await broker.comesBack(1)
  t.match(second.connect, { clientId: 'assigned', cleanStart: false })
})

t.test('urls: the path and the subprotocol follow the protocol', async (t) => {
  const cases: [Partial<ConnectOptions>, string][] = [
    [{ url: 'ws://h' }, 'ws://h/tally'],
    [{ url: 'wss://h:9/own' }, 'wss://h:9/own'],
    [{ url: 'ws://h', protocol: 'mqtt' }, 'ws://h/mqtt'],
    [{ url: 'ws://name:secret@h/?protocol=tally.v1' }, 'ws://h/tally'],
  ]
  for (const [options, url] of cases) {
    const broker = new ScriptedBroker(options.protocol)
    const client = await broker.open(options)
    const connection = await broker.at(0)
    t.equal(connection.url, url)
    if (url === 'ws://h/tally' && options.url?.includes('secret')) {
      t.match(connection.connect, { username: 'name', password: new TextEncoder().encode('secret') })
    }
    await client.close()
  }
})

t.test('options that cannot be are refused with what to change', async (t) => {
  const broker = new ScriptedBroker()
  const wrong: [Partial<ConnectOptions>, RegExp][] = [
    [{ url: 'nonsense' }, /url/],
    [{ url: 'http://h' }, /ws:\/\//],
    [{ url: 'mqtt://h', protocol: 'tally.v1' }, /WebSocket/],
    [{ cleanStart: false }, /clientId/],
    [{ receiveMaximum: 0 }, /receiveMaximum is 0; it must be from 1 to 65535/],
    [{ publishQueueMessagesMax: 70_000 }, /publishQueueMessagesMax/],
  ]
  for (const [options, message] of wrong) {
    await t.rejects(broker.open(options), { code: 'INVALID_ARGUMENT', message, retryable: false })
  }
  t.equal(broker.connections.length, 0)
})

t.test('a refusal that will not change rejects connect; one that may is tried again', async (t) => {
  const broker = new ScriptedBroker()
  broker.answer = () => ({ reasonCode: 0x87, properties: { reasonString: 'not you' } })
  await t.rejects(broker.open(), { code: 'CONNECT_REFUSED', reasonCode: 0x87, retryable: false, message: /not you/ })

  broker.answer = () => ({ reasonCode: 0x89 })
  const opening = broker.open()
  const busy = await broker.at(1)
  await settle()
  t.ok(busy.isEnded)
  broker.answer = () => ({})
  const accepted = await broker.comesBack(2)
  t.equal(accepted.connect?.cleanStart, true)
  t.equal((await opening).state.name, 'connected')
})

t.test('close codes from 3500 on stop, those below come back', async (t) => {
  for (const [closeCode, name] of [
    [3510, 'closed'],
    [3503, 'closed'],
    // Its CONNECT was late on the way, as after a stop of the broker: no mistake of the client's.
    [3014, 'reconnecting'],
    [1009, 'closed'],
    [3001, 'reconnecting'],
    [1006, 'reconnecting'],
  ] as const) {
    const broker = new ScriptedBroker()
    const client = await broker.open()
    const connection = await broker.at(0)
    connection.drop(closeCode)
    await settle()
    t.equal(client.state.name, name, `close code ${closeCode}`)
  }
})

t.test('DISCONNECT 0x8E stops, 0x8B comes back', async (t) => {
  for (const [reasonCode, name] of [
    [0x8e, 'closed'],
    [0x98, 'closed'],
    [0x8b, 'reconnecting'],
    [0x89, 'reconnecting'],
  ] as const) {
    const broker = new ScriptedBroker()
    const client = await broker.open()
    const connection = await broker.at(0)
    connection.send({ type: PacketType.DISCONNECT, reasonCode, properties: null })
    await settle()
    t.equal(client.state.name, name, `reason code ${reasonCode}`)
    t.ok(connection.isEnded)
  }
})

t.test('attempts grow their delay, and attemptsMax ends them', async (t) => {
  const broker = new ScriptedBroker()
  const delays: number[] = []
  broker.random = 0.999_9
  const onState = (state: ClientState) => {
    if (state.name === 'reconnecting') delays.push(state.delayMs)
  }
  const client = await broker.open({ onState, reconnect: { minDelayMs: 100, maxDelayMs: 350, attemptsMax: 4 } })
  const connection = await broker.at(0)
  broker.refusesWith = 1006
  connection.drop()
  for (let attempt = 0; attempt < 4; attempt += 1) {
    await settle()
    broker.clock.advance(350)
  }
  await settle()
  t.same(delays, [99, 199, 349, 349])
  t.match(client.state, { name: 'closed', reason: { kind: 'failed', error: { code: 'CONNECT_FAILED' } } })
  await t.rejects(client.publish('a', '', { qos: 1 }), { code: 'CLOSED', cause: { code: 'CONNECT_FAILED' } })
})

t.test('connections that are accepted and lost at once do not reset the delay; one that lasts does', async (t) => {
  const broker = new ScriptedBroker()
  broker.random = 0.999_9
  const delays: number[] = []
  const onState = (state: ClientState) => {
    if (state.name === 'reconnecting') delays.push(state.delayMs)
  }
  await broker.open({ onState, reconnect: { minDelayMs: 100, maxDelayMs: 10_000 } })
  for (let index = 0; index < 3; index += 1) {
    const connection = await broker.at(index)
    await settle()
    connection.drop()
    await settle()
    broker.clock.advance(400)
  }
  const lasting = await broker.at(3)
  await settle()
  broker.clock.advance(10_000)
  lasting.drop()
  t.same(delays, [99, 199, 399, 99])
})

t.test('no CONNACK in time: TIMEOUT, and with reconnect: false the end', async (t) => {
  const broker = new ScriptedBroker()
  broker.answer = null
  const opening = broker.open({ connectTimeoutMs: 500, reconnect: false })
  await broker.at(0)
  broker.clock.advance(499)
  t.equal(await stateOf(opening), 'pending')
  broker.clock.advance(1)
  await t.rejects(opening, { code: 'TIMEOUT', retryable: true })
  t.equal(broker.clock.pendingTimers, 0)
})

t.test('the signal abandons connecting, at any time', async (t) => {
  const broker = new ScriptedBroker()
  await t.rejects(broker.open({ signal: AbortSignal.abort() }), { code: 'ABORTED' })
  t.equal(broker.connections.length, 0)

  broker.answer = null
  const whileConnecting = new AbortController()
  const opening = broker.open({ signal: whileConnecting.signal })
  const connection = await broker.at(0)
  whileConnecting.abort()
  await t.rejects(opening, { code: 'ABORTED' })
  await settle()
  t.ok(connection.isEnded)

  broker.refusesWith = 1006
  const whileWaiting = new AbortController()
  const waiting = broker.open({ signal: whileWaiting.signal })
  await settle()
  whileWaiting.abort()
  await t.rejects(waiting, { code: 'ABORTED' })
  t.equal(broker.clock.pendingTimers, 0)
})

t.test('a first packet that is not CONNACK is a protocol error', async (t) => {
  const broker = new ScriptedBroker()
  broker.answer = null
  const opening = broker.open()
  const connection = await broker.at(0)
  connection.send({ type: PacketType.PINGRESP })
  await t.rejects(opening, { code: 'PROTOCOL_ERROR', reasonCode: 0x82 })
})

t.test('bytes that are no packets end the connection with their reason code', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open()
  const connection = await broker.at(0)
  connection.sendBytes(new Uint8Array([0xc1, 0xc1]))
  t.match(await connection.next('DISCONNECT'), { reasonCode: 0x81 })
  t.match(client.state, { name: 'closed', reason: { error: { code: 'PROTOCOL_ERROR' } } })
})

t.test('keep-alive: a ping in silence, and no answer means dead', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open({ keepAliveSec: 10 })
  const first = await broker.at(0)
  await settle()
  broker.clock.advance(8_999)
  t.same(await first.sent(), [])
  broker.clock.advance(1)
  const ping = await first.next('PINGREQ')
  t.type(ping.timestampMs, 'number')
  first.send({ ...ping, type: PacketType.PINGRESP })
  broker.clock.advance(9_000)
  await first.next('PINGREQ')
  broker.clock.advance(4_999)
  t.equal(client.state.name, 'connected')
  broker.clock.advance(1)
  t.match(client.state, { name: 'reconnecting', reason: { code: 'TIMEOUT' } })
})

t.test("keep-alive: the broker's own value wins, and publishing into silence still finds a dead peer", async (t) => {
  const broker = new ScriptedBroker()
  broker.answer = () => ({ properties: { serverKeepAliveSec: 4 } })
  const client = await broker.open({ keepAliveSec: 1_000 })
  const connection = await broker.at(0)
  await settle()
  for (let second = 0; second < 6; second += 1) {
    client.publishNow('a', '')
    await settle()
    broker.clock.advance(1_000)
  }
  t.match(client.state, { name: 'reconnecting', reason: { code: 'TIMEOUT' } })
  t.ok((await connection.sent()).includes('PINGREQ'))
})

t.test("the broker's PINGREQ is answered with its own timestamp; ours measures the round trip", async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open()
  const connection = await broker.at(0)
  connection.send({ type: PacketType.PINGREQ, timestampMs: 4711 })
  t.same(await connection.next('PINGRESP'), { type: PacketType.PINGRESP, timestampMs: 4711 })
  const measured = client.ping()
  const ping = await connection.next('PINGREQ')
  broker.clock.advance(25)
  connection.send({ ...ping, type: PacketType.PINGRESP })
  t.equal(await measured, 25)
  const abandoned = new AbortController()
  const waiting = client.ping({ signal: abandoned.signal })
  abandoned.abort()
  await t.rejects(waiting, { code: 'ABORTED' })
  const lost = client.ping()
  await settle()
  connection.drop()
  await t.rejects(lost, { code: 'CONNECTION_LOST' })
  await t.rejects(client.ping(), { code: 'NOT_CONNECTED', retryable: true })
})

t.test('close says DISCONNECT, ends an anonymous session, and is done when the socket is', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open()
  const connection = await broker.at(0)
  await client.close({ reasonCode: 4 })
  t.match(await connection.next('DISCONNECT'), { reasonCode: 4, properties: { sessionExpiryIntervalSec: 0 } })
  t.equal(connection.closeCode, 1000)
  t.same(client.state, { name: 'closed', reason: { kind: 'closed-by-caller' } })
  await client.close()
  await client[Symbol.asyncDispose]()
  t.equal(broker.clock.pendingTimers, 0)
})

t.test('close keeps the session of a client id, and can wait for unfinished publishes', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open({ clientId: 'c' })
  const connection = await broker.at(0)
  const published = client.publish('a', '', { qos: 1 })
  await connection.next('PUBLISH')
  const closing = client.close({ drainTimeoutMs: 1_000 })
  t.equal(await stateOf(closing), 'pending')
  await t.rejects(client.publish('b', ''), { code: 'CLOSED' })
  connection.ack('PUBACK', 1)
  await published
  await closing
  t.match(await connection.next('DISCONNECT'), { reasonCode: 0, properties: null })
})

t.test('MQTT 3.1.1: clean session stays what was asked for', async (t) => {
  const broker = new ScriptedBroker('mqtt', 4)
  await broker.open({ clientId: 'c', cleanStart: true })
  const first = await broker.at(0)
  t.match(first.connect, { protocolLevel: 4, cleanStart: true, properties: {} })
  await settle()
  first.drop()
  t.equal((await broker.comesBack(1)).connect?.cleanStart, true)
})

t.test('a CONNACK out of turn is a protocol error', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open()
  const connection = await broker.at(0)
  connection.send(connackPacket())
  await connection.next('DISCONNECT')
  t.equal(client.state.name, 'closed')
})
