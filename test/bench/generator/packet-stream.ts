/**
 * Packets out of pieces of a byte stream, in place. Only the head of a packet that is cut by the end of a piece is
 * copied; the rest of a payload is skipped unseen, however long it is.
 */
import type { PacketSink, RunState, Wire } from './wire.js'

/** No head of what brokers say to the generator is longer. */
const HEAD_BYTES_MAX = 4_096

export class PacketStream {
  readonly #wire: Wire
  readonly #sink: PacketSink
  readonly #run: RunState = { left: 0, qos: 0, packetId: 0 }
  readonly #head = new Uint8Array(HEAD_BYTES_MAX)
  #headBytes = 0
  #skipBytes = 0

  constructor(wire: Wire, sink: PacketSink) {
    this.#wire = wire
    this.#sink = sink
  }

  feed(data: Uint8Array, start: number, end: number): void {
    let at = start
    if (this.#skipBytes > 0) {
      const skipped = Math.min(this.#skipBytes, end - at)
      this.#skipBytes -= skipped
      at += skipped
    }
    if (this.#headBytes > 0 && at < end) at = this.#completeHead(data, at, end)
    while (at < end) {
      const next = this.#wire.step(data, at, end, this.#sink, this.#run)
      if (next < 0) {
        this.#keepHead(data, at, end)
        return
      }
      at = next
    }
    if (at > end) this.#skipBytes = at - end
  }

  #keepHead(data: Uint8Array, at: number, end: number): void {
    if (end - at > HEAD_BYTES_MAX) throw new Error('a packet whose head does not end')
    this.#head.set(data.subarray(at, end))
    this.#headBytes = end - at
  }

  /** @returns where the packet ends whose head was kept, or `end` when even this piece does not complete it. */
  #completeHead(data: Uint8Array, at: number, end: number): number {
    const kept = this.#headBytes
    const added = Math.min(HEAD_BYTES_MAX - kept, end - at)
    this.#head.set(data.subarray(at, at + added), kept)
    const next = this.#wire.step(this.#head, 0, kept + added, this.#sink, this.#run)
    if (next < 0) {
      if (kept + added === HEAD_BYTES_MAX) throw new Error('a packet whose head does not end')
      this.#headBytes = kept + added
      return end
    }
    this.#headBytes = 0
    return at + next - kept
  }
}
