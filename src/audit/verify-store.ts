/**
 * Does this store say what a broker has promised? Reads every row of every table, recovers a broker's state with the
 * real code, and compares what must be equal. Over the store port only: a memory store in a test, a data directory
 * whose broker does not run. Writes nothing, and mends nothing: what is wrong is said.
 */
import { DEFAULT_LIMITS } from '../core/limits.js'
import type { Store, StoreEntry, StoreOperation, StoreRange, StoreTable } from '../core/ports/store.js'
import { recover } from '../core/replay.js'
import { type BrokerPorts, BrokerState } from '../core/state.js'
import { keyNumber } from '../core/store-keys.js'
import { LedgerCheck, type LedgerFigures } from './check-ledger.js'
import { checkRecords } from './check-records.js'
import { RowCheck } from './check-rows.js'
import { checkState, type StateFigures } from './check-state.js'
import { type Problem, ProblemList, type ProblemPlace, reasonOf } from './problems.js'

export interface VerifyOptions {
  /** Problems that are listed; further ones are counted. Default 1 000. */
  readonly problemsMax?: number
  /** Instead: a list that has some already. */
  readonly problems?: ProblemList
  /** What the store's adapter knows about the number of rows, beside what can be read. */
  readonly rowsExpected?: Partial<Record<StoreTable, number>>
}

export interface VerifyReport {
  readonly problems: readonly Problem[]
  /** Found beyond the bound of the list. */
  readonly problemsLeftOut: number
  readonly rows: Readonly<Partial<Record<StoreTable, number>>>
  /** 0: the journal is empty. */
  readonly oldestRecord: number
  readonly newestRecord: number
  /** null: a broker does not start on this store. */
  readonly state: StateFigures | null
  /** `recordsCompared`: journal records whose events were counted again and compared with their entries. */
  readonly books: LedgerFigures & { readonly recordsCompared: number }
}

export function verifyStore(store: Store, options: VerifyOptions = {}): VerifyReport {
  const problems = options.problems ?? new ProblemList(options.problemsMax)
  const rows = new RowCheck(store, problems)
  rows.run()
  const ledger = new LedgerCheck(rows, problems)
  const books = ledger.run()
  rows.finish()
  compareCounts(rows, options.rowsExpected ?? {}, problems)
  const recordsCompared = checkRecords(store, ledger, problems)
  const state = recoveredState(store, problems)
  const checked = state === null ? null : checkState(state, rows, problems)
  if (state !== null && checked?.holdings) ledger.checkBalances(store, state, checked.holdings)
  return {
    problems: problems.found,
    problemsLeftOut: problems.leftOut,
    rows: rows.rows,
    oldestRecord: rows.oldestRecord,
    newestRecord: rows.newestRecord,
    state: checked?.figures ?? null,
    books: { ...books, recordsCompared },
  }
}

function compareCounts(rows: RowCheck, expected: Partial<Record<StoreTable, number>>, problems: ProblemList): void {
  for (const [name, count] of Object.entries(expected)) {
    const table = name as StoreTable
    const found = rows.rows[table] ?? 0
    if (found === count) continue
    problems.add('DAMAGED', { table }, `table ${table} has ${count} rows by its own count, but ${found} can be read`)
  }
}

/** With the code that a broker starts with. @returns null when that fails, which is a problem. */
function recoveredState(store: Store, problems: ProblemList): BrokerState | null {
  const read = new NotingStore(store)
  const state = new BrokerState(silentPorts(read))
  try {
    recover(state)
    return state
  } catch (error) {
    const where = read.last === null ? '' : ` at the row named here of table ${read.last.table}`
    problems.add('UNRECOVERABLE', read.last ?? {}, `recovery stops${where}: ${reasonOf(error)}`)
    return null
  }
}

function silentPorts(store: Store): BrokerPorts {
  return {
    limits: DEFAULT_LIMITS,
    access: {
      allowsEverything: true,
      authenticate: () => ({ accepted: false, reasonCode: 0x87, detail: 'an audit takes no connections' }),
      authorize: () => false,
    },
    store,
    events: { emit: () => undefined },
    durability: 'flush',
    incarnation: '',
    ids: { randomId: () => '' },
    presence: false,
    authenticating: () => undefined,
  }
}

/** Remembers the row that was read last in order, so that a recovery that stops can say where. */
class NotingStore implements Store {
  readonly #store: Store
  last: (ProblemPlace & { readonly table: StoreTable }) | null = null

  constructor(store: Store) {
    this.#store = store
  }

  get(table: StoreTable, key: Uint8Array): Uint8Array | undefined {
    return this.#store.get(table, key)
  }

  *entries(range: StoreRange): IterableIterator<StoreEntry> {
    const { table } = range
    for (const entry of this.#store.entries(range)) {
      const { key } = entry
      this.last = table === 'journal' ? { table, key, record: keyNumber(key) } : { table, key }
      yield entry
    }
    this.last = null
  }

  commit(_operations: readonly StoreOperation[], _done: (error: null) => void): void {
    throw new Error('an audit writes nothing')
  }

  close(): Promise<void> {
    return this.#store.close()
  }
}
