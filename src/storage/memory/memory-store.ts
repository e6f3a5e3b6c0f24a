/**
 * The store port without a disk: for tests, the simulator and brokers that may forget. Same rules as LMDB's adapter.
 *
 * The one idea: a commit is a queued promise until it is *settled*, and settling can be taken into the hand
 * (`settle: 'manual'`), so that a test can hold a commit, complete it, fail it, or crash the machine around it.
 */
import { assert } from '../../base/assert.js'
import {
  KEY_BYTES_MAX,
  STORE_TABLES,
  type Store,
  type StoreEntry,
  StoreError,
  type StoreOperation,
  type StoreRange,
  type StoreTable,
} from '../../core/ports/store.js'
import { SortedTable } from './sorted-table.js'

interface PendingCommit {
  readonly operations: readonly StoreOperation[]
  readonly done: (error: StoreError | null) => void
}
type Tables = Readonly<Record<StoreTable, SortedTable>>

export interface MemoryStoreOptions {
  /** 'microtask' (default): a commit is done as soon as the caller has returned. 'manual': see `settleNext`. */
  readonly settle?: 'microtask' | 'manual'
  /** Sees every commit that has become durable, in order; the bytes are the caller's afterwards. */
  readonly onDurable?: (operations: readonly StoreOperation[]) => void
}

export class MemoryStore implements Store {
  readonly #options: MemoryStoreOptions
  readonly #settle: 'microtask' | 'manual'
  readonly #pending: PendingCommit[] = []
  readonly #damaged = new Set<string>()
  #tables: Tables
  #failure: StoreError | null = null
  #closed: StoreError | null = null
  #drained: (() => void) | null = null

  constructor(options: MemoryStoreOptions = {}) {
    this.#options = options
    this.#settle = options.settle ?? 'microtask'
    this.#tables = Object.fromEntries(STORE_TABLES.map((table) => [table, new SortedTable()])) as Tables
  }

  /** Commits handed in and not settled yet. */
  get pendingCommits(): number {
    return this.#pending.length
  }

  get(table: StoreTable, key: Uint8Array): Uint8Array | undefined {
    this.#assertOpen()
    assertKey(key)
    return this.#tables[table].get(key) === undefined ? undefined : this.#copyValue(table, key)
  }

  entries(range: StoreRange): IterableIterator<StoreEntry> {
    this.#assertOpen()
    assertRange(range)
    return this.#walk(range)
  }

  commit(operations: readonly StoreOperation[], done: (error: StoreError | null) => void): void {
    for (const operation of operations) assertKey(operation.key)
    const refusal = this.#closed ?? this.#failure
    if (refusal !== null) {
      queueMicrotask(() => done(refusal))
      return
    }
    this.#pending.push({ operations, done })
    if (this.#settle === 'microtask') queueMicrotask(() => this.settleNext())
  }

  /**
   * Settles the oldest pending commit: done, or failed with `error`, and then every later one fails too.
   * @returns false when nothing was pending.
   */
  settleNext(error: StoreError | null = null): boolean {
    const commit = this.#pending.shift()
    if (commit === undefined) return false
    this.#failure ??= error
    if (this.#failure === null) this.#apply(commit.operations)
    commit.done(this.#failure)
    if (this.#failure !== null && this.#settle === 'manual') while (this.settleNext());
    if (this.#pending.length === 0) this.#drained?.()
    return true
  }

  settleAll(): void {
    while (this.settleNext());
  }

  /**
   * The machine goes down: pending commits never report, and what was done comes up again in the returned store.
   * This one is finished.
   * @param survivingCommits how many of the pending commits had reached the disk without having been reported.
   */
  crash(survivingCommits = 0): MemoryStore {
    for (const commit of this.#pending.splice(0).slice(0, survivingCommits)) this.#apply(commit.operations)
    const next = new MemoryStore(this.#options)
    next.#tables = this.#tables
    for (const mark of this.#damaged) next.#damaged.add(mark)
    this.#closed = new StoreError('STORE_CLOSED', 'this memory store has crashed; use the one that crash() returned')
    this.#tables = new MemoryStore().#tables
    return next
  }

  /** From now on the value is a damaged one: reading it throws STORE_CORRUPT, writing it again heals it. */
  damage(table: StoreTable, key: Uint8Array): void {
    this.#damaged.add(rowName(table, key))
  }

  async close(): Promise<void> {
    this.#closed ??= new StoreError('STORE_CLOSED', 'the store is closed')
    if (this.#pending.length > 0) await new Promise<void>((resolve) => (this.#drained = resolve))
  }

  *#walk(range: StoreRange): IterableIterator<StoreEntry> {
    let left = range.limit ?? Number.POSITIVE_INFINITY
    if (left <= 0) return
    for (const [key] of this.#tables[range.table].walk(range.from, range.until)) {
      yield { key: key.slice(), value: this.#copyValue(range.table, key) }
      left -= 1
      if (left <= 0) return
      this.#assertOpen()
    }
  }

  #copyValue(table: StoreTable, key: Uint8Array): Uint8Array {
    if (this.#damaged.size > 0 && this.#damaged.has(rowName(table, key))) {
      const row = { table, key: plainCopy(key) }
      throw new StoreError('STORE_CORRUPT', `the value of ${rowName(table, key)} is damaged`, { row })
    }
    return (this.#tables[table].get(key) as Uint8Array).slice()
  }

  /** Copies here and not in `commit`: until `done` the bytes stay unchanged, afterwards they are the caller's again. */
  #apply(operations: readonly StoreOperation[]): void {
    for (const operation of operations) {
      const table = this.#tables[operation.table]
      if (this.#damaged.size > 0) this.#damaged.delete(rowName(operation.table, operation.key))
      if (operation.kind === 'put') table.put(plainCopy(operation.key), plainCopy(operation.value))
      else table.remove(operation.key)
    }
    this.#options.onDurable?.(operations)
  }

  #assertOpen(): void {
    if (this.#closed !== null) throw this.#closed
  }
}

function rowName(table: StoreTable, key: Uint8Array): string {
  return `${table} ${Array.from(key, (byte) => byte.toString(16).padStart(2, '0')).join('')}`
}

/** Not `slice`: on a Buffer that shares memory. */
function plainCopy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}

function assertKey(key: Uint8Array): void {
  assert(
    key.length >= 1 && key.length <= KEY_BYTES_MAX,
    `a store key has 1 to ${KEY_BYTES_MAX} bytes, not ${key.length}`,
  )
}

/** As LMDB's adapter: one byte more than a key has room for what lies behind the longest one. */
function assertRange({ from, until }: StoreRange): void {
  const longest = Math.max(from?.length ?? 0, until?.length ?? 0)
  assert(longest <= KEY_BYTES_MAX + 1, `a range ends at keys of at most ${KEY_BYTES_MAX + 1} bytes, not ${longest}`)
}
