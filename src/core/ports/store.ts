/**
 * What the core needs from a disk: ordered tables of bytes, synchronous reads, atomic commits that report once.
 * Adapters: `storage/memory`, `storage/lmdb`. Both run `test/contract/store-contract.ts`.
 *
 * Rules an adapter obeys
 * - A commit is all or nothing, commits become durable in the order given, `done` is called exactly once, never
 *   from inside `commit` itself, and `done(null)` means: on disk (durability `flush`), handed to the operating
 *   system (`os`), or in memory (`memory`).
 * - Reads see commits that are done, and no part of one that is not.
 * - The bytes passed in stay unchanged until `done`; the bytes returned belong to the caller.
 * - After a failed commit every later one fails too: the process is expected to stop.
 * - Values are framed and checksummed by the adapter; a damaged one throws StoreError 'STORE_CORRUPT', naming table and
 *   key. `row` has both, and `entries` can go on behind that key.
 */
export const STORE_TABLES = [
  'meta',
  'journal',
  'sessions',
  'queues',
  'messages',
  'references',
  'retained',
  'producers',
  'keys',
  'accounts',
  'ledger',
  'hours',
] as const
export type StoreTable = (typeof STORE_TABLES)[number]

export type StoreOperation =
  | { readonly kind: 'put'; readonly table: StoreTable; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly kind: 'remove'; readonly table: StoreTable; readonly key: Uint8Array }

export interface StoreRange {
  readonly table: StoreTable
  /** First key, included. Absent: from the beginning. */
  readonly from?: Uint8Array
  /** End, excluded. Absent: to the end of the table. */
  readonly until?: Uint8Array
  readonly limit?: number
}
export interface StoreEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface Store {
  /** 1..KEY_BYTES_MAX bytes per key, compared byte by byte. */
  get(table: StoreTable, key: Uint8Array): Uint8Array | undefined
  /** The same without a copy, from a store that can: its own bytes, to be read before it is called again. */
  view?(table: StoreTable, key: Uint8Array): Uint8Array | undefined
  /** Ascending. Lazy: reads page by page, so that a long walk holds no snapshot. */
  entries(range: StoreRange): IterableIterator<StoreEntry>
  /**
   * Every row of the table, ascending, for a start that reads all of them: what `entries` gives, only faster. Key and
   * value are lent for the call.
   */
  scan?(table: StoreTable, visit: (key: Uint8Array, value: Uint8Array) => void): void
  commit(operations: readonly StoreOperation[], done: (error: StoreError | null) => void): void
  /** Waits for commits under way; then nothing may be called. */
  close(): Promise<void>
}

/** By the store's own way, if it has one. */
export function scanTable(store: Store, table: StoreTable, visit: (key: Uint8Array, value: Uint8Array) => void): void {
  if (store.scan !== undefined) return store.scan(table, visit)
  for (const { key, value } of store.entries({ table })) visit(key, value)
}

/** LMDB's limit is 1978; topics are limited well below it. */
export const KEY_BYTES_MAX = 1_900

export type StoreErrorCode =
  | 'STORE_FULL'
  | 'STORE_IO'
  | 'STORE_CORRUPT'
  | 'STORE_LOCKED'
  | 'STORE_FORMAT'
  | 'STORE_STALLED'
  | 'STORE_CLOSED'

export interface StoreErrorOptions {
  readonly cause?: unknown
  readonly row?: { readonly table: StoreTable; readonly key: Uint8Array }
}

export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code: StoreErrorCode
  /** The one row that is damaged, when it is one row. */
  readonly row: { readonly table: StoreTable; readonly key: Uint8Array } | null
  constructor(code: StoreErrorCode, message: string, options: StoreErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.row = options.row ?? null
  }
}
