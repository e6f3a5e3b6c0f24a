/**
 * A set of packet ids that a client chooses, one bit each: putting an id in and taking it out again is what each
 * publication at QoS 2 does, and costs an index. As long as the largest id needs it to be, at most 8 KiB; empty it
 * holds next to nothing.
 */
import { assert } from '../base/assert.js'
import { PACKET_ID_MAX } from '../protocol/packets.js'

const WORDS_MIN = 8

/** What others may ask. */
export interface PacketIds extends Iterable<number> {
  readonly size: number
  has(packetId: number): boolean
}

export class PacketIdSet implements PacketIds {
  #words = new Uint32Array(0)
  #size = 0

  get size(): number {
    return this.#size
  }

  has(packetId: number): boolean {
    const word = packetId >>> 5
    return word < this.#words.length && ((this.#words[word] as number) & (1 << (packetId & 31))) !== 0
  }

  add(packetId: number): void {
    assert(packetId >= 1 && packetId <= PACKET_ID_MAX, 'a packet id is 1 to 65,535')
    const word = packetId >>> 5
    if (word >= this.#words.length) this.#grow(word + 1)
    const bits = this.#words[word] as number
    const bit = 1 << (packetId & 31)
    if ((bits & bit) !== 0) return
    this.#words[word] = bits | bit
    this.#size += 1
  }

  /** @returns whether it was there. */
  delete(packetId: number): boolean {
    if (!this.has(packetId)) return false
    const word = packetId >>> 5
    this.#words[word] = (this.#words[word] as number) & ~(1 << (packetId & 31))
    this.#size -= 1
    if (this.#size === 0 && this.#words.length > WORDS_MIN) this.#words = new Uint32Array(0)
    return true
  }

  /** Ascending. */
  *[Symbol.iterator](): IterableIterator<number> {
    for (let word = 0; word < this.#words.length; word += 1) {
      if (this.#words[word] === 0) continue
      for (let packetId = word * 32; packetId < word * 32 + 32; packetId += 1) if (this.has(packetId)) yield packetId
    }
  }

  #grow(words: number): void {
    let length = Math.max(WORDS_MIN, this.#words.length)
    while (length < words) length *= 2
    const grown = new Uint32Array(length)
    grown.set(this.#words)
    this.#words = grown
  }
}
