/**
 * LMDB's environment with the settings that make "acknowledged" mean "on disk". The only file that calls `open`.
 *
 * `overlappingSync: false` is the one that matters: with lmdb-js's default a commit whose last flush fails is reported
 * as done, and data is visible before it is durable. With it LMDB flushes data pages, then writes the meta page through
 * an O_DSYNC descriptor, and only then makes the commit visible and settles the promise.
 *
 * Durability `os` and `memory` set `noSync`: pages and meta page are handed to the operating system by pwrite and not
 * flushed (mdb.c: `mdb_env_sync0` returns at once, `mdb_env_write_meta` takes the plain descriptor). That survives the
 * process, kill -9 included, but not the machine: pages may reach the disk in any order, so after a power cut the whole
 * file is suspect, which `directory.ts` detects and refuses. `noMetaSync` would keep it intact, but still flushes the
 * data of each commit, most of the cost of `flush`. `memory` may promise less than `os`, here it does the same.
 *
 * Writes run on libuv's thread pool, beside password hashes, DNS and files: with many of those, start the process with
 * UV_THREADPOOL_SIZE=8 or more, or a commit waits for a free thread.
 */
import { type Database, open, type RootDatabase, type Transaction } from 'lmdb'
import { STORE_TABLES, type StoreTable } from '../../core/ports/store.js'
import { JOURNAL_STATE_TABLE } from './journal/journal-state.js'

export type Durability = 'flush' | 'os' | 'memory'
export interface LmdbTable extends Database<Uint8Array, Uint8Array> {
  /** The bytes are LMDB's, until it is asked again; its own declaration forgets the second parameter. */
  getBinaryFast(key: Uint8Array, options?: { readonly transaction: Transaction }): Buffer | undefined
}

export interface Environment {
  readonly root: RootDatabase<Uint8Array, Uint8Array>
  readonly tables: Readonly<Record<StoreTable, LmdbTable>>
  /** One row, of the adapter itself: `journal/journal-state.ts`. */
  readonly journalState: LmdbTable
}

/** Address space, not disk space: LMDB maps the file, and grows the map when the file outgrows it. */
export const MAP_SIZE_BYTES_DEFAULT = 64 * 2 ** 30

export function openEnvironment(directory: string, durability: Durability, mapSizeBytes: number): Environment {
  const binary = { encoding: 'binary', keyEncoding: 'binary', cache: false, compression: false } as const
  const settings = {
    ...binary,
    path: directory,
    noSubdir: false,
    overlappingSync: false,
    safeRestore: true,
    noSync: durability !== 'flush',
    noMetaSync: false,
    useWritemap: false,
    noMemInit: false,
    // Each group of commits is one explicit batch; see `lmdb-store.ts`.
    // With it lmdb-js wraps our batch in one of its own whose promise nobody sees: a failed commit would end the
    // process as an unhandled rejection, before anybody is told. Our batch is the transaction.
    eventTurnBatching: false,
    commitDelay: 0,
    // A second operation outstanding starts the worker at once; see `NUDGE` in `lmdb-store.ts`.
    txnStartThreshold: 1,
    mapSize: mapSizeBytes,
    maxReaders: 126,
    maxDbs: 32,
    permissionsMode: 0o600,
  }
  const root = open<Uint8Array, Uint8Array>(settings)
  const tables = {} as Record<StoreTable, LmdbTable>
  for (const name of STORE_TABLES) tables[name] = root.openDB<Uint8Array, Uint8Array>(name, binary) as LmdbTable
  const journalState = root.openDB<Uint8Array, Uint8Array>(JOURNAL_STATE_TABLE, binary) as LmdbTable
  return { root, tables, journalState }
}
