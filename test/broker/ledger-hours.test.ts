/** Hours of the ledger: when they close, what the chain holds, clocks that go back, and what is kept how long. */
import t, { type Test } from 'tap'
import { ledgerRows } from '../../src/audit/read-ledger.js'
import { HourDigest, type HourRow, readHoursRow } from '../../src/core/ledger/hours.js'
import { readHourRow } from '../../src/core/ledger/account.js'
import { hourOfKey, keyNumber } from '../../src/core/store-keys.js'
import { checkLedger, checkStore } from '../support/durable-state.js'
import { type TestBroker, testBroker } from '../support/test-broker.js'

const HOUR_MS = 3_600_000
const LEDGER = { enabled: true, topicClasses: [], topicClassesMax: 9, accountsMax: 99, retentionHours: 1_000 }

function hoursOf(host: TestBroker): HourRow[] {
  return [...host.store.entries({ table: 'hours' })].map(({ key, value }) => readHoursRow(keyNumber(key), value))
}

/** Recomputes the chain from the rows. */
function checkChain(t: Test, host: TestBroker): number {
  checkLedger(host.core.state)
  checkStore(host.store)
  let previous: Uint8Array = new Uint8Array(32)
  let closed = 0
  for (const row of hoursOf(host)) {
    if (row.digest === null) continue
    const digest = new HourDigest(previous, row.hour)
    for (const { key, value } of host.store.entries({ table: 'ledger' })) {
      if (hourOfKey(key) === row.hour) digest.add(key, value)
    }
    t.equal(digest.rows, row.rows)
    t.same(row.previousDigest, previous)
    t.same(row.digest, digest.digest(), `the digest of hour ${row.hour}`)
    previous = row.digest
    closed += 1
  }
  return closed
}

function start(options = {}): TestBroker {
  const host = testBroker({ pace: { ledgerRowsPerCommit: 1 }, ledger: { ...LEDGER, ...options } })
  host.resume('reader').subscribe('#', 1)
  return host
}

function say(host: TestBroker, topicName: string): void {
  host.connect('writer').publish(topicName, 'x', 1)
  host.settle()
}

t.test('an hour closes by itself, also when nothing happens; hours without traffic are not there', async (t) => {
  const host = start()
  say(host, 'a')
  say(host, 'b')
  host.advance(HOUR_MS)
  t.equal(checkChain(t, host), 1)
  host.advance(5 * HOUR_MS)
  t.equal(checkChain(t, host), 1)
  say(host, 'a')
  host.advance(HOUR_MS)
  t.equal(checkChain(t, host), 2)
  const rows = [...host.store.entries({ table: 'ledger' })].map(({ value }) => readHourRow(value))
  const reader = rows.filter(({ clientId, topicClass }) => clientId === 'reader' && topicClass === 'a')
  t.same(
    reader.map(({ opening }) => opening),
    [0, 1],
    'what an hour leaves in the queue opens the next',
  )
})

t.test('traffic goes on over the full hour', async (t) => {
  const host = start()
  for (let hour = 0; hour < 4; hour += 1) {
    for (const topic of ['a', 'b', 'c']) say(host, topic)
    host.clock.advance(HOUR_MS)
    say(host, 'a')
  }
  host.advance(HOUR_MS)
  t.ok(checkChain(t, host) >= 4)
})

t.test('a crash at every point of closing: the chain is whole afterwards', async (t) => {
  for (let turns = 0; turns < 14; turns += 1) {
    let host = start()
    for (const topic of ['a', 'b', 'c']) say(host, topic)
    host.clock.advance(HOUR_MS)
    host.core.handleTimeout(host.clock.nowMs())
    for (let turn = 0; turn < turns; turn += 1) {
      host.turn()
      ;(host.store as never as { settleNext(): boolean }).settleNext()
    }
    host = host.crash()
    host.advance(1)
    say(host, 'a')
    host.advance(HOUR_MS)
    t.equal(checkChain(t, host), 2, `after ${turns} turns`)
  }
})

t.test('a crash at every point of closing, and a clock that goes back: the hour stays over', async (t) => {
  for (let turns = 0; turns < 14; turns += 1) {
    let host = start()
    for (const topic of ['a', 'b', 'c']) say(host, topic)
    host.clock.advance(HOUR_MS)
    host.core.handleTimeout(host.clock.nowMs())
    for (let turn = 0; turn < turns; turn += 1) {
      host.turn()
      ;(host.store as never as { settleNext(): boolean }).settleNext()
    }
    const rows = [...host.store.entries({ table: 'ledger' })]
    host.clock.set(host.clock.nowMs() - HOUR_MS)
    host = host.crash()
    say(host, 'a')
    for (const { key, value } of rows) t.same(host.store.get('ledger', key), value, 'a row is written once')
    const accepted = [...ledgerRows(host.store)].reduce((sum, row) => sum + row.accepted.count, 0)
    t.equal(accepted, 4, 'nothing that was said is missing in the books meanwhile')
    checkStore(host.store)
    host.advance(2 * HOUR_MS)
    t.equal(checkChain(t, host), rows.length === 0 ? 1 : 2, `after ${turns} turns`)
    for (const { key, value } of rows) t.same(host.store.get('ledger', key), value, 'also when the hours are closed')
  }
})

t.test('a clock that goes back does not take the hour back', async (t) => {
  const host = start()
  say(host, 'a')
  host.advance(HOUR_MS)
  host.clock.set(host.clock.nowMs() - 3 * HOUR_MS)
  say(host, 'a')
  host.advance(6 * HOUR_MS)
  t.equal(checkChain(t, host), 2)
  const [first, second] = hoursOf(host)
  t.ok((second?.hour ?? 0) > (first?.hour ?? 0))
})

t.test('rows of accounts go when they are too old, rows of hours stay', async (t) => {
  const host = start({ retentionHours: 2 })
  for (let hour = 0; hour < 5; hour += 1) {
    say(host, 'a')
    host.advance(HOUR_MS)
  }
  host.settle()
  const kept = new Set([...host.store.entries({ table: 'ledger' })].map(({ key }) => hourOfKey(key)))
  t.equal(kept.size, 2)
  t.equal(hoursOf(host).filter(({ digest }) => digest !== null).length, 5)
})

t.test('removing them goes on after a restart, and begins with one when the retention is shorter', async (t) => {
  const keptHours = (host: TestBroker) =>
    [...new Set([...host.store.entries({ table: 'ledger' })].map(({ key }) => hourOfKey(key)))].length
  let host = start()
  for (let hour = 0; hour < 5; hour += 1) {
    for (const topic of ['a', 'b', 'c']) say(host, topic)
    host.advance(HOUR_MS)
  }
  t.equal(keptHours(host), 5)
  host = host.crash({ ledger: { ...LEDGER, retentionHours: 2 } })
  // One row per commit: power fails long before the last.
  for (let turn = 0; turn < 4; turn += 1) {
    host.turn()
    ;(host.store as never as { settleNext(): boolean }).settleNext()
  }
  t.ok(keptHours(host) > 2, 'it has only begun')
  t.ok(host.core.isCheckpointing, 'and goes on committing')
  host = host.crash()
  host.settle()
  t.equal(keptHours(host), 2, 'without an hour that closes')
  t.notOk(host.core.isCheckpointing)
  t.equal(hoursOf(host).filter(({ digest }) => digest !== null).length, 5)
})

t.test('a record may outlive the account that it names and all rows of its hour', async (t) => {
  const host = testBroker({ ledger: { ...LEDGER, retentionHours: 1 } })
  const writer = host.resume('writer')
  writer.publish('a', 'x', 1)
  host.settle()
  for (let round = 0; round < 2; round += 1) {
    host.core.checkpoint()
    host.settle()
  }
  // Its name is in a row by now, not in the journal.
  writer.publish('a', 'x', 1)
  host.settle()
  for (let hour = 0; hour < 3; hour += 1) {
    host.advance(HOUR_MS)
    host.connect(`other-${hour}`).publish('b', 'x', 1)
    host.settle()
  }
  t.notOk([...host.core.state.ledger.accounts.values()].some(({ clientId }) => clientId === 'writer'))
  checkStore(host.store)
})
