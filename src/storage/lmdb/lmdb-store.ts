/**
 * The store port on LMDB. One writer: at most one LMDB transaction is under way, and commits that come meanwhile wait
 * and then share the next one, in order. Not more than one, because lmdb-js would go on with a second after the first
 * has failed, and a journal with a hole in it is worse than one that ends early.
 *
 * Reads use a snapshot that is renewed when a group of commits is done, never in between: what is on disk but not
 * reported yet stays invisible. Held between commits it costs nothing, because LMDB never reuses pages of the newest
 * state anyway.
 */
import type { Transaction } from 'lmdb'
import { assert } from '../../base/assert.js'
import type { TimerHandle, Timers } from '../../base/clock.js'
import {
  KEY_BYTES_MAX,
  type Store,
  type StoreEntry,
  StoreError,
  type StoreOperation,
  type StoreRange,
  type StoreTable,
} from '../../core/ports/store.js'
import { commitError, describe, isCorruption } from './commit-errors.js'
import type { Environment } from './environment.js'
import { type Commit, GroupWriter, groupBytes, isRecord } from './group-writer.js'
import type { JournalFile } from './journal/journal-file.js'
import { mergedByKey } from './journal/journal-slots.js'
import { recordNumber } from './journal/slot-format.js'
import { scanFile } from './pages/scan-file.js'
import { RowViews } from './row-views.js'
import { checkFrame, corruptRow, FRAME_BYTES, readFrame } from './value-frame.js'

/** A page of `entries`, bounded both ways: 256 values of 8 MB must not be in memory together. */
const PAGE_ROWS_MAX = 256
const PAGE_BYTES_MAX = 1_048_576
/** Bounds of commits that share a transaction; a single larger one still goes through. lmdb-js blocks above 300 000. */
const GROUP_OPERATIONS_MAX = 50_000
const GROUP_BYTES_MAX = 16_777_216
/** A commit is given up after this many ticks of a fraction of its timeout: at the timeout, or up to a tick later. */
const WATCH_TICKS = 4
/** Who keeps one small value keeps the others that were read with it. */
const SLAB_BYTES = 4_096
const SHARED_VALUE_BYTES_MAX = 512

interface RawEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface LmdbStoreSetup {
  readonly environment: Environment
  readonly journal: JournalFile
  readonly directory: string
  readonly incarnation: string
  readonly previousIncarnation?: string | null
  readonly commitTimeoutMs: number
  readonly timers: Timers
  readonly onFatal: ((error: StoreError) => void) | undefined
  /** Runs when the environment is closed, or must not be touched any more because a write is stuck in it. */
  readonly afterClose: (flushed: boolean) => Promise<void>
}

export class LmdbStore implements Store {
  /** Random id of this database: another one means that a backup was restored or the data began anew. */
  readonly incarnation: string
  /** The one before, when this opening found that the database is a copy or was restored; else null. */
  readonly previousIncarnation: string | null
  readonly #setup: LmdbStoreSetup
  readonly #environment: Environment
  #snapshot: Transaction
  readonly #reading: { transaction: Transaction }
  /** Where small values that were asked for lie, one after the other. */
  #slab = new ArrayBuffer(SLAB_BYTES)
  #slabUsed = 0
  readonly #views = new RowViews()
  #waiting: Commit[] = []
  #inFlight: readonly Commit[] = []
  #watchdog: TimerHandle | null = null
  #watched: readonly Commit[] = []
  #watchedTicks = 0
  readonly #writer: GroupWriter
  #failure: StoreError | null = null
  #closing: Promise<void> | null = null
  #closed = false
  #drained: (() => void) | null = null
  #hasWritten = false

  constructor(setup: LmdbStoreSetup) {
    this.#setup = setup
    this.#environment = setup.environment
    this.incarnation = setup.incarnation
    this.previousIncarnation = setup.previousIncarnation ?? null
    this.#snapshot = setup.environment.root.useReadTransaction()
    this.#reading = { transaction: this.#snapshot }
    this.#writer = new GroupWriter(setup.environment, setup.journal, this.#newestJournalKey())
  }

  get(table: StoreTable, key: Uint8Array): Uint8Array | undefined {
    if (table === 'journal' && this.#setup.journal.holds(key)) return this.#ofFile(key)
    const framed = this.#framed(table, key)
    return framed && this.#copyOf(framed)
  }

  view(table: StoreTable, key: Uint8Array): Uint8Array | undefined {
    if (table === 'journal') return this.get(table, key)
    const framed = this.#framed(table, key)
    return framed && this.#views.of(framed)
  }

  /** LMDB reads into a buffer that it uses again. */
  #framed(table: StoreTable, key: Uint8Array): Uint8Array | undefined {
    this.#assertOpen()
    assertKey(key)
    let framed: Uint8Array | undefined
    try {
      framed = this.#environment.tables[table].getBinaryFast(key, this.#reading)
    } catch (error) {
      throw readError(table, key, error)
    }
    if (framed !== undefined) checkFrame(table, key, framed)
    return framed
  }

  /** Small values share a buffer: an ArrayBuffer each costs more. */
  #copyOf(framed: Uint8Array): Uint8Array {
    const length = framed.length - FRAME_BYTES
    if (length > SHARED_VALUE_BYTES_MAX) return Uint8Array.prototype.slice.call(framed, FRAME_BYTES, framed.length)
    if (this.#slabUsed + length > SLAB_BYTES) {
      this.#slab = new ArrayBuffer(SLAB_BYTES)
      this.#slabUsed = 0
    }
    const value = new Uint8Array(this.#slab, this.#slabUsed, length)
    this.#slabUsed += length
    for (let index = 0; index < length; index += 1) value[index] = framed[FRAME_BYTES + index] as number
    return value
  }

  entries(range: StoreRange): IterableIterator<StoreEntry> {
    this.#assertOpen()
    assertRange(range)
    if (range.table === 'journal' && !this.#setup.journal.isEmpty) return this.#walkJournal(range)
    return this.#walk(range)
  }

  #ofFile(key: Uint8Array): Uint8Array | undefined {
    for (const { value } of this.#setup.journal.rows(key, successor(key))) return value
    return undefined
  }

  /** Records lie in the file, and in LMDB where a commit had more to write than its record. */
  *#walkJournal({ limit = Number.POSITIVE_INFINITY, ...range }: StoreRange): IterableIterator<StoreEntry> {
    const ofFile = this.#setup.journal.rows(range.from ?? new Uint8Array(0), range.until)
    let left = limit
    for (const entry of left > 0 ? mergedByKey(this.#walk(range), ofFile) : []) {
      yield entry
      left -= 1
      if (left <= 0) return
      this.#assertOpen()
    }
  }

  #newestJournalKey(): number {
    for (const { key } of this.#environment.tables.journal.getRange({ reverse: true, limit: 1 })) {
      if (key.length === 8) return recordNumber(key)
    }
    return -1
  }

  /** Before the first commit from the data file, page by page; LMDB goes on wherever a page is not as expected. */
  scan(table: StoreTable, visit: (key: Uint8Array, value: Uint8Array) => void): void {
    this.#assertOpen()
    const last =
      this.#hasWritten || table === 'journal'
        ? null
        : scanFile(this.#setup.directory, this.#transaction(), table, visit)
    if (last === 'all') return
    const from = last === null ? {} : { from: successor(last) }
    for (const { key, value } of this.entries({ table, ...from })) visit(key, value)
  }

  /** That the snapshot shows, while nothing has been written. */
  #transaction(): number {
    const { lastTxnId } = this.#environment.root.getStats() as { readonly lastTxnId?: number }
    return lastTxnId ?? -1
  }

  commit(operations: readonly StoreOperation[], done: (error: StoreError | null) => void): void {
    this.#hasWritten = true
    let bytes = 0
    for (const operation of operations) {
      assertKey(operation.key)
      if (operation.kind === 'put') bytes += FRAME_BYTES + operation.value.length
    }
    const refusal = this.#failure ?? (this.#closing !== null ? closedError(this.#setup.directory) : null)
    if (refusal !== null) {
      queueMicrotask(() => done(refusal))
      return
    }
    this.#waiting.push({ operations, bytes, isRecord: isRecord(operations), done })
    if (this.#inFlight.length === 0) this.#startGroup()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (this.#inFlight.length > 0) await new Promise<void>((resolve) => (this.#drained = resolve))
    this.#closed = true
    this.#watchdog?.cancel()
    // A write that never settled may still be running inside LMDB: leave the environment and the lock to the exit.
    if (this.#failure?.code === 'STORE_STALLED') return
    if (this.#failure === null) await this.#writer.close()
    this.#snapshot.done()
    await this.#setup.journal.close()
    await this.#environment.root.close()
    await this.#setup.afterClose(this.#failure === null)
  }

  #startGroup(): void {
    const group = this.#takeGroup()
    if (group.length === 0) return
    this.#inFlight = group
    if (this.#watchdog === null) this.#watchFor(group)
    this.#handOver(group).then(
      () => this.#groupDone(group),
      (error: unknown) => this.#groupFailed(group, error),
    )
  }

  #takeGroup(): readonly Commit[] {
    if (this.#waiting.length <= 1) return this.#waiting.splice(0)
    const isRecord = this.#waiting[0]?.isRecord
    let operations = 0
    let bytes = 0
    let count = 0
    for (const commit of this.#waiting) {
      operations += commit.operations.length
      bytes += commit.bytes
      if (commit.isRecord !== isRecord || (count > 0 && (operations > GROUP_OPERATIONS_MAX || bytes > GROUP_BYTES_MAX)))
        break
      count += 1
    }
    return this.#waiting.splice(0, count)
  }

  /** LMDB refusing to take a batch at all is a failed commit too, and is told later, like any other. */
  async #handOver(group: readonly Commit[]): Promise<unknown> {
    return this.#writer.write(group)
  }

  #groupDone(group: readonly Commit[]): void {
    if (this.#failure !== null) return
    if (this.#writer.written(group)) this.#renewSnapshot()
    this.#inFlight = []
    // The next group goes to the disk first, the callbacks run while it is being written.
    this.#startGroup()
    for (const commit of group) commit.done(null)
    if (this.#inFlight.length > 0) return
    try {
      this.#writer.rest()
    } catch (error) {
      this.#fail(commitError(error, this.#setup.directory, 0))
    }
    this.#drained?.()
  }

  #renewSnapshot(): void {
    this.#snapshot.done()
    this.#snapshot = this.#environment.root.useReadTransaction()
    this.#reading.transaction = this.#snapshot
  }

  async #groupFailed(group: readonly Commit[], error: unknown): Promise<void> {
    const cause = await causeOf(error)
    this.#fail(commitError(cause, this.#setup.directory, groupBytes(group)))
  }

  #watchFor(group: readonly Commit[]): void {
    this.#watched = group
    this.#watchedTicks = 0
    this.#armWatchdog()
  }

  #armWatchdog(): void {
    const { commitTimeoutMs, timers } = this.#setup
    this.#watchdog = timers.schedule(commitTimeoutMs / WATCH_TICKS, () => this.#watch())
  }

  /**
   * After a fatal error inside LMDB a write neither resolves nor rejects: only time tells. It is counted in ticks and
   * not read from a clock, so that a process that was stopped, or a machine that slept, finds its commit settled.
   */
  #watch(): void {
    this.#watchdog = null
    if (this.#inFlight.length === 0) return
    if (this.#inFlight !== this.#watched) {
      this.#watchFor(this.#inFlight)
      return
    }
    this.#watchedTicks += 1
    if (this.#watchedTicks < WATCH_TICKS) {
      this.#armWatchdog()
      return
    }
    const { commitTimeoutMs, directory } = this.#setup
    this.#fail(new StoreError('STORE_STALLED', `a commit to ${directory} has not settled within ${commitTimeoutMs} ms`))
  }

  #fail(error: StoreError): void {
    if (this.#failure !== null) return
    this.#failure = error
    const failed = [...this.#inFlight, ...this.#waiting]
    this.#inFlight = []
    this.#waiting = []
    for (const commit of failed) commit.done(error)
    this.#drained?.()
    this.#setup.onFatal?.(error)
  }

  *#walk(range: StoreRange): IterableIterator<StoreEntry> {
    let from = range.from
    let left = range.limit ?? Number.POSITIVE_INFINITY
    while (left > 0) {
      const page = this.#readPage(range.table, from, range.until, Math.min(left, PAGE_ROWS_MAX))
      for (const { key, value } of page.rows) yield { key, value: readFrame(range.table, key, value) }
      const last = page.rows.at(-1)
      if (page.isLast || last === undefined) return
      left -= page.rows.length
      from = successor(last.key)
      this.#assertOpen()
    }
  }

  /** Read in one go, so that no cursor stays open between two rows. */
  #readPage(table: StoreTable, from: Uint8Array | undefined, until: Uint8Array | undefined, limit: number) {
    if (until?.length === 0) return { rows: [], isLast: true }
    const rows: RawEntry[] = []
    let bytes = 0
    const range = {
      ...(from !== undefined && from.length > 0 && { start: from }),
      ...(until !== undefined && { end: until }),
      limit,
      transaction: this.#snapshot,
    }
    try {
      for (const row of this.#environment.tables[table].getRange(range)) {
        rows.push(row)
        bytes += row.value.length
        if (bytes >= PAGE_BYTES_MAX) return { rows, isLast: false }
      }
    } catch (error) {
      throw readError(table, rows.at(-1)?.key ?? from ?? new Uint8Array(0), error)
    }
    return { rows, isLast: rows.length < limit }
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError(this.#setup.directory)
  }
}

/** The smallest key after `key`. */
function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}

/** lmdb-js rejects with a wrapper whose `commitError` rejects too, with the code; unobserved, that ends the process. */
async function causeOf(error: unknown): Promise<unknown> {
  const inner = (error as { commitError?: Promise<never> } | null)?.commitError
  if (inner === undefined) return error
  return inner.then(
    () => error,
    (cause: unknown) => cause,
  )
}

function readError(table: StoreTable, key: Uint8Array, error: unknown): StoreError {
  if (isCorruption(error)) return corruptRow(table, key, `LMDB says: ${describe(error)}`, { cause: error })
  return new StoreError('STORE_IO', `reading table ${table} failed: ${describe(error)}`, { cause: error })
}

function closedError(directory: string): StoreError {
  return new StoreError('STORE_CLOSED', `the store in ${directory} is closed`)
}

/** Of every row that is read or written: no text is put together for those that are right. */
function assertKey(key: Uint8Array): void {
  if (key.length >= 1 && key.length <= KEY_BYTES_MAX) return
  assert(false, `a store key has 1 to ${KEY_BYTES_MAX} bytes, not ${key.length}`)
}

/** One byte more than a key has room for what lies behind the longest one. */
function assertRange({ from, until }: StoreRange): void {
  const longest = Math.max(from?.length ?? 0, until?.length ?? 0)
  assert(longest <= KEY_BYTES_MAX + 1, `a range ends at keys of at most ${KEY_BYTES_MAX + 1} bytes, not ${longest}`)
}
