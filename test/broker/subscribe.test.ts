/** SUBSCRIBE and UNSUBSCRIBE: codes per filter, validation, limits, replacement [v5 3.8, 3.10, 4.7, 4.8]. */
import t from 'tap'
import { PacketType, type SubscriptionRequest } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { ALLOW_ALL, type TestClient, testBroker } from '../support/test-broker.js'

const request = (topicFilter: string, options: Partial<SubscriptionRequest> = {}): SubscriptionRequest => ({
  topicFilter,
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
  ...options,
})

function subscribeAll(client: TestClient, ...subscriptions: SubscriptionRequest[]): void {
  client.send({ type: PacketType.SUBSCRIBE, packetId: 9, subscriptions, properties: {} })
  client.host.settle()
}

function codesOf(client: TestClient, ...subscriptions: SubscriptionRequest[]): readonly number[] | undefined {
  subscribeAll(client, ...subscriptions)
  return client.take('SUBACK')[0]?.reasonCodes
}

t.test('SUBACK has one code per filter in order, and refused filters do not spoil the others', async (t) => {
  const host = testBroker()
  const client = host.connect('a')
  subscribeAll(client, request('a', { qos: 0 }), request('b/#/c'), request('c', { qos: 1 }), request('d', { qos: 2 }))
  t.match(client.take('SUBACK'), [{ packetId: 9, reasonCodes: [0, ReasonCode.TOPIC_FILTER_INVALID, 1, 2] }])
  t.equal(host.core.subscriptionCount, 3)
})

t.test('malformed filters are refused with 0x8F, odd ones are not', async (t) => {
  const host = testBroker({ limits: { topicBytesMax: 20, topicLevelsMax: 4 } })
  const client = host.connect('a')
  const bad = [
    'a#',
    '#/a',
    'a/#/b',
    'a+',
    '+a/b',
    'a/b+/c',
    '$share',
    '$share/',
    '$share//t',
    '$share/g',
    '$share/g/',
    '$share/g+/t',
    '$share/g#/t',
    '$share/g/a#',
    'x'.repeat(21),
    'a/b/c/d/e',
  ]
  for (const topicFilter of bad) {
    t.same(codesOf(client, request(topicFilter)), [ReasonCode.TOPIC_FILTER_INVALID], topicFilter)
  }
  const good = ['/', '//', '+', '#', '+/+', '/#', ' ', '$share/g/#', '$share/g//', '$SYS/#', 'x'.repeat(20)]
  for (const topicFilter of good) t.same(codesOf(client, request(topicFilter)), [1], topicFilter)
})

t.test('No Local on a shared subscription is a Protocol Error, and nothing of that packet is kept', async (t) => {
  const host = testBroker()
  const client = host.resume('a')
  subscribeAll(client, request('before'), request('$share/g/t', { noLocal: true }))
  t.equal(client.take('DISCONNECT')[0]?.reasonCode, ReasonCode.PROTOCOL_ERROR)
  t.equal(host.core.subscriptionCount, 0)
  t.equal(host.crash().core.subscriptionCount, 0)
})

t.test('subscriptions per session are limited: 0x97 for the one too many, replacing stays possible', async (t) => {
  const host = testBroker({ limits: { subscriptionsPerSessionMax: 2 } })
  const client = host.connect('a')
  t.same(codesOf(client, request('a'), request('b'), request('c')), [1, 1, ReasonCode.QUOTA_EXCEEDED])
  t.same(codesOf(client, request('a', { qos: 2 })), [2])
  client.unsubscribe('b')
  t.same(codesOf(client, request('c')), [1])
  t.same(codesOf(host.connect('b'), request('c')), [1], 'another session has its own')
})

t.test('too many filters in one packet close the connection with 0x97', async (t) => {
  const host = testBroker({ limits: { filtersPerPacketMax: 2 } })
  const client = host.connect('a')
  t.same(codesOf(client, request('a'), request('b')), [1, 1])
  subscribeAll(client, request('a'), request('b'), request('c'))
  t.equal(client.take('DISCONNECT')[0]?.reasonCode, ReasonCode.QUOTA_EXCEEDED)
  const other = host.connect('b')
  other.unsubscribe('a', 'b', 'c')
  t.equal(other.take('DISCONNECT')[0]?.reasonCode, ReasonCode.QUOTA_EXCEEDED)
})

t.test('a filter that may not be subscribed is refused with 0x87; a share asks for its filter', async (t) => {
  const asked: string[] = []
  const host = testBroker({
    access: {
      ...ALLOW_ALL,
      allowsEverything: false,
      authorize: (_who, action, topic) => {
        asked.push(`${action} ${topic}`)
        return topic !== 'secret/#'
      },
    },
  })
  const client = host.connect('a')
  t.same(
    codesOf(client, request('secret/#'), request('$share/g/secret/#'), request('$share/g/open/#')),
    [0x87, 0x87, 1],
  )
  t.same(asked, ['subscribe secret/#', 'subscribe secret/#', 'subscribe open/#'])
})

t.test('subscribing again replaces: new QoS, identifier and options, still one copy', async (t) => {
  const host = testBroker()
  const client = host.connect('a').subscribe('t', 2, { identifier: 1 }).subscribe('t', 0, { identifier: 2 })
  t.equal(host.core.subscriptionCount, 1)
  host.connect('b').publish('t', 'x', 2)
  host.settle()
  const publishes = client.take('PUBLISH')
  t.equal(publishes.length, 1)
  t.equal(publishes[0]?.qos, 0)
  t.same(publishes[0]?.properties?.subscriptionIdentifiers, [2])
  client.subscribe('t', 1)
  host.connect('b').publish('t', 'y', 2)
  host.settle()
  t.match(client.take('PUBLISH'), [{ qos: 1, properties: null }])
})

t.test('the same filter shared and not shared are two subscriptions', async (t) => {
  const host = testBroker()
  const client = host.connect('a').subscribe('t').subscribe('$share/g/t').subscribe('$share/h/t')
  t.equal(host.core.subscriptionCount, 3)
  host.connect('b').publish('t', 'x')
  host.settle()
  t.equal(client.take('PUBLISH').length, 3)
  client.unsubscribe('$share/g/t')
  t.same(client.take('UNSUBACK')[0]?.reasonCodes, [0])
  t.equal(host.core.subscriptionCount, 2)
})

t.test('UNSUBACK: success, 0x11 for what was not there, 0x8F for what cannot be', async (t) => {
  const host = testBroker()
  const client = host.connect('a').subscribe('t').subscribe('$share/g/t')
  client.unsubscribe('t', 't', 'T', '$share/g/t', '$share/h/t', 'a#b', '$share/g')
  t.same(client.take('UNSUBACK')[0]?.reasonCodes, [0, 0x11, 0x11, 0, 0x11, 0x8f, 0x8f])
  t.equal(host.core.subscriptionCount, 0)
})

t.test('unsubscribing wants the same characters, not a filter that matches the same', async (t) => {
  const host = testBroker()
  const client = host.connect('a').subscribe('t/+')
  client.unsubscribe('t/#', 't/x')
  t.same(client.take('UNSUBACK')[0]?.reasonCodes, [0x11, 0x11])
  t.equal(host.core.subscriptionCount, 1)
})

t.test('after UNSUBACK nothing new is sent; what was in flight is finished', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const client = host.resume('a').subscribe('t', 2)
  publisher.publish('t', 'before', 2)
  host.settle()
  client.unsubscribe('t')
  publisher.publish('t', 'after', 2)
  host.settle()
  const publishes = client.take('PUBLISH')
  t.equal(publishes.length, 1)
  client.ack(PacketType.PUBREC, publishes[0]?.packetId ?? 0)
  host.settle()
  t.equal(client.take('PUBREL').length, 1)
})

t.test('SUBACK and UNSUBACK wait for their commit, and a restart knows what they said', async (t) => {
  const host = testBroker()
  const client = host.resume('a')
  client.send({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions: [request('t')], properties: {} })
  host.turn()
  t.same(client.take('SUBACK'), [])
  host.settle()
  t.equal(client.take('SUBACK').length, 1)
  t.equal(host.crash().core.subscriptionCount, 1)
})

t.test('MQTT 3.1.1 gets RETAIN 0 on live messages and all retained ones at each SUBSCRIBE', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const client = host.connect('a', { protocolLevel: 4 })
  client.subscribe('t', 1, { retainAsPublished: true, retainHandling: 2 })
  publisher.publish('t', 'x', 1, { retain: true })
  host.settle()
  t.match(client.take('PUBLISH'), [{ retain: false }])
  client.subscribe('t', 1, { retainHandling: 2 })
  t.match(client.take('PUBLISH'), [{ retain: true }])
})
