/**
 * What is due when: session expiry, delayed wills, message expiry, each by its key. Knows no clock, the caller asks
 * with its own. The one idea: a binary heap beside a Map from key to place in the heap, so that moving or deleting one
 * of a million deadlines scans nothing. Equal deadlines come out in no particular order, but always the same one.
 */
import { assert } from '../base/assert.js'

export class DeadlineQueue<K> {
  /** Two flat arrays instead of one of pairs: no object per entry. */
  readonly #keys: K[] = []
  readonly #deadlines: number[] = []
  readonly #places = new Map<K, number>()

  get size(): number {
    return this.#keys.length
  }

  /** Adds or moves. @param deadlineMs Infinity: never, which is the same as `delete`. */
  set(key: K, deadlineMs: number): void {
    assert(!Number.isNaN(deadlineMs), 'a deadline is a number')
    if (deadlineMs === Number.POSITIVE_INFINITY) {
      this.delete(key)
      return
    }
    const place = this.#places.get(key)
    if (place === undefined) {
      this.#keys.push(key)
      this.#deadlines.push(deadlineMs)
      this.#rise(this.#keys.length - 1, key, deadlineMs)
    } else {
      this.#settle(place, key, deadlineMs)
    }
  }

  /** @returns whether it was there. */
  delete(key: K): boolean {
    const place = this.#places.get(key)
    if (place === undefined) return false
    this.#places.delete(key)
    const lastKey = this.#keys.pop() as K
    const lastDeadlineMs = this.#deadlines.pop() as number
    if (place < this.#keys.length) this.#settle(place, lastKey, lastDeadlineMs)
    return true
  }

  /** Undefined: there is none. */
  get(key: K): number | undefined {
    const place = this.#places.get(key)
    return place === undefined ? undefined : this.#deadlines[place]
  }

  /** Infinity when there is nothing to wait for. */
  nextMs(): number {
    return this.#deadlines[0] ?? Number.POSITIVE_INFINITY
  }

  /** Removes and returns the earliest one that is due at `nowMs`. */
  popDue(nowMs: number): K | undefined {
    if (this.nextMs() > nowMs) return undefined
    const key = this.#keys[0]
    if (key !== undefined) this.delete(key)
    return key
  }

  #settle(place: number, key: K, deadlineMs: number): void {
    const parent = (place - 1) >> 1
    if (place > 0 && deadlineMs < (this.#deadlines[parent] as number)) this.#rise(place, key, deadlineMs)
    else this.#sink(place, key, deadlineMs)
  }

  #rise(from: number, key: K, deadlineMs: number): void {
    let place = from
    while (place > 0) {
      const parent = (place - 1) >> 1
      const parentMs = this.#deadlines[parent] as number
      if (parentMs <= deadlineMs) break
      this.#put(place, this.#keys[parent] as K, parentMs)
      place = parent
    }
    this.#put(place, key, deadlineMs)
  }

  #sink(from: number, key: K, deadlineMs: number): void {
    const length = this.#keys.length
    let place = from
    for (let child = 2 * place + 1; child < length; child = 2 * place + 1) {
      const right = child + 1
      if (right < length && (this.#deadlines[right] as number) < (this.#deadlines[child] as number)) child = right
      const childMs = this.#deadlines[child] as number
      if (childMs >= deadlineMs) break
      this.#put(place, this.#keys[child] as K, childMs)
      place = child
    }
    this.#put(place, key, deadlineMs)
  }

  #put(place: number, key: K, deadlineMs: number): void {
    this.#keys[place] = key
    this.#deadlines[place] = deadlineMs
    this.#places.set(key, place)
  }
}
