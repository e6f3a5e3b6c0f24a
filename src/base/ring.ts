/**
 * A queue that grows: first in, first out, with a way to put something back in front. Unbounded; its owner sets bounds.
 * The one idea: an array of a power of two that holds nothing until the first push and is given back when a backlog has
 * drained, because most of a million sessions are idle.
 */
const SMALLEST_CAPACITY = 8
const NOTHING: readonly never[] = Object.freeze([])

export class Ring<T> {
  #items: (T | undefined)[] = NOTHING as never[]
  #head = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Slots held, 0 while nothing was ever pushed and after `clear`. */
  get capacity(): number {
    return this.#items.length
  }

  push(item: T): void {
    if (this.#length === this.#items.length) this.#grow()
    this.#items[(this.#head + this.#length) & (this.#items.length - 1)] = item
    this.#length += 1
  }

  /** Back to the head of the queue, for what was taken and could not be used. */
  pushFront(item: T): void {
    if (this.#length === this.#items.length) this.#grow()
    this.#head = (this.#head - 1) & (this.#items.length - 1)
    this.#items[this.#head] = item
    this.#length += 1
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#items.length - 1)
    this.#length -= 1
    // The smallest array stays: a queue that swings between none and one would otherwise allocate for each message.
    if (this.#length === 0 && this.#items.length > SMALLEST_CAPACITY) this.clear()
    return item
  }

  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#items[this.#head]
  }

  /** @param index from the head, which is 0; outside the queue gives undefined. */
  at(index: number): T | undefined {
    if (index < 0 || index >= this.#length) return undefined
    return this.#items[(this.#head + index) & (this.#items.length - 1)]
  }

  /** Forgets everything, the memory too. */
  clear(): void {
    this.#items = NOTHING as never[]
    this.#head = 0
    this.#length = 0
  }

  #grow(): void {
    const old = this.#items
    const items = new Array<T | undefined>(old.length === 0 ? SMALLEST_CAPACITY : old.length * 2)
    for (let index = 0; index < this.#length; index += 1) {
      items[index] = old[(this.#head + index) & (old.length - 1)]
    }
    this.#items = items
    this.#head = 0
  }
}
