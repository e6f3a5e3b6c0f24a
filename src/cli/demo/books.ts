/**
 * The books of the demo: what a consumer itself has written down, compared at the end with what the devices have been
 * promised. The broker is asked nothing.
 */

export interface Reading {
  readonly device: number
  /** From 1, without gaps, per device and stream. */
  readonly sequence: number
}

export interface Balance {
  readonly published: number
  /** Different readings that arrived. */
  readonly delivered: number
  readonly lost: number
  /** Copies beyond the first of a reading. */
  readonly duplicated: number
  /** Readings that came after a later one of the same device. */
  readonly outOfOrder: number
}

/** One consumer's. */
export class Book {
  /** Per device: how often each sequence came. */
  readonly #copies: number[][]
  readonly #latest: number[]
  #delivered = 0
  #duplicated = 0
  #outOfOrder = 0

  constructor(devices: number) {
    this.#copies = Array.from({ length: devices }, () => [])
    this.#latest = Array.from({ length: devices }, () => 0)
  }

  get delivered(): number {
    return this.#delivered
  }

  enter({ device, sequence }: Reading): void {
    const copies = this.#copies[device]
    if (copies === undefined) throw new RangeError(`there is no device ${device}`)
    const before = copies[sequence] ?? 0
    copies[sequence] = before + 1
    if (before > 0) {
      this.#duplicated += 1
      return
    }
    this.#delivered += 1
    const latest = this.#latest[device] as number
    if (sequence < latest) this.#outOfOrder += 1
    else this.#latest[device] = sequence
  }

  /** @param acknowledged per device: the sequences up to this one were acknowledged to their publisher. */
  balance(acknowledged: readonly number[]): Balance {
    let published = 0
    let lost = 0
    acknowledged.forEach((last, device) => {
      published += last
      for (let sequence = 1; sequence <= last; sequence += 1) {
        if ((this.#copies[device]?.[sequence] ?? 0) === 0) lost += 1
      }
    })
    const { delivered } = this
    return { published, delivered, lost, duplicated: this.#duplicated, outOfOrder: this.#outOfOrder }
  }
}

export function readingText(reading: Reading): string {
  return JSON.stringify(reading)
}

export function readingOf(text: string): Reading {
  return JSON.parse(text) as Reading
}
