/**
 * A store whose Nth operation goes wrong, around any other store: for scripts run with N = 1, 2, 3 … until one passes
 * untouched (`fired` stays false), which proves that every operation of the script has been the failing one once.
 *
 * Counted are: each `get`, each page of `entries` (the first at the first row, then every 256 rows), each `commit`.
 * After a failed commit every later one fails too, as the port demands; a failed read fails alone.
 */
import {
  type Store,
  type StoreEntry,
  StoreError,
  type StoreErrorCode,
  type StoreOperation,
  type StoreRange,
  type StoreTable,
} from '../../src/core/ports/store.js'

export type SystemFault = 'ENOSPC' | 'EIO'
type Done = (error: StoreError | null) => void

export interface FailingStoreOptions {
  /** 1 is the first operation. */
  readonly failAt: number
  /** What goes wrong. 'stall': the commit, and those after it, settle only when released; reads are let through. */
  readonly fault: SystemFault | StoreErrorCode | 'stall'
  /** Count and fail only these; default all. */
  readonly kinds?: readonly ('get' | 'entries' | 'commit')[]
}

const PAGE_ROWS = 256

export class FailingStore implements Store {
  readonly #inner: Store
  readonly #options: FailingStoreOptions
  readonly #stalled: { operations: readonly StoreOperation[]; done: Done }[] = []
  #operations = 0
  #fired = false
  #commitFailure: StoreError | null = null
  #stalling = false

  constructor(inner: Store, options: FailingStoreOptions) {
    this.#inner = inner
    this.#options = options
  }

  /** Whether the fault has happened. */
  get fired(): boolean {
    return this.#fired
  }

  /** Operations counted so far. */
  get operations(): number {
    return this.#operations
  }

  get(table: StoreTable, key: Uint8Array): Uint8Array | undefined {
    if (this.#strikes('get')) this.#throwFault(`get from ${table}`)
    return this.#inner.get(table, key)
  }

  *entries(range: StoreRange): IterableIterator<StoreEntry> {
    let rows = 0
    if (this.#strikes('entries')) this.#throwFault(`entries of ${range.table}`)
    for (const entry of this.#inner.entries(range)) {
      if (rows > 0 && rows % PAGE_ROWS === 0 && this.#strikes('entries')) this.#throwFault(`entries of ${range.table}`)
      rows += 1
      yield entry
    }
  }

  commit(operations: readonly StoreOperation[], done: Done): void {
    const strikes = this.#strikes('commit')
    if (strikes && this.#options.fault === 'stall') this.#stalling = true
    else if (strikes) this.#commitFailure = this.#fault('commit')
    if (this.#stalling) {
      this.#stalled.push({ operations, done })
      return
    }
    const failure = this.#commitFailure
    if (failure === null) this.#inner.commit(operations, done)
    // Behind an empty commit, so that the failure is told after those that were under way.
    else this.#inner.commit([], () => done(failure))
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  /** The disk moves again: what was stalled goes on in order, or fails with `error`, and everything after it. */
  releaseStall(error: StoreError | null = null): void {
    this.#stalling = false
    this.#commitFailure ??= error
    for (const { operations, done } of this.#stalled.splice(0)) {
      if (error === null) this.#inner.commit(operations, done)
      else done(error)
    }
  }

  #strikes(kind: 'get' | 'entries' | 'commit'): boolean {
    if (this.#options.kinds !== undefined && !this.#options.kinds.includes(kind)) return false
    if (this.#options.fault === 'stall' && kind !== 'commit') return false
    this.#operations += 1
    if (this.#operations !== this.#options.failAt) return false
    this.#fired = true
    return true
  }

  #throwFault(what: string): never {
    throw this.#fault(what)
  }

  #fault(what: string): StoreError {
    const { fault, failAt } = this.#options
    return new StoreError(storeErrorCode(fault), `injected ${fault} in operation ${failAt}: ${what}`)
  }
}

function storeErrorCode(fault: FailingStoreOptions['fault']): StoreErrorCode {
  if (fault === 'ENOSPC') return 'STORE_FULL'
  if (fault === 'EIO') return 'STORE_IO'
  return fault === 'stall' ? 'STORE_STALLED' : fault
}
