/**
 * How far a producer is, as numbers and digests: what the broker has answered, what of that is on our disk, and marks
 * on the way from which the digest can be taken up again, should the broker turn out to have less than it acknowledged.
 * Pure: no store, no connection, no clock.
 */
import { assert } from '../base/assert.js'
import { StreamDigest } from '../base/stream-digest.js'
import { pack, unpackRange } from '../protocol/msgpack/packer.js'
import type { ProducerRow } from './producer-outbox.js'

/** Rows up to `sequence` had been answered at `atMs`; `midstate` is the digest there, ready to go on. */
export interface Mark {
  readonly sequence: number
  readonly atMs: number
  readonly midstate: Uint8Array
}

const FORMAT_VERSION = 1
/** So many marks over the time for which rows are kept: they cost up to 560 bytes each in every record. */
const MARKS = 8

export class ProducerProgress {
  readonly producerId: Uint8Array
  /** Taken or refused by the broker. */
  #answered: number
  #hash: StreamDigest
  /** The same as our disk has it. */
  #confirmed: number
  #confirmedDigest: Uint8Array
  /** Ascending. Of rows up to the first of them nothing is left. */
  #marks: Mark[]

  private constructor(producerId: Uint8Array, at: Mark, marks: Mark[]) {
    this.producerId = producerId
    this.#answered = at.sequence
    this.#hash = StreamDigest.restored(at.midstate)
    this.#confirmed = at.sequence
    this.#confirmedDigest = this.#hash.digest()
    this.#marks = marks
  }

  static create(producerId: Uint8Array): ProducerProgress {
    const start = { sequence: 0, atMs: 0, midstate: new StreamDigest().save() }
    return new ProducerProgress(producerId, start, [start])
  }

  /** @throws when the bytes are not a record of `encode`. */
  static decode(record: Uint8Array): ProducerProgress {
    const [version, producerId, at, marks] = unpackRange(record, 0, record.length) as [
      number,
      Uint8Array,
      [number, number, Uint8Array],
      [number, number, Uint8Array][],
    ]
    if (version !== FORMAT_VERSION)
      throw new Error(`the record has format ${version}, this build reads ${FORMAT_VERSION}`)
    const mark = ([sequence, atMs, midstate]: [number, number, Uint8Array]): Mark => {
      return { sequence, atMs, midstate: Uint8Array.from(midstate) }
    }
    return new ProducerProgress(Uint8Array.from(producerId), mark(at), marks.map(mark))
  }

  get answered(): number {
    return this.#answered
  }

  get confirmed(): number {
    return this.#confirmed
  }

  /** Digest(confirmed), 32 bytes. */
  get confirmedDigest(): Uint8Array {
    return this.#confirmedDigest
  }

  /** Digest(answered), 32 bytes. */
  digest(): Uint8Array {
    return this.#hash.digest()
  }

  advance(row: ProducerRow): void {
    assert(row.sequence === this.#answered + 1, 'the digest takes messages in their order')
    this.#hash.update(row.bytes)
    this.#answered = row.sequence
  }

  /** @returns the newest mark from which Digest(sequence) can be computed; undefined: the rows for it are gone. */
  markBefore(sequence: number): Mark | undefined {
    return this.#marks.filter((mark) => mark.sequence <= sequence).at(-1)
  }

  /** The broker has less than it acknowledged: everything above `sequence` is unanswered again. */
  rewind(sequence: number, hash: StreamDigest): void {
    this.#answered = sequence
    this.#hash = hash
    if (this.#confirmed >= sequence) {
      this.#confirmed = sequence
      this.#confirmedDigest = hash.digest()
    }
    this.#marks = this.#marks.filter((mark) => mark.sequence <= sequence)
  }

  /**
   * The record to be written, with a mark when it is time for one.
   * @returns also up to where rows are old enough to go, and what to do once it is written.
   */
  snapshot(nowMs: number, keptMs: number): { record: Uint8Array; forgetSequence: number; written: () => void } {
    const sequence = this.#answered
    const midstate = this.#hash.save()
    const digest = this.#hash.digest()
    const last = this.#marks.at(-1) as Mark
    const atMs = Math.max(nowMs, last.atMs)
    if (sequence > last.sequence && atMs - last.atMs >= keptMs / MARKS) this.#marks.push({ sequence, atMs, midstate })
    while (this.#marks.length > 1 && (this.#marks[1] as Mark).atMs <= atMs - keptMs) this.#marks.shift()
    const fields = (mark: Mark) => [mark.sequence, mark.atMs, mark.midstate]
    const at = [sequence, atMs, midstate]
    return {
      // A copy: the next `pack` writes to the same place.
      record: Uint8Array.from(pack([FORMAT_VERSION, this.producerId, at, this.#marks.map(fields)])),
      forgetSequence: (this.#marks[0] as Mark).sequence,
      written: () => {
        // A rewind meanwhile has gone back further than this.
        if (sequence > this.#answered) return
        this.#confirmed = sequence
        this.#confirmedDigest = digest
      },
    }
  }
}
