/** The consumer's own cursor: what its transaction has is delivered, whatever became of the acknowledgements. */
import t from 'tap'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { PacketType } from '../../src/protocol/packets.js'
import { checkStore, rowCounts } from '../support/durable-state.js'
import { type TestBroker, testBroker } from '../support/test-broker.js'

/** A session with m1..m4 in flight, at QoS 1 and 2 in turn. */
function started(): { host: TestBroker; sessionNumber: number } {
  const host = testBroker()
  const reader = host.resume('reader')
  const sessionNumber = reader.take('CONNACK')[0]?.sessionNumber ?? 0
  reader.subscribe('#', 2)
  const sender = host.connect('sender')
  for (const [index, payload] of ['m1', 'm2', 'm3', 'm4'].entries())
    sender.publish('a', payload, index % 2 === 0 ? 1 : 2)
  host.settle()
  if (reader.take('PUBLISH').length !== 4) throw new Error('four are in flight')
  reader.cut()
  return { host, sessionNumber }
}

t.test('CONNACK names the session and the incarnation of the data', async (t) => {
  const host = testBroker()
  const [first] = host.resume('reader').take('CONNACK')
  t.match(first, { sessionPresent: false, sessionNumber: Number, incarnation: 'test' })
  const [again] = host.resume('reader').take('CONNACK')
  t.match(again, { sessionPresent: true, sessionNumber: first?.sessionNumber })
  const [other] = host.resume('reader', { cleanStart: true }).take('CONNACK')
  t.not(other?.sessionNumber, first?.sessionNumber, 'a new session counts from 1 again, under another number')
})

t.test('copies in flight up to the cursor are delivered: not sent again, not counted, not stored', async (t) => {
  const { host, sessionNumber } = started()
  const reader = host.resume('reader', { deliveryCursor: { sessionNumber, deliverySequence: 3 } })
  t.match(reader.take('CONNACK'), [{ sessionPresent: true, resume: { queuedMessages: 1 } }])
  t.match(reader.take('PUBLISH'), [{ dup: true, qos: 2, deliverySequence: 4 }])
  t.equal(host.core.counters.deliveriesAcknowledged, 3)
  reader.ack(PacketType.PUBREC, 4)
  reader.drain()
  host.core.checkpoint()
  host.settle()
  checkStore(host.store)
  t.equal(rowCounts(host.store).messages, 0)
})

t.test('C2: the cursor is as good as the acknowledgement across a power failure', async (t) => {
  for (const hasCheckpoint of [false, true]) {
    const { host, sessionNumber } = started()
    if (hasCheckpoint) host.core.checkpoint()
    host.settle()
    let next = host.crash()
    next.resume('reader', { deliveryCursor: { sessionNumber, deliverySequence: 2 } }).cut()
    next = next.crash()
    t.same(next.resume('reader').drain(), ['m3', 'm4'])
  }
})

t.test('a message that was taken but not completed is completed by the cursor', async (t) => {
  const host = testBroker()
  const reader = host.resume('reader')
  const sessionNumber = reader.take('CONNACK')[0]?.sessionNumber ?? 0
  reader.subscribe('#', 2)
  host.connect('sender').publish('a', 'm1', 2)
  host.settle()
  reader.ack(PacketType.PUBREC, 1)
  host.settle()
  reader.cut()
  const again = host.resume('reader', { deliveryCursor: { sessionNumber, deliverySequence: 1 } })
  host.settle()
  t.same(again.take('PUBREL'), [])
  t.equal(host.crash().core.state.sessions.get('reader')?.inflight.size, 0)
})

t.test('a cursor at 0, of another session, or of a session that is gone prunes nothing', async (t) => {
  const { host, sessionNumber } = started()
  for (const deliveryCursor of [
    { sessionNumber, deliverySequence: 0 },
    { sessionNumber: sessionNumber + 100, deliverySequence: 4 },
  ]) {
    const reader = host.resume('reader', { deliveryCursor })
    t.equal(reader.take('PUBLISH').length, 4)
    t.equal(reader.take('CONNACK')[0]?.sessionNumber, sessionNumber)
    reader.cut()
  }
  const deliveryCursor = { sessionNumber, deliverySequence: 99 }
  const fresh = host.resume('reader', { deliveryCursor, cleanStart: true })
  t.match(fresh.take('CONNACK'), [{ reasonCode: 0, sessionPresent: false }])
})

t.test('a cursor ahead of all that was ever sent is refused, and the session stays as it is', async (t) => {
  const { host, sessionNumber } = started()
  const reader = host.resume('reader', { deliveryCursor: { sessionNumber, deliverySequence: 5 } })
  t.match(reader.take('CONNACK'), [
    { reasonCode: ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, properties: { reasonString: /ahead of all/ } },
  ])
  t.equal(host.resume('reader').take('PUBLISH').length, 4)
})
