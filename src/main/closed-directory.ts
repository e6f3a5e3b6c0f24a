/**
 * A data directory whose broker does not run: opened for reading only, with nothing written and nothing locked, so that
 * a copy on a read-only disk will do. LMDB is not asked: `storage/lmdb/pages/` reads its file, and survives damage.
 */
import { existsSync, statSync } from 'node:fs'
import { explainMessage, type MessageExplanation } from '../audit/explain-message.js'
import { ProblemList } from '../audit/problems.js'
import { type LedgerFilter, type LedgerRow, ledgerRows } from '../audit/read-ledger.js'
import { type VerifyReport, verifyStore } from '../audit/verify-store.js'
import { STORE_TABLES, type Store, StoreError, type StoreTable } from '../core/ports/store.js'
import { directoryHolder } from '../storage/lmdb/directory-lock.js'
import { isLeftUnflushed, isOtherFile, readDescription, type StoreDescription } from '../storage/lmdb/directory.js'
import { checkPages } from '../storage/lmdb/pages/check-pages.js'
import type { PageFile } from '../storage/lmdb/pages/page-file.js'
import { openPageFile, PageStore } from '../storage/lmdb/pages/page-store.js'

export interface DirectoryReport extends VerifyReport {
  readonly directory: string
  readonly incarnation: string
  /** It was copied or restored: the broker that starts on it takes a new incarnation. */
  readonly isCopy: boolean
  readonly writtenBy: string
  /** Of the data file. `wasted`: neither used nor free, which harms nobody. */
  readonly pages: { readonly all: number; readonly used: number; readonly free: number; readonly wasted: number }
}

/** As messages about formats name it. */
const BUILD_NAME = 'tallymq'

/**
 * Checks pages, rows, recovery and books. What is wrong is in the report, not thrown.
 * @throws StoreError when there is nothing to look at: no store there, a newer format, or STORE_LOCKED by a broker.
 */
export async function verifyDirectory(directory: string): Promise<DirectoryReport> {
  const description = await lookAt(directory)
  const { incarnation, writtenBy } = description
  const problems = new ProblemList()
  if (isLeftUnflushed(directory)) {
    const sentence = 'the store was in use without flushing when the machine went down: a broker would refuse it'
    problems.add('UNRECOVERABLE', {}, sentence)
  }
  const report = verifyFile(directory, problems)
  // A broker that came up meanwhile has written under our eyes.
  await refuseHeld(directory)
  return { directory, incarnation, isCopy: isOtherFile(directory, description), writtenBy, ...report }
}

/** @throws StoreError STORE_CORRUPT where the rows cannot be read, and as `verifyDirectory`. */
export async function explainMessageIn(directory: string, messageId: number): Promise<MessageExplanation> {
  const store = await openRows(directory)
  try {
    const explanation = explainMessage(store, messageId)
    await refuseHeld(directory)
    return explanation
  } finally {
    await store.close()
  }
}

/** Row by row, however many there are. @throws as `explainMessageIn`. */
export async function* ledgerRowsIn(directory: string, filter: LedgerFilter): AsyncIterableIterator<LedgerRow> {
  const store = await openRows(directory)
  try {
    yield* ledgerRows(store, filter)
    await refuseHeld(directory)
  } finally {
    await store.close()
  }
}

async function openRows(directory: string): Promise<Store> {
  await lookAt(directory)
  const file = openPageFile(directory)
  const [first] = checkPages(file).problems
  if (first === undefined) return new PageStore(file, directory)
  file.close()
  const advice = 'run `tallymq ledger verify` on it'
  throw new StoreError('STORE_CORRUPT', `the data file in ${directory} is damaged: ${first.sentence}; ${advice}`)
}

async function lookAt(directory: string): Promise<StoreDescription> {
  if (!existsSync(directory) || !statSync(directory).isDirectory()) {
    throw new StoreError('STORE_IO', `${directory} is no directory; name the one that the broker has as --data`)
  }
  await refuseHeld(directory)
  const description = readDescription(directory, BUILD_NAME)
  if (description !== null) return description
  throw new StoreError('STORE_FORMAT', `${directory} holds no store: there is no store.json in it`)
}

async function refuseHeld(directory: string): Promise<void> {
  const holder = await directoryHolder(directory)
  if (holder === null) return
  throw new StoreError(
    'STORE_LOCKED',
    `${directory} is in use by process ${holder}. Stop the broker first, or look at a snapshot that the file system ` +
      'takes at one instant; a file-by-file copy of a running store is torn and would look damaged',
  )
}

function verifyFile(directory: string, problems: ProblemList): VerifyReport & Pick<DirectoryReport, 'pages'> {
  let file: PageFile
  try {
    file = openPageFile(directory)
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'STORE_CORRUPT') throw error
    problems.add('DAMAGED', {}, error.message)
    const pages = { all: 0, used: 0, free: 0, wasted: 0 }
    const { found, leftOut } = problems
    const nothing = { rows: {}, oldestRecord: 0, newestRecord: 0, state: null, pages }
    const books = { accounts: 0, closedHours: 0, digest: null, recordsCompared: 0 }
    return { problems: found, problemsLeftOut: leftOut, ...nothing, books }
  }
  try {
    const { problems: pageProblems, uses, pages: all } = checkPages(file)
    for (const { page, table, sentence } of pageProblems) {
      problems.add('DAMAGED', { page, ...(isStoreTable(table) && { table }) }, sentence)
    }
    let free = 0
    for (const use of uses.values()) if (use === 'free') free += 1
    const used = uses.size - free
    const store = new PageStore(file, directory, true)
    for (const { place, sentence } of store.journalDamages) {
      problems.add('DAMAGED', { table: 'journal' }, `the journal file is damaged at ${place}: ${sentence}`)
    }
    const report = verifyStore(store, { problems, rowsExpected: store.rowCounts() })
    // Two pages are LMDB's meta pages.
    return { ...report, pages: { all, used, free, wasted: all - 2 - used - free } }
  } finally {
    file.close()
  }
}

function isStoreTable(name: string | null): name is StoreTable {
  return (STORE_TABLES as readonly (string | null)[]).includes(name)
}
