/** Retained messages: the last one per topic, handed out complete and paced [v5 3.3.1.3, 3.8.3.1]. */
import t from 'tap'
import { DEFAULT_LIMITS } from '../../src/core/limits.js'
import { PacketType } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import {
  type Received,
  type TestBroker,
  type TestBrokerOptions,
  type TestClient,
  testBroker,
} from '../support/test-broker.js'

/** A broker with `count` retained messages `t/0` … at QoS 1. */
function retaining(count: number, options: TestBrokerOptions = {}): TestBroker {
  const host = testBroker(options)
  const publisher = host.connect('publisher')
  for (let index = 0; index < count; index += 1) publisher.publish(`t/${index}`, `${index}`, 1, { retain: true })
  host.settle()
  publisher.disconnect()
  return host
}

/** Acknowledges what was taken, and takes and acknowledges until nothing more comes. */
function takeAll(client: TestClient, taken: readonly Received<'PUBLISH'>[]): Received<'PUBLISH'>[] {
  const rest: Received<'PUBLISH'>[] = []
  for (let batch = taken; batch.length > 0; ) {
    for (const { qos, packetId } of batch) if (qos === 1) client.ack(PacketType.PUBACK, packetId)
    client.host.settle()
    batch = client.take('PUBLISH')
    rest.push(...batch)
  }
  return rest
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => `${index}`)
const sorted = (payloads: string[]) => payloads.sort((a, b) => Number(a) - Number(b))

t.test('a new subscription gets the last retained message with RETAIN 1, after the SUBACK', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  publisher.publish('t', 'old', 1, { retain: true })
  publisher.publish('t', 'new', 1, { retain: true })
  publisher.publish('t', 'not retained', 1)
  host.settle()
  const client = host.connect('a')
  client.link.arrived = []
  client.subscribe('t', 1, { identifier: 4 })
  t.match(client.link.arrived, [
    { type: PacketType.SUBACK },
    { type: PacketType.PUBLISH, retain: true, qos: 1, properties: { subscriptionIdentifiers: [4] } },
  ])
  t.same(client.payloads(), ['new'])
})

t.test('a zero-length payload removes the retained message, is not kept, and is still delivered', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const live = host.connect('live').subscribe('t', 1)
  publisher.publish('t', 'x', 1, { retain: true })
  publisher.publish('t', '', 1, { retain: true })
  publisher.publish('never', '', 1, { retain: true })
  host.settle()
  t.same(live.payloads(), ['x', ''])
  t.equal(host.core.retainedCount, 0)
  t.same(host.connect('a').subscribe('#', 1).take('PUBLISH'), [])
  t.equal(host.crash().core.retainedCount, 0)
})

t.test('the QoS is the lower one of retained and granted', async (t) => {
  for (const published of [0, 1, 2] as const) {
    for (const granted of [0, 1, 2] as const) {
      const host = testBroker()
      host.connect('publisher').publish('t', 'x', published, { retain: true })
      host.settle()
      t.match(host.connect('a').subscribe('t', granted).take('PUBLISH'), [{ qos: Math.min(published, granted) }])
    }
  }
})

t.test('Retain Handling: 0 each time, 1 only when the subscription is new, 2 never', async (t) => {
  for (const [retainHandling, expected] of [
    [0, [1, 1, 1]],
    [1, [1, 0, 1]],
    [2, [0, 0, 0]],
  ] as const) {
    const host = retaining(1)
    const client = host.connect('a')
    const counts = []
    counts.push(client.subscribe('t/#', 1, { retainHandling }).take('PUBLISH').length)
    counts.push(client.subscribe('t/#', 0, { retainHandling }).take('PUBLISH').length)
    client.unsubscribe('t/#')
    counts.push(client.subscribe('t/#', 1, { retainHandling }).take('PUBLISH').length)
    t.same(counts, expected, `retain handling ${retainHandling}`)
  }
})

t.test('resuming a session sends no retained messages', async (t) => {
  const host = retaining(3)
  const client = host.resume('a').subscribe('t/#', 1)
  client.drain()
  client.cut()
  t.same(host.resume('a').take('PUBLISH'), [])
})

t.test('each of two filters in one SUBSCRIBE gets its retained messages', async (t) => {
  const host = retaining(2)
  const client = host.connect('a')
  const terms = { qos: 1 as const, noLocal: false, retainAsPublished: false, retainHandling: 0 as const }
  const subscriptions = [
    { topicFilter: 't/0', ...terms },
    { topicFilter: 't/+', ...terms },
  ]
  client.send({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions, properties: {} })
  host.settle()
  t.same(client.payloads(), ['0', '0', '1'])
})

t.test('the expiry of a retained message counts down; then it is gone, also after a restart', async (t) => {
  let host = testBroker()
  const publisher = host.connect('publisher')
  publisher.publish('t', 'x', 1, { retain: true, properties: { messageExpiryIntervalSec: 100 } })
  publisher.publish('u', 'y', 0, { retain: true, properties: { messageExpiryIntervalSec: 100 } })
  host.settle()
  host.advance(30_000)
  const early = host.connect('early').subscribe('#', 1).take('PUBLISH')
  t.same(
    early.map(({ properties }) => properties?.messageExpiryIntervalSec),
    [70, 70],
  )
  host = host.crash()
  host.advance(60_000)
  t.equal(host.connect('late').subscribe('t', 1).take('PUBLISH')[0]?.properties?.messageExpiryIntervalSec, 10)
  host.advance(10_000)
  t.same(host.connect('too late').subscribe('#', 1).take('PUBLISH'), [])
  t.equal(host.core.retainedCount, 0)
})

t.test('5,000 matching messages come complete, a bounded slice at a time', async (t) => {
  for (const qos of [0, 1] as const) {
    const host = retaining(5_000, { limits: { retainedPerTurn: 100 } })
    const client = host.connect('a')
    client.link.arrived = []
    const options = { topicFilter: 't/#', qos, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
    client.send({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions: [options], properties: {} })
    let turns = 0
    let before = 0
    let most = 0
    for (let more = true; more; turns += 1) {
      more = host.core.work(host.clock.nowMs())
      const sent = host.core.counters.publishesSent
      most = Math.max(most, sent - before)
      before = sent
    }
    t.ok(turns >= 40, `${turns} turns`)
    t.ok(most <= 100, `at most ${most} in one`)
    t.same(sorted(client.drain()), numbers(5_000), `QoS ${qos}`)
  }
})

t.test('many new subscribers share one slice, and all of them come forward', async (t) => {
  const host = retaining(500, { limits: { retainedPerTurn: 50 } })
  const clients = Array.from({ length: 20 }, (_, index) => host.connect(`${index}`))
  for (const client of clients) {
    client.link.arrived = []
    const options = { topicFilter: 't/#', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
    client.send({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions: [options], properties: {} })
  }
  const before = host.core.counters.publishesSent
  for (let slice = 1; slice <= 20; slice += 1) {
    t.equal(host.core.work(host.clock.nowMs()), true)
    t.ok(host.core.counters.publishesSent - before <= 50 * slice, `${slice} slices`)
  }
  host.settle()
  for (const client of clients) t.same(sorted(client.payloads()), numbers(500))
})

t.test('who waits for its socket does not hold up who comes after it', async (t) => {
  const host = retaining(500, { limits: { retainedPerTurn: 50 } })
  const [slow, fast] = [host.connect('slow'), host.connect('fast')]
  slow.link.stalledBytes = 2 * DEFAULT_LIMITS.outputBufferBytesMax
  slow.subscribe('t/#', 0)
  fast.subscribe('t/#', 0)
  t.same(slow.payloads(), [])
  t.same(sorted(fast.payloads()), numbers(500))
  t.equal(host.core.work(host.clock.nowMs()), false, 'nobody can go on')
})

t.test('5,000 matching messages through a window of 10 come complete, and nothing piles up', async (t) => {
  const host = retaining(5_000, { limits: { queueMessagesMax: 20 } })
  const client = host.connect('a', { properties: { receiveMaximum: 10 } }).subscribe('t/#', 1)
  t.equal(client.link.arrived.filter(({ type }) => type === PacketType.PUBLISH).length, 10)
  t.same(sorted(client.drain()), numbers(5_000))
  t.equal(host.core.counters.dropped['queue-full'], 0)
})

t.test('a client that reconnects in the middle still gets all of them', async (t) => {
  const host = retaining(500)
  const properties = { receiveMaximum: 10 }
  const first = host.resume('a', { properties }).subscribe('t/#', 1)
  const taken = new Set<string>(first.payloads())
  first.cut()
  for (const payload of host.resume('a', { properties }).drain()) taken.add(payload)
  t.same(sorted([...taken]), numbers(500))
  const client = host.resume('a')
  t.same(client.drain(), [], 'and only once more')
})

t.test('a restart in the middle: the client still gets all of them', async (t) => {
  let host = retaining(500)
  const properties = { receiveMaximum: 10 }
  const taken = new Set<string>(host.resume('a', { properties }).subscribe('t/#', 1).payloads())
  host = host.crash()
  for (const payload of host.resume('a', { properties }).drain()) taken.add(payload)
  t.same(sorted([...taken]), numbers(500))
})

t.test('a slow socket in the middle: nothing is dropped, the rest comes when it has room', async (t) => {
  for (const qos of [0, 1] as const) {
    const host = retaining(500, { limits: { retainedPerTurn: 50 } })
    const client = host.connect('a')
    const options = { topicFilter: 't/#', qos, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
    client.send({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions: [options], properties: {} })
    host.turn()
    client.link.stalledBytes = 2 * DEFAULT_LIMITS.outputBufferBytesMax
    host.settle()
    const sent = host.core.counters.publishesSent
    t.ok(sent < 500, `${sent} before the stall`)
    t.equal(host.core.counters.dropped['slow-consumer'], 0)
    client.link.stalledBytes = 0
    host.core.drained(client.connection, host.clock.nowMs())
    t.same(sorted(client.drain()), numbers(500), `QoS ${qos}`)
  }
})

t.test('unsubscribing in the middle ends it', async (t) => {
  const host = retaining(500)
  const client = host.connect('a', { properties: { receiveMaximum: 10 } }).subscribe('t/#', 1)
  client.unsubscribe('t/#')
  t.ok(client.drain().length < 20)
})

t.test('subscribing again in the middle starts over once, with the new QoS', async (t) => {
  const host = retaining(500)
  const client = host.connect('a', { properties: { receiveMaximum: 10 } }).subscribe('t/#', 1)
  const before = client.take('PUBLISH')
  client.subscribe('t/#', 0)
  const after = takeAll(client, before)
  t.equal(after.filter(({ qos }) => qos === 0).length, 500)
  t.ok(before.length + after.length < 520, 'what the old subscription had not sent, it does not send')
})

t.test('subscribing again with Retain Handling 1 in the middle goes on where it was, with the new QoS', async (t) => {
  const host = retaining(500)
  const client = host.connect('a', { properties: { receiveMaximum: 10 } }).subscribe('t/#', 1)
  const taken = client.take('PUBLISH')
  client.subscribe('t/#', 0, { retainHandling: 1 })
  const rest = takeAll(client, taken)
  t.equal(taken.length + rest.length, 500)
  t.ok(rest.filter(({ qos }) => qos === 1).length <= 1, 'at most the one that already waited has the old QoS')
})

t.test('retained messages are limited in number and bytes: 0x97, replacing and clearing stay possible', async (t) => {
  const host = testBroker({ limits: { retainedMessagesMax: 2, retainedBytesMax: 20 } })
  const client = host.connect('a')
  const live = host.connect('live').subscribe('#', 0)
  const retain = (topicName: string, payload: string) => {
    client.publish(topicName, payload, 1, { retain: true })
    host.settle()
    return client.take('PUBACK')[0]?.reasonCode
  }
  t.equal(retain('a', 'x'), 0)
  t.equal(retain('b', 'x'), 0)
  t.equal(retain('c', 'x'), ReasonCode.QUOTA_EXCEEDED)
  t.same(live.payloads(), ['x', 'x'], 'what is refused reaches nobody')
  t.equal(retain('a', 'y'.repeat(10)), 0, 'replacing')
  t.equal(retain('a', 'y'.repeat(30)), ReasonCode.QUOTA_EXCEEDED)
  t.equal(retain('b', ''), 0)
  t.equal(retain('c', 'x'), 0)
  t.equal(host.core.retainedCount, 2)
})

t.test('a Will does not get past the limit of retained messages', async (t) => {
  const host = testBroker({ limits: { retainedMessagesMax: 1 } })
  const live = host.connect('live').subscribe('#', 0)
  for (const topicName of ['w/1', 'w/2', 'w/3']) {
    const will = { topicName, payload: new Uint8Array([1]), qos: 1 as const, retain: true, properties: {} }
    host.connect('a', { will }).cut()
  }
  t.equal(host.core.retainedCount, 1)
  t.equal(live.take('PUBLISH').length, 3, 'live subscribers get it all the same')
})

t.test('a filter that begins with a wildcard finds no retained $-topic', async (t) => {
  const host = testBroker()
  host.connect('publisher').publish('$x/y', 'x', 1, { retain: true })
  host.settle()
  t.same(host.connect('a').subscribe('#', 1).subscribe('+/y', 1).take('PUBLISH'), [])
  t.same(host.connect('b').subscribe('$x/#', 1).payloads(), ['x'])
})

t.test('bodies come back from disk after a checkpoint', async (t) => {
  const host = retaining(50)
  host.core.checkpoint()
  host.settle()
  t.same(sorted(host.connect('a').subscribe('t/#', 1).drain()), numbers(50))
  t.same(sorted(host.crash().connect('a').subscribe('t/#', 1).drain()), numbers(50))
})
