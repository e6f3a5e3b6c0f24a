/**
 * Matching, seen through the whole broker: overlaps, No Local, Retain As Published, `$`-topics, who may publish where.
 */
import t from 'tap'
import type { PublishProperties } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { testBroker } from '../support/test-broker.js'

t.test('filters and topics match as the standard’s own examples say', async (t) => {
  const cases: readonly [filter: string, topic: string, isMatch: boolean][] = [
    ['sport/tennis/player1/#', 'sport/tennis/player1', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
    ['sport/#', 'sport', true],
    ['sport/tennis/+', 'sport/tennis/player1', true],
    ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+/+', '/finance', true],
    ['/+', '/finance', true],
    ['+', '/finance', false],
    ['ACCOUNTS', 'accounts', false],
    ['/finance', 'finance', false],
    ['/', '/', true],
    ['+/+', '/', true],
    ['#', '/', true],
    ['a//b', 'a/b', false],
    ['a/+/b', 'a//b', true],
    ['#', '$data/x', false],
    ['+/x', '$data/x', false],
    ['$data/#', '$data/x', true],
    ['$data/+', '$data/x', true],
    ['mañana/ü', 'mañana/ü', true],
  ]
  for (const [topicFilter, topicName, isMatch] of cases) {
    for (const qos of [0, 1] as const) {
      const host = testBroker()
      const client = host.connect('a').subscribe(topicFilter, qos)
      host.connect('b').publish(topicName, 'x', qos)
      host.settle()
      t.equal(client.take('PUBLISH').length, isMatch ? 1 : 0, `${topicFilter} and ${topicName} at QoS ${qos}`)
    }
  }
})

t.test('overlapping subscriptions: one copy at the highest QoS with every identifier', async (t) => {
  const host = testBroker()
  const client = host
    .connect('a')
    .subscribe('t/#', 0, { identifier: 3 })
    .subscribe('t/+', 2, { identifier: 1 })
    .subscribe('t/x', 1)
    .subscribe('#', 1, { identifier: 3 })
  host.connect('b').publish('t/x', 'x', 2)
  host.settle()
  const publishes = client.take('PUBLISH')
  t.equal(publishes.length, 1)
  t.equal(publishes[0]?.qos, 2)
  t.same([...(publishes[0]?.properties?.subscriptionIdentifiers ?? [])].sort(), [1, 3, 3])
})

t.test('the delivered QoS is the lower one of what was published and what was granted', async (t) => {
  for (const published of [0, 1, 2] as const) {
    for (const granted of [0, 1, 2] as const) {
      const host = testBroker()
      const client = host.connect('a').subscribe('t', granted)
      host.connect('b').publish('t', 'x', published)
      host.settle()
      const [publish] = client.take('PUBLISH')
      t.equal(publish?.qos, Math.min(published, granted), `${published} to ${granted}`)
      t.equal((publish?.packetId ?? 0) > 0, Math.min(published, granted) > 0)
    }
  }
})

t.test('subscription identifiers of other clients are not shown', async (t) => {
  const host = testBroker()
  const a = host.connect('a').subscribe('t', 1, { identifier: 1 })
  const b = host.connect('b').subscribe('t', 1, { identifier: 268_435_455 })
  const c = host.connect('c').subscribe('t', 1)
  host.connect('publisher').publish('t', 'x', 1)
  host.settle()
  t.same(a.take('PUBLISH')[0]?.properties?.subscriptionIdentifiers, [1])
  t.same(b.take('PUBLISH')[0]?.properties?.subscriptionIdentifiers, [268_435_455])
  t.equal(c.take('PUBLISH')[0]?.properties, null)
})

t.test('No Local: not to the publisher, to everybody else, and only through that subscription', async (t) => {
  for (const qos of [0, 1, 2] as const) {
    const host = testBroker()
    const own = host.connect('own').subscribe('t/#', qos, { noLocal: true, identifier: 1 })
    const other = host.connect('other').subscribe('t/#', qos, { noLocal: true })
    own.publish('t/x', 'mine', qos)
    host.settle()
    t.same(own.take('PUBLISH'), [], `QoS ${qos}`)
    t.same(other.payloads(), ['mine'])
    own.subscribe('t/x', qos, { identifier: 2 })
    own.publish('t/x', 'again', qos)
    host.settle()
    const publishes = own.take('PUBLISH')
    t.equal(publishes.length, 1, 'the overlapping subscription without No Local gets it')
    t.same(publishes[0]?.properties?.subscriptionIdentifiers, [2])
    other.publish('t/x', 'theirs', qos)
    host.settle()
    t.same([...(own.take('PUBLISH')[0]?.properties?.subscriptionIdentifiers ?? [])].sort(), [1, 2])
  }
})

t.test('No Local takes the QoS of the subscriptions that remain', async (t) => {
  const host = testBroker()
  const client = host.connect('a').subscribe('t/#', 2, { noLocal: true }).subscribe('t/x', 1)
  client.publish('t/x', 'x', 2)
  host.settle()
  t.match(client.take('PUBLISH'), [{ qos: 1 }])
})

t.test('Retain As Published keeps RETAIN, otherwise it is 0; also through the queue and a restart', async (t) => {
  let host = testBroker()
  for (const qos of [0, 1, 2] as const) {
    const keeps = host.connect('keeps').subscribe('t', qos, { retainAsPublished: true, retainHandling: 2 })
    const clears = host.connect('clears').subscribe('t', qos, { retainHandling: 2 })
    for (const retain of [true, false]) {
      host.connect('publisher').publish('t', 'x', qos, { retain })
      host.settle()
      t.match(keeps.take('PUBLISH'), [{ retain }])
      t.match(clears.take('PUBLISH'), [{ retain: false }])
    }
    keeps.disconnect()
  }
  host.resume('later').subscribe('t', 1, { retainAsPublished: true, retainHandling: 2 }).cut()
  host.connect('publisher').publish('t', 'x', 1, { retain: true })
  host.settle()
  host = host.crash()
  t.match(host.resume('later').take('PUBLISH'), [{ retain: true }])
})

t.test('publishing to $SYS or $share is refused with 0x87, to other $-topics not', async (t) => {
  const host = testBroker()
  const client = host.connect('a').subscribe('$SYS/#', 2).subscribe('$x/#', 2)
  client.publish('$SYS/x', 'x', 1)
  client.publish('$share/g/t', 'x', 2)
  client.publish('$SYS/x', 'x', 0)
  host.settle()
  t.match(client.take('PUBACK'), [{ reasonCode: ReasonCode.NOT_AUTHORIZED }])
  t.match(client.take('PUBREC'), [{ reasonCode: ReasonCode.NOT_AUTHORIZED }])
  t.same(client.take('PUBLISH'), [])
  t.equal(host.core.counters.publishesRefused, 3)
  client.publish('$x/y', 'x', 1)
  host.settle()
  t.same(client.payloads(), ['x'])
  t.equal(client.connection.state, 'connected')
})

t.test('a wildcard in a topic name closes with 0x90, an over-long name is refused alone', async (t) => {
  const host = testBroker({ limits: { topicBytesMax: 10, topicLevelsMax: 3 } })
  for (const topicName of ['a/+', 'a/#', '#']) {
    const client = host.connect('a')
    client.publish(topicName, 'x', 1)
    host.settle()
    t.equal(client.take('DISCONNECT')[0]?.reasonCode, ReasonCode.TOPIC_NAME_INVALID, topicName)
  }
  const client = host.connect('a')
  for (const topicName of ['x'.repeat(11), 'a/b/c/d']) {
    client.publish(topicName, 'x', 1)
    host.settle()
    t.equal(client.take('PUBACK')[0]?.reasonCode, ReasonCode.TOPIC_NAME_INVALID, topicName)
  }
  t.equal(client.connection.state, 'connected')
})

t.test('what the publisher said about the payload reaches every subscriber unchanged and in order', async (t) => {
  const properties: PublishProperties = {
    payloadFormatIndicator: 1,
    responseTopic: 'answers/here',
    correlationData: new Uint8Array([1, 2, 3]),
    contentType: 'text/plain',
    userProperties: [
      ['b', '1'],
      ['a', '2'],
      ['b', '1'],
    ],
  }
  for (const qos of [0, 1, 2] as const) {
    let host = testBroker()
    const live = host.connect('live').subscribe('t', qos)
    host.resume('later').subscribe('t', 2).cut()
    host.connect('publisher').publish('t', 'x', qos, { properties, retain: true })
    host.settle()
    t.same(live.take('PUBLISH')[0]?.properties, properties, `live, QoS ${qos}`)
    t.same(host.connect('retained').subscribe('t').take('PUBLISH')[0]?.properties, properties, `retained, QoS ${qos}`)
    host.core.checkpoint()
    host.settle()
    host = host.crash()
    t.same(host.connect('stored').subscribe('t').take('PUBLISH')[0]?.properties, properties, `from disk, QoS ${qos}`)
    if (qos > 0) t.same(host.resume('later').take('PUBLISH')[0]?.properties, properties, `queued, QoS ${qos}`)
  }
})

t.test('a client may not send a Subscription Identifier in PUBLISH: 0x82', async (t) => {
  for (const qos of [0, 1, 2] as const) {
    const host = testBroker()
    const client = host.connect('a').subscribe('t', 2)
    client.publish('t', 'x', qos, { properties: { subscriptionIdentifiers: [1] } })
    host.settle()
    t.equal(client.take('DISCONNECT')[0]?.reasonCode, ReasonCode.PROTOCOL_ERROR)
    t.same(client.take('PUBLISH'), [])
  }
})

t.test('a Response Topic has no wildcard, in PUBLISH and in a Will: 0x90', async (t) => {
  for (const responseTopic of ['a/+', 'a/#', '']) {
    const host = testBroker()
    const client = host.connect('a').subscribe('t', 2)
    client.publish('t', 'x', 1, { properties: { responseTopic } })
    host.settle()
    t.equal(client.take('DISCONNECT')[0]?.reasonCode, ReasonCode.TOPIC_NAME_INVALID, responseTopic)
    t.same(client.take('PUBLISH'), [])
    const will = { topicName: 'w', payload: new Uint8Array(0), qos: 0 as const, retain: false }
    const other = host.connect('b', { will: { ...will, properties: { responseTopic } } })
    t.equal(other.take('CONNACK')[0]?.reasonCode, ReasonCode.TOPIC_NAME_INVALID, responseTopic)
  }
})

t.test('nobody subscribed: 0x10, and the message is gone', async (t) => {
  const host = testBroker()
  const client = host.connect('a')
  client.publish('t', 'x', 1)
  client.publish('t', 'x', 2)
  host.settle()
  t.match(client.take('PUBACK'), [{ reasonCode: ReasonCode.NO_MATCHING_SUBSCRIBERS }])
  t.match(client.take('PUBREC'), [{ reasonCode: ReasonCode.NO_MATCHING_SUBSCRIBERS }])
})

t.test('an empty payload is a message like any other', async (t) => {
  const host = testBroker()
  const client = host.connect('a').subscribe('t', 1)
  client.publish('t', '', 1)
  client.publish('t', '', 0)
  host.settle()
  t.same(client.payloads(), ['', ''])
})
