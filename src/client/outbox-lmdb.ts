/**
 * An outbox in an LMDB directory (Node): a commit is one transaction, done when it is flushed to disk. One directory
 * belongs to one client id and one process. The key is the sequence, so reading in key order is sending order.
 */
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import { TallyError } from './tally-error.js'
import type { OutboxChange, OutboxContents, OutboxEntry, OutboxStore } from './outbox.js'

const FORMAT_VERSION = 1

/** @param directory created when it is missing, readable by its owner only. */
export function openLmdbOutbox(directory: string): OutboxStore {
  return new LmdbOutbox(directory)
}

class LmdbOutbox implements OutboxStore {
  readonly #root: RootDatabase
  readonly #entries: Database<OutboxEntry, number>
  readonly #receipts: Database<true, number>

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    // overlappingSync off: with it, lmdb reports a commit before it is on disk.
    this.#root = open({ path: directory, noSubdir: false, overlappingSync: false, compression: false, maxDbs: 3 })
    for (const file of ['data.mdb', 'lock.mdb']) chmodSync(join(directory, file), 0o600)
    const meta: Database<number, string> = this.#root.openDB({ name: 'meta' })
    this.#entries = this.#root.openDB({ name: 'entries' })
    this.#receipts = this.#root.openDB({ name: 'receipts' })
    const version = meta.get('version') ?? FORMAT_VERSION
    if (version > FORMAT_VERSION) {
      throw new TallyError(
        'OUTBOX_FAILED',
        `the outbox has format ${version}, this build reads up to ${FORMAT_VERSION}`,
      )
    }
    meta.putSync('version', version)
  }

  async load(): Promise<OutboxContents> {
    const entries = [...this.#entries.getRange()].map(({ value }) => value)
    const receivedPacketIds = [...this.#receipts.getKeys()]
    return { entries, receivedPacketIds }
  }

  async commit(changes: readonly OutboxChange[]): Promise<void> {
    await this.#root.transaction(() => {
      for (const change of changes) this.#apply(change)
    })
  }

  close(): Promise<void> {
    return this.#root.close()
  }

  #apply(change: OutboxChange): void {
    switch (change.kind) {
      case 'publish':
        this.#entries.put(change.entry.sequence, change.entry)
        break
      case 'release': {
        const entry = this.#entries.get(change.sequence)
        if (entry !== undefined) this.#entries.put(change.sequence, { ...entry, state: 'released' })
        break
      }
      case 'remove':
        this.#entries.remove(change.sequence)
        break
      case 'receipt':
        this.#receipts.put(change.packetId, true)
        break
      case 'receipt-end':
        this.#receipts.remove(change.packetId)
        break
      case 'receipts-clear':
        for (const packetId of [...this.#receipts.getKeys()]) this.#receipts.remove(packetId)
        break
    }
  }
}
