/**
 * Power failures around a producer, one story for each point of the list in the reliability notes that a broker can
 * see (P: publisher, B: broker, T: takeover). The commit under way is lost, or is on disk without anybody having been
 * told; either way what the publisher sends again is stored once.
 */
import t from 'tap'
import { ProducerReason } from '../../src/protocol/packets.js'
import { StoreError } from '../../src/core/ports/store.js'
import type { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { digestOf, message, numbered, openProducer, produce } from '../support/produce.js'
import { TestBroker, type TestClient, testBroker } from '../support/test-broker.js'

/** A durable reader of everything, and a publisher that has sent m1..m3 and heard so. */
function started(): { host: TestBroker; publisher: TestClient } {
  const host = testBroker({ holdCommits: true })
  const reader = host.resume('reader')
  host.settle()
  reader.subscribe('#', 2)
  const publisher = host.connect('publisher')
  host.settle()
  openProducer(publisher)
  produce(publisher, 1, numbered('a', 1, 3))
  host.settle()
  return { host, publisher }
}

/** Power off. @param surviving commits under way that had reached the disk. */
function powerOff(host: TestBroker, surviving: number): TestBroker {
  const store = (host.store as MemoryStore).crash(surviving)
  return new TestBroker({ ...host.options, store, clock: host.clock })
}

/** The publisher comes back, knowing of m1..`confirmed`. @returns where the broker says that the stream is. */
function reopened(host: TestBroker, confirmed: number): { publisher: TestClient; sequence: number } {
  const publisher = host.connect('publisher')
  host.settle()
  openProducer(publisher, { confirmedSequence: confirmed, digest: digestOf(numbered('a', 1, confirmed)) })
  host.settle()
  const [opened] = publisher.take('PRODUCER_OPENED')
  if (opened === undefined || opened.reasonCode !== 0) throw new Error(`not opened: ${opened?.reasonCode}`)
  return { publisher, sequence: opened.sequence }
}

function readerOf(host: TestBroker): string[] {
  const reader = host.resume('reader')
  host.settle()
  return reader.drain()
}

t.test('P2: after the outbox, before it was sent: the broker knows nothing, the resend is stored once', async (t) => {
  const { host } = started()
  const next = powerOff(host, 0)
  const { publisher, sequence } = reopened(next, 3)
  t.equal(sequence, 3)
  produce(publisher, 4, numbered('a', 4, 5))
  next.settle()
  t.match(publisher.take('PRODUCED'), [{ sequence: 5, digest: digestOf(numbered('a', 1, 5)) }])
  t.same(readerOf(next), ['m1', 'm2', 'm3', 'm4', 'm5'])
})

t.test('P3: sent, and the commit is lost: the sequence is what it was, the resend is stored once', async (t) => {
  const { host, publisher: before } = started()
  produce(before, 4, numbered('a', 4, 6))
  host.turn()
  t.same(
    before.take('PRODUCED').filter(({ sequence }) => sequence > 3),
    [],
    'nothing was answered',
  )
  const next = powerOff(host, 0)
  const { publisher, sequence } = reopened(next, 3)
  t.equal(sequence, 3)
  produce(publisher, 4, numbered('a', 4, 6))
  next.settle()
  t.same(readerOf(next), ['m1', 'm2', 'm3', 'm4', 'm5', 'm6'])
})

for (const point of ['P4: committed, and the answer never came', 'B3: after the commit, before the answer'] as const) {
  t.test(`${point}: the broker says so, and a resend is a duplicate`, async (t) => {
    const { host, publisher: before } = started()
    produce(before, 4, numbered('a', 4, 6))
    host.turn()
    const next = powerOff(host, 1)
    const { publisher, sequence } = reopened(next, 3)
    t.equal(sequence, 6)
    if (point.startsWith('P4')) produce(publisher, 4, numbered('a', 4, 6))
    else produce(publisher, 1, numbered('a', 1, 6))
    next.settle()
    t.match(publisher.take('PRODUCED'), [{ sequence: 6, digest: digestOf(numbered('a', 1, 6)) }])
    t.same(readerOf(next), ['m1', 'm2', 'm3', 'm4', 'm5', 'm6'])
  })
}

t.test('P5: answered, and the publisher has not noted it: all it sends again are duplicates', async (t) => {
  const { host } = started()
  const { publisher, sequence } = reopened(host, 0)
  t.equal(sequence, 3)
  produce(publisher, 1, numbered('a', 1, 3))
  produce(publisher, 4, numbered('a', 4, 4))
  host.settle()
  t.same(readerOf(host), ['m1', 'm2', 'm3', 'm4'])
})

t.test('P6: two processes with one outbox: the older one is fenced, also across a power failure', async (t) => {
  const { host, publisher: older } = started()
  const newer = host.connect('newer')
  host.settle()
  openProducer(newer, { confirmedSequence: 3 })
  produce(older, 4, [message('a', 'of the older')])
  produce(newer, 4, numbered('a', 4, 4))
  host.turn()
  t.same(newer.take('PRODUCER_OPENED'), [], 'not before the new epoch is durable')
  const survived = powerOff(host, 1)
  t.match(survived.core.state.producers.count, 1)
  const { publisher, sequence } = reopened(survived, 3)
  t.equal(sequence, 4)
  openProducer(publisher)
  survived.settle()
  t.match(publisher.take('PRODUCER_OPENED'), [{ epoch: 4 }], 'every opening counts')
  t.same(readerOf(survived), ['m1', 'm2', 'm3', 'm4'])
})

t.test('P6: the older one hears it in so many words', async (t) => {
  const { host, publisher: older } = started()
  older.take('PRODUCED')
  const newer = host.connect('newer')
  openProducer(newer)
  produce(older, 4, [message('a', 'of the older')])
  host.settle()
  const fenced = older.take('PRODUCED')
  t.same(
    fenced.map(({ reasonCode }) => reasonCode),
    [ProducerReason.FENCED, ProducerReason.FENCED],
  )
  t.same(readerOf(host), ['m1', 'm2', 'm3'])
})

t.test('P7: a publisher that was set back: other content is DIVERGED, or shows in sequence and digest', async (t) => {
  const { host } = started()
  const back = host.connect('publisher')
  host.settle()
  // Set back to nothing, and three others written since.
  openProducer(back, { confirmedSequence: 3, digest: digestOf(numbered('b', 1, 3)) })
  host.settle()
  t.match(back.take('PRODUCER_OPENED'), [{ reasonCode: ProducerReason.DIVERGED, digest: null }])
  // Set back to after m1, and nothing written since: it is told of messages that it does not have.
  openProducer(back, { confirmedSequence: 1, digest: digestOf(numbered('a', 1, 1)) })
  host.settle()
  const [opened] = back.take('PRODUCER_OPENED')
  t.match(opened, { reasonCode: 0, sequence: 3, digest: digestOf(numbered('a', 1, 3)) })
  // It goes on all the same: what it takes for new is not stored, and the answer's digest is not the one of its outbox.
  const others = [...numbered('a', 1, 1), ...numbered('b', 2, 3)]
  produce(back, 2, others.slice(1))
  host.settle()
  const [produced] = back.take('PRODUCED')
  t.match(produced, { reasonCode: 0, sequence: 3 })
  t.notSame(produced?.digest, digestOf(others), 'never a silent drop')
  t.same(readerOf(host), ['m1', 'm2', 'm3'])
})

t.test('B1: in the batch, before the commit: nothing is visible and nothing was answered', async (t) => {
  const { host, publisher: before } = started()
  before.take('PRODUCED')
  produce(before, 4, numbered('a', 4, 8), { isAtomic: true })
  const next = powerOff(host, 0)
  t.same(before.take('PRODUCED'), [])
  t.equal(reopened(next, 3).sequence, 3)
  t.same(readerOf(next), ['m1', 'm2', 'm3'])
})

t.test('B2: during the commit: the batch is there as a whole, or not at all', async (t) => {
  for (const surviving of [0, 1]) {
    const { host, publisher: before } = started()
    produce(before, 4, numbered('a', 4, 8), { isAtomic: true })
    host.turn()
    const next = powerOff(host, surviving)
    const stored = surviving === 0 ? 3 : 8
    t.equal(reopened(next, 3).sequence, stored)
    t.equal(readerOf(next).length, stored)
  }
})

t.test('B5: the commit is refused: no answer ever leaves, and the data is as before', async (t) => {
  const { host, publisher: before } = started()
  before.take('PRODUCED')
  produce(before, 4, numbered('a', 4, 4))
  host.turn()
  ;(host.store as MemoryStore).settleNext(new StoreError('STORE_FULL', 'no space left'))
  t.equal(host.failure?.name, 'StoreError')
  t.same(before.take('PRODUCED'), [])
  const next = powerOff(host, 0)
  t.equal(reopened(next, 3).sequence, 3)
  t.same(readerOf(next), ['m1', 'm2', 'm3'])
})

t.test('B6: the commit never settles: no answer leaves', async (t) => {
  const { host, publisher } = started()
  publisher.take('PRODUCED')
  produce(publisher, 4, numbered('a', 4, 4))
  for (let turn = 0; turn < 10; turn += 1) host.turn()
  t.same(publisher.take('PRODUCED'), [])
})

t.test(
  'T1: takeover with unread frames on the old connection: they are dropped, the resend is stored once',
  async (t) => {
    const { host, publisher: old } = started()
    produce(old, 4, numbered('a', 4, 4))
    host.turn()
    const { publisher, sequence } = reopened(host, 3)
    t.equal(sequence, 4)
    // Read from the old socket only now: its connection has been taken over.
    produce(old, 5, [message('a', 'unread')])
    produce(publisher, 5, numbered('a', 5, 5))
    host.settle()
    t.match(publisher.take('PRODUCED'), [{ sequence: 5 }])
    t.same(readerOf(host), ['m1', 'm2', 'm3', 'm4', 'm5'])
  },
)

t.test('a checkpoint at any moment changes nothing: rows, journal, and both', async (t) => {
  for (const trimmed of [1, 1_000]) {
    let host = testBroker({ pace: { checkpointTrimmedPerCommit: trimmed, checkpointRowsPerCommit: 1 } })
    host.resume('reader').subscribe('#', 1)
    for (let round = 0; round < 6; round += 1) {
      const first = round * 2 + 1
      const { publisher, sequence } = reopened(host, first - 1)
      t.equal(sequence, first - 1)
      produce(publisher, first, numbered('a', first, first + 1))
      host.turn()
      ;(host.store as MemoryStore).settleNext()
      host.core.checkpoint()
      for (let turn = 0; turn < round; turn += 1) {
        host.turn()
        ;(host.store as MemoryStore).settleNext()
      }
      host = host.crash()
    }
    t.equal(readerOf(host).length, 12)
  }
})
