/**
 * Where texts may be found that are not kept: places by a hash of 32 bits. Two texts with one hash share their places,
 * so whoever looks there must be content with a few too many. Entries come first, lookups later.
 */
import { NumberColumn } from './number-column.js'
import { utf8Encode } from './utf8.js'

const FNV_BASIS = 0x811c9dc5
const FNV_PRIME = 0x01000193

/** Of bytes that are text in UTF-8. */
export function hashOfBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = FNV_BASIS
  for (let index = start; index < end; index += 1) hash = Math.imul(hash ^ (bytes[index] as number), FNV_PRIME)
  return hash >>> 0
}

/** The same as of the text's bytes. */
export function hashOfText(text: string): number {
  let hash = FNV_BASIS
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index)
    if (unit > 0x7f) {
      const bytes = utf8Encode(text)
      return hashOfBytes(bytes, 0, bytes.length)
    }
    hash = Math.imul(hash ^ unit, FNV_PRIME)
  }
  return hash >>> 0
}

export class HashIndex {
  readonly #hashes = new NumberColumn()
  readonly #places = new NumberColumn()
  /** First entry of each slot, plus one; and the next one of the same slot. */
  #heads = new Int32Array(1)
  #next = new Int32Array(0)

  add(hash: number, place: number): void {
    this.#hashes.push(hash)
    this.#places.push(place)
  }

  /** Places of all entries with this hash. */
  find(hash: number): number[] {
    if (this.#next.length !== this.#hashes.length) this.#link()
    const found: number[] = []
    for (let entry = this.#heads[this.#slot(hash)] as number; entry !== 0; entry = this.#next[entry - 1] as number) {
      if (this.#hashes.at(entry - 1) === hash) found.push(this.#places.at(entry - 1))
    }
    return found
  }

  #link(): void {
    const { length } = this.#hashes
    let slots = 1_024
    while (slots < length) slots *= 2
    this.#heads = new Int32Array(slots)
    this.#next = new Int32Array(length)
    for (let entry = 0; entry < length; entry += 1) {
      const slot = this.#slot(this.#hashes.at(entry))
      this.#next[entry] = this.#heads[slot] as number
      this.#heads[slot] = entry + 1
    }
  }

  /** FNV's low bits alone mix poorly for short texts. */
  #slot(hash: number): number {
    return (hash ^ (hash >>> 15)) & (this.#heads.length - 1)
  }
}
