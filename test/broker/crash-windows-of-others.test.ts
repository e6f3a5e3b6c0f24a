/**
 * Where other brokers lose or double messages, read in their source: each of these windows by what it is, held open
 * here, with the power going in the middle of it. Crash points of our own steps are in `crash-points.test.ts`.
 */
import t from 'tap'
import type { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { PacketType } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { TestBroker, testBroker } from '../support/test-broker.js'

/** Power off; of the commits under way `surviving` had reached the disk. */
function powerOff(host: TestBroker, surviving: number): TestBroker {
  const store = (host.store as MemoryStore).crash(surviving)
  return new TestBroker({ ...host.options, store, clock: host.clock })
}

/** Both ends durable and connected; `reader` has 'a/#' at QoS 2. Commits are held from here on. */
function bothEnds() {
  const host = testBroker({ holdCommits: true })
  const reader = host.resume('reader')
  host.settle()
  reader.subscribe('a/#', 2)
  host.settle()
  const sender = host.resume('sender')
  host.settle()
  return { host, sender, reader }
}

function back(host: TestBroker, clientId: string) {
  const client = host.resume(clientId)
  host.settle()
  return client
}

t.test('1: the packet id of a QoS 2 PUBLISH is never stored without its message', async (t) => {
  for (const surviving of [0, 1]) {
    const { host, sender } = bothEnds()
    sender.publish('a/1', 'm', 2, { packetId: 9 })
    host.turn()
    const next = powerOff(host, surviving)
    const again = back(next, 'sender')
    again.publish('a/1', 'm', 2, { packetId: 9, dup: true })
    next.settle()
    t.match(again.take('PUBREC'), [{ packetId: 9, reasonCode: 0 }])
    again.ack(PacketType.PUBREL, 9)
    t.same(back(next, 'reader').drain(), ['m'], surviving === 1 ? 'known, and there' : 'unknown, and published now')
  }
})

t.test('2: packet ids of a session that has ended refuse nothing to the next one', async (t) => {
  for (const isCrashed of [false, true]) {
    const { host, sender } = bothEnds()
    sender.publish('a/1', 'old', 2, { packetId: 1 })
    host.settle()
    t.equal(sender.take('PUBREC').length, 1, 'and its PUBREL never comes')
    const next = isCrashed ? powerOff(host, 0) : host
    const clean = next.connect('sender', { cleanStart: true })
    next.settle()
    clean.publish('a/1', 'new', 2, { packetId: 1 })
    next.settle()
    t.match(clean.take('PUBREC'), [{ packetId: 1, reasonCode: 0 }])
    t.same(back(next, 'reader').drain(), ['old', 'new'])
  }
})

t.test('3: PUBCOMP never stands for a message that is not there', async (t) => {
  for (const surviving of [0, 1]) {
    const { host, sender } = bothEnds()
    sender.publish('a/1', 'm', 2, { packetId: 9 })
    host.settle()
    sender.take('PUBREC')
    sender.ack(PacketType.PUBREL, 9)
    host.turn()
    t.same(sender.take('PUBCOMP'), [], 'it waits for the commit that forgets the packet id')
    const next = powerOff(host, surviving)
    const again = back(next, 'sender')
    again.ack(PacketType.PUBREL, 9)
    next.settle()
    t.match(again.take('PUBCOMP'), [{ packetId: 9, reasonCode: 0 }], 'known or not: the client may forget it')
    t.same(back(next, 'reader').drain(), ['m'], 'the message had been durable before PUBREC')
  }
})

t.test('4: a PUBLISH with DUP whose first copy died with the broker is stored like any other', async (t) => {
  for (const qos of [1, 2] as const) {
    const { host, sender } = bothEnds()
    sender.publish('a/1', 'm', qos, { packetId: 9 })
    host.turn()
    const next = powerOff(host, 0)
    const again = back(next, 'sender')
    again.publish('a/1', 'm', qos, { packetId: 9, dup: true })
    next.settle()
    t.equal(again.take(qos === 1 ? 'PUBACK' : 'PUBREC').length, 1)
    t.same(back(powerOff(next, 0), 'reader').drain(), ['m'], 'also through the next power cut')
  }
})

t.test('5: a QoS 2 PUBLISH may come any number of times: a bad line is no mistake', async (t) => {
  const { host, sender, reader } = bothEnds()
  for (let time = 0; time < 5; time += 1) {
    sender.publish('a/1', 'm', 2, { packetId: 9, dup: time > 0 })
    host.settle()
  }
  t.equal(sender.take('PUBREC').length, 5)
  t.ok(sender.link.isOpen)
  t.same(reader.drain(), ['m'])
})

t.test('6: what a full queue has no room for is not acknowledged as taken, or is in the books', async (t) => {
  for (const queueFull of ['refuse-publish', 'drop-new'] as const) {
    const host = testBroker({ limits: { queueMessagesMax: 2, queueFull } })
    host.resume('reader').subscribe('a/#', 1)
    host.resume('reader').disconnect()
    const sender = host.connect('sender')
    for (const payload of ['1', '2', '3']) sender.publish('a/1', payload, 1)
    host.settle()
    const codes = sender.take('PUBACK').map(({ reasonCode }) => reasonCode)
    const isRefused = queueFull === 'refuse-publish'
    t.same(codes, isRefused ? [0, 0, ReasonCode.QUOTA_EXCEEDED] : [0, 0, 0], queueFull)
    t.same(back(host, 'reader').drain(), ['1', '2'], queueFull)
    const dropped = Object.values(host.core.counters.dropped).reduce((sum, count) => sum + count, 0)
    t.equal(dropped, isRefused ? 0 : 1, `${queueFull}: said, not silent`)
  }
})

t.test('7: a QoS 2 delivery that was completed does not come again, however short the queue became', async (t) => {
  const { host, sender, reader } = bothEnds()
  for (const payload of ['1', '2', '3']) sender.publish('a/1', payload, 2)
  t.same(reader.drain(), ['1', '2', '3'])
  host.settle()
  const again = back(powerOff(host, 0), 'reader')
  t.same(again.take('PUBLISH'), [])
  t.same(again.take('PUBREL'), [])
})
