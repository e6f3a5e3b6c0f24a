/**
 * How a group of commits reaches the disk: the only place that writes rows. Commits that only add a record to the
 * journal go into the journal file; everything else, and what that has no room for, is one LMDB transaction. A group
 * is of one kind, and the next begins when it is done, so the order of commits is the order on the disk.
 */
import { assert } from '../../base/assert.js'
import type { StoreError, StoreOperation } from '../../core/ports/store.js'
import type { Environment } from './environment.js'
import type { JournalFile, JournalRecord } from './journal/journal-file.js'
import {
  JOURNAL_STATE_BYTES,
  JOURNAL_STATE_KEY,
  type JournalState,
  writeJournalState,
} from './journal/journal-state.js'
import { recordNumber } from './journal/slot-format.js'
import { FRAME_BYTES, writeFrame } from './value-frame.js'

/** The buffer that values are framed in is kept up to this size. */
const ARENA_BYTES_KEPT_MAX = 4_194_304

export interface Commit {
  readonly operations: readonly StoreOperation[]
  readonly bytes: number
  /** It puts one record into the journal, and that is all. */
  readonly isRecord: boolean
  readonly done: (error: StoreError | null) => void
}

export class GroupWriter {
  readonly #environment: Environment
  readonly #journal: JournalFile
  #arena = Buffer.allocUnsafeSlow(65_536)
  /** The largest number of a journal record anywhere. */
  #newestRecord: number
  #isAppending = false
  /** Records of the journal file that the transaction under way removes. */
  #removed: number[] = []
  #written: JournalState

  /** @param newestRecord of those that lie in LMDB; -1: there are none. */
  constructor(environment: Environment, journal: JournalFile, newestRecord: number) {
    this.#environment = environment
    this.#journal = journal
    this.#newestRecord = Math.max(newestRecord, journal.state.newest)
    this.#written = journal.state
  }

  write(group: readonly Commit[]): Promise<unknown> {
    const appending = this.#append(group)
    if (appending === null) return this.#transact(group)
    this.#isAppending = true
    return appending
  }

  /** What `write` returned has been fulfilled. @returns true when LMDB has a newer snapshot. */
  written(group: readonly Commit[]): boolean {
    for (const { operations } of group) for (const operation of operations) this.#seen(operation)
    if (this.#isAppending) {
      this.#isAppending = false
      this.#journal.appended()
      return false
    }
    this.#journal.trimmed(this.#removed)
    this.#removed = []
    return true
  }

  /** Nothing is under way at the moment. */
  rest(): void {
    this.#journal.rest()
  }

  /**
   * Nothing is under way, and nothing more will come. Where the journal file ends is written down, so that a damaged
   * end is told from a write that a power cut has torn.
   */
  async close(): Promise<void> {
    if (isSameState(this.#written, this.#journal.state)) return
    const row = Buffer.alloc(JOURNAL_STATE_BYTES)
    writeJournalState(row, 0, this.#journal.state)
    await this.#environment.journalState.put(JOURNAL_STATE_KEY, row)
  }

  #append(group: readonly Commit[]): Promise<void> | null {
    if (group[0]?.isRecord !== true) return null
    const records: JournalRecord[] = []
    let newest = this.#newestRecord
    for (const { operations } of group) {
      const [operation] = operations
      assert(operation?.kind === 'put', 'a group is of one kind')
      const number = recordNumber(operation.key)
      if (number <= newest) return null
      newest = number
      records.push(operation)
    }
    return this.#journal.append(records)
  }

  #seen(operation: StoreOperation): void {
    if (operation.kind !== 'put' || operation.table !== 'journal' || operation.key.length !== 8) return
    this.#newestRecord = Math.max(this.#newestRecord, recordNumber(operation.key))
  }

  /**
   * One explicit batch is one LMDB transaction. Nothing in it may throw, a batch that throws keeps what it has: keys
   * are checked before, the arena is there before. LMDB reads keys and values in a worker thread until the
   * promise settles.
   */
  #transact(group: readonly Commit[]): Promise<unknown> {
    const { root, tables, journalState } = this.#environment
    const arena = this.#arenaFor(group)
    this.#removed = this.#removedFromFile(group)
    const state = this.#journal.stateWithout(this.#removed)
    writeJournalState(arena, 0, state)
    let offset = JOURNAL_STATE_BYTES
    const settled = root.batch(() => {
      for (const commit of group) {
        for (const operation of commit.operations) {
          const { key, table } = operation
          if (operation.kind === 'remove') {
            if (table !== 'journal' || !this.#journal.holds(key)) tables[table].remove(key)
          } else {
            const end = offset + FRAME_BYTES + operation.value.length
            writeFrame(key, operation.value, arena, offset)
            tables[table].put(key, arena.subarray(offset, end))
            offset = end
          }
        }
      }
      if (!isSameState(this.#written, state))
        journalState.put(JOURNAL_STATE_KEY, arena.subarray(0, JOURNAL_STATE_BYTES))
    })
    this.#written = state
    tables.meta.remove(NUDGE).catch(() => {})
    return settled
  }

  #removedFromFile(group: readonly Commit[]): number[] {
    const removed: number[] = []
    if (this.#journal.isEmpty) return removed
    for (const { operations } of group) {
      for (const { table, kind, key } of operations) {
        if (table !== 'journal' || !this.#journal.holds(key)) continue
        assert(kind === 'remove', 'a journal record is written once')
        removed.push(recordNumber(key))
      }
    }
    return removed
  }

  /** One buffer for all values of a group: LMDB copies from it, and it is free again when the group has settled. */
  #arenaFor(group: readonly Commit[]): Buffer {
    const bytes = JOURNAL_STATE_BYTES + groupBytes(group)
    if (bytes <= this.#arena.length) return this.#arena
    const arena = Buffer.allocUnsafeSlow(Math.max(bytes, Math.min(2 * this.#arena.length, ARENA_BYTES_KEPT_MAX)))
    if (arena.length <= ARENA_BYTES_KEPT_MAX) this.#arena = arena
    return arena
  }
}

/**
 * lmdb-js leaves a batch for the next setImmediate, a whole round of the event loop later, unless something more than
 * `txnStartThreshold` is outstanding. Removing a key that nobody has changes nothing and makes the worker start now,
 * while what else has arrived is still being read. It joins the batch's transaction and fails with it.
 */
const NUDGE = Buffer.from('nudge')

export function groupBytes(group: readonly Commit[]): number {
  let bytes = 0
  for (const commit of group) bytes += commit.bytes
  return bytes
}

export function isRecord(operations: readonly StoreOperation[]): boolean {
  const [only] = operations
  return operations.length === 1 && only?.kind === 'put' && only.table === 'journal' && only.key.length === 8
}

function isSameState(one: JournalState, other: JournalState): boolean {
  return one.trimmed === other.trimmed && one.newest === other.newest
}
