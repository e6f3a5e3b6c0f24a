/**
 * Copies in flight by packet id. Ids are given out counting up, so a power of two of slots, at least as many as ids
 * between the oldest and the newest, has a place for each without hashing; two ids that want the same place double it,
 * up to one slot for each of the 65 535.
 */
import { assert } from '../base/assert.js'
import type { Copy } from './message.js'

const SLOTS_MIN = 8
const SLOTS_MAX = 65_536

export class InflightTable {
  #slots: (Copy | undefined)[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  get(packetId: number): Copy | undefined {
    const copy = this.#slots[packetId & (this.#slots.length - 1)]
    return copy !== undefined && copy.packetId === packetId ? copy : undefined
  }

  has(packetId: number): boolean {
    return this.get(packetId) !== undefined
  }

  add(copy: Copy): void {
    if (this.#slots.length === 0) this.#slots = emptySlots(SLOTS_MIN)
    while (this.#slots[copy.packetId & (this.#slots.length - 1)] !== undefined) this.#grow()
    this.#slots[copy.packetId & (this.#slots.length - 1)] = copy
    this.#size += 1
  }

  delete(packetId: number): boolean {
    const index = packetId & (this.#slots.length - 1)
    if (this.#slots[index]?.packetId !== packetId) return false
    this.#slots[index] = undefined
    this.#size -= 1
    if (this.#size === 0 && this.#slots.length > 1_024) this.#slots = []
    return true
  }

  /** In the order in which they were sent first. */
  inOrder(): Copy[] {
    const copies = this.#slots.filter((copy) => copy !== undefined)
    return copies.sort((one, other) => one.deliverySequence - other.deliverySequence)
  }

  #grow(): void {
    const old = this.#slots
    assert(old.length < SLOTS_MAX, 'a packet id in flight is not given out again')
    this.#slots = emptySlots(old.length * 2)
    for (const copy of old) if (copy !== undefined) this.#slots[copy.packetId & (this.#slots.length - 1)] = copy
  }
}

function emptySlots(count: number): (Copy | undefined)[] {
  return new Array<Copy | undefined>(count).fill(undefined)
}
