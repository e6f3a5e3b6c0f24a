/**
 * The port of a producer's outbox: its messages with their sequence, and how far the broker has them, in a store that
 * outlives the process. Adapters of ours: memory, LMDB, IndexedDB. An application that wants a message to exist if and
 * only if its own transaction does writes the rows itself, in that transaction, and gives us its store behind this
 * port: `test/examples/` shows it with SQLite and with LMDB.
 *
 * A store has two things: rows, each under its sequence, counted from 1 without a gap and never given twice; and one
 * record of bytes that is ours.
 */
import type { ProducerRefusal } from '../protocol/packets.js'

/** A message ready for the outbox; `prepareMessage` and `prepareBatch` make them. */
export interface PreparedMessage {
  /** So many messages behind this one belong to the same atomic batch; 0: it stands alone or is the last. */
  readonly batchRest: number
  /** To be kept as it is: these bytes are sent, sent again, and digested. */
  readonly bytes: Uint8Array
}

export interface ProducerRow extends PreparedMessage {
  readonly sequence: number
}

export interface ProducerOutboxChange {
  /** Messages of `publish`, to be appended with the next sequences. */
  readonly append: readonly PreparedMessage[]
  /** Replaces our record. null: leave it. */
  readonly record: Uint8Array | null
  /** Rows up to this sequence are no longer needed. 0: all are. */
  readonly forgetSequence: number
  /** What the broker has not taken since the last change, each once: the place to write it down. */
  readonly refusals: readonly ProducerRefusal[]
}

/** One outbox has one producer, in one process at a time; the broker fences the older one of two. */
export interface ProducerOutbox {
  /** Our record, or null in a new outbox. Called once, before everything else. */
  load(): Promise<Uint8Array | null>
  /** The highest sequence ever given, also when its row is gone; 0: none. */
  lastSequence(): Promise<number>
  /**
   * Rows above `afterSequence` in their order. At most `messagesMax`, and none after `bytesMax` bytes have been
   * reached.
   */
  read(afterSequence: number, messagesMax: number, bytesMax: number): Promise<readonly ProducerRow[]>
  /**
   * One transaction, durable when it resolves. We wait for one before we start the next. A rejection ends the producer
   * with `OUTBOX_FAILED`.
   * @returns the highest sequence afterwards.
   */
  commit(change: ProducerOutboxChange): Promise<number>
  /** Called by whoever opened the store, not by the producer. */
  close(): Promise<void>
}
