/**
 * The copies that wait for one session, oldest first. Three parts in this order: `front` in memory, a run of chunks
 * on disk, `back` in memory. A checkpoint turns `back` into chunks, so a deep backlog costs a few counters here;
 * reading fills `front`, a window at a time. Nothing in this file writes: `checkpoint.ts` does, and asks for what to
 * write.
 */
import { assert } from '../base/assert.js'
import { Ring } from '../base/ring.js'
import type { Copy } from './message.js'

export const CHUNK_COPIES_MAX = 256

export interface ChunkLoader {
  /** The copies of a chunk row of this session, oldest first. */
  loadChunk(chunk: number): readonly Copy[]
}

/** Of most sessions most of the time: two objects less for each. */
const NO_COPIES = new Ring<Copy>()

export class DeliveryQueue {
  /** Copies that go from `back` to `front` at a time; what is in `front` stays in memory. */
  readonly #windowCopies: number
  #front = NO_COPIES
  #back = NO_COPIES
  /** Chunks on disk, or on their way there: [firstChunk, nextChunk). */
  firstChunk = 1
  nextChunk = 1
  #coldCount = 0
  #byteLength = 0
  /** Chunks whose commit is under way: the disk cannot be asked for them yet. */
  #spilling: Map<number, readonly Copy[]> | null = null

  constructor(windowCopies: number) {
    this.#windowCopies = windowCopies
  }

  get count(): number {
    return this.#front.length + this.#coldCount + this.#back.length
  }
  get byteLength(): number {
    return this.#byteLength
  }
  get isEmpty(): boolean {
    return this.#front.length === 0 && this.#coldCount === 0 && this.#back.length === 0
  }
  get coldCount(): number {
    return this.#coldCount
  }

  push(copy: Copy): void {
    this.#byteLength += copy.byteLength
    if (this.#back === NO_COPIES) this.#back = new Ring()
    this.#back.push(copy)
  }

  /** The oldest copy. Loads a chunk when only the disk has it. */
  peek(loader: ChunkLoader): Copy | undefined {
    if (this.#front.length === 0) this.#refill(loader)
    return this.#front.peek()
  }

  shift(loader: ChunkLoader): Copy | undefined {
    if (this.#front.length === 0) this.#refill(loader)
    const copy = this.#front.shift()
    if (copy !== undefined) this.#byteLength -= copy.byteLength
    return copy
  }

  #refill(loader: ChunkLoader): void {
    if (this.#front === NO_COPIES) this.#front = new Ring()
    if (this.#coldCount > 0) {
      const chunk = this.firstChunk
      const copies = this.#spilling?.get(chunk) ?? loader.loadChunk(chunk)
      assert(copies.length > 0 && copies.length <= this.#coldCount, 'a chunk row holds what was counted')
      for (const copy of copies) this.#front.push(copy)
      this.#coldCount -= copies.length
      this.firstChunk += 1
      return
    }
    while (this.#front.length < this.#windowCopies) {
      const copy = this.#back.shift()
      if (copy === undefined) return
      this.#front.push(copy)
    }
  }

  /**
   * Moves copies from `back` to the end of the chunks and returns them for writing, or null when there is nothing
   * worth a chunk. They stay readable here until `spilled`.
   */
  spill(): { chunk: number; copies: readonly Copy[] } | null {
    if (this.#back.length === 0) return null
    const copies: Copy[] = []
    while (copies.length < CHUNK_COPIES_MAX) {
      const copy = this.#back.shift()
      if (copy === undefined) break
      copies.push(copy)
    }
    const chunk = this.nextChunk
    this.nextChunk += 1
    this.#coldCount += copies.length
    this.#spilling ??= new Map()
    this.#spilling.set(chunk, copies)
    return { chunk, copies }
  }

  /** The commit with the spilled chunks is on disk. */
  spilled(): void {
    this.#spilling = null
  }

  /** What a session row holds inline. */
  front(): readonly Copy[] {
    const copies: Copy[] = []
    for (let index = 0; index < this.#front.length; index += 1) copies.push(this.#front.at(index) as Copy)
    return copies
  }

  /** From a session row. */
  restore(front: readonly Copy[], firstChunk: number, nextChunk: number, coldCount: number, byteLength: number): void {
    assert(this.isEmpty, 'a queue is restored once')
    if (front.length > 0 && this.#front === NO_COPIES) this.#front = new Ring()
    for (const copy of front) this.#front.push(copy)
    this.firstChunk = firstChunk
    this.nextChunk = nextChunk
    this.#coldCount = coldCount
    this.#byteLength = byteLength
  }

  /** Copies in memory that hold a message: after their bodies went to disk they need not be held. */
  *inMemory(): IterableIterator<Copy> {
    for (let index = 0; index < this.#front.length; index += 1) yield this.#front.at(index) as Copy
    for (let index = 0; index < this.#back.length; index += 1) yield this.#back.at(index) as Copy
  }
}
