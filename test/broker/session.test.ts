/** Session State: who keeps it, for how long, and what ends it [v5 3.1.2.4, 3.1.2.11.2, 3.14.2.2.2, 4.1]. */
import t from 'tap'
import { PacketType } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { testBroker } from '../support/test-broker.js'

t.test('Clean Start 1 ends the old session: subscriptions, queue and flight', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const first = host.resume('a').subscribe('t/#', 2)
  publisher.publish('t/1', 'in flight', 2)
  host.settle()
  first.cut()
  publisher.publish('t/2', 'queued', 1)
  host.settle()
  const second = host.connect('a', { cleanStart: true, properties: { sessionExpiryIntervalSec: 60 } })
  const [connack] = second.take('CONNACK')
  t.equal(connack?.sessionPresent, false)
  t.equal(connack?.resume?.queuedMessages, 0)
  publisher.publish('t/3', 'new', 1)
  host.settle()
  t.same(second.link.arrived, [])
  t.equal(host.core.subscriptionCount, 0)
  t.equal(host.events.filter((event) => event.type === 'session-ended' && event.reason === 'clean-start').length, 1)
})

t.test('Clean Start 0 resumes: subscriptions stay, what waited comes, in order', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  host.resume('a').subscribe('t/#', 1).cut()
  for (const payload of ['1', '2', '3']) publisher.publish('t', payload, 1)
  host.settle()
  const again = host.resume('a')
  const [connack] = again.take('CONNACK')
  t.equal(connack?.sessionPresent, true)
  t.same(connack?.resume, { queuedMessages: 3, lost: [] })
  t.same(again.drain(), ['1', '2', '3'])
})

t.test('a session with expiry 0 ends with its connection, however that ends', async (t) => {
  const host = testBroker()
  host.connect('a').subscribe('t').cut()
  host.connect('b', { cleanStart: false }).subscribe('t').disconnect()
  t.equal(host.core.sessionCount, 0)
  t.equal(host.core.subscriptionCount, 0)
  t.equal(host.connect('b', { cleanStart: false }).take('CONNACK')[0]?.sessionPresent, false)
})

t.test('a session ends when its expiry has passed since the disconnect, not before', async (t) => {
  const host = testBroker()
  const client = host.resume('a', { properties: { sessionExpiryIntervalSec: 100 } })
  host.advance(1_000_000)
  t.equal(host.core.sessionCount, 1, 'a connected session does not expire')
  client.cut()
  t.equal(host.core.nextTimeoutMs(), host.clock.nowMs() + 100_000)
  host.advance(99_999)
  t.equal(host.core.sessionCount, 1)
  host.advance(1)
  t.equal(host.core.sessionCount, 0)
  t.equal(host.core.nextTimeoutMs(), Number.POSITIVE_INFINITY)
})

t.test('the clock of the expiry goes on through a restart', async (t) => {
  const host = testBroker()
  host.resume('a', { properties: { sessionExpiryIntervalSec: 100 } }).cut()
  host.advance(60_000)
  const next = host.crash()
  t.equal(next.core.sessionCount, 1)
  next.advance(39_999)
  t.equal(next.core.sessionCount, 1)
  next.advance(1)
  t.equal(next.core.sessionCount, 0)
  t.equal(next.crash().core.sessionCount, 0)
})

t.test('0xFFFFFFFF never expires, also not after a restart', async (t) => {
  const host = testBroker()
  host.resume('a', { properties: { sessionExpiryIntervalSec: 0xffff_ffff } }).cut()
  t.equal(host.core.nextTimeoutMs(), Number.POSITIVE_INFINITY)
  host.advance(100 * 365 * 86_400_000)
  const next = host.crash()
  next.advance(0)
  t.equal(next.resume('a').take('CONNACK')[0]?.sessionPresent, true)
})

t.test('DISCONNECT may change the expiry: shorter, longer, to nothing, within the bound', async (t) => {
  const host = testBroker({ limits: { sessionExpiryIntervalMaxSec: 5_000 } })
  const terms = { properties: { sessionExpiryIntervalSec: 100 } }
  host.resume('shorter', terms).disconnect(0, { sessionExpiryIntervalSec: 10 })
  host.resume('longer', terms).disconnect(0, { sessionExpiryIntervalSec: 1_000 })
  host.resume('same', terms).disconnect(0, null)
  host.resume('nothing', terms).disconnect(0, { sessionExpiryIntervalSec: 0 })
  host.resume('too long', terms).disconnect(0, { sessionExpiryIntervalSec: 9_000 })
  t.equal(host.core.sessionCount, 4)
  host.advance(10_000)
  t.equal(host.core.sessionCount, 3)
  host.advance(90_000)
  t.equal(host.core.sessionCount, 2)
  host.advance(900_000)
  t.equal(host.core.sessionCount, 1)
  host.advance(4_000_000)
  t.equal(host.core.sessionCount, 0)
})

t.test('an expiry of 0 in CONNECT cannot be raised by DISCONNECT: 0x82, and the Will is due', async (t) => {
  const host = testBroker()
  const watcher = host.connect('watcher').subscribe('w')
  const client = host.connect('a', {
    will: { topicName: 'w', payload: new Uint8Array(1), qos: 0, retain: false, properties: {} },
  })
  client.disconnect(0, { sessionExpiryIntervalSec: 1 })
  t.equal(client.take('DISCONNECT')[0]?.reasonCode, ReasonCode.PROTOCOL_ERROR)
  t.equal(watcher.take('PUBLISH').length, 1)
  t.equal(host.core.sessionCount, 1, 'only the watcher is left')
})

t.test('coming back sets the expiry anew', async (t) => {
  const host = testBroker()
  host.resume('a', { properties: { sessionExpiryIntervalSec: 10 } }).cut()
  host.advance(5_000)
  host.resume('a', { properties: { sessionExpiryIntervalSec: 100 } }).cut()
  host.advance(99_000)
  t.equal(host.core.sessionCount, 1)
  host.advance(1_000)
  t.equal(host.core.sessionCount, 0)
})

t.test('a session resumed with expiry 0 ends with that connection, also on disk', async (t) => {
  const host = testBroker()
  host.resume('a').subscribe('t', 1).cut()
  const again = host.connect('a', { cleanStart: false })
  t.equal(again.take('CONNACK')[0]?.sessionPresent, true)
  again.cut()
  t.equal(host.core.sessionCount, 0)
  t.equal(host.crash().core.sessionCount, 0)
})

t.test('everything of a session survives a restart: subscriptions with their options, queue, packet ids', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  host
    .resume('a')
    .subscribe('t/#', 2, { noLocal: true, retainAsPublished: true, identifier: 7 })
    .subscribe('u/+', 1)
    .cut()
  publisher.publish('t/1', 'one', 2, { retain: true })
  host.settle()
  const next = host.crash()
  t.equal(next.core.subscriptionCount, 2)
  const again = next.resume('a')
  const [publish] = again.take('PUBLISH')
  t.equal(publish?.retain, true)
  t.same(publish?.properties?.subscriptionIdentifiers, [7])
  again.ack(PacketType.PUBREC, publish?.packetId ?? 0)
  again.publish('t/own', 'not to me', 1)
  again.publish('u/own', 'to me', 1)
  next.settle()
  t.same(again.payloads(), ['to me'])
})

t.test('what a session lost is told at its next connection, once, and a restart does not forget it', async (t) => {
  const host = testBroker({ limits: { queueMessagesMax: 2 } })
  const publisher = host.connect('publisher')
  host.resume('a').subscribe('t', 1).cut()
  for (let index = 0; index < 5; index += 1) publisher.publish('t', `${index}`, 1)
  host.settle()
  const next = host.crash()
  const again = next.resume('a')
  t.same(again.take('CONNACK')[0]?.resume, { queuedMessages: 2, lost: [{ reason: 'queue-full', messages: 3 }] })
  t.same(again.drain(), ['0', '1'])
  again.cut()
  t.same(next.resume('a').take('CONNACK')[0]?.resume, { queuedMessages: 0, lost: [] })
})

t.test('the limit of sessions refuses a newcomer with 0x97 and lets known clients in', async (t) => {
  const host = testBroker({ limits: { sessionsMax: 2 } })
  host.resume('a').cut()
  host.resume('b')
  const refused = host.resume('c')
  t.equal(refused.take('CONNACK')[0]?.reasonCode, ReasonCode.QUOTA_EXCEEDED)
  t.equal(host.resume('a').take('CONNACK')[0]?.sessionPresent, true)
  host.resume('b').disconnect(0, { sessionExpiryIntervalSec: 0 })
  t.equal(host.resume('c').take('CONNACK')[0]?.reasonCode, 0, 'an ended session makes room')
})

t.test('retained messages outlive the session that set them', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  publisher.publish('t', 'kept', 0, { retain: true })
  host.settle()
  publisher.disconnect()
  t.same(host.crash().connect('a').subscribe('t').payloads(), ['kept'])
})

t.test('a drain tells everybody, with 0x9C where to go instead, and keeps every durable session', async (t) => {
  const host = testBroker()
  const clients = [host.resume('a'), host.resume('b')]
  const old = host.connect('c', { protocolLevel: 4, cleanStart: false })
  const silent = host.open()
  host.core.drain(host.clock.nowMs(), 'other.example:8083')
  host.settle()
  for (const client of clients) {
    const [disconnect] = client.take('DISCONNECT')
    t.equal(disconnect?.reasonCode, ReasonCode.USE_ANOTHER_SERVER)
    t.equal(disconnect?.properties?.serverReference, 'other.example:8083')
  }
  t.same(old.take('DISCONNECT'), [])
  const plain = testBroker()
  const told = plain.connect('a')
  const unread = plain.open()
  plain.core.drain(plain.clock.nowMs())
  t.match(told.take('DISCONNECT'), [{ reasonCode: ReasonCode.SERVER_SHUTTING_DOWN }], 'without a place to go: 0x8B')
  for (const { connection, link } of [silent, unread]) {
    t.equal(connection.state, 'closed')
    t.equal(link.closedWith?.reasonCode, ReasonCode.SERVER_SHUTTING_DOWN, 'whose CONNECT was not read may come back')
  }
  t.equal(host.core.connectionCount, 0)
  t.equal(host.core.sessionCount, 3)
  t.equal(host.crash().resume('a').take('CONNACK')[0]?.sessionPresent, true)
})
