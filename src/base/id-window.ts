/**
 * A map from ascending ids to values, for ids that come in order and leave nearly in order: a window over an array, so
 * that the common case costs an index and no hashing. Ids below the window, which are rare, live in a Map beside it.
 */
import { assert } from './assert.js'

const CAPACITY_MIN = 16

export class IdWindow<T extends object> {
  #slots: (T | undefined)[] = []
  /** Index of `#first` in the slots. */
  #head = 0
  /** Smallest id of the window. */
  #first = 0
  /** Ids the window spans, present or not. */
  #span = 0
  #windowSize = 0
  #others: Map<number, T> | null = null

  get size(): number {
    return this.#windowSize + (this.#others?.size ?? 0)
  }

  get(id: number): T | undefined {
    return this.#windowValue(id) ?? this.#others?.get(id)
  }

  has(id: number): boolean {
    return this.get(id) !== undefined
  }

  /** @param id an integer; most are above all before. */
  set(id: number, value: T): void {
    if (this.#span === 0 && !this.#others?.has(id)) this.#first = id
    const offset = id - this.#first
    if (offset < 0 || this.#others?.has(id)) {
      this.#others ??= new Map()
      this.#others.set(id, value)
      return
    }
    if (offset >= this.#slots.length) this.#grow(offset + 1)
    const index = (this.#head + offset) & (this.#slots.length - 1)
    if (this.#slots[index] === undefined) this.#windowSize += 1
    this.#slots[index] = value
    if (offset >= this.#span) this.#span = offset + 1
  }

  delete(id: number): boolean {
    // The window may have moved over an id that lives outside.
    if (this.#windowValue(id) === undefined) return this.#others?.delete(id) ?? false
    const offset = id - this.#first
    this.#slots[(this.#head + offset) & (this.#slots.length - 1)] = undefined
    this.#windowSize -= 1
    if (offset === 0) this.#advance()
    return true
  }

  /** The window begins at the first id that is there. */
  #advance(): void {
    if (this.#windowSize === 0) {
      this.#span = 0
      this.#head = 0
      if (this.#slots.length > 65_536) this.#slots = []
      return
    }
    const mask = this.#slots.length - 1
    while (this.#slots[this.#head] === undefined) {
      this.#head = (this.#head + 1) & mask
      this.#first += 1
      this.#span -= 1
    }
    assert(this.#span > 0, 'a window with values spans them')
  }

  #grow(needed: number): void {
    let capacity = Math.max(CAPACITY_MIN, this.#slots.length)
    while (capacity < needed) capacity *= 2
    const slots = new Array<T | undefined>(capacity).fill(undefined)
    for (let offset = 0; offset < this.#span; offset += 1) {
      slots[offset] = this.#slots[(this.#head + offset) & (this.#slots.length - 1)]
    }
    this.#slots = slots
    this.#head = 0
  }

  /** Of the window, ascending. Values may be deleted meanwhile, none may be added. */
  *inOrder(): IterableIterator<T> {
    const first = this.#first
    const end = first + this.#span
    for (let id = first; id < end; id += 1) {
      const value = this.#windowValue(id)
      if (value !== undefined) yield value
    }
  }

  /** What came out of order, in the order of arrival. */
  *outOfOrder(): IterableIterator<T> {
    if (this.#others !== null) yield* this.#others.values()
  }

  #windowValue(id: number): T | undefined {
    const offset = id - this.#first
    if (offset < 0 || offset >= this.#span) return undefined
    return this.#slots[(this.#head + offset) & (this.#slots.length - 1)]
  }
}
