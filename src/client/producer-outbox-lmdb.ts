/**
 * A producer's outbox in an LMDB directory (Node): a commit is one transaction, done when it is flushed to disk. A row
 * is its batch rest in four bytes, then the message as it is. What the broker refused is kept until it is cleared.
 *
 * `lmdbProducerRows` is the same over databases of the application's own environment: it calls `append` in its own
 * transaction, beside its own data, and both are there or neither.
 */
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import type { ProducerRefusal } from '../protocol/packets.js'
import type { PreparedMessage, ProducerOutbox, ProducerOutboxChange, ProducerRow } from './producer-outbox.js'

const RECORD = 'record'
const LAST_SEQUENCE = 'last-sequence'
/** Rows removed in one transaction: a day's worth at once would hold up the messages behind it. */
const REMOVALS_MAX = 10_000

/** @param directory created when it is missing, readable by its owner only. */
export function openLmdbProducerOutbox(directory: string): LmdbProducerOutbox {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  // overlappingSync off: with it, lmdb reports a commit before it is on disk.
  const root = open({ path: directory, noSubdir: false, overlappingSync: false, compression: false, maxDbs: 4 })
  for (const file of ['data.mdb', 'lock.mdb']) chmodSync(join(directory, file), 0o600)
  return new LmdbProducerOutbox(root, true)
}

/**
 * In an environment that the application has opened, with `overlappingSync: false`, and closes.
 * @param root three databases are opened in it, named `tallymq-rows`, `tallymq-meta`, `tallymq-refusals`.
 */
export function lmdbProducerOutbox(root: RootDatabase): LmdbProducerOutbox {
  return new LmdbProducerOutbox(root, false)
}

export class LmdbProducerOutbox implements ProducerOutbox {
  readonly #root: RootDatabase
  readonly #isOwner: boolean
  readonly #rows: Database<Uint8Array, number>
  readonly #meta: Database<Uint8Array | number, string>
  readonly #refusals: Database<ProducerRefusal, number>
  #forgotten = 0

  constructor(root: RootDatabase, isOwner: boolean) {
    this.#root = root
    this.#isOwner = isOwner
    this.#rows = root.openDB({ name: 'tallymq-rows', encoding: 'binary' })
    this.#meta = root.openDB({ name: 'tallymq-meta' })
    this.#refusals = root.openDB({ name: 'tallymq-refusals' })
    for (const sequence of this.#rows.getKeys({ limit: 1 })) this.#forgotten = sequence - 1
  }

  /** Inside a transaction of the environment: the messages get the next sequences. @returns the last of them. */
  append(messages: readonly PreparedMessage[]): number {
    let sequence = this.#lastSequence()
    for (const { batchRest, bytes } of messages) {
      sequence += 1
      const row = new Uint8Array(4 + bytes.length)
      new DataView(row.buffer).setUint32(0, batchRest)
      row.set(bytes, 4)
      this.#rows.put(sequence, row)
    }
    if (messages.length > 0) this.#meta.put(LAST_SEQUENCE, sequence)
    return sequence
  }

  /** What the broker did not take, with its reason, until `clearRefusals`; the rows are there as long as all others. */
  refusals(): readonly ProducerRefusal[] {
    return [...this.#refusals.getRange()].map(({ value }) => value)
  }

  async clearRefusals(upToSequence: number): Promise<void> {
    await this.#root.transaction(() => {
      for (const sequence of [...this.#refusals.getKeys({ end: upToSequence + 1 })]) this.#refusals.remove(sequence)
    })
  }

  async load(): Promise<Uint8Array | null> {
    const record = this.#meta.get(RECORD)
    return record instanceof Uint8Array ? record : null
  }

  async lastSequence(): Promise<number> {
    return this.#lastSequence()
  }

  async read(afterSequence: number, messagesMax: number, bytesMax: number): Promise<readonly ProducerRow[]> {
    const rows: ProducerRow[] = []
    let size = 0
    for (const { key, value } of this.#rows.getRange({ start: afterSequence + 1, limit: messagesMax })) {
      const batchRest = new DataView(value.buffer, value.byteOffset, 4).getUint32(0)
      // A copy: the bytes outlive the read transaction that lent them.
      rows.push({ sequence: key, batchRest, bytes: Uint8Array.prototype.slice.call(value, 4) })
      size += value.length
      if (size >= bytesMax) break
    }
    return rows
  }

  async commit(change: ProducerOutboxChange): Promise<number> {
    return this.#root.transaction(() => this.#apply(change))
  }

  async close(): Promise<void> {
    if (this.#isOwner) await this.#root.close()
  }

  #apply({ append, record, forgetSequence, refusals }: ProducerOutboxChange): number {
    const last = this.append(append)
    if (record !== null) this.#meta.put(RECORD, record)
    for (const refusal of refusals) this.#refusals.put(refusal.sequence, refusal)
    const removed = Math.min(forgetSequence, this.#forgotten + REMOVALS_MAX)
    for (; this.#forgotten < removed; this.#forgotten += 1) this.#rows.remove(this.#forgotten + 1)
    return last
  }

  #lastSequence(): number {
    const last = this.#meta.get(LAST_SEQUENCE)
    return typeof last === 'number' ? last : 0
  }
}
