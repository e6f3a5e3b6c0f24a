/** Books that were changed are found: each entry of a record, each row of an account, each link of the chain. */
import t from 'tap'
import type { Problem } from '../../../src/audit/problems.js'
import { verifyStore } from '../../../src/audit/verify-store.js'
import type { FactHandler } from '../../../src/core/facts.js'
import { Slot, Tally } from '../../../src/core/ledger/tally.js'
import type { Store, StoreEntry, StoreTable } from '../../../src/core/ports/store.js'
import { SESSION_NEVER_EXPIRES_SEC } from '../../../src/protocol/packets.js'
import { keyNumber } from '../../../src/core/store-keys.js'
import { alteredRecord, alteredStore } from '../../support/altered-store.js'
import { copyStore } from '../../support/durable-state.js'
import { testBroker } from '../../support/test-broker.js'

const HOUR_MS = 3_600_000

/** Three closed hours and one under way; every way in which a copy ends is in the journal. */
function bookedStore(): Store {
  const host = testBroker({ limits: { queueMessagesMax: 6, inflightMax: 2 } })
  const lasting = { properties: { sessionExpiryIntervalSec: SESSION_NEVER_EXPIRES_SEC } }
  const reader = host.resume('reader', lasting)
  reader.subscribe('#', 2)
  host.resume('sleeper', lasting).subscribe('a/#', 1).cut()
  host.resume('leaver', lasting).subscribe('a/#', 1).cut()
  for (const name of ['left', 'right']) host.resume(name, lasting).subscribe('$share/g/a/#', 1).cut()
  const writer = host.resume('writer', lasting)
  for (let hour = 0; hour < 3; hour += 1) {
    for (const topic of ['a/1', 'a/2', 'b/1']) writer.publish(topic, `hour ${hour}`, (1 + (hour % 2)) as 1 | 2)
    host.settle()
    host.advance(HOUR_MS)
  }
  host.core.checkpoint()
  host.settle()
  for (const { packetId, qos } of reader.take('PUBLISH')) reader.ack(qos === 1 ? 4 : 5, packetId)
  writer.publish('a/1', 'goes soon', 1, { properties: { messageExpiryIntervalSec: 1 } })
  for (let number = 0; number < 6; number += 1) writer.publish('a/2', `${number}`, 1)
  host.advance(5_000)
  reader.drain()
  host.resume('sleeper', lasting).drain()
  // Two copies are in flight when its session ends, the others wait.
  host.resume('leaver', lasting)
  host.settle()
  host.connect('leaver', { cleanStart: true })
  host.connect('left', { cleanStart: true })
  host.settle()
  return copyStore(host.store)
}

const whole = bookedStore()
const rowsOf = (table: StoreTable): StoreEntry[] => [...whole.entries({ table })]
const problemsOf = (store: Store): readonly Problem[] => verifyStore(store).problems

/** The first record of the journal that has such a fact, changed. */
function withRecord<Name extends keyof FactHandler>(
  name: Name,
  change: (...fact: Parameters<FactHandler[Name]>) => Parameters<FactHandler[Name]> | null | undefined,
): { problems: readonly Problem[]; record: number } {
  for (const { key, value } of rowsOf('journal')) {
    const altered = alteredRecord(value, name, change)
    if (altered === null) continue
    return {
      problems: problemsOf(alteredStore(whole, { table: 'journal', key, value: altered })),
      record: keyNumber(key),
    }
  }
  throw new Error(`no record has a fact ${name} that was changed`)
}

const says = (problems: readonly Problem[], sentence: RegExp, record?: number): boolean =>
  problems.some((problem) => sentence.test(problem.sentence) && (record === undefined || problem.record === record))

t.test('books that are right', async (t) => {
  const { problems, books } = verifyStore(whole)
  t.same(problems, [])
  t.equal(books.closedHours, 3, JSON.stringify(books))
  t.match(books.digest, /^[0-9a-f]{64}$/)
  t.ok(books.recordsCompared > 5, `${books.recordsCompared} records`)
  t.ok(books.accounts > 4)
})

const ended: [slot: number, name: string][] = [
  [Slot.DELIVERED, 'delivered'],
  [Slot.ABANDONED, 'abandoned'],
  [Slot.PURGED, 'purged'],
  [Slot.MOVED, 'moved'],
  [Slot.DROPPED, 'dropped \\(expired\\)'],
  [Slot.DROPPED + 2, 'dropped \\(queue-full\\)'],
]
for (const [slot, name] of ended) {
  t.test(`an entry that forgets a copy that was ${name}`, async (t) => {
    const { problems, record } = withRecord('ledger', (hour, account, tally) => {
      return tally.get(slot) === 0 ? undefined : [hour, account, without(tally, slot)]
    })
    t.ok(says(problems, new RegExp(`copies that were ${name}, but enters`), record), JSON.stringify(problems))
    t.ok(says(problems, /should have \d+ copies/), 'and the balance is wrong')
  })
}

/** One less in this slot. */
function without(tally: Tally, slot: number): Tally {
  const changed = new Tally()
  changed.addAll(tally)
  if (slot === Slot.DELIVERED) changed.delivered -= 1
  else if (slot === Slot.ENQUEUED) changed.enqueued -= 1
  else if (slot === Slot.ACCEPTED) changed.accepted -= 1
  else changed.add(slot, -1)
  return changed
}

t.test('an entry that forgets a copy or a message that came', async (t) => {
  const copy = withRecord('ledger', (hour, account, tally) => {
    return tally.enqueued === 0 ? undefined : [hour, account, without(tally, Slot.ENQUEUED)]
  })
  t.ok(says(copy.problems, /copies \(\d+ bytes\) for account \d+, but enters/, copy.record))
  const message = withRecord('ledger', (hour, account, tally) => {
    return tally.accepted === 0 ? undefined : [hour, account, without(tally, Slot.ACCEPTED)]
  })
  t.ok(says(message.problems, /messages of account \d+, but enters/, message.record))
})

t.test('an entry that is not there at all', async (t) => {
  const { problems, record } = withRecord('ledger', (_hour, _account, tally) =>
    tally.enqueued === 0 ? undefined : null,
  )
  t.ok(says(problems, /copies of account \d+ that it does not enter/, record))
})

t.test('a fact that is not there, though it was entered', async (t) => {
  const { problems, record } = withRecord('lost', () => null)
  t.ok(says(problems, /dropped \(queue-full\)\), but enters|for account \d+, but enters/, record))
})

t.test('a row of an account that was changed', async (t) => {
  const found = rowsOf('accounts').map(({ key, value }) => {
    const wrong = value.slice()
    wrong[wrong.length - 1] = (wrong.at(-1) as number) + 1
    return problemsOf(alteredStore(whole, { table: 'accounts', key, value: wrong })).length > 0
  })
  // Bytes of what was published balance against nothing but the record, and its row is as new as the journal.
  t.ok(found.filter((isFound) => isFound).length >= found.length / 2, `${found}`)
})

t.test('a row of an account in a closed hour: changed, missing', async (t) => {
  for (const { key, value } of rowsOf('ledger')) {
    const wrong = value.slice()
    wrong[wrong.length - 1] = (wrong.at(-1) as number) + 1
    t.ok(says(problemsOf(alteredStore(whole, { table: 'ledger', key, value: wrong })), /have another digest/))
  }
  const [, , , last] = [...rowsOf('ledger')].reverse()
  const missing = problemsOf(alteredStore(whole, { table: 'ledger', key: last?.key as Uint8Array, value: null }))
  t.ok(says(missing, /was closed over \d+ rows, and the \d+ here/))
})

t.test('a chain with another link, or one link less', async (t) => {
  const closed = rowsOf('hours').slice(0, 3)
  const [first, second, third] = closed as [StoreEntry, StoreEntry, StoreEntry]
  const wrong = second.value.slice()
  wrong[wrong.length - 1] = (wrong.at(-1) as number) ^ 1
  const changed = problemsOf(alteredStore(whole, { table: 'hours', key: second.key, value: wrong }))
  t.ok(says(changed, /was closed over \d+ rows/))
  t.ok(says(changed, /is not chained to the closed hour before it/))
  const gone = problemsOf(alteredStore(whole, { table: 'hours', key: first.key, value: null }))
  t.ok(says(gone, /is not chained/))
  t.ok(says(gone, /which is not there/))
  t.ok(third.value.length > 64)
})

t.test('rows of hours that are older than the retention are not missed', async (t) => {
  const ledger = { enabled: true, topicClasses: [], topicClassesMax: 9, accountsMax: 99, retentionHours: 1 }
  const host = testBroker({ ledger, pace: { ledgerRowsPerCommit: 1 } })
  host.resume('reader').subscribe('#', 1)
  for (let hour = 0; hour < 5; hour += 1) {
    host.connect('writer').publish('a', 'x', 1)
    host.settle()
    host.advance(HOUR_MS)
    t.same(problemsOf(host.store), [])
  }
  t.equal(verifyStore(host.store).books.closedHours, 5)
})
