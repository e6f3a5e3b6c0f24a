/**
 * A producer's outbox in IndexedDB (browser): a commit is one transaction with strict durability. What the broker
 * refused is in the store `refusals`, for the page to read and to clear.
 */
import type { PreparedMessage, ProducerOutbox, ProducerOutboxChange, ProducerRow } from './producer-outbox.js'
import { answer } from './outbox-indexeddb.js'
import { TallyError } from './tally-error.js'

const FORMAT_VERSION = 1
const ROWS = 'rows'
const META = 'meta'
const REFUSALS = 'refusals'
const RECORD = 'record'
const LAST_SEQUENCE = 'last-sequence'

export async function openIndexedDbProducerOutbox(name: string): Promise<ProducerOutbox> {
  const opening = indexedDB.open(name, FORMAT_VERSION)
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore(ROWS, { keyPath: 'sequence' })
    opening.result.createObjectStore(META)
    opening.result.createObjectStore(REFUSALS, { keyPath: 'sequence' })
  }
  try {
    return new IndexedDbProducerOutbox(await answer(opening))
  } catch (cause) {
    throw new TallyError('OUTBOX_FAILED', 'the IndexedDB outbox could not be opened', { cause })
  }
}

class IndexedDbProducerOutbox implements ProducerOutbox {
  readonly #database: IDBDatabase

  constructor(database: IDBDatabase) {
    this.#database = database
  }

  async load(): Promise<Uint8Array | null> {
    return ((await this.#meta(RECORD)) as Uint8Array | undefined) ?? null
  }

  async lastSequence(): Promise<number> {
    return ((await this.#meta(LAST_SEQUENCE)) as number | undefined) ?? 0
  }

  read(afterSequence: number, messagesMax: number, bytesMax: number): Promise<readonly ProducerRow[]> {
    return new Promise((resolve, reject) => {
      const rows: ProducerRow[] = []
      let bytes = 0
      const range = IDBKeyRange.lowerBound(afterSequence, true)
      const request = this.#database.transaction(ROWS, 'readonly').objectStore(ROWS).openCursor(range)
      request.onerror = () => reject(request.error)
      request.onsuccess = () => {
        const cursor = request.result
        if (cursor === null || rows.length >= messagesMax || bytes >= bytesMax) return resolve(rows)
        const row = cursor.value as ProducerRow
        rows.push(row)
        bytes += row.bytes.length
        cursor.continue()
      }
    })
  }

  commit({ append, record, forgetSequence, refusals }: ProducerOutboxChange): Promise<number> {
    return new Promise((resolve, reject) => {
      const transaction = this.#database.transaction([ROWS, META, REFUSALS], 'readwrite', { durability: 'strict' })
      const meta = transaction.objectStore(META)
      let last = 0
      transaction.oncomplete = () => resolve(last)
      transaction.onabort = () => reject(transaction.error)
      const reading = meta.get(LAST_SEQUENCE) as IDBRequest<number | undefined>
      reading.onsuccess = () => {
        last = putRows(transaction.objectStore(ROWS), append, reading.result ?? 0)
        if (append.length > 0) meta.put(last, LAST_SEQUENCE)
      }
      if (record !== null) meta.put(record, RECORD)
      for (const refusal of refusals) transaction.objectStore(REFUSALS).put(refusal)
      if (forgetSequence > 0) transaction.objectStore(ROWS).delete(IDBKeyRange.upperBound(forgetSequence))
    })
  }

  async close(): Promise<void> {
    this.#database.close()
  }

  #meta(key: string): Promise<unknown> {
    return answer(this.#database.transaction(META, 'readonly').objectStore(META).get(key))
  }
}

/** @returns the sequence of the last row. */
function putRows(rows: IDBObjectStore, append: readonly PreparedMessage[], lastSequence: number): number {
  let sequence = lastSequence
  for (const { batchRest, bytes } of append) {
    sequence += 1
    rows.put({ sequence, batchRest, bytes })
  }
  return sequence
}
