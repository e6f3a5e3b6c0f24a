/**
 * The crash points of the MQTT side, each by its name in the reliability notes (D: delivery, T: takeover, B4: fan-out).
 * Those of producers are in `producers-crash.test.ts`, those of the SDK's two ends in `examples/`, the restored backup
 * is in `integration/restored-backup.test.ts`, windows of other brokers in `crash-windows-of-others.test.ts`. C4 and T3
 * are about consumer groups with cursors and about clusters, which there are not.
 */
import t from 'tap'
import { PacketType } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import type { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { TestBroker, testBroker } from '../support/test-broker.js'

/** Power off. @param surviving commits under way that had reached the disk. */
function powerOff(host: TestBroker, surviving: number): TestBroker {
  const store = (host.store as MemoryStore).crash(surviving)
  return new TestBroker({ ...host.options, store, clock: host.clock })
}

/** Subscribed at QoS 2 with a session that lasts; commits are held from here on. */
function subscribed(): { host: TestBroker; send: (payload: string) => void } {
  const host = testBroker({ holdCommits: true })
  const reader = host.resume('reader')
  host.settle()
  reader.subscribe('a', 2)
  host.settle()
  const sender = host.connect('sender')
  host.settle()
  return { host, send: (payload) => void sender.publish('a', payload, 2) }
}

function back(host: TestBroker) {
  const reader = host.resume('reader')
  host.settle()
  return reader
}

t.test('B4: the power goes in the middle of a fan-out: every session has its copy, or none', async (t) => {
  for (const surviving of [0, 1]) {
    const host = testBroker({ holdCommits: true })
    const names = Array.from({ length: 300 }, (_, index) => `reader${index}`)
    for (const name of names) {
      const reader = host.resume(name)
      host.settle()
      reader.subscribe('a', 1)
      host.settle()
      reader.disconnect()
    }
    const sender = host.connect('sender')
    host.settle()
    sender.publish('a', 'm', 2)
    host.turn()
    t.same(sender.take('PUBREC'), [], 'nothing is promised while the commit is under way')
    const next = powerOff(host, surviving)
    const counts = names.map((name) => {
      const reader = next.resume(name)
      next.settle()
      return reader.drain().length
    })
    t.same([...new Set(counts)], [surviving], surviving === 1 ? 'all of them' : 'none of them')
  }
})

t.test('D2: the packet id is stored, the message was not sent: sent with DUP under the same id', async (t) => {
  const { host, send } = subscribed()
  const reader = back(host)
  send('m')
  host.turn()
  t.same(reader.take('PUBLISH'), [], 'it waits for the commit')
  const next = powerOff(host, 1)
  const [again] = back(next).take('PUBLISH')
  t.match(again, { qos: 2, dup: true, deliverySequence: 1 })
  const later = powerOff(next, 0)
  t.equal(back(later).take('PUBLISH')[0]?.packetId, again?.packetId, 'and again, as often as it takes')
})

t.test('D2: the packet id is not stored: nothing was sent, so any id will do', async (t) => {
  const { host, send } = subscribed()
  const reader = back(host)
  send('m')
  host.turn()
  t.same(reader.take('PUBLISH'), [])
  const next = powerOff(host, 0)
  t.same(back(next).take('PUBLISH'), [], 'the message was never acknowledged, and is not there')
})

t.test('D3: PUBREC is stored, PUBREL was not sent: PUBREL is sent again, the message is not', async (t) => {
  const { host, send } = subscribed()
  const reader = back(host)
  send('m')
  host.settle()
  const [delivered] = reader.take('PUBLISH')
  reader.ack(PacketType.PUBREC, delivered?.packetId ?? 0)
  host.turn()
  t.same(reader.take('PUBREL'), [], 'PUBREL waits for the commit that knows of PUBREC')
  const next = powerOff(host, 1)
  const again = back(next)
  t.match(again.take('PUBREL'), [{ packetId: delivered?.packetId }])
  t.same(again.take('PUBLISH'), [])
})

t.test('D3: the commit that knows of PUBREC is lost: the message is sent again with DUP', async (t) => {
  const { host, send } = subscribed()
  const reader = back(host)
  send('m')
  host.settle()
  const [delivered] = reader.take('PUBLISH')
  reader.ack(PacketType.PUBREC, delivered?.packetId ?? 0)
  host.turn()
  const again = back(powerOff(host, 0))
  t.match(again.take('PUBLISH'), [{ dup: true, packetId: delivered?.packetId }])
  t.same(again.take('PUBREL'), [])
})

t.test('D4: PUBCOMP is lost: PUBREL is sent again, and PUBCOMP ends it', async (t) => {
  for (const surviving of [0, 1]) {
    const { host, send } = subscribed()
    const reader = back(host)
    send('m')
    host.settle()
    const [delivered] = reader.take('PUBLISH')
    reader.ack(PacketType.PUBREC, delivered?.packetId ?? 0)
    host.settle()
    t.equal(reader.take('PUBREL').length, 1)
    reader.ack(PacketType.PUBCOMP, delivered?.packetId ?? 0)
    host.turn()
    const next = powerOff(host, surviving)
    const again = back(next)
    t.equal(again.take('PUBREL').length, 1 - surviving, surviving === 1 ? 'PUBCOMP is on disk' : 'PUBCOMP is lost')
    t.same(again.take('PUBLISH'), [])
    again.ack(PacketType.PUBCOMP, delivered?.packetId ?? 0)
    next.settle()
    t.equal(next.core.state.sessions.get('reader')?.inflight.size, 0)
  }
})

t.test('T2: takeover between PUBREC and PUBREL: PUBREL on the new connection completes it, once', async (t) => {
  const { host } = subscribed()
  const publisher = host.resume('publisher')
  host.settle()
  const packetId = publisher.publish('a', 'm', 2)
  host.settle()
  t.match(publisher.take('PUBREC'), [{ packetId, reasonCode: 0 }])
  const successor = host.resume('publisher')
  host.settle()
  t.equal(successor.take('CONNACK')[0]?.sessionPresent, true)
  successor.publish('a', 'm', 2, { packetId, dup: true })
  host.settle()
  t.match(successor.take('PUBREC'), [{ packetId, reasonCode: 0 }], 'a repetition is known')
  successor.ack(PacketType.PUBREL, packetId)
  publisher.ack(PacketType.PUBREL, packetId)
  host.settle()
  t.match(successor.take('PUBCOMP'), [{ packetId, reasonCode: ReasonCode.SUCCESS }])
  t.same(publisher.take('PUBCOMP'), [], 'the old connection is nobody')
  t.same(back(host).drain(), ['m'])
})
