/**
 * Does this store say what a broker has promised? Reads every row of every table, recovers a broker's state with the
 * real code, and compares what must be equal. Over the store port only: a memory store in a test, a data directory
 * whose broker does not run. Writes nothing, and mends nothing: what is wrong is said.
 */
import type { Store, StoreTable } from '../core/ports/store.js'
import type { BrokerState } from '../core/state.js'
import { LedgerCheck, type LedgerFigures } from './check-ledger.js'
import { checkRecords } from './check-records.js'
import { RowCheck } from './check-rows.js'
import { checkState, type StateFigures } from './check-state.js'
import { type Problem, ProblemList } from './problems.js'
import { recoveredState } from './recovered-state.js'

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
  const state = recoverOrSay(store, problems)
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
function recoverOrSay(store: Store, problems: ProblemList): BrokerState | null {
  const { state, stopped } = recoveredState(store)
  if (stopped === null) return state
  const { place, reason } = stopped
  const where = place.table === undefined ? '' : ` at the row named here of table ${place.table}`
  problems.add('UNRECOVERABLE', place, `recovery stops${where}: ${reason}`)
  return null
}
