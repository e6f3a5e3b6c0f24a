/**
 * Opens a data directory as a store: take the directory, lock it, check its format, open LMDB, vouch for it.
 * What fails leaves nothing locked and nothing open behind.
 */
import { join } from 'node:path'
import type { Timers } from '../../base/clock.js'
import { STORE_TABLES, StoreError } from '../../core/ports/store.js'
import { attempt } from './commit-errors.js'
import {
  DATA_FILE,
  markFlushed,
  markUnflushed,
  readDescription,
  renewDescription,
  type StoreDescription,
  settleUnflushed,
  takeDirectory,
  tightenFile,
  writeDescription,
} from './directory.js'
import { type DirectoryLock, lockDirectory } from './directory-lock.js'
import { type Durability, type Environment, MAP_SIZE_BYTES_DEFAULT, openEnvironment } from './environment.js'
import type { JournalFile } from './journal/journal-file.js'
import { openJournal } from './journal/open-journal.js'
import { LmdbStore } from './lmdb-store.js'

export interface LmdbStoreOptions {
  /** Created with mode 0700 if it does not exist; otherwise it must be empty or hold a store. */
  readonly directory: string
  readonly durability: Durability
  /** A commit that has not settled after this long, or up to a quarter more, fails the store with STORE_STALLED. */
  readonly commitTimeoutMs: number
  readonly timers: Timers
  /** Address space reserved for the file; default 64 GiB, grows by itself. */
  readonly mapSizeBytes?: number
  /** Of the journal file's first slot, a power of two of at least 4 KiB; default 256 KiB. Small ones are for tests. */
  readonly journalSlotBytes?: number
  /** Called once, after the failed commits have been told: the store takes no more commits, stop the process. */
  readonly onFatal?: (error: StoreError) => void
  /** Named in `store.json` and in the message that an older build shows. Default 'tallymq'. */
  readonly buildName?: string
}

/** @throws StoreError STORE_LOCKED, STORE_FORMAT, STORE_CORRUPT, STORE_FULL, STORE_IO; the message says what to do. */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<LmdbStore> {
  const { directory } = options
  const buildName = options.buildName ?? 'tallymq'
  attempt(directory, () => takeDirectory(directory))
  const lock = await attempt(directory, () => lockDirectory(directory))
  let environment: Environment | undefined
  let journal: JournalFile | undefined
  try {
    const existing = attempt(directory, () => prepare(options, buildName))
    environment = attempt(directory, () =>
      openEnvironment(directory, options.durability, options.mapSizeBytes ?? MAP_SIZE_BYTES_DEFAULT),
    )
    for (const name of [DATA_FILE, 'lock.mdb']) tightenFile(join(directory, name))
    const description = describe(options, environment, existing, buildName)
    const isRenewed = existing !== null && existing.incarnation !== description.incarnation
    journal = await openJournal(directory, options.durability, environment, options.journalSlotBytes)
    return buildStore(options, { environment, journal }, description, isRenewed ? existing.incarnation : null, lock)
  } catch (error) {
    await journal?.close()
    await environment?.root.close()
    await lock.release()
    throw error
  }
}

function prepare(options: LmdbStoreOptions, buildName: string): StoreDescription | null {
  const description = readDescription(options.directory, buildName)
  settleUnflushed(options.directory)
  if (options.durability !== 'flush') markUnflushed(options.directory)
  return description
}

function describe(
  { directory }: LmdbStoreOptions,
  environment: Environment,
  existing: StoreDescription | null,
  buildName: string,
): StoreDescription {
  if (existing === null) return describeNew(directory, environment, buildName)
  return attempt(directory, () => renewDescription(directory, existing, buildName))
}

/** A database file without a description is either new or its creation was cut short; then it is empty. */
function describeNew(directory: string, environment: Environment, buildName: string): StoreDescription {
  for (const table of STORE_TABLES) {
    for (const _row of environment.tables[table].getRange({ limit: 1 })) {
      throw new StoreError('STORE_FORMAT', `${directory} holds data, but its store.json is missing: restore it`)
    }
  }
  return attempt(directory, () => writeDescription(directory, buildName))
}

function buildStore(
  options: LmdbStoreOptions,
  files: { readonly environment: Environment; readonly journal: JournalFile },
  description: StoreDescription,
  previousIncarnation: string | null,
  lock: DirectoryLock,
): LmdbStore {
  return new LmdbStore({
    ...files,
    directory: options.directory,
    incarnation: description.incarnation,
    previousIncarnation,
    commitTimeoutMs: options.commitTimeoutMs,
    timers: options.timers,
    onFatal: options.onFatal,
    afterClose: async (flushed) => {
      if (flushed && options.durability !== 'flush') markFlushed(options.directory)
      await lock.release()
    },
  })
}
