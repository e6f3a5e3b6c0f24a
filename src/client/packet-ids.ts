/** Packet identifiers of what this client sends: one space for PUBLISH, SUBSCRIBE and UNSUBSCRIBE [v5 MQTT-2.2.1-3]. */
import { nextPacketId, PACKET_ID_MAX } from '../protocol/packets.js'

export class PacketIds {
  readonly #isTaken = new Uint8Array(PACKET_ID_MAX + 1)
  #last = 0
  #takenCount = 0

  /** @returns 0 when all 65 535 are in use. */
  take(): number {
    if (this.#takenCount === PACKET_ID_MAX) return 0
    do this.#last = nextPacketId(this.#last)
    while (this.#isTaken[this.#last] === 1)
    this.claim(this.#last)
    return this.#last
  }

  /** Takes this very one, as the outbox has it from an earlier process. */
  claim(packetId: number): void {
    if (this.#isTaken[packetId] === 1) return
    this.#isTaken[packetId] = 1
    this.#takenCount += 1
  }

  release(packetId: number): void {
    if (this.#isTaken[packetId] !== 1) return
    this.#isTaken[packetId] = 0
    this.#takenCount -= 1
  }
}
