/**
 * What one subscriber must get from each publisher: every sequence number once, in order. The regular case is one
 * comparison; what is irregular is remembered exactly, so that late, doubled and lost are told apart.
 */
import { readUint32 } from './wire.js'

export class DeliveryCheck {
  /** By publisher: what comes next. */
  readonly next: Uint32Array
  received = 0
  duplicated = 0
  outOfOrder = 0
  /** From a publisher that is not this subscriber's. */
  astray = 0
  readonly #firstPublisher: number
  /** By publisher: what was passed over and has not come since. */
  readonly #gaps = new Map<number, Set<number>>()

  constructor(firstPublisher: number, publishers: number) {
    this.#firstPublisher = firstPublisher
    this.next = new Uint32Array(publishers)
  }

  take(data: Uint8Array, stampAt: number): void {
    const sequence = readUint32(data, stampAt)
    const publisher = readUint32(data, stampAt + 4) - this.#firstPublisher
    this.received += 1
    if (this.next[publisher] === sequence) this.next[publisher] = sequence + 1
    else this.#takeIrregular(publisher, sequence)
  }

  /** Passed over and never seen; what is behind the last that came is not among them. */
  get skipped(): number {
    let sum = 0
    for (const gap of this.#gaps.values()) sum += gap.size
    return sum
  }

  /** Of the numbers below `published` of each publisher. */
  missing(published: (publisher: number) => number): number {
    let sum = this.skipped
    for (let index = 0; index < this.next.length; index += 1) {
      sum += Math.max(0, published(this.#firstPublisher + index) - (this.next[index] as number))
    }
    return sum
  }

  #takeIrregular(publisher: number, sequence: number): void {
    const next = this.next[publisher]
    if (next === undefined) {
      this.astray += 1
      return
    }
    const gap = this.#gaps.get(publisher) ?? new Set()
    this.#gaps.set(publisher, gap)
    if (sequence > next) {
      for (let skipped = next; skipped < sequence; skipped += 1) gap.add(skipped)
      this.next[publisher] = sequence + 1
    } else if (gap.delete(sequence)) this.outOfOrder += 1
    else this.duplicated += 1
  }
}
