/** One message through all that can become of it, as the store tells it. */
import t from 'tap'
import { explainMessage } from '../../../src/audit/explain-message.js'
import { PacketType } from '../../../src/protocol/packets.js'
import { testBroker } from '../../support/test-broker.js'

const HOUR_MS = 3_600_000
const lasting = { properties: { sessionExpiryIntervalSec: 0xffff_ffff } }

function whatHappened(copies: ReturnType<typeof explainMessage>['copies'], clientId: string): string[] {
  return copies.find((copy) => copy.clientId === clientId)?.events.map(({ what }) => what) ?? []
}

t.test('who has it, who waits for it, and who never gets it', async (t) => {
  const host = testBroker({ limits: { queueMessagesMax: 2 } })
  const taker = host.resume('taker', lasting)
  taker.subscribe('a', 1)
  const half = host.resume('half', lasting)
  half.subscribe('a', 2)
  const silent = host.resume('silent', lasting)
  silent.subscribe('a', 1)
  host.resume('away', lasting).subscribe('a', 1).cut()
  const writer = host.resume('writer', lasting)
  const acceptedAtMs = host.clock.nowMs()
  writer.publish('a', 'first', 2)
  host.settle()
  host.clock.advance(20)
  writer.publish('a', 'second', 1)
  host.settle()
  taker.drain()
  const [first] = half.take('PUBLISH')
  half.ack(PacketType.PUBREC, first?.packetId ?? 0)
  host.settle()
  writer.publish('a', 'third', 1)
  host.settle()
  const one = explainMessage(host.store, 1)
  t.match(one, {
    state: 'waiting',
    content: { topicName: 'a', payloadBytes: 5, qos: 2, expiresAtMs: 0 },
    accepted: { atMs: acceptedAtMs, durableAtMs: acceptedAtMs, clientId: 'writer', topicClass: 'a' },
    hour: { isClosed: false },
  })
  const now = Object.fromEntries(one.copies.map((copy) => [copy.clientId, copy.now]))
  t.match(now, {
    taker: null,
    half: { state: 'released', packetId: first?.packetId, deliverySequence: 1 },
    silent: { state: 'sent', packetId: 1, deliverySequence: 1 },
    away: { state: 'queued', position: 1, waiting: 2 },
  })
  t.same(whatHappened(one.copies, 'taker'), ['sent', 'acknowledged'])
  t.same(whatHappened(one.copies, 'half'), ['sent', 'released'])
  t.same(whatHappened(one.copies, 'away'), ['queued'])
  const third = explainMessage(host.store, 3)
  t.same(whatHappened(third.copies, 'away'), ['dropped'])
  t.match(third.copies.find(({ clientId }) => clientId === 'away')?.events, [{ reason: 'queue-full' }])
  half.ack(PacketType.PUBCOMP, first?.packetId ?? 0)
  host.settle()
  t.same(whatHappened(explainMessage(host.store, 1).copies, 'half'), ['sent', 'released', 'completed'])
})

t.test('ended, past and unknown', async (t) => {
  const host = testBroker()
  const reader = host.resume('reader', lasting)
  reader.subscribe('a', 1)
  const writer = host.resume('writer', lasting)
  writer.publish('a', 'x', 1)
  reader.drain()
  t.match(explainMessage(host.store, 1), {
    state: 'ended',
    accepted: { clientId: 'writer' },
    hour: { isClosed: false },
  })
  host.advance(HOUR_MS)
  host.core.checkpoint()
  host.settle()
  writer.publish('a', 'y', 1)
  reader.drain()
  host.core.checkpoint()
  host.settle()
  const past = explainMessage(host.store, 1)
  t.match(past, { state: 'past', content: null, accepted: null, copies: [] })
  t.equal(past.hour?.isClosed, true)
  t.match(explainMessage(host.store, 99), { state: 'unknown', nextMessageId: 3, hour: null })
})

t.test('a message that waits in the tables only: its content, its copies, its hour', async (t) => {
  const host = testBroker()
  host.resume('away', lasting).subscribe('a', 1).cut()
  const writer = host.resume('writer', lasting)
  writer.publish('a', 'x', 1)
  host.settle()
  for (let times = 0; times < 2; times += 1) {
    host.core.checkpoint()
    host.settle()
    writer.publish('b', 'y', 1, { retain: true })
    host.settle()
  }
  const { state, content, accepted, hour, copies } = explainMessage(host.store, 1)
  t.equal(state, 'waiting')
  t.match(content, { topicName: 'a', payloadBytes: 1 })
  t.equal(accepted, null)
  t.ok(hour)
  t.match(copies, [{ clientId: 'away', now: { state: 'queued', position: 1, waiting: 1 }, events: [] }])
})

t.test(
  'a member that goes leaves its copies to the group; a session that ends gives up what is in flight',
  async (t) => {
    const host = testBroker()
    const left = host.resume('left', lasting)
    left.subscribe('$share/g/a', 1)
    const alone = host.resume('alone', lasting)
    alone.subscribe('a', 1)
    host.resume('writer', lasting).publish('a', 'x', 1)
    host.settle()
    host.resume('right', lasting).subscribe('$share/g/a', 1)
    host.connect('left', { cleanStart: true })
    host.connect('alone', { cleanStart: true })
    host.settle()
    const { copies } = explainMessage(host.store, 1)
    const events = copies.flatMap((copy) => copy.events.map(({ what }) => what))
    t.ok(events.includes('moved'))
    t.ok(events.includes('abandoned'))
    t.equal(copies.filter(({ now }) => now !== null).length, 1)
  },
)
