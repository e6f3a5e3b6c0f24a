/**
 * "If the power fails now, N acknowledged messages are lost": measured, not assumed. Every acknowledgement is counted
 * when it is let go, against the commit that its message is in and what the store has reported by then. With
 * durability `flush` the store's report means the disk, so the figure is 0 for as long as nothing leaves too early.
 * With `os` and `memory` nothing is ever known to be on the disk, and it grows with every acknowledgement; one that
 * is repeated counts again.
 */
import type { Durability } from '../protocol/packets.js'

export class Promises {
  readonly #isFlushing: boolean
  /** Commits handed to the store, and those of them that it has reported as done. */
  #handedOver = 0
  #reported = 0
  #unflushed = 0
  /** Per commit that has not been reported: acknowledgements that have left without waiting for it. */
  readonly #early = new Map<number, number>()

  constructor(durability: Durability) {
    this.#isFlushing = durability === 'flush'
  }

  /** Publications that were acknowledged and that nobody has seen on the disk. */
  get unflushed(): number {
    return this.#unflushed
  }

  /** The commit handed over last; the record being filled will be in the next. */
  get commit(): number {
    return this.#handedOver
  }

  handedOver(): void {
    this.#handedOver += 1
  }

  reported(): void {
    this.#reported += 1
    const early = this.#early.get(this.#reported)
    if (early === undefined) return
    this.#early.delete(this.#reported)
    if (this.#isFlushing) this.#unflushed -= early
  }

  /** Acknowledgements leave that rest on this commit and the ones before. */
  released(count: number, commit: number): void {
    if (count === 0 || (this.#isFlushing && commit <= this.#reported)) return
    this.#unflushed += count
    if (this.#isFlushing) this.#early.set(commit, (this.#early.get(commit) ?? 0) + count)
  }
}
