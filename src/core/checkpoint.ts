/**
 * Folds the journal into tables, in the background and a slice per commit, so that the journal can be trimmed and a
 * restart reads a short tail. A fuzzy checkpoint: rows are written at different times, each saying as of which journal
 * record it is true, and replay skips what a row already has. Slices ride in the same atomic commit as a record, and
 * are true as of exactly that record.
 *
 * A cycle: take a record of some age as target; write everything that changed up to it; then remove the journal up
 * to it. What changes meanwhile belongs to the next cycle, so a cycle always ends.
 */
import type { StoreOperation } from './ports/store.js'
import { type RetainedMessage, retainedCommitted, writeRetainedRows } from './retained.js'
import type { Session } from './session.js'
import { writeSessionRows } from './session-rows.js'
import type { BrokerState } from './state.js'
import { numberKey } from './store-keys.js'

export class Checkpoint {
  readonly #state: BrokerState
  /** Records up to this one are being folded; 0: no cycle. */
  #target = 0
  #isFolded = false
  /** Oldest record still in the journal. */
  #oldest = 1
  #journalBytes = 0
  /** Of these, the bytes that the cycle under way will remove. */
  #targetBytes = 0
  /** The record that was newest when the journal had half the length that starts a cycle, and the bytes up to it. */
  #agedRecord = 0
  #agedBytes = 0
  #rowsMax: number
  #sealedSessions: Session[] = []
  #sealedRetained: RetainedMessage[] = []
  #sealedRecord = 0

  constructor(state: BrokerState) {
    this.#state = state
    this.#rowsMax = state.pace.checkpointRowsPerCommit
  }

  /** After recovery: what the journal holds. */
  recovered(oldest: number, bytes: number): void {
    this.#oldest = oldest
    this.#journalBytes = bytes
    this.#agedRecord = 0
  }

  recordSealed(byteLength: number): void {
    this.#journalBytes += byteLength
    const { checkpointRowsPerCommit, checkpointRecordBytesPerRow } = this.#state.pace
    this.#rowsMax = Math.max(checkpointRowsPerCommit, Math.ceil(byteLength / checkpointRecordBytesPerRow))
  }

  /** A cycle is under way: commits are worth making even without new facts. */
  get isRunning(): boolean {
    return this.#target !== 0
  }

  /** Starts a cycle whatever the journal's length, for tests and a quiet shutdown. */
  force(lastSealed: number): void {
    if (this.#target === 0 && lastSealed >= this.#oldest) this.#begin(lastSealed, this.#journalBytes)
  }

  #begin(target: number, bytes: number): void {
    this.#target = target
    this.#targetBytes = bytes
    this.#agedRecord = 0
    this.#isFolded = false
  }

  /** A message that is acknowledged soon, as most are, must not cost a row: only the older half is folded. */
  #beginWhenDue(lastSealed: number): void {
    const { checkpointBytes } = this.#state.pace
    if (this.#agedRecord === 0 && this.#journalBytes >= checkpointBytes / 2) {
      this.#agedRecord = lastSealed
      this.#agedBytes = this.#journalBytes
    }
    if (this.#journalBytes >= checkpointBytes) this.#begin(this.#agedRecord, this.#agedBytes)
  }

  /**
   * Adds a slice to the commit that is being put together.
   * @param lastSealed number of the newest sealed record, the one in this commit if there is one.
   */
  addTo(operations: StoreOperation[], lastSealed: number): void {
    this.#sealedRecord = lastSealed
    if (this.#target === 0) this.#beginWhenDue(lastSealed)
    if (this.#target === 0) return
    if (!this.#isFolded) {
      this.#isFolded = this.#fold(operations, lastSealed)
      return
    }
    this.#trim(operations)
  }

  /** @returns true when every change up to the target has its row in this commit or an earlier one. */
  #fold(operations: StoreOperation[], record: number): boolean {
    const target = this.#target
    if (!this.#state.messages.writeRows(target, record, this.#rowsMax, operations)) return false
    if (!this.#foldSessions(operations, record)) return false
    if (!this.#state.producers.writeRows(target, record, this.#rowsMax, operations)) return false
    if (!this.#state.keys.writeRows(target, this.#rowsMax, operations)) return false
    if (!this.#state.ledger.writeRows(target, record, this.#rowsMax, operations)) return false
    return writeRetainedRows(this.#state, target, record, this.#rowsMax, operations, this.#sealedRetained)
  }

  #foldSessions(operations: StoreOperation[], record: number): boolean {
    const { dirtySessions, staleSessions } = this.#state
    let rows = 0
    // Every target is newer than what the start has read, so all of them are due.
    while (staleSessions.size > 0 || this.#state.sleepingSessions.wakeBehind()) {
      for (const session of staleSessions) {
        if (rows >= this.#rowsMax) return false
        rows += 1
        staleSessions.delete(session)
        this.#foldSession(session, record, operations)
      }
    }
    for (const session of dirtySessions) {
      if (session.dirtySince > this.#target) return true
      if (rows >= this.#rowsMax) return false
      rows += 1
      dirtySessions.delete(session)
      this.#foldSession(session, record, operations)
    }
    return true
  }

  #foldSession(session: Session, record: number, operations: StoreOperation[]): void {
    session.dirtySince = 0
    writeSessionRows(session, record, operations)
    this.#sealedSessions.push(session)
  }

  /** The newest record stays: its header carries the counters. */
  #trim(operations: StoreOperation[]): void {
    const end = Math.min(this.#target, this.#sealedRecord - 1)
    const removedMax = this.#state.pace.checkpointTrimmedPerCommit
    let removed = 0
    for (; this.#oldest <= end && removed < removedMax; this.#oldest += 1) {
      operations.push({ kind: 'remove', table: 'journal', key: numberKey(this.#oldest) })
      removed += 1
    }
    if (this.#oldest <= end) return
    this.#target = 0
    this.#journalBytes -= this.#targetBytes
  }

  /** The commit that had the last slice is on disk. */
  committed(): void {
    for (const session of this.#sealedSessions) session.queue.spilled()
    this.#sealedSessions = []
    retainedCommitted(this.#state, this.#sealedRecord, this.#sealedRetained)
    this.#sealedRetained = []
    this.#state.messages.committed()
    this.#state.producers.committed()
  }
}
