/** The books of the broker: each counter, each way in which a copy ends, and that every account balances after each. */
import t from 'tap'
import { droppedSlot, Slot } from '../../src/core/ledger/tally.js'
import { PacketType } from '../../src/protocol/packets.js'
import { checkLedger } from '../support/durable-state.js'
import { type TestBroker, testBroker } from '../support/test-broker.js'

/** Everything that is booked for a client, over its topic classes. */
function booked(host: TestBroker, clientId: string, slot: number): number {
  checkLedger(host.core.state)
  let sum = 0
  for (const account of host.core.state.ledger.accounts.values()) {
    if (account.clientId === clientId) sum += account.totals.get(slot)
  }
  return sum
}

t.test('accepted, enqueued, delivered: with bytes, at both QoS', async (t) => {
  const host = testBroker()
  const reader = host.resume('reader')
  reader.subscribe('a/#', 2)
  const writer = host.connect('writer')
  writer.publish('a/b', 'xyz', 1)
  writer.publish('a/b', 'xyz', 2)
  host.settle()
  t.equal(booked(host, 'writer', Slot.ACCEPTED), 2)
  t.equal(booked(host, 'writer', Slot.ACCEPTED_BYTES), 12)
  t.equal(booked(host, 'reader', Slot.ENQUEUED), 2)
  t.equal(booked(host, 'reader', Slot.DELIVERED), 0)
  reader.drain()
  t.equal(booked(host, 'reader', Slot.DELIVERED), 2)
  t.equal(booked(host, 'reader', Slot.DELIVERED_BYTES), 12)
})

t.test('nobody subscribed, a duplicate, a refusal', async (t) => {
  const host = testBroker()
  const writer = host.resume('writer')
  writer.publish('a', 'x', 1)
  writer.publish('a', 'x', 2, { packetId: 9 })
  writer.publish('a', 'x', 2, { packetId: 9, dup: true })
  writer.publish('$SYS/no', 'x', 1)
  host.settle()
  t.equal(booked(host, 'writer', Slot.UNROUTED), 2)
  t.equal(booked(host, 'writer', Slot.DUPLICATES), 1)
  t.equal(booked(host, 'writer', Slot.REFUSED + 0x87), 1)
})

t.test('dropped: no room in the queue, expired in it', async (t) => {
  const host = testBroker({ limits: { queueMessagesMax: 1 } })
  const reader = host.resume('reader')
  reader.subscribe('a', 1)
  reader.cut()
  const writer = host.connect('writer')
  writer.publish('a', 'x', 1, { properties: { messageExpiryIntervalSec: 1 } })
  writer.publish('a', 'x', 1)
  host.settle()
  t.equal(booked(host, 'reader', Slot.ENQUEUED), 2, 'a copy without room came and was dropped')
  t.equal(booked(host, 'reader', droppedSlot('queue-full')), 1)
  host.advance(5_000)
  host.resume('reader')
  t.equal(booked(host, 'reader', droppedSlot('expired')), 1)
})

t.test('a session ends: what was in flight is abandoned, what waited is purged', async (t) => {
  const host = testBroker()
  const reader = host.resume('reader', { properties: { receiveMaximum: 1 } })
  reader.subscribe('a', 1)
  const writer = host.connect('writer')
  for (const payload of ['1', '2', '3']) writer.publish('a', payload, 1)
  host.settle()
  host.connect('reader', { cleanStart: true })
  t.equal(booked(host, 'reader', Slot.ABANDONED), 1)
  t.equal(booked(host, 'reader', Slot.PURGED), 2)
})

t.test('in a share group copies move from one account to the other', async (t) => {
  const host = testBroker()
  const one = host.resume('one', { properties: { receiveMaximum: 1 } })
  one.subscribe('$share/g/a', 1)
  const writer = host.connect('writer')
  for (const payload of ['1', '2', '3']) writer.publish('a', payload, 1)
  host.settle()
  const other = host.resume('other')
  other.subscribe('$share/g/a', 1)
  host.connect('one', { cleanStart: true })
  host.settle()
  t.equal(booked(host, 'one', Slot.MOVED), 3)
  t.equal(booked(host, 'other', Slot.ENQUEUED), 3)
  t.same(other.drain().sort(), ['1', '2', '3'])
})

t.test('a client that takes less than before: dropped in flight, and so after a crash', async (t) => {
  let host = testBroker()
  const reader = host.resume('reader')
  reader.subscribe('a', 1)
  host.connect('writer').publish('a', 'x'.repeat(100), 1)
  host.settle()
  reader.cut()
  host.resume('reader', { properties: { maximumPacketSize: 60 } })
  t.equal(booked(host, 'reader', droppedSlot('too-large')), 1)
  t.equal(booked(host, 'reader', Slot.DELIVERED), 0)
  host = host.crash()
  t.equal(booked(host, 'reader', droppedSlot('too-large')), 1)
})

t.test('QoS 2 that is refused by PUBREC is delivered', async (t) => {
  const host = testBroker()
  const reader = host.resume('reader')
  reader.subscribe('a', 2)
  host.connect('writer').publish('a', 'x', 2)
  host.settle()
  const [copy] = reader.take('PUBLISH')
  reader.ack(PacketType.PUBREC, copy?.packetId ?? 0, 0x80)
  host.settle()
  t.equal(booked(host, 'reader', Slot.DELIVERED), 1)
})

t.test('what a crash takes of sessions without rows is booked as abandoned', async (t) => {
  let host = testBroker()
  host.connect('reader').subscribe('a', 1)
  host.connect('writer').publish('a', 'x', 1)
  host.settle()
  host = host.crash()
  host.settle()
  t.equal(booked(host, 'reader', Slot.ENQUEUED), 1)
  t.equal(booked(host, 'reader', Slot.ABANDONED), 1)
})

t.test('switched off and on again, the books begin with what is there', async (t) => {
  const ledger = { enabled: true, topicClasses: [], topicClassesMax: 2, accountsMax: 10, retentionHours: 1 }
  let host = testBroker({ ledger })
  host.resume('reader').subscribe('#', 1)
  host.connect('writer').publish('a', '1', 1)
  host.settle()
  host = host.crash({ ledger: { ...ledger, enabled: false } })
  host.connect('writer').publish('a', '2', 1)
  host.settle()
  host.resume('reader').drain()
  host.connect('other').disconnect()
  host.links.clear()
  const gone = host.resume('late')
  gone.subscribe('#', 1)
  gone.cut()
  host.connect('writer').publish('a', '3', 1)
  host.settle()
  host = host.crash({ ledger })
  host.settle()
  t.equal(booked(host, 'reader', Slot.VANISHED), 1, 'delivered while nothing was counted')
  t.ok(booked(host, '*', Slot.ADOPTED) >= 1, 'came while nothing was counted')
})
