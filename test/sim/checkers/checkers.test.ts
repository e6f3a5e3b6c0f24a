/** Every checker fails when what it forbids happens, and says so; books without a fault pass all of them. */
import t from 'tap'
import { DEFAULT_LIMITS } from '../../../src/core/limits.js'
import { MemoryStore } from '../../../src/storage/memory/memory-store.js'
import { numberKey } from '../../../src/core/store-keys.js'
import { type Arrival, Books, type SentMessage, type SessionBook } from '../books.js'
import { type BoundedBroker, boundsHold } from './bounds.js'
import { deliverySequence } from './delivery-sequence.js'
import { durableBeforeTold } from './durable-before-told.js'
import { exactlyOnce } from './exactly-once.js'
import { ledgerAgrees } from './ledger.js'
import { noAcknowledgedLoss } from './no-acknowledged-loss.js'
import { ProducerStream } from './producer-stream.js'
import { publisherOrder } from './publisher-order.js'
import { retainedIsLastAccepted } from './retained.js'
import { SessionRules } from './session-rules.js'
import { unsettled } from './settles.js'
import { willExactlyOnce } from './will.js'

/** One native consumer of everything under t/ and w/, subscribed from the beginning. */
function world(): { books: Books; book: SessionBook } {
  const books = new Books()
  const book: SessionBook = {
    clientId: 'c1',
    protocol: 'tally.v1',
    arrivals: [],
    windows: [
      { topicFilter: 't/#', qos: 2, askedAt: 0, grantedAt: 0, endedAt: Infinity, goneAt: Infinity },
      { topicFilter: 'w/#', qos: 2, askedAt: 0, grantedAt: 0, endedAt: Infinity, goneAt: Infinity },
    ],
    isFromItsBeginning: true,
    maximumPacketSize: Infinity,
    isCurrent: true,
  }
  books.sessions.push(book)
  return { books, book }
}

function send(books: Books, key: string, what: Partial<SentMessage> = {}): SentMessage {
  const order = books.messages.size + 1
  const common = { publisher: 'p1', topicName: 't/1', qos: 2, kind: 'publish', retain: false } as const
  const message = books.send({ ...common, key, order, mayExpire: false, payloadBytes: 16, ...what })
  message.promisedAt = books.now()
  return message
}

function arrive(books: Books, book: SessionBook, key: string, what: Partial<Arrival> = {}): void {
  const message = books.messages.get(key)
  const sequence = book.arrivals.length + 1
  const where = { at: books.now(), connection: 1, cursor: 0, processNumber: 1, durableRecord: 9 }
  const flags = { qos: message?.qos ?? 2, retain: false, dup: false, isRepeat: false } as const
  const { topicName = 't/1' } = message ?? {}
  book.arrivals.push({ key, topicName, packetId: sequence, deliverySequence: sequence, ...flags, ...where, ...what })
}

const judges = { noAcknowledgedLoss, exactlyOnce, publisherOrder, deliverySequence, willExactlyOnce, durableBeforeTold }

t.test('books in which everything is right pass every checker', async (t) => {
  const { books, book } = world()
  for (const key of ['a', 'b', 'will']) {
    send(books, key, key === 'will' ? { kind: 'will', topicName: 'w/p1' } : {})
    arrive(books, book, key)
  }
  for (const [name, judge] of Object.entries(judges)) t.same(judge(books), [], name)
})

t.test('no-acknowledged-loss: a promised message that never came', async (t) => {
  const { books, book } = world()
  send(books, 'a')
  t.match(noAcknowledgedLoss(books), ["c1 never got 'a'"])
  book.isCurrent = false
  t.same(noAcknowledgedLoss(books), [], 'a session that has ended is owed nothing')
})

t.test('no-acknowledged-loss: a promised message that nobody in the share group got', async (t) => {
  const { books, book } = world()
  book.windows[0] = { ...(book.windows[0] as SessionBook['windows'][0]), topicFilter: '$share/g/t/#' }
  send(books, 'a')
  t.match(noAcknowledgedLoss(books), ["nobody in the share group got 'a'"])
})

t.test('exactly-once: QoS 2 twice, QoS 1 more often than sent, never sent, never asked for, refused', async (t) => {
  const { books, book } = world()
  for (const key of ['two', 'one', 'stray', 'refused']) send(books, key, key === 'one' ? { qos: 1 } : {})
  for (const key of ['two', 'two', 'one', 'one', 'unknown']) arrive(books, book, key)
  arrive(books, book, 'stray', { topicName: 'x/1' })
  const refused = books.messages.get('refused') as SentMessage
  refused.isRefused = true
  arrive(books, book, 'refused')
  t.match(exactlyOnce(books), [
    "c1 got 'two' 2 times, 1 allowed",
    "c1 got 'one' 2 times, 1 allowed",
    "c1 got 'unknown', which was never published",
    "c1 got 'refused' 1 times, 0 allowed",
    "c1 got 'stray' on x/1",
    "c1 got 'stray' without a subscription",
  ])
})

t.test('exactly-once: QoS 2 to two members of a share group', async (t) => {
  const { books, book } = world()
  const shared = { ...(book.windows[0] as SessionBook['windows'][0]), topicFilter: '$share/g/t/#' }
  book.windows[0] = shared
  const other: SessionBook = { ...book, clientId: 'c2', arrivals: [], windows: [shared] }
  books.sessions.push(other)
  send(books, 'a')
  arrive(books, book, 'a')
  arrive(books, other, 'a')
  t.match(exactlyOnce(books), ["the share group got 'a' 2 times"])
})

t.test('publisher-order: a later one before an earlier one', async (t) => {
  const { books, book } = world()
  send(books, 'a')
  send(books, 'b')
  arrive(books, book, 'b')
  arrive(books, book, 'a')
  t.match(publisherOrder(books), ["c1 got 'b' before 'a'"])
})

t.test('delivery-sequence: a gap, and a number with another message', async (t) => {
  const { books, book } = world()
  for (const key of ['a', 'b', 'c']) send(books, key)
  arrive(books, book, 'a')
  arrive(books, book, 'b', { deliverySequence: 3 })
  arrive(books, book, 'c', { deliverySequence: 3, dup: true, isRepeat: true })
  t.match(deliverySequence(books), ['delivery sequence 3 where 2 was due', "sequence 3 was 'b' and came as 'c'"])
})

t.test('delivery-sequence: what the cursor says is handled comes again', async (t) => {
  const { books, book } = world()
  send(books, 'a')
  arrive(books, book, 'a')
  arrive(books, book, 'a', { deliverySequence: 1, dup: true, isRepeat: true, cursor: 1 })
  t.match(deliverySequence(books), ['sequence 1 came on a connection whose cursor was 1'])
})

t.test('producer-stream: each of its rules', async (t) => {
  const stream = new ProducerStream()
  const refused = { sequence: 2, reasonCode: 0x90 }
  stream.append(new Uint8Array([1]), 0)
  stream.append(new Uint8Array([2]), 0x90)
  const answer = (sequence: number, refusals = [refused]) => ({ sequence, digest: stream.digestAt(sequence), refusals })
  t.match(stream.produced(answer(1), 1, 2, 0), '1 to 2 were answered with sequence 1')
  t.match(stream.produced(answer(2, []), 1, 2, 0), '2 was answered 0 where 144 was due')
  t.match(stream.produced({ ...answer(2), digest: stream.digestAt(1) }, 1, 2, 0), 'another digest at 2')
  t.equal(stream.produced(answer(2), 1, 2, 0), null)
  t.match(stream.opened({ ...answer(1), epoch: 1 }, 0), 'sequence 1, but 2 was answered before')
  t.match(stream.opened({ ...answer(2), epoch: 1 }, 0), 'epoch 1 came after 1')
  t.match(stream.opened({ ...answer(2), sequence: 3, epoch: 2 }, 0), 'only 2 were ever sent')
  stream.append(new Uint8Array([3]), 0)
  stream.append(new Uint8Array([4]), 0)
  stream.batch(3, 4)
  t.match(stream.opened({ ...answer(3), epoch: 3 }, 2), 'the batch around sequence 3 was taken in part')
  t.equal(stream.opened({ ...answer(4), epoch: 4 }, 2), null)
})

t.test('retained: another one than the last accepted, one that was cleared, one that nobody published', async (t) => {
  const { books } = world()
  send(books, 'old', { topicName: 'r/1', retain: true })
  send(books, 'new', { topicName: 'r/1', retain: true })
  t.same(retainedIsLastAccepted(books, new Map([['r/1', 'new']])), [])
  t.match(retainedIsLastAccepted(books, new Map([['r/1', 'old']])), ["retained on r/1: 'old'"])
  t.match(retainedIsLastAccepted(books, new Map()), ["retained on r/1: ''"])
  const stray = new Map([['r/1', 'new'], ['r/2', 'x']]) // biome-ignore format: one line reads better
  t.match(retainedIsLastAccepted(books, stray), ['something is retained on r/2'])
  const unanswered = send(books, 'maybe', { topicName: 'r/1', retain: true })
  unanswered.promisedAt = 0
  t.same(retainedIsLastAccepted(books, new Map([['r/1', 'new']])), [], 'what nobody was told about may be there or not')
  t.same(retainedIsLastAccepted(books, new Map([['r/1', 'maybe']])), [])
})

t.test('retained, seed 11923: refused unheard and sent again, a message may come behind a newer one', async (t) => {
  const { books } = world()
  const resent = send(books, 'resent', { topicName: 'r/1', retain: true })
  resent.attempts = 2
  send(books, 'newer', { topicName: 'r/1', retain: true })
  const found = new Map([['r/1', 'resent']])
  t.match(retainedIsLastAccepted(books, found), ["retained on r/1: 'resent'"])
  books.isLossy = true
  t.same(retainedIsLastAccepted(books, found), [])
  t.match(retainedIsLastAccepted(books, new Map()), ["retained on r/1: ''"])
})

t.test('will: never, twice, and after a goodbye', async (t) => {
  const { books, book } = world()
  const lost = send(books, 'lost', { kind: 'will', topicName: 'w/p1' })
  t.ok(lost.promisedAt > 0)
  const forbidden = send(books, 'forbidden', { kind: 'will', topicName: 'w/p1' })
  forbidden.isForbidden = true
  send(books, 'twice', { kind: 'will', topicName: 'w/p1' })
  for (const key of ['forbidden', 'twice', 'twice']) arrive(books, book, key)
  t.match(willExactlyOnce(books), [
    "c1 never got the Will 'lost'",
    "c1 got the Will 'forbidden', which was discarded",
    "c1 got the Will 'twice' 2 times",
  ])
})

t.test('durable-before-told: an acknowledgement, and a copy, ahead of the disk', async (t) => {
  const { books, book } = world()
  books.answered('p1', "the answer to 'a'", 7, 7)
  t.same(durableBeforeTold(books), [])
  books.answered('p1', "the answer to 'a'", 7, 6)
  const message = send(books, 'a')
  message.firstAsked = { processNumber: 1, record: 10 }
  arrive(books, book, 'a', { durableRecord: 9 })
  t.match(durableBeforeTold(books), [
    "p1 was told the answer to 'a' when record 6 was durable and it was in 7",
    "c1 got 'a' when record 9 was durable and it was in 10",
  ])
  message.firstAsked = { processNumber: 2, record: 10 }
  t.equal(durableBeforeTold(books).length, 1, 'records of another process are not compared')
})

t.test('bounds: each of them', async (t) => {
  const limits = { ...DEFAULT_LIMITS, queueMessagesMax: 4, queueBytesMax: 100, inflightMax: 2, receiveMaximum: 3 }
  const broker = (size: number): BoundedBroker => ({
    sessions: new Map([
      [
        'c1',
        {
          clientId: 'c1',
          queue: { count: size, byteLength: size * 100 },
          inflight: { size },
          receipts: { size },
          subscriptionCount: size * 1_000,
        },
      ],
    ]),
    connections: [{ link: { bufferedBytes: size * 4_194_304 }, outstanding: size }],
    retained: { size: size * 2_000_000 },
    retainedBytes: size * 1_073_741_824,
  })
  t.same(boundsHold(broker(1), limits), [])
  t.equal(boundsHold(broker(5), limits).length, 9, boundsHold(broker(5), limits).join('\n'))
})

t.test('session-rules: each of them', async (t) => {
  const publish = (packetId: number, qos: 1 | 2, dup = false) => ({ packetId, qos, dup })
  const rules = new SessionRules(2)
  t.equal(rules.connected('present', true), null)
  t.match(rules.connected('present', false), 'the session is gone')
  t.match(rules.connected('absent', true), 'old session')
  t.equal(rules.published(publish(1, 2), false), null)
  t.match(rules.published(publish(1, 2, true), true), 'twice on one connection')
  rules.connectionGone()
  t.equal(rules.published(publish(1, 2, true), true), null)
  rules.connectionGone()
  t.match(rules.published(publish(1, 2), true), 'without DUP')
  rules.connectionGone()
  t.match(rules.published(publish(1, 2, true), false), 'is in use')
  rules.finished(1)
  t.match(rules.published(publish(1, 2, true), true), 'after its PUBREL')
  t.equal(rules.published(publish(2, 1), false), null)
  t.match(rules.published(publish(3, 1), false), 'Receive Maximum 2 was exceeded')
})

t.test('settles: a client that waits, one that is not connected, a queue and a flight that do not end', async (t) => {
  const connection = {}
  const rest = { clientId: 'c1', connection, queue: { count: 0 }, inflight: { size: 0 } }
  const client = { clientId: 'c1', isSettled: true, isHalfOpen: false }
  t.same(unsettled([client], new Map([['c1', rest]])), [])
  t.match(unsettled([{ ...client, isSettled: false }], new Map([['c1', rest]])), ['c1 still waits'])
  t.match(unsettled([{ ...client, isHalfOpen: true }], new Map([['c1', rest]])), ['c1 does not know yet'])
  t.match(unsettled([client], new Map()), ['c1 is not connected'])
  t.match(unsettled([client], new Map([['c1', { ...rest, connection: null }]])), ['c1 is not connected'])
  t.match(unsettled([client], new Map([['c1', { ...rest, queue: { count: 1 } }]])), ['1 messages still wait'])
  t.match(unsettled([client], new Map([['c1', { ...rest, inflight: { size: 1 } }]])), ['1 copies are still in flight'])
})

t.test('ledger: a row that nothing speaks of', async (t) => {
  const store = new MemoryStore({ settle: 'manual' })
  t.same(ledgerAgrees(store), [])
  store.commit(
    [{ kind: 'put', table: 'sessions', key: numberKey(7), value: new Uint8Array([1, 2, 3]) }],
    () => undefined,
  )
  store.settleAll()
  t.not(ledgerAgrees(store).length, 0)
})
