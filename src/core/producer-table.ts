/**
 * The producers. In memory are those that a connection has open and those with facts that no row has yet; the others
 * are read when somebody opens them.
 */
import { type Hash, StreamDigest } from '../base/stream-digest.js'
import type { Store, StoreOperation } from './ports/store.js'
import { Producer } from './producer.js'
import { producerRow, readProducerRow } from './producer-rows.js'
import type { RecordWriter } from './record-writer.js'

export class ProducerTable {
  readonly #store: Store
  readonly #hash: Hash
  readonly #producers = new Map<string, Producer>()
  /** In order of `dirtySince`. */
  readonly #dirty = new Set<Producer>()
  /** Their numbers and digest have changed since the last commit. */
  readonly #advanced = new Set<Producer>()
  #sealed: Producer[] = []
  #sealedRecord = 0
  /** All that were ever opened. */
  count = 0

  constructor(store: Store, hash: Hash) {
    this.#store = store
    this.#hash = hash
  }

  /** Those in memory. */
  inMemory(): IterableIterator<Producer> {
    return this.#producers.values()
  }
  get dirtyCount(): number {
    return this.#dirty.size
  }

  find(producerId: Uint8Array): Producer | undefined {
    const name = nameOf(producerId)
    const known = this.#producers.get(name)
    if (known !== undefined) return known
    const row = this.#store.get('producers', producerId)
    if (row === undefined) return undefined
    const producer = readProducerRow(producerId, row, this.#hash)
    this.#producers.set(name, producer)
    return producer
  }

  create(producerId: Uint8Array, username: string | null): Producer {
    // Bytes of its own: a view would keep the network chunk it came in alive.
    const producer = new Producer(producerId.slice(), username, new StreamDigest(this.#hash))
    this.#producers.set(nameOf(producerId), producer)
    this.count += 1
    return producer
  }

  /** Call before a fact about it is written: its row is behind from this record on. */
  touch(producer: Producer, record: number): void {
    if (producer.dirtySince !== 0) return
    producer.dirtySince = record
    this.#dirty.add(producer)
  }

  /** Its sequence and digest moved on: one fact at the end of the record says how far. */
  advanced(producer: Producer, record: number): void {
    this.touch(producer, record)
    this.#advanced.add(producer)
  }

  /** The record is complete: however many messages it holds, where a producer stands now is in it once. */
  writeFacts(record: RecordWriter): void {
    for (const producer of this.#advanced) {
      const { producerId, sequence, accepted, refused, digest } = producer
      record.produced(producerId, { sequence, accepted, refused, digest: digest.save() })
    }
    this.#advanced.clear()
  }

  /** Nobody has it open any more. */
  closed(producer: Producer): void {
    producer.open = null
    this.release(producer)
  }

  /** After recovery: what the journal spoke of and the rows have already. */
  recovered(): void {
    for (const producer of this.#producers.values()) this.release(producer)
  }

  /** It stays in memory only if somebody has it open, or the disk lacks something of it. */
  release(producer: Producer): void {
    if (producer.open !== null || producer.dirtySince !== 0 || producer.isSealed) return
    this.#producers.delete(nameOf(producer.producerId))
  }

  /**
   * Rows of producers that changed in records up to `target`, at most `rowsMax` of them.
   * @param record as of which the rows are true: the last one sealed.
   * @returns true when nothing up to `target` is left.
   */
  writeRows(target: number, record: number, rowsMax: number, operations: StoreOperation[]): boolean {
    this.#sealedRecord = record
    let rows = 0
    for (const producer of this.#dirty) {
      if (producer.dirtySince > target) return true
      if (rows >= rowsMax) return false
      rows += 1
      this.#dirty.delete(producer)
      producer.dirtySince = 0
      producer.isSealed = true
      this.#sealed.push(producer)
      operations.push({
        kind: 'put',
        table: 'producers',
        key: producer.producerId,
        value: producerRow(producer, record),
      })
    }
    return true
  }

  /** The commit with the rows is on disk. */
  committed(): void {
    for (const producer of this.#sealed) {
      producer.isSealed = false
      producer.rowRecord = this.#sealedRecord
      this.release(producer)
    }
    this.#sealed = []
  }
}

function nameOf(producerId: Uint8Array): string {
  return String.fromCharCode(...producerId)
}
