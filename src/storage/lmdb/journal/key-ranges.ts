/**
 * Which record numbers the journal file holds, as runs of consecutive ones: most often a single run. They come in
 * ascending order and go from the oldest on, which is what a journal does and what is asserted here.
 */
import { assert } from '../../../base/assert.js'

export class KeyRanges {
  #firsts: number[] = []
  #lasts: number[] = []
  /** Runs before this one are gone; cut off when they are many. */
  #start = 0

  get isEmpty(): boolean {
    return this.#start === this.#firsts.length
  }

  /** -1: none. */
  get newest(): number {
    return this.isEmpty ? -1 : (this.#lasts.at(-1) as number)
  }

  /** -1: none. */
  get oldest(): number {
    return this.isEmpty ? -1 : (this.#firsts[this.#start] as number)
  }

  get size(): number {
    let size = 0
    for (let run = this.#start; run < this.#firsts.length; run += 1) {
      size += (this.#lasts[run] as number) - (this.#firsts[run] as number) + 1
    }
    return size
  }

  has(number: number): boolean {
    let low = this.#start
    let high = this.#firsts.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      if ((this.#lasts[middle] as number) < number) low = middle + 1
      else if ((this.#firsts[middle] as number) > number) high = middle - 1
      else return true
    }
    return false
  }

  /** Are these the oldest numbers, in order? */
  areOldest(numbers: readonly number[]): boolean {
    let run = this.#start
    let expected = this.#firsts[run]
    for (const number of numbers) {
      if (number !== expected) return false
      expected = number < (this.#lasts[run] as number) ? number + 1 : this.#firsts[++run]
    }
    return true
  }

  add(number: number): void {
    const newest = this.newest
    assert(number > newest, 'journal records are added in ascending order')
    if (!this.isEmpty && newest === number - 1) this.#lasts[this.#lasts.length - 1] = number
    else {
      this.#firsts.push(number)
      this.#lasts.push(number)
    }
  }

  removeOldest(number: number): void {
    assert(number === this.oldest, 'journal records are removed from the oldest on')
    if (number < (this.#lasts[this.#start] as number)) {
      this.#firsts[this.#start] = number + 1
      return
    }
    this.#start += 1
    if (this.#start < 1_024 || 2 * this.#start < this.#firsts.length) return
    this.#firsts = this.#firsts.slice(this.#start)
    this.#lasts = this.#lasts.slice(this.#start)
    this.#start = 0
  }
}
