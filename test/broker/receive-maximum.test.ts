/** How much may be unacknowledged, both ways [v5 3.1.2.11.3, 3.2.2.3.3, 4.9]. */
import t from 'tap'
import { PacketType } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { testBroker } from '../support/test-broker.js'

t.test('in: one publication too many is 0x93 and the close', async (t) => {
  for (const qos of [1, 2] as const) {
    const host = testBroker({ limits: { receiveMaximum: 3 } })
    host.connect('consumer').subscribe('t', 2)
    const publisher = host.connect('publisher')
    for (let index = 0; index < 3; index += 1) publisher.publish('t', 'x', qos)
    t.equal(publisher.connection.state, 'connected')
    publisher.publish('t', 'x', qos)
    host.settle()
    t.equal(publisher.take('DISCONNECT')[0]?.reasonCode, ReasonCode.RECEIVE_MAXIMUM_EXCEEDED, `QoS ${qos}`)
  }
})

t.test('in: QoS 0 does not count, and acknowledged ones make room', async (t) => {
  const host = testBroker({ limits: { receiveMaximum: 2 } })
  host.connect('consumer').subscribe('t', 2)
  const publisher = host.connect('publisher')
  for (let round = 0; round < 10; round += 1) {
    for (let index = 0; index < 5; index += 1) publisher.publish('t', 'x', 0)
    publisher.publish('t', 'x', 1)
    publisher.publish('t', 'x', 2, { packetId: 1_000 + round })
    host.settle()
    publisher.ack(PacketType.PUBREL, 1_000 + round)
    host.settle()
  }
  t.equal(publisher.connection.state, 'connected')
  t.equal(publisher.take('PUBACK').length, 10)
  t.equal(publisher.take('PUBCOMP').length, 10)
})

t.test('in: publications that nobody wants are acknowledged and make room too', async (t) => {
  const host = testBroker({ limits: { receiveMaximum: 2 } })
  const publisher = host.connect('publisher')
  for (let index = 0; index < 10; index += 1) {
    publisher.publish('nobody', 'x', 1)
    host.settle()
  }
  t.equal(publisher.connection.state, 'connected')
  t.equal(publisher.take('PUBACK').length, 10)
})

t.test('in: refused publications make room', async (t) => {
  const host = testBroker({ limits: { receiveMaximum: 2 } })
  const publisher = host.connect('publisher')
  for (let index = 0; index < 10; index += 1) {
    publisher.publish('$SYS/x', 'x', index % 2 === 0 ? 1 : 2)
    host.settle()
  }
  t.equal(publisher.connection.state, 'connected')
})

t.test('in: QoS 2 counts until PUBREL, whatever the commit', async (t) => {
  const host = testBroker({ limits: { receiveMaximum: 2 } })
  const publisher = host.connect('publisher')
  publisher.publish('t', 'x', 2)
  publisher.publish('t', 'x', 2)
  host.settle()
  publisher.publish('t', 'x', 1)
  host.settle()
  t.equal(publisher.take('DISCONNECT')[0]?.reasonCode, ReasonCode.RECEIVE_MAXIMUM_EXCEEDED)
})

t.test('in: a new connection begins with the full quota, whatever the session still holds', async (t) => {
  const host = testBroker({ limits: { receiveMaximum: 2 } })
  let publisher = host.resume('publisher')
  publisher.publish('t', 'x', 2, { packetId: 1 })
  publisher.publish('t', 'x', 2, { packetId: 2 })
  host.settle()
  publisher.cut()
  publisher = host.resume('publisher')
  publisher.publish('t', 'x', 2, { packetId: 3 })
  publisher.publish('t', 'x', 2, { packetId: 4 })
  host.settle()
  t.equal(publisher.connection.state, 'connected')
  publisher.publish('t', 'x', 2, { packetId: 5 })
  host.settle()
  t.equal(publisher.take('DISCONNECT')[0]?.reasonCode, ReasonCode.RECEIVE_MAXIMUM_EXCEEDED)
})

t.test('in: a duplicate does not count twice', async (t) => {
  const host = testBroker({ limits: { receiveMaximum: 1 } })
  const publisher = host.connect('publisher')
  publisher.publish('t', 'x', 2, { packetId: 1 })
  publisher.publish('t', 'x', 2, { packetId: 1, dup: true })
  host.settle()
  t.equal(publisher.connection.state, 'connected')
  t.equal(publisher.take('PUBREC').length, 2)
})

t.test(
  'out: never more in flight than the client takes; PUBACK, PUBCOMP and a refusing PUBREC make room',
  async (t) => {
    const host = testBroker()
    const publisher = host.connect('publisher')
    const consumer = host.resume('consumer', { properties: { receiveMaximum: 2 } }).subscribe('t', 2)
    for (let index = 1; index <= 5; index += 1) publisher.publish('t', `${index}`, index === 1 ? 1 : 2)
    host.settle()
    t.same(consumer.payloads(), ['1', '2'])
    consumer.ack(PacketType.PUBACK, 1)
    host.settle()
    t.same(consumer.payloads(), ['3'])
    consumer.ack(PacketType.PUBREC, 2)
    host.settle()
    t.same(consumer.payloads(), [], 'PUBREC alone does not')
    consumer.ack(PacketType.PUBCOMP, 2)
    host.settle()
    t.same(consumer.payloads(), ['4'])
    consumer.ack(PacketType.PUBREC, 3, ReasonCode.UNSPECIFIED_ERROR)
    host.settle()
    t.same(consumer.payloads(), ['5'])
  },
)

t.test('out: QoS 0 passes a full window', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const consumer = host.connect('consumer', { properties: { receiveMaximum: 1 } }).subscribe('t', 1)
  publisher.publish('t', '1', 1)
  publisher.publish('t', '2', 1)
  publisher.publish('t', 'now', 0)
  host.settle()
  t.same(consumer.payloads().sort(), ['1', 'now'])
})

t.test('out: the bound is that of the new connection, for the resend too, and the order holds', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  host.resume('consumer').subscribe('t', 2)
  for (let index = 1; index <= 6; index += 1) publisher.publish('t', `${index}`, 2)
  host.settle()
  const narrow = host.resume('consumer', { properties: { receiveMaximum: 2 } })
  publisher.publish('t', '7', 2)
  host.settle()
  t.same(narrow.link.arrived.filter(({ type }) => type === PacketType.PUBLISH).length, 2)
  t.same(narrow.drain(), ['1', '2', '3', '4', '5', '6', '7'])
})

t.test('out: a PUBREL that is sent again takes its place in the window', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const first = host.resume('consumer').subscribe('t', 2)
  for (let index = 1; index <= 3; index += 1) publisher.publish('t', `${index}`, 2)
  host.settle()
  first.ack(PacketType.PUBREC, 1)
  host.settle()
  const next = host.crash().resume('consumer', { properties: { receiveMaximum: 1 } })
  t.same(
    next.take('PUBREL').map(({ packetId }) => packetId),
    [1],
  )
  t.same(next.payloads(), [])
  next.ack(PacketType.PUBCOMP, 1)
  t.same(next.drain(), ['2', '3'])
})

t.test('out: the broker’s own bound holds where the client sets none', async (t) => {
  const host = testBroker({ limits: { inflightMax: 3 } })
  const publisher = host.connect('publisher')
  const consumer = host.connect('consumer').subscribe('t', 1)
  for (let index = 0; index < 10; index += 1) publisher.publish('t', `${index}`, 1)
  host.settle()
  t.equal(consumer.link.arrived.filter(({ type }) => type === PacketType.PUBLISH).length, 3)
  t.equal(consumer.drain().length, 10)
})
