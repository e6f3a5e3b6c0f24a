/**
 * `$share/{name}/{filter}`: one member gets each message, and what a member leaves behind goes to another [v5 4.8.2].
 */
import t from 'tap'
import { PacketType } from '../../src/protocol/packets.js'
import { testBroker } from '../support/test-broker.js'

t.test('members that are ready take turns, and each message goes to one of them', async (t) => {
  for (const qos of [0, 1, 2] as const) {
    const host = testBroker()
    const members = ['a', 'b', 'c'].map((clientId) => host.connect(clientId).subscribe('$share/g/t/#', qos))
    const publisher = host.connect('publisher')
    for (let index = 0; index < 9; index += 1) publisher.publish(`t/${index}`, `${index}`, qos)
    host.settle()
    const taken = members.map((member) => member.payloads())
    t.same(taken, [
      ['0', '3', '6'],
      ['1', '4', '7'],
      ['2', '5', '8'],
    ])
  }
})

t.test('two groups, and a plain subscription beside them, get one copy each', async (t) => {
  const host = testBroker()
  const a = host.connect('a').subscribe('$share/g/t', 1).subscribe('t', 1)
  const b = host.connect('b').subscribe('$share/h/t', 1)
  host.connect('publisher').publish('t', 'x', 1)
  host.settle()
  t.same(a.payloads(), ['x', 'x'])
  t.same(b.payloads(), ['x'])
})

t.test('share names are compared by case, and filters within a share name are groups of their own', async (t) => {
  const host = testBroker()
  const clients = ['$share/g/t', '$share/G/t', '$share/g/+'].map((filter, index) =>
    host.connect(`${index}`).subscribe(filter, 1),
  )
  host.connect('publisher').publish('t', 'x', 1)
  host.settle()
  for (const client of clients) t.same(client.payloads(), ['x'])
})

t.test('each member gets its own QoS and its own identifier', async (t) => {
  const host = testBroker()
  const a = host.connect('a').subscribe('$share/g/t', 0, { identifier: 1 })
  const b = host.connect('b').subscribe('$share/g/t', 2, { identifier: 2, retainAsPublished: true })
  const publisher = host.connect('publisher')
  publisher.publish('t', 'x', 2, { retain: true })
  publisher.publish('t', 'y', 2, { retain: true })
  host.settle()
  t.match(a.take('PUBLISH'), [{ qos: 0, retain: false, properties: { subscriptionIdentifiers: [1] } }])
  t.match(b.take('PUBLISH'), [{ qos: 2, retain: true, properties: { subscriptionIdentifiers: [2] } }])
})

t.test('no retained messages on a shared subscription', async (t) => {
  const host = testBroker()
  host.connect('publisher').publish('t', 'x', 1, { retain: true })
  host.settle()
  t.same(host.connect('a').subscribe('$share/g/t', 1).take('PUBLISH'), [])
})

t.test('members that are not connected are passed over while another one is', async (t) => {
  const host = testBroker()
  const offline = host.resume('offline').subscribe('$share/g/t', 1)
  const online = host.resume('online').subscribe('$share/g/t', 1)
  offline.cut()
  const publisher = host.connect('publisher')
  for (let index = 0; index < 4; index += 1) publisher.publish('t', `${index}`, 1)
  host.settle()
  t.same(online.drain(), ['0', '1', '2', '3'])
})

t.test('with everybody gone the sessions keep the messages', async (t) => {
  const host = testBroker()
  for (const clientId of ['a', 'b']) host.resume(clientId).subscribe('$share/g/t', 1).cut()
  const publisher = host.connect('publisher')
  for (let index = 0; index < 4; index += 1) publisher.publish('t', `${index}`, 1)
  host.settle()
  const next = host.crash()
  const taken = [...next.resume('a').drain(), ...next.resume('b').drain()]
  t.same(taken.sort(), ['0', '1', '2', '3'])
})

t.test('a member whose queue is full is passed over while another one has room', async (t) => {
  const host = testBroker({ limits: { queueMessagesMax: 2 } })
  for (const clientId of ['a', 'b', 'c']) host.resume(clientId).subscribe('$share/g/t', 1).cut()
  host.resume('a').subscribe('own', 1).cut()
  const publisher = host.connect('publisher')
  for (let index = 0; index < 2; index += 1) publisher.publish('own', 'x', 1)
  for (let index = 0; index < 4; index += 1) publisher.publish('t', `${index}`, 1)
  host.settle()
  t.equal(host.core.counters.dropped['queue-full'], 0)
  const taken = [...host.resume('b').drain(), ...host.resume('c').drain()]
  t.same(taken.sort(), ['0', '1', '2', '3'])
})

t.test('a member with a full window is passed over while another one is ready', async (t) => {
  const host = testBroker()
  const narrow = host.connect('narrow', { properties: { receiveMaximum: 1 } }).subscribe('$share/g/t', 1)
  const wide = host.connect('wide').subscribe('$share/g/t', 1)
  const publisher = host.connect('publisher')
  for (let index = 0; index < 6; index += 1) publisher.publish('t', `${index}`, 1)
  host.settle()
  t.same(narrow.payloads(), ['0'])
  t.same(wide.payloads(), ['1', '2', '3', '4', '5'])
})

t.test('when a member’s session ends, what it had not acknowledged goes to another in order', async (t) => {
  for (const isDurable of [false, true]) {
    const host = testBroker()
    const properties = { sessionExpiryIntervalSec: isDurable ? 10 : 0, receiveMaximum: 2 }
    const leaving = host.connect('leaving', { properties }).subscribe('$share/g/t', 1)
    const publisher = host.connect('publisher')
    for (let index = 0; index < 6; index += 1) publisher.publish('t', `${index}`, 1)
    host.settle()
    t.same(leaving.payloads(), ['0', '1'], 'two in flight, four waiting')
    const staying = host.resume('staying').subscribe('$share/g/t', 1)
    leaving.cut()
    if (isDurable) t.same(staying.drain(), [], 'the session may come back')
    host.advance(10_000)
    t.same(staying.drain(), ['0', '1', '2', '3', '4', '5'], `durable: ${isDurable}`)
    t.equal(host.core.counters.dropped['session-ended'], 0)
  }
})

t.test('a message published after a member has left does not overtake what that member leaves', async (t) => {
  const host = testBroker()
  host.resume('leaving').subscribe('$share/g/t', 1).cut()
  const publisher = host.connect('publisher')
  for (let index = 0; index < 5; index += 1) publisher.publish('t', `${index}`, 1)
  host.settle()
  const staying = host.resume('staying').subscribe('$share/g/t', 1)
  host.open().send({
    type: PacketType.CONNECT,
    protocolLevel: 5,
    clientId: 'leaving',
    cleanStart: true,
    keepAliveSec: 0,
    properties: {},
  })
  publisher.publish('t', '5', 1)
  t.same(staying.drain(), ['0', '1', '2', '3', '4', '5'])
})

t.test('QoS 2 in flight is not given to another member, QoS 2 that waits is', async (t) => {
  const host = testBroker()
  const properties = { sessionExpiryIntervalSec: 10, receiveMaximum: 2 }
  const leaving = host.connect('leaving', { properties }).subscribe('$share/g/t', 2)
  const publisher = host.connect('publisher')
  for (let index = 0; index < 4; index += 1) publisher.publish('t', `${index}`, 2)
  host.settle()
  const [first] = leaving.take('PUBLISH')
  leaving.ack(PacketType.PUBREC, first?.packetId ?? 0)
  host.settle()
  const staying = host.resume('staying').subscribe('$share/g/t', 2)
  leaving.cut()
  host.advance(10_000)
  t.same(staying.drain(), ['2', '3'])
  t.equal(host.core.counters.dropped['session-ended'], 1, 'the other one had PUBREC')
})

t.test('what moves on keeps its QoS and retain flag and gets the identifier of the new member', async (t) => {
  const host = testBroker()
  host.resume('leaving').subscribe('$share/g/t', 1, { identifier: 1 }).cut()
  host.connect('publisher').publish('t', 'x', 1)
  host.settle()
  const staying = host.resume('staying').subscribe('$share/g/t', 1, { identifier: 2 })
  host.connect('leaving', { cleanStart: true })
  t.same(staying.take('PUBLISH')[0]?.properties?.subscriptionIdentifiers, [2])
})

t.test('with no member left the messages end, and are counted', async (t) => {
  const host = testBroker()
  host.resume('a').subscribe('$share/g/t', 1).cut()
  host.connect('publisher').publish('t', 'x', 1)
  host.settle()
  host.connect('a', { cleanStart: true })
  t.equal(host.core.counters.dropped['session-ended'], 1)
})

t.test('a moved message survives a restart in its new session and is gone from the old one', async (t) => {
  const host = testBroker()
  host.resume('leaving').subscribe('$share/g/t', 1).cut()
  const publisher = host.connect('publisher')
  for (let index = 0; index < 3; index += 1) publisher.publish('t', `${index}`, 1)
  host.settle()
  host.resume('staying').subscribe('$share/g/t', 1).cut()
  host.connect('leaving', { cleanStart: true })
  const next = host.crash()
  t.same(next.resume('staying').drain(), ['0', '1', '2'])
})

t.test('who unsubscribes gets nothing new from the group, and the others take over', async (t) => {
  const host = testBroker()
  const a = host.connect('a').subscribe('$share/g/t', 1)
  const b = host.connect('b').subscribe('$share/g/t', 1)
  const publisher = host.connect('publisher')
  a.unsubscribe('$share/g/t')
  for (let index = 0; index < 3; index += 1) publisher.publish('t', `${index}`, 1)
  host.settle()
  t.same(a.payloads(), [])
  t.same(b.payloads(), ['0', '1', '2'])
  b.unsubscribe('$share/g/t')
  publisher.publish('t', 'x', 1)
  host.settle()
  t.equal(publisher.take('PUBACK').at(-1)?.reasonCode, 0x10)
})

t.test('a single member gets everything in order, across a backlog', async (t) => {
  const host = testBroker({ limits: { inflightMax: 3, queueWindowMessages: 8 } })
  const member = host.resume('a').subscribe('$share/g/t/#', 2)
  const publisher = host.connect('publisher')
  const expected = Array.from({ length: 100 }, (_, index) => `${index}`)
  for (const payload of expected) publisher.publish('t/x', payload, 2)
  t.same(member.drain(), expected)
})

t.test(
  'a member that unsubscribes and then ends leaves what it had not delivered to the others, in order',
  async (t) => {
    const host = testBroker()
    const leaving = host.resume('leaving', { properties: { receiveMaximum: 1 } }).subscribe('$share/g/t', 1)
    const publisher = host.connect('publisher')
    for (const payload of ['1', '2', '3', '4']) publisher.publish('t', payload, 1)
    host.settle()
    const staying = host.resume('staying').subscribe('$share/g/t', 1)
    leaving.unsubscribe('$share/g/t')
    leaving.disconnect(0, { sessionExpiryIntervalSec: 0 })
    t.same(staying.drain(), ['1', '2', '3', '4'])
  },
)
