/**
 * What MQTT says about one session as its consumer sees it, packet by packet: packet ids in use, DUP, the end of a
 * QoS 2 exchange, Session Present, and the two bounds that the client set itself. Each method returns what is wrong.
 */
import type { PublishPacket } from '../../../src/protocol/packets.js'

export class SessionRules {
  /** QoS 2 packet ids taken and not completed, and the delivery sequence under them; they outlive connections. */
  readonly #received = new Map<number, number>()
  /** PUBLISH received on this connection and not answered to the end. */
  readonly #onWire = new Set<number>()
  readonly #receiveMaximum: number

  constructor(receiveMaximum: number) {
    this.#receiveMaximum = receiveMaximum
  }

  connected(expected: 'present' | 'absent' | 'either', sessionPresent: boolean): string | null {
    if (expected === 'present' && !sessionPresent) return 'the session is gone'
    if (expected === 'absent' && sessionPresent) return 'there is an old session after Clean Start'
    return null
  }

  /** A new session: nothing of the old one counts. */
  begin(): void {
    this.#received.clear()
  }

  connectionGone(): void {
    this.#onWire.clear()
  }

  /** @returns what is wrong, or null. @param isRepeat of a message that this session has had. */
  published(
    packet: Pick<PublishPacket, 'packetId' | 'qos' | 'dup' | 'deliverySequence'>,
    isRepeat: boolean,
  ): string | null {
    const { packetId, qos, dup } = packet
    if (qos === 0) return null
    const isOnWire = this.#onWire.has(packetId)
    this.#onWire.add(packetId)
    const isReceived = this.#received.has(packetId)
    if (qos === 2) this.#received.set(packetId, packet.deliverySequence ?? 0)
    if (isOnWire) return `packet id ${packetId} came twice on one connection`
    if (this.#onWire.size > this.#receiveMaximum) return `Receive Maximum ${this.#receiveMaximum} was exceeded`
    if (isRepeat && !dup) return `packet id ${packetId} came again without DUP`
    if (qos === 2 && isReceived && !isRepeat) return `packet id ${packetId} is in use and came with something else`
    if (qos === 2 && isRepeat && !isReceived) return `packet id ${packetId} came again after its PUBREL`
    return null
  }

  /** CONNECT said that everything up to this sequence is handled: those exchanges are over. */
  handled(deliverySequence: number): void {
    if (deliverySequence === 0) return
    for (const [packetId, sequence] of this.#received) {
      if (sequence <= deliverySequence) this.#received.delete(packetId)
    }
  }

  isReceived(packetId: number): boolean {
    return this.#received.has(packetId)
  }

  /** The client has sent PUBACK or PUBCOMP. */
  finished(packetId: number): void {
    this.#onWire.delete(packetId)
    this.#received.delete(packetId)
  }
}
