/** Idempotency keys: a publication that comes again under its key is acknowledged and not stored, for a day. */
import t from 'tap'
import type { PublishProperties, QoS } from '../../src/protocol/packets.js'
import { PacketType } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import type { Access } from '../../src/core/ports/access.js'
import { rowCounts } from '../support/durable-state.js'
import { ALLOW_ALL, type TestBroker, type TestClient, testBroker } from '../support/test-broker.js'

function keyed(key: string, name = 'idempotency-key'): PublishProperties {
  return { userProperties: [[name, key]] }
}

/** @returns the code of the answer. */
function send(client: TestClient, key: string, payload: string, qos: 1 | 2 = 1, topic = 'a', retain = false): number {
  client.publish(topic, payload, qos, { properties: keyed(key), retain })
  client.host.settle()
  const [answer] = qos === 1 ? client.take('PUBACK') : client.take('PUBREC')
  if (answer === undefined) throw new Error('no answer')
  if (qos === 2 && answer.reasonCode < 0x80) {
    client.ack(PacketType.PUBREL, answer.packetId)
    client.host.settle()
    if (client.take('PUBCOMP')[0]?.reasonCode !== 0) throw new Error('the exchange of QoS 2 was not completed')
  }
  return answer.reasonCode
}

function withReader(host: TestBroker): TestClient {
  return host.resume('reader').subscribe('#', 2)
}

t.test('the same again is acknowledged like the first time and delivered once', async (t) => {
  for (const qos of [1, 2] as const) {
    const host = testBroker()
    const reader = withReader(host)
    const meter = host.connect('meter')
    t.equal(send(meter, 'k1', 'one', qos), 0)
    t.equal(send(meter, 'k1', 'one', qos), 0)
    meter.cut()
    t.equal(send(host.connect('meter'), 'k1', 'one', qos), 0, 'on another connection too')
    t.equal(send(host.connect('meter'), 'k2', 'one', qos), 0)
    t.same(reader.drain(), ['one', 'one'])
    t.equal(host.core.counters.duplicatesRefused, 2)
  }
})

t.test('the key goes on to subscribers', async (t) => {
  const host = testBroker()
  const reader = withReader(host)
  send(host.connect('meter'), 'k1', 'one')
  t.match(reader.take('PUBLISH'), [{ properties: { userProperties: [['idempotency-key', 'k1']] } }])
})

t.test('other content under the same key is refused: payload, topic, retain or QoS', async (t) => {
  const host = testBroker()
  const reader = withReader(host)
  const meter = host.connect('meter')
  t.equal(send(meter, 'k1', 'one'), 0)
  const { IMPLEMENTATION_SPECIFIC_ERROR } = ReasonCode
  t.equal(send(meter, 'k1', 'two'), IMPLEMENTATION_SPECIFIC_ERROR)
  t.equal(send(meter, 'k1', 'one', 2), IMPLEMENTATION_SPECIFIC_ERROR)
  t.equal(send(meter, 'k1', 'one', 1, 'b'), IMPLEMENTATION_SPECIFIC_ERROR)
  t.equal(send(meter, 'k1', 'one', 1, 'a', true), IMPLEMENTATION_SPECIFIC_ERROR)
  t.equal(send(meter, 'k1', 'one'), 0)
  meter.publish('a', 'two', 1, { properties: keyed('k1') })
  host.settle()
  t.match(meter.take('PUBACK')[0]?.properties?.reasonString, /another message/)
  t.same(reader.drain(), ['one'])
})

t.test('a key belongs to the user, or to the client where there is none', async (t) => {
  const host = testBroker()
  const reader = withReader(host)
  t.equal(send(host.connect('m1', { username: 'alice' }), 'k', 'x'), 0)
  t.equal(send(host.connect('m2', { username: 'alice' }), 'k', 'x'), 0)
  t.equal(send(host.connect('m3', { username: 'bob' }), 'k', 'y'), 0)
  t.equal(send(host.connect('alice'), 'k', 'z'), 0, 'a client id is no user name')
  t.same(reader.drain(), ['x', 'y', 'z'])
})

t.test('a refused publication does not use up its key; a known one is known whatever the rules say now', async (t) => {
  let isAllowed = false
  const access: Access = {
    ...ALLOW_ALL,
    allowsEverything: false,
    authorize: (_who, action) => action !== 'publish' || isAllowed,
  }
  const host = testBroker({ access })
  const meter = host.connect('meter')
  t.equal(send(meter, 'k1', 'one'), ReasonCode.NOT_AUTHORIZED)
  isAllowed = true
  t.equal(send(meter, 'k1', 'two'), ReasonCode.NO_MATCHING_SUBSCRIBERS)
  isAllowed = false
  t.equal(send(meter, 'k1', 'two'), 0)
})

t.test('keys survive a restart, from the journal and from the table', async (t) => {
  let host = testBroker()
  withReader(host)
  send(host.connect('meter'), 'k1', 'one')
  host = host.crash()
  t.equal(send(host.connect('meter'), 'k1', 'one'), 0)
  host.core.checkpoint()
  host.settle()
  t.equal(rowCounts(host.store).keys, 1)
  send(host.connect('meter'), 'k2', 'two')
  host = host.crash()
  t.equal(host.core.state.keys.size, 2)
  for (const [key, payload] of [
    ['k1', 'one'],
    ['k2', 'two'],
  ] as const)
    t.equal(send(host.connect('meter'), key, payload), 0)
  t.same(host.resume('reader').drain(), ['one', 'two'])
})

t.test('message and key are durable together or not at all', async (t) => {
  const host = testBroker({ holdCommits: true })
  const reader = host.resume('reader')
  host.settle()
  reader.subscribe('#', 1)
  const meter = host.connect('meter')
  host.settle()
  meter.publish('a', 'one', 1, { properties: keyed('k1') })
  host.turn()
  meter.publish('a', 'one', 1, { properties: keyed('k1') })
  host.turn()
  t.same(meter.take('PUBACK'), [], 'the answer to the second waits for the commit of the first')
  const next = host.crash({ holdCommits: false })
  t.equal(send(next.connect('meter'), 'k1', 'one'), 0)
  t.same(next.resume('reader').drain(), ['one'])
})

t.test('after the retention a key is free again, its row is gone, and nothing is forgotten early', async (t) => {
  let host = testBroker({ idempotency: { idempotencyKeyRetentionSec: 10 } })
  withReader(host)
  const meter = host.connect('meter')
  send(meter, 'k1', 'one')
  host.advance(4_000)
  send(meter, 'k2', 'two')
  host.core.checkpoint()
  host.settle()
  host.advance(5_999)
  t.equal(send(meter, 'k1', 'one'), 0)
  t.equal(host.core.nextTimeoutMs(), host.clock.nowMs() + 1, 'the shell is told when')
  host.advance(1)
  t.equal(host.core.state.keys.size, 1)
  t.equal(rowCounts(host.store).keys, 1)
  t.equal(send(meter, 'k1', 'other'), 0)
  host = host.crash()
  t.equal(host.core.state.keys.size, 2)
  host.advance(10_000)
  t.equal(host.core.state.keys.size, 0)
  t.equal(rowCounts(host.store).keys, 0)
  t.equal(host.core.state.keys.nextMs(), Number.POSITIVE_INFINITY)
  t.same(host.resume('reader').drain(), ['one', 'two', 'other'])
})

t.test('a key that is over but not swept yet is taken as new', async (t) => {
  const host = testBroker({ idempotency: { idempotencyKeyRetentionSec: 10, idempotencyKeysMax: 1 } })
  withReader(host)
  const meter = host.connect('meter')
  send(meter, 'k1', 'one')
  host.clock.advance(10_000)
  meter.publish('a', 'two', 1, { properties: keyed('k1') })
  host.settle()
  t.equal(meter.take('PUBACK')[0]?.reasonCode, 0)
  t.equal(host.core.state.keys.size, 1)
})

t.test('idempotencyKeysMax: a new key is refused, known ones go on, and keyless publications too', async (t) => {
  const host = testBroker({ idempotency: { idempotencyKeysMax: 2 } })
  withReader(host)
  const meter = host.connect('meter')
  for (const key of ['k1', 'k2']) t.equal(send(meter, key, key), 0)
  t.equal(send(meter, 'k3', 'k3'), ReasonCode.QUOTA_EXCEEDED)
  t.equal(send(meter, 'k1', 'k1'), 0)
  meter.publish('a', 'no key', 1)
  host.settle()
  t.equal(meter.take('PUBACK')[0]?.reasonCode, 0)
})

t.test('ten thousand keys leave in slices', async (t) => {
  const host = testBroker({ pace: { keysForgottenPerTurn: 100 }, idempotency: { idempotencyKeyRetentionSec: 10 } })
  const meter = host.connect('meter')
  for (let index = 0; index < 1_000; index += 1) meter.publish('a', 'x', 1, { properties: keyed(`k${index}`) })
  host.settle()
  host.clock.advance(10_000)
  t.ok(host.core.work(host.clock.nowMs()), 'more is waiting')
  t.equal(host.core.state.keys.size, 900)
  host.settle()
  t.equal(host.core.state.keys.size, 0)
})

t.test('a key has 1 to 256 bytes; QoS 0 has none; the name is an option, null switches them off', async (t) => {
  const host = testBroker()
  withReader(host)
  const meter = host.connect('meter')
  t.equal(send(meter, '', 'x'), ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR)
  t.equal(send(meter, 'é'.repeat(129), 'x'), ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR)
  t.equal(send(meter, 'é'.repeat(128), 'x'), 0)
  meter.publish('a', 'x', 0 as QoS, { properties: keyed('k') })
  t.equal(host.core.state.keys.size, 1)
  for (const [idempotencyKeyProperty, size] of [
    ['my-key', 1],
    [null, 0],
  ] as const) {
    const other = testBroker({ idempotency: { idempotencyKeyProperty } })
    const client = other.connect('meter')
    client.publish('a', 'x', 1, { properties: keyed('k') })
    client.publish('a', 'x', 1, { properties: keyed('k', 'my-key') })
    other.settle()
    t.equal(other.core.state.keys.size, size)
  }
})
