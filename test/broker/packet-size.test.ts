/** The client's Maximum Packet Size: nothing larger is sent, the rest flows on [v5 MQTT-3.1.2-24, 3.1.2-25]. */
import t from 'tap'
import { PacketType } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { testBroker } from '../support/test-broker.js'

const SMALL = { properties: { maximumPacketSize: 100 } }
const LARGE = 'x'.repeat(200)

t.test('a message too large for one subscriber is dropped for it and counted, others get it', async (t) => {
  for (const qos of [0, 1, 2] as const) {
    const host = testBroker()
    const small = host.connect('small', SMALL).subscribe('t', qos)
    const other = host.connect('other').subscribe('t', qos)
    const publisher = host.connect('publisher')
    publisher.publish('t', LARGE, qos)
    publisher.publish('t', 'fits', qos)
    t.same(small.drain(), ['fits'], `QoS ${qos}`)
    t.same(other.drain(), [LARGE, 'fits'])
    t.equal(host.core.counters.dropped['too-large'], 1)
    if (qos === 1) t.equal(publisher.take('PUBACK')[0]?.reasonCode, 0)
  }
})

t.test('one that waits in the queue does not stop the others, and the client is told', async (t) => {
  const host = testBroker()
  host.resume('a').subscribe('t', 1).cut()
  const publisher = host.connect('publisher')
  publisher.publish('t', LARGE, 1)
  publisher.publish('t', 'fits', 1)
  host.settle()
  const small = host.resume('a', SMALL)
  t.same(small.drain(), ['fits'])
  small.cut()
  t.same(host.crash().resume('a').take('CONNACK')[0]?.resume, {
    queuedMessages: 0,
    lost: [{ reason: 'too-large', messages: 1 }],
  })
})

t.test('one in flight that the new connection cannot take ends; what is behind it comes', async (t) => {
  for (const qos of [1, 2] as const) {
    const host = testBroker()
    host.resume('a').subscribe('t', qos)
    const publisher = host.connect('publisher')
    publisher.publish('t', LARGE, qos)
    publisher.publish('t', 'fits', qos)
    host.settle()
    const small = host.resume('a', SMALL)
    t.match(small.take('PUBLISH'), [{ packetId: 2, dup: true }], `QoS ${qos}`)
    t.equal(host.core.counters.dropped['too-large'], 1)
    const next = host.crash().resume('a')
    t.equal(next.take('CONNACK')[0]?.resume?.queuedMessages, 1)
    t.match(next.take('PUBLISH'), [{ packetId: 2, dup: true }])
  }
})

t.test('a retained message too large is passed over', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  for (const [topicName, payload] of [
    ['t/1', 'one'],
    ['t/2', LARGE],
    ['t/3', 'three'],
  ] as const)
    publisher.publish(topicName, payload, 1, { retain: true })
  host.settle()
  for (const qos of [0, 1] as const) {
    t.same(host.connect('a', SMALL).subscribe('t/#', qos).drain(), ['one', 'three'])
  }
})

t.test('acknowledgements still flow to a client that takes little, without their sentence', async (t) => {
  const host = testBroker()
  const bare = { type: PacketType.PUBACK, packetId: 1, reasonCode: 0x87, properties: null }
  const client = host.connect('a', { properties: { maximumPacketSize: JSON.stringify(bare).length } })
  client.publish('$SYS/x', 'x', 1, { packetId: 1 })
  host.settle()
  t.same(client.take('PUBACK'), [bare])
})

t.test('a client that wants no problem information gets codes without sentences, except where it must', async (t) => {
  const host = testBroker()
  const client = host.connect('a', { properties: { requestProblemInformation: 0 } })
  client.publish('$SYS/x', 'x', 1)
  client.publish('$SYS/x', 'x', 2)
  host.settle()
  t.match(client.take('PUBACK'), [{ properties: null }])
  t.match(client.take('PUBREC'), [{ properties: null }])
  const talkative = host.connect('b')
  talkative.publish('$SYS/x', 'x', 1)
  host.settle()
  t.ok((talkative.take('PUBACK')[0]?.properties?.reasonString?.length ?? 0) > 10)
  const old = host.connect('c', { protocolLevel: 4 })
  old.publish('$SYS/x', 'x', 1)
  host.settle()
  t.match(old.take('PUBACK'), [{ properties: null }])
})

t.test('a CONNACK that does not fit is not sent, and the session is left as it was', async (t) => {
  const host = testBroker()
  host.resume('a').subscribe('t', 1).cut()
  const narrow = host.connect('a', { properties: { maximumPacketSize: 19 } })
  t.same(narrow.take('CONNACK'), [])
  t.equal(narrow.link.closedWith?.reasonCode, ReasonCode.PACKET_TOO_LARGE)
  t.equal(host.resume('a').take('CONNACK')[0]?.sessionPresent, true)
})

t.test('a SUBACK or UNSUBACK that does not fit is not sent; what was granted is granted', async (t) => {
  const host = testBroker()
  const client = host.connect('a', SMALL)
  const filters = Array.from({ length: 60 }, (_, index) => `t/${index}`)
  const request = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
  const subscriptions = filters.map((topicFilter) => ({ topicFilter, ...request }))
  client.send({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions, properties: {} })
  host.settle()
  t.same(client.take('SUBACK'), [])
  t.equal(host.core.subscriptionCount, 60)
  t.equal(client.subscribe('few').take('SUBACK').length, 1)
  client.unsubscribe(...filters)
  t.same(client.take('UNSUBACK'), [])
  t.equal(host.core.subscriptionCount, 1)
})

t.test('Server Reference stays when only the sentence is too long', async (t) => {
  const host = testBroker()
  const client = host.connect('a', { properties: { maximumPacketSize: 90 } })
  host.core.drain(host.clock.nowMs(), 'b.example')
  t.same(client.take('DISCONNECT')[0]?.properties, { serverReference: 'b.example' })
})

t.test('a packet that fits only without a new topic alias goes without one', async (t) => {
  for (const qos of [0, 1] as const) {
    const host = testBroker()
    const size = (payload: string) => payload.length + 'topic'.length + 8
    const room = size('x'.repeat(90))
    const client = host.connect('a', { properties: { topicAliasMaximum: 4, maximumPacketSize: room } })
    // This link does not count the alias; the wire does.
    const { link } = client
    const measure = link.publicationSize.bind(link)
    link.publicationSize = (publication, delivery) =>
      measure(publication, delivery) + (delivery.topicAlias === 0 ? 0 : 3)
    client.subscribe('topic', qos)
    const publisher = host.connect('p')
    for (const length of [90, 88, 87, 90]) publisher.publish('topic', 'x'.repeat(length), qos)
    host.settle()
    const published = client.take('PUBLISH')
    t.same(
      published.map(({ topicName, properties }) => [topicName, properties?.topicAlias ?? 0]),
      [
        ['topic', 0],
        ['topic', 0],
        ['topic', qos === 0 ? 3 : 1],
        ['topic', 0],
      ],
      `QoS ${qos}`,
    )
  }
})
