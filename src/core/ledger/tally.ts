/**
 * Counters of the ledger, by slot. The six that every message moves are plain fields; the rest is rare and in a map.
 * A tally is what happened since the last commit, or in an hour; it decides nothing.
 *
 * Encoding, in journal facts and in rows: [mask u8: which of the six are there][their varints], and with bit 6
 * [count][slot varint][value varint]… in the order of slots, so that equal tallies have equal bytes.
 */
import { assert } from '../../base/assert.js'
import type { ByteReader } from '../../base/byte-reader.js'
import type { ByteWriter } from '../../base/byte-writer.js'
import type { DropReason } from '../../protocol/packets.js'
import { DROP_REASONS } from '../drop-reasons.js'

/** The slot of bytes follows that of the count. */
export const Slot = {
  ACCEPTED: 0,
  ACCEPTED_BYTES: 1,
  ENQUEUED: 2,
  ENQUEUED_BYTES: 3,
  DELIVERED: 4,
  DELIVERED_BYTES: 5,
  /** Of those accepted: nobody was subscribed. */
  UNROUTED: 6,
  /** Publications that came again and were not stored again. */
  DUPLICATES: 7,
  /** Copies in flight when their session ended, or when a session without rows was lost with the broker. */
  ABANDONED: 8,
  ABANDONED_BYTES: 9,
  /** Copies in the queue when their session ended. */
  PURGED: 10,
  PURGED_BYTES: 11,
  /** Copies that left for another member of their share group, whose account has them as enqueued. */
  MOVED: 12,
  MOVED_BYTES: 13,
  /** Copies that came while the ledger was off, and those that ended then: counted when it is switched on again. */
  ADOPTED: 14,
  ADOPTED_BYTES: 15,
  VANISHED: 16,
  VANISHED_BYTES: 17,
  /** Plus twice the index of the drop reason. */
  DROPPED: 32,
  /** Plus the reason code. */
  REFUSED: 64,
} as const

const SLOT_END = Slot.REFUSED + 256
const REST = 64

export function droppedSlot(reason: DropReason): number {
  return Slot.DROPPED + 2 * DROP_REASONS.indexOf(reason)
}

export class Tally {
  accepted = 0
  acceptedBytes = 0
  enqueued = 0
  enqueuedBytes = 0
  delivered = 0
  deliveredBytes = 0
  #rest: Map<number, number> | null = null

  /** Nothing but the six fields. */
  get isPlain(): boolean {
    return this.#rest === null
  }

  get(slot: number): number {
    if (slot > Slot.DELIVERED_BYTES) return this.#rest?.get(slot) ?? 0
    return this.#hot()[slot] as number
  }

  /** For what is rare: slots beyond the six fields. */
  add(slot: number, count: number): void {
    assert(slot > Slot.DELIVERED_BYTES && slot < SLOT_END, 'a slot of its own is a field')
    this.#rest ??= new Map()
    this.#rest.set(slot, (this.#rest.get(slot) ?? 0) + count)
  }

  /** A copy and its bytes. */
  addCopy(slot: number, byteLength: number): void {
    this.add(slot, 1)
    this.add(slot + 1, byteLength)
  }

  addAll(other: Tally): void {
    this.accepted += other.accepted
    this.acceptedBytes += other.acceptedBytes
    this.enqueued += other.enqueued
    this.enqueuedBytes += other.enqueuedBytes
    this.delivered += other.delivered
    this.deliveredBytes += other.deliveredBytes
    if (other.#rest === null) return
    for (const [slot, count] of other.#rest) this.add(slot, count)
  }

  clear(): void {
    this.accepted = 0
    this.acceptedBytes = 0
    this.enqueued = 0
    this.enqueuedBytes = 0
    this.delivered = 0
    this.deliveredBytes = 0
    this.#rest = null
  }

  /** [slot, count] of everything that is not zero, in the order of slots. */
  entries(): [slot: number, count: number][] {
    const hot = this.#hot().map((count, slot): [number, number] => [slot, count])
    const rest = [...(this.#rest ?? [])].sort(([one], [other]) => one - other)
    return [...hot, ...rest].filter(([, count]) => count !== 0)
  }

  /** Copies that came, less those that ended; `ofBytes` 1 counts their bytes. */
  balance(ofBytes: 0 | 1 = 0): number {
    const came = ofBytes === 0 ? this.enqueued : this.enqueuedBytes
    const delivered = ofBytes === 0 ? this.delivered : this.deliveredBytes
    if (this.#rest === null) return came - delivered
    let rest = 0
    for (const [slot, count] of this.#rest) rest += signOf(slot, ofBytes) * count
    return came - delivered + rest
  }

  #hot(): number[] {
    const { accepted, acceptedBytes, enqueued, enqueuedBytes, delivered, deliveredBytes } = this
    return [accepted, acceptedBytes, enqueued, enqueuedBytes, delivered, deliveredBytes]
  }

  write(writer: ByteWriter): void {
    let mask = this.#rest === null ? 0 : REST
    if (this.accepted !== 0) mask |= 1
    if (this.acceptedBytes !== 0) mask |= 2
    if (this.enqueued !== 0) mask |= 4
    if (this.enqueuedBytes !== 0) mask |= 8
    if (this.delivered !== 0) mask |= 16
    if (this.deliveredBytes !== 0) mask |= 32
    writer.u8(mask)
    if (this.accepted !== 0) writer.varint(this.accepted)
    if (this.acceptedBytes !== 0) writer.varint(this.acceptedBytes)
    if (this.enqueued !== 0) writer.varint(this.enqueued)
    if (this.enqueuedBytes !== 0) writer.varint(this.enqueuedBytes)
    if (this.delivered !== 0) writer.varint(this.delivered)
    if (this.deliveredBytes !== 0) writer.varint(this.deliveredBytes)
    if (this.#rest === null) return
    const rest = [...this.#rest].sort(([one], [other]) => one - other)
    writer.varint(rest.length)
    for (const [slot, count] of rest) {
      writer.varint(slot)
      writer.varint(count)
    }
  }

  static read(reader: ByteReader): Tally {
    const tally = new Tally()
    const mask = reader.u8()
    if (mask & 1) tally.accepted = reader.varint()
    if (mask & 2) tally.acceptedBytes = reader.varint()
    if (mask & 4) tally.enqueued = reader.varint()
    if (mask & 8) tally.enqueuedBytes = reader.varint()
    if (mask & 16) tally.delivered = reader.varint()
    if (mask & 32) tally.deliveredBytes = reader.varint()
    if (!(mask & REST)) return tally
    for (let left = reader.varint(); left > 0; left -= 1) tally.add(reader.varint(), reader.varint())
    return tally
  }
}

/** +1: a copy that came; -1: one that ended; 0: not about copies. */
function signOf(slot: number, ofBytes: 0 | 1): -1 | 0 | 1 {
  if (slot % 2 !== ofBytes) return 0
  if (slot >= Slot.REFUSED || slot < Slot.ABANDONED) return 0
  return slot === Slot.ADOPTED + ofBytes ? 1 : -1
}
