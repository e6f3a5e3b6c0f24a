/** QoS 1 and 2 in both directions: packet identifiers, refusals, unknown ids, ranges, duplicates [v5 4.3, 4.4, 4.6]. */
import t from 'tap'
import { PacketType } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { ALLOW_ALL, testBroker } from '../support/test-broker.js'

t.test('in: a packet id is free again after PUBCOMP, and names a new message then', async (t) => {
  const host = testBroker()
  const consumer = host.connect('consumer').subscribe('t', 2)
  const publisher = host.resume('publisher')
  for (const payload of ['one', 'two']) {
    publisher.publish('t', payload, 2, { packetId: 7 })
    host.settle()
    t.match(publisher.take('PUBREC'), [{ packetId: 7, reasonCode: 0 }])
    publisher.ack(PacketType.PUBREL, 7)
    host.settle()
    t.match(publisher.take('PUBCOMP'), [{ packetId: 7, reasonCode: 0 }])
  }
  t.same(consumer.drain(), ['one', 'two'])
  t.equal(host.core.counters.duplicatesRefused, 0)
})

t.test('in: QoS 2 with the same id before PUBREL is the same message, with DUP or without', async (t) => {
  const host = testBroker()
  const consumer = host.connect('consumer').subscribe('t', 2)
  let publisher = host.resume('publisher')
  publisher.publish('t', 'one', 2, { packetId: 7 })
  host.settle()
  publisher.publish('t', 'one', 2, { packetId: 7, dup: true })
  publisher.publish('t', 'other', 2, { packetId: 7 })
  host.settle()
  t.equal(publisher.take('PUBREC').length, 3)
  publisher.cut()
  publisher = host.resume('publisher')
  publisher.publish('t', 'one', 2, { packetId: 7, dup: true })
  host.settle()
  t.equal(publisher.take('PUBREC').length, 1)
  t.same(consumer.drain(), ['one'])
  t.equal(host.core.counters.duplicatesRefused, 3)
})

t.test('in: a QoS 2 message that was refused may be sent again under its id, and then counts', async (t) => {
  let isAllowed = false
  const access = { ...ALLOW_ALL, allowsEverything: false, authorize: () => isAllowed }
  const host = testBroker({ access })
  const publisher = host.resume('publisher')
  publisher.publish('t', 'one', 2, { packetId: 7 })
  host.settle()
  t.match(publisher.take('PUBREC'), [{ packetId: 7, reasonCode: ReasonCode.NOT_AUTHORIZED }])
  isAllowed = true
  const consumer = host.connect('consumer').subscribe('t', 2)
  publisher.publish('t', 'one', 2, { packetId: 7 })
  host.settle()
  t.match(publisher.take('PUBREC'), [{ packetId: 7, reasonCode: 0 }])
  t.same(consumer.drain(), ['one'])
})

t.test('in: PUBREL for an unknown id is answered with PUBCOMP 0x92', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  publisher.ack(PacketType.PUBREL, 99)
  host.settle()
  t.match(publisher.take('PUBCOMP'), [{ packetId: 99, reasonCode: ReasonCode.PACKET_IDENTIFIER_NOT_FOUND }])
})

t.test('in: PUBREL again in a resumed session, as PUBCOMP got lost, is answered with success', async (t) => {
  const host = testBroker()
  const first = host.resume('publisher')
  first.publish('t', 'one', 2, { packetId: 7 })
  host.settle()
  first.ack(PacketType.PUBREL, 7)
  first.cut()
  host.settle()
  const second = host.resume('publisher')
  second.ack(PacketType.PUBREL, 7)
  host.settle()
  t.match(second.take('PUBCOMP'), [{ packetId: 7, reasonCode: ReasonCode.SUCCESS }])
})

t.test('in: QoS 1 with DUP is a new message', async (t) => {
  const host = testBroker()
  const consumer = host.connect('consumer').subscribe('t', 1)
  const publisher = host.connect('publisher')
  publisher.publish('t', 'one', 1, { packetId: 7 })
  publisher.publish('t', 'one', 1, { packetId: 7, dup: true })
  host.settle()
  t.equal(publisher.take('PUBACK').length, 2)
  t.match(consumer.take('PUBLISH'), [{ dup: false }, { dup: false }], 'DUP is not passed on')
})

t.test('in: acknowledgements come in the order of the publications', async (t) => {
  const host = testBroker()
  host.connect('consumer').subscribe('t', 2)
  const publisher = host.connect('publisher')
  const ids = [5, 3, 9, 1]
  for (const packetId of ids) publisher.publish('t', 'x', 1, { packetId })
  for (const packetId of ids) publisher.publish('t', 'x', 2, { packetId: packetId + 100 })
  host.settle()
  t.same(
    publisher.take('PUBACK').map(({ packetId }) => packetId),
    ids,
  )
  t.same(
    publisher.take('PUBREC').map(({ packetId }) => packetId - 100),
    ids,
  )
})

t.test('out: packet ids count on, wrap from 65535 to 1, and pass over those in use', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const consumer = host.connect('consumer').subscribe('t', 1)
  publisher.publish('t', 'held', 1)
  host.settle()
  t.equal(consumer.take('PUBLISH')[0]?.packetId, 1)
  for (let sent = 2; sent <= 65_535; ) {
    for (let batch = 0; batch < 1_000 && sent <= 65_535; batch += 1, sent += 1) publisher.publish('t', 'x', 1)
    host.settle()
    for (const { packetId } of consumer.take('PUBLISH')) consumer.ack(PacketType.PUBACK, packetId)
    publisher.link.arrived = []
  }
  publisher.publish('t', 'x', 1)
  host.settle()
  t.equal(consumer.take('PUBLISH')[0]?.packetId, 2, '1 is still in flight')
})

t.test('out: a range of acknowledgements ends each of its deliveries, also across 65535', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const consumer = host.resume('consumer').subscribe('t', 1)
  const publishUpTo = (count: number) => {
    for (let index = 0; index < count; index += 1) publisher.publish('t', `${index}`, 1)
    host.settle()
    publisher.link.arrived = []
  }
  for (let first = 1; first + 3_999 < 65_530; first += 4_000) {
    publishUpTo(4_000)
    const ids = consumer.take('PUBLISH').map(({ packetId }) => packetId)
    consumer.send({
      type: PacketType.PUBACK,
      packetId: ids[0] ?? 0,
      lastPacketId: ids.at(-1) ?? 0,
      reasonCode: 0,
      properties: null,
    })
  }
  t.equal(host.core.counters.deliveriesAcknowledged, 64_000)
  publishUpTo(2_000)
  const ids = consumer.take('PUBLISH').map(({ packetId }) => packetId)
  t.equal(ids[0], 64_001)
  t.equal(ids.at(-1), 465)
  consumer.send({ type: PacketType.PUBACK, packetId: 64_001, lastPacketId: 465, reasonCode: 0, properties: null })
  host.settle()
  t.equal(host.core.counters.deliveriesAcknowledged, 66_000)
  consumer.cut()
  t.equal(host.resume('consumer').take('CONNACK')[0]?.resume?.queuedMessages, 0)
})

t.test('out: ranges of PUBREC and PUBCOMP, with an id among them that is not in flight', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const consumer = host.resume('consumer').subscribe('t', 2)
  for (let index = 0; index < 3; index += 1) publisher.publish('t', `${index}`, 2)
  host.settle()
  const range = { packetId: 1, lastPacketId: 4, reasonCode: 0, properties: null }
  consumer.send({ type: PacketType.PUBREC, ...range })
  host.settle()
  t.same(
    consumer.take('PUBREL').map(({ packetId, reasonCode }) => [packetId, reasonCode]),
    [
      [1, 0],
      [2, 0],
      [3, 0],
      [4, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND],
    ],
  )
  consumer.send({ type: PacketType.PUBCOMP, ...range })
  host.settle()
  t.equal(host.core.counters.deliveriesAcknowledged, 3)
})

t.test('ranges that name nothing, again and again, are a Protocol Error; a whole range once is not', async (t) => {
  for (const type of [PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBREL, PacketType.PUBCOMP]) {
    const host = testBroker()
    const client = host.connect('a')
    const everything = { type, packetId: 1, lastPacketId: 65_535, reasonCode: 0, properties: null }
    client.send(everything)
    t.equal(client.connection.state, 'connected', `packet type ${type}`)
    client.send(everything)
    host.settle()
    t.equal(client.take('DISCONNECT')[0]?.reasonCode, ReasonCode.PROTOCOL_ERROR, `packet type ${type}`)
  }
})

t.test('out: a PUBREC that takes a message and one that then refuses it end the exchange for good', async (t) => {
  const host = testBroker()
  const consumer = host.resume('consumer').subscribe('t', 2)
  host.connect('publisher').publish('t', 'one', 2)
  host.settle()
  consumer.ack(PacketType.PUBREC, 1)
  consumer.ack(PacketType.PUBREC, 1, ReasonCode.UNSPECIFIED_ERROR)
  host.settle()
  const again = host.crash().resume('consumer')
  t.equal(again.take('CONNACK')[0]?.resume?.queuedMessages, 0)
  t.same(again.take('PUBREL'), [])
})

t.test('in: a range of PUBREL is answered id by id', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  for (const packetId of [65_534, 65_535, 1]) publisher.publish('t', 'x', 2, { packetId })
  host.settle()
  publisher.send({ type: PacketType.PUBREL, packetId: 65_534, lastPacketId: 2, reasonCode: 0, properties: null })
  host.settle()
  t.same(
    publisher.take('PUBCOMP').map(({ packetId, reasonCode }) => [packetId, reasonCode]),
    [
      [65_534, 0],
      [65_535, 0],
      [1, 0],
      [2, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND],
    ],
  )
})

t.test('out: PUBREC with an error ends the exchange: no PUBREL, no resend, the id is free', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const consumer = host.resume('consumer', { properties: { receiveMaximum: 1 } }).subscribe('t', 2)
  publisher.publish('t', 'one', 2)
  publisher.publish('t', 'two', 2)
  host.settle()
  t.same(consumer.payloads(), ['one'])
  consumer.ack(PacketType.PUBREC, 1, ReasonCode.QUOTA_EXCEEDED)
  host.settle()
  t.same(consumer.take('PUBREL'), [])
  t.same(consumer.payloads(), ['two'], 'its place in the window is free')
  t.same(host.crash().resume('consumer').payloads(), ['two'])
})

t.test('out: PUBACK with an error ends the delivery too', async (t) => {
  const host = testBroker()
  const consumer = host.resume('consumer').subscribe('t', 1)
  host.connect('publisher').publish('t', 'one', 1)
  host.settle()
  consumer.ack(PacketType.PUBACK, 1, ReasonCode.UNSPECIFIED_ERROR)
  host.settle()
  t.same(host.crash().resume('consumer').take('CONNACK')[0]?.resume?.queuedMessages, 0)
})

t.test('out: acknowledgements of the wrong kind, or twice, change nothing', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const consumer = host
    .resume('consumer', { properties: { receiveMaximum: 2 } })
    .subscribe('q1', 1)
    .subscribe('q2', 2)
  publisher.publish('q1', 'one', 1)
  publisher.publish('q2', 'two', 2)
  publisher.publish('q1', 'three', 1)
  host.settle()
  t.same(consumer.payloads(), ['one', 'two'])
  consumer.ack(PacketType.PUBACK, 2)
  consumer.ack(PacketType.PUBCOMP, 1)
  consumer.ack(PacketType.PUBCOMP, 2)
  consumer.ack(PacketType.PUBREC, 1)
  consumer.ack(PacketType.PUBACK, 1_000)
  host.settle()
  t.match(consumer.take('PUBREL'), [{ packetId: 1, reasonCode: ReasonCode.PACKET_IDENTIFIER_NOT_FOUND }])
  t.same(consumer.payloads(), [], 'the window is still full')
  consumer.ack(PacketType.PUBACK, 1)
  consumer.ack(PacketType.PUBACK, 1)
  host.settle()
  t.same(consumer.payloads(), ['three'])
  consumer.ack(PacketType.PUBREC, 2)
  consumer.ack(PacketType.PUBREC, 2)
  host.settle()
  t.equal(consumer.take('PUBREL').length, 2, 'each PUBREC is answered')
  consumer.ack(PacketType.PUBCOMP, 2)
  consumer.ack(PacketType.PUBCOMP, 2)
  host.settle()
  t.equal(host.core.counters.deliveriesAcknowledged, 2)
})

t.test('out: nothing is sent again on a living connection', async (t) => {
  const host = testBroker()
  const consumer = host.resume('consumer').subscribe('t', 2)
  host.connect('publisher').publish('t', 'one', 2)
  host.settle()
  consumer.link.arrived = []
  host.advance(3_600_000)
  t.same(consumer.link.arrived, [])
})

t.test('out: resent PUBLISH and PUBREL keep the order of the first time', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const consumer = host.resume('consumer').subscribe('t', 2)
  for (let index = 1; index <= 6; index += 1) publisher.publish('t', `${index}`, index % 2 === 0 ? 1 : 2)
  host.settle()
  for (const packetId of [3, 5]) consumer.ack(PacketType.PUBREC, packetId)
  host.settle()
  consumer.cut()
  publisher.publish('t', '7', 2)
  host.settle()
  const again = host.resume('consumer')
  t.same(
    again.link.arrived.slice(1).map((packet) => [packet.type, 'packetId' in packet ? packet.packetId : 0]),
    [
      [PacketType.PUBLISH, 1],
      [PacketType.PUBLISH, 2],
      [PacketType.PUBREL, 3],
      [PacketType.PUBLISH, 4],
      [PacketType.PUBREL, 5],
      [PacketType.PUBLISH, 6],
      [PacketType.PUBLISH, 7],
    ],
  )
  t.same(
    again.take('PUBLISH').map(({ dup }) => dup),
    [true, true, true, true, false],
  )
})

t.test('out: delivery sequence has no gaps, and a message has one id for all who get it', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const a = host.resume('a').subscribe('t/#', 2)
  const b = host.resume('b').subscribe('t/+', 1)
  for (let index = 0; index < 4; index += 1) publisher.publish(`t/${index}`, `${index}`, 2)
  host.settle()
  const ofA = a.take('PUBLISH')
  const ofB = b.take('PUBLISH')
  t.same(
    ofA.map(({ deliverySequence }) => deliverySequence),
    [1, 2, 3, 4],
  )
  t.same(
    ofB.map(({ messageId }) => messageId),
    ofA.map(({ messageId }) => messageId),
  )
})
