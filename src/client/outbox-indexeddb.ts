/**
 * An outbox in IndexedDB (browser): a commit is one transaction with strict durability. One name belongs to one client
 * id and one tab. The key is the sequence, so reading in key order is sending order.
 */
import type { OutboxChange, OutboxContents, OutboxEntry, OutboxStore } from './outbox.js'
import { TallyError } from './tally-error.js'

const FORMAT_VERSION = 1
const ENTRIES = 'entries'
const RECEIPTS = 'receipts'
/** Sequences of entries whose PUBREC has come: a row of its own, so that a change never reads before it writes. */
const RELEASED = 'released'
const STORES = [ENTRIES, RELEASED, RECEIPTS]

export async function openIndexedDbOutbox(name: string): Promise<OutboxStore> {
  const opening = indexedDB.open(name, FORMAT_VERSION)
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore(ENTRIES, { keyPath: 'sequence' })
    opening.result.createObjectStore(RELEASED)
    opening.result.createObjectStore(RECEIPTS)
  }
  try {
    return new IndexedDbOutbox(await answer(opening))
  } catch (cause) {
    throw new TallyError('OUTBOX_FAILED', 'the IndexedDB outbox could not be opened', { cause })
  }
}

class IndexedDbOutbox implements OutboxStore {
  readonly #database: IDBDatabase

  constructor(database: IDBDatabase) {
    this.#database = database
  }

  async load(): Promise<OutboxContents> {
    const transaction = this.#database.transaction(STORES, 'readonly')
    const [entries, released, receivedPacketIds] = await Promise.all([
      answer(transaction.objectStore(ENTRIES).getAll() as IDBRequest<OutboxEntry[]>),
      answer(transaction.objectStore(RELEASED).getAllKeys() as IDBRequest<number[]>),
      answer(transaction.objectStore(RECEIPTS).getAllKeys() as IDBRequest<number[]>),
    ])
    const isReleased = new Set(released)
    return {
      entries: entries.map((entry) => (isReleased.has(entry.sequence) ? { ...entry, state: 'released' } : entry)),
      receivedPacketIds,
    }
  }

  commit(changes: readonly OutboxChange[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const transaction = this.#database.transaction(STORES, 'readwrite', { durability: 'strict' })
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(transaction.error)
      for (const change of changes) apply(change, transaction)
    })
  }

  async close(): Promise<void> {
    this.#database.close()
  }
}

/** Requests of one transaction run in the order they are made. */
function apply(change: OutboxChange, transaction: IDBTransaction): void {
  const entries = transaction.objectStore(ENTRIES)
  const released = transaction.objectStore(RELEASED)
  const receipts = transaction.objectStore(RECEIPTS)
  switch (change.kind) {
    case 'publish':
      entries.put(change.entry)
      break
    case 'release':
      released.put(true, change.sequence)
      break
    case 'remove':
      entries.delete(change.sequence)
      released.delete(change.sequence)
      break
    case 'receipt':
      receipts.put(true, change.packetId)
      break
    case 'receipt-end':
      receipts.delete(change.packetId)
      break
    case 'receipts-clear':
      receipts.clear()
      break
  }
}

export function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
