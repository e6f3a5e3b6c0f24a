/** Every kind of damage to a store is a problem that names the place; a store that is right has none. */
import t from 'tap'
import { verifyStore } from '../../../src/audit/verify-store.js'
import type { Problem } from '../../../src/audit/problems.js'
import type { Store, StoreEntry, StoreTable } from '../../../src/core/ports/store.js'
import { chunkKey, keyNumber, numberKey, topicKey } from '../../../src/core/store-keys.js'
import type { MemoryStore } from '../../../src/storage/memory/memory-store.js'
import { auditedStore, BACKLOG } from '../../support/audited-store.js'
import { copyStore } from '../../support/durable-state.js'
import { testBroker } from '../../support/test-broker.js'

const whole = auditedStore()
const rowsOf = (store: Store, table: StoreTable): StoreEntry[] => [...store.entries({ table })]

function edited(...edits: { table: StoreTable; key: Uint8Array; value: Uint8Array | null }[]): MemoryStore {
  const copy = copyStore(whole)
  for (const { table, key, value } of edits) {
    const operation =
      value === null ? ({ kind: 'remove', table, key } as const) : ({ kind: 'put', table, key, value } as const)
    copy.commit([operation], () => undefined)
  }
  copy.settleAll()
  return copy
}

const sessionKey = (clientId: string): Uint8Array => {
  const found = rowsOf(whole, 'sessions').find(({ value }) => Buffer.from(value).includes(clientId))
  if (found === undefined) throw new Error(`no row of ${clientId}`)
  return found.key
}
const hex = (key: Uint8Array): string => Buffer.from(key).toString('hex')
const findings = (store: Store): readonly Problem[] => verifyStore(store).problems

function has(problems: readonly Problem[], wanted: Partial<Problem>): boolean {
  const entries = Object.entries(wanted) as [keyof Problem, unknown][]
  return problems.some((problem) =>
    entries.every(([name, value]) =>
      name === 'sentence' ? problem.sentence.includes(String(value)) : problem[name] === value,
    ),
  )
}

const TABLES = ['journal', 'sessions', 'queues', 'messages', 'references', 'retained', 'producers', 'keys'] as const

t.test('a store that is right has no problems, and its figures', async (t) => {
  const report = verifyStore(whole)
  t.same(report.problems, [])
  for (const table of TABLES) t.ok((report.rows[table] ?? 0) > 0, `there are rows in ${table}`)
  t.equal(report.rows.queues, 9, 'three chunks for each of three sessions')
  t.match(report.state, { sessions: 4, retained: 3 })
  t.ok(report.newestRecord >= report.oldestRecord && report.oldestRecord > 1)
})

t.test('an empty store is right', async (t) => {
  t.same(findings(testBroker().store), [])
})

t.test('each damaged row is named, and reading goes on behind it', async (t) => {
  for (const table of TABLES) {
    const rows = rowsOf(whole, table)
    const victims = [rows[0], rows.at(-1)].filter((row) => row !== undefined)
    const store = copyStore(whole)
    for (const { key } of victims) store.damage(table, key)
    const report = verifyStore(store)
    for (const { key } of victims) {
      t.ok(has(report.problems, { kind: 'DAMAGED', table, key: hex(key) }), `${table} ${hex(key)}`)
    }
    t.equal(report.rows[table], rows.length, 'all rows were seen')
  }
})

t.test('a damaged journal record is named by its number', async (t) => {
  const store = copyStore(whole)
  const key = rowsOf(whole, 'journal').at(-1)?.key ?? new Uint8Array(8)
  store.damage('journal', key)
  t.ok(has(findings(store), { kind: 'DAMAGED', record: keyNumber(key) }))
})

t.test('a row with a byte too few or too many cannot be read', async (t) => {
  for (const table of TABLES) {
    const { key, value } = rowsOf(whole, table).at(-1) as StoreEntry
    const longer = new Uint8Array(value.length + 1)
    longer.set(value)
    for (const wrong of [value.slice(0, -1), longer]) {
      const problems = findings(edited({ table, key, value: wrong }))
      t.ok(has(problems, { kind: 'UNREADABLE', table, key: hex(key) }), `${table}, ${wrong.length - value.length}`)
    }
  }
})

t.test('a gap in the journal is named', async (t) => {
  const journal = rowsOf(whole, 'journal')
  t.ok(journal.length >= 3)
  const [, second, third] = journal as [StoreEntry, StoreEntry, StoreEntry]
  const problems = findings(edited({ table: 'journal', key: second.key, value: null }))
  const record = keyNumber(third.key)
  t.ok(has(problems, { kind: 'MISSING', table: 'journal', record, sentence: `record ${record - 1} is missing` }))
  t.ok(has(problems, { kind: 'UNRECOVERABLE', table: 'journal', record }))
})

t.test('rows from after the last journal record say that the end of the journal is missing', async (t) => {
  const journal = rowsOf(whole, 'journal')
  const edits = journal.map(({ key }) => ({ table: 'journal' as const, key, value: null as Uint8Array | null }))
  const { value } = journal[0] as StoreEntry
  const problems = findings(edited(...edits, { table: 'journal', key: numberKey(2), value }))
  t.ok(has(problems, { kind: 'MISSING', sentence: 'the newest one here is 2: the end of the journal is missing' }))
})

t.test('tables without a journal are a loss', async (t) => {
  const edits = rowsOf(whole, 'journal').map(({ key }) => ({ table: 'journal' as const, key, value: null }))
  t.ok(has(findings(edited(...edits)), { kind: 'MISSING', sentence: 'the journal is empty' }))
})

t.test('a chunk of a queue that is missing, and one too many', async (t) => {
  const [first] = rowsOf(whole, 'queues') as [StoreEntry]
  const number = keyNumber(first.key)
  const missing = findings(edited({ table: 'queues', key: first.key, value: null }))
  t.ok(has(missing, { kind: 'MISSING', table: 'queues', sentence: `of the queue of session ${number} are missing` }))
  const beyond = chunkKey(number, 99)
  const tooMany = findings(edited({ table: 'queues', key: beyond, value: first.value }))
  t.ok(has(tooMany, { kind: 'LEFT_BEHIND', table: 'queues', key: hex(beyond) }))
  const nobodys = chunkKey(77, 1)
  const ofNobody = findings(edited({ table: 'queues', key: nobodys, value: first.value }))
  t.ok(has(ofNobody, { kind: 'LEFT_BEHIND', table: 'queues', key: hex(nobodys), sentence: 'session 77' }))
})

t.test('a chunk with the copies of another one', async (t) => {
  const rows = rowsOf(whole, 'queues')
  const number = keyNumber((rows[0] as StoreEntry).key)
  const chunks = rows.filter(({ key }) => keyNumber(key) === number)
  const problems = findings(edited({ table: 'queues', key: chunks[0]!.key, value: chunks[2]!.value }))
  t.ok(has(problems, { kind: 'INCONSISTENT', table: 'sessions', sentence: `the queue of session ${number} lacks` }))
  t.ok(has(problems, { kind: 'INCONSISTENT', table: 'messages', sentence: 'are counted' }))
})

t.test('a message that copies wait for is missing', async (t) => {
  const { key } = rowsOf(whole, 'messages').at(-1) as StoreEntry
  const problems = findings(edited({ table: 'messages', key, value: null }))
  const sentence = `message ${keyNumber(key)} waits in`
  t.ok(has(problems, { kind: 'MISSING', table: 'messages', key: hex(key), sentence }))
})

t.test('a message that nobody waits for is left behind', async (t) => {
  const { value } = rowsOf(whole, 'messages')[0] as StoreEntry
  const key = numberKey(BACKLOG + 50)
  const problems = findings(edited({ table: 'messages', key, value }))
  t.ok(has(problems, { kind: 'LEFT_BEHIND', table: 'messages', key: hex(key) }))
  t.ok(has(problems, { kind: 'INCONSISTENT', table: 'messages', key: hex(key), sentence: 'has not counted so far' }))
})

t.test('a count of copies that is wrong, or of no message', async (t) => {
  const { key, value } = rowsOf(whole, 'references')[0] as StoreEntry
  const wrong = value.slice()
  wrong[wrong.length - 1] = (wrong.at(-1) as number) + 1
  const problems = findings(edited({ table: 'references', key, value: wrong }))
  t.ok(has(problems, { kind: 'INCONSISTENT', key: hex(key), sentence: `message ${keyNumber(key)} has` }))
  const nobodys = numberKey(BACKLOG + 50)
  const ofNobody = findings(edited({ table: 'references', key: nobodys, value }))
  t.ok(has(ofNobody, { kind: 'LEFT_BEHIND', table: 'references', key: hex(nobodys) }))
})

t.test('a session that is missing leaves its queue behind', async (t) => {
  const key = sessionKey('archive')
  const problems = findings(edited({ table: 'sessions', key, value: null }))
  t.ok(has(problems, { kind: 'LEFT_BEHIND', table: 'queues', sentence: 'no row of that session' }))
})

t.test('two sessions of one client, and a session from the future', async (t) => {
  const { value } = rowsOf(whole, 'sessions').find(({ key }) => hex(key) === hex(sessionKey('meter'))) as StoreEntry
  const key = numberKey(50)
  const problems = findings(edited({ table: 'sessions', key, value }))
  t.ok(has(problems, { kind: 'INCONSISTENT', table: 'sessions', sentence: "session 50 is that client's too" }))
  t.ok(has(problems, { kind: 'INCONSISTENT', table: 'sessions', key: hex(key), sentence: 'has not counted that far' }))
})

t.test('a retained message under another topic', async (t) => {
  const { value } = rowsOf(whole, 'retained')[0] as StoreEntry
  const key = topicKey('meters/9/state')
  const problems = findings(edited({ table: 'retained', key, value }))
  t.ok(has(problems, { kind: 'INCONSISTENT', table: 'retained', key: hex(key), sentence: '"meters/1/state"' }))
})

t.test('a producer that was opened and is not there any more', async (t) => {
  const { key } = rowsOf(whole, 'producers')[1] as StoreEntry
  const problems = findings(edited({ table: 'producers', key, value: null }))
  t.ok(
    has(problems, { kind: 'MISSING', table: 'producers', sentence: '3 producers were ever opened, but 2 are known' }),
  )
})

t.test('a producer whose numbers do not add up', async (t) => {
  const { key, value } = rowsOf(whole, 'producers')[0] as StoreEntry
  const wrong = value.slice()
  // record, no name, epoch, sequence, accepted.
  t.same([...wrong.subarray(1, 6)], [0, 1, 4, 3, 1], 'one of four was refused')
  wrong[4] = 2
  const problems = findings(edited({ table: 'producers', key, value: wrong }))
  t.ok(has(problems, { kind: 'UNREADABLE', table: 'producers', key: hex(key), sentence: 'accepted or refused' }))
})

t.test('fewer rows than the store itself counts', async (t) => {
  const { key } = rowsOf(whole, 'retained')[0] as StoreEntry
  const { problems } = verifyStore(edited({ table: 'retained', key, value: null }), { rowsExpected: { retained: 3 } })
  t.ok(has(problems, { kind: 'DAMAGED', table: 'retained', sentence: '3 rows by its own count, but 2' }))
})

t.test('a row that a walk finds and a lookup does not', async (t) => {
  const { key } = rowsOf(whole, 'retained')[0] as StoreEntry
  const store: Store = {
    get: (table, wanted) => (table === 'retained' && hex(wanted) === hex(key) ? undefined : whole.get(table, wanted)),
    entries: (range) => whole.entries(range),
    commit: () => undefined,
    close: async () => undefined,
  }
  const sentence = 'looking this row of table retained up by its key finds nothing'
  t.ok(has(findings(store), { kind: 'DAMAGED', table: 'retained', key: hex(key), sentence }))
})

t.test('the list of problems has a bound, and what is beyond is counted', async (t) => {
  const edits = rowsOf(whole, 'messages').map(({ key }) => ({ table: 'messages' as const, key, value: null }))
  const report = verifyStore(edited(...edits), { problemsMax: 10 })
  t.equal(report.problems.length, 10)
  t.ok(report.problemsLeftOut >= BACKLOG - 20, `${report.problemsLeftOut} are left out`)
})
