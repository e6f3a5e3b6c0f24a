/**
 * One connection as the core sees it: somewhere to put packets. The server's adapter joins a codec and a socket;
 * tests join two ends in memory. Nothing here waits or fails: a dead link swallows, and `Broker.closed` tells the core.
 *
 * Two boxes. What goes into *now* leaves at the end of the turn. What goes into *after commit* leaves when everything
 * the core has appended to the journal up to this moment is durable; if the link is gone by then, it is discarded.
 * Within each box the order is kept.
 */
import type { Delivery, Publication } from '../../protocol/codec.js'
import type { AckPacketType, Packet } from '../../protocol/packets.js'

export interface Link {
  /** For logs and rules: transport, protocol and the peer's address. */
  readonly description: LinkDescription
  /** Bytes not yet taken by the operating system, both boxes included. */
  readonly bufferedBytes: number

  send(packet: Packet): void
  /** @param promised publications that the packet says are safe. */
  sendAfterCommit(packet: Packet, promised?: number): void
  /** PUBACK, PUBREC, PUBREL, PUBCOMP without properties. */
  acknowledgeAfterCommit(type: AckPacketType, packetId: number, reasonCode: number): void
  /** QoS 0, message not stored. `delivery` is scratch: read it before returning. */
  deliver(publication: Publication, delivery: Delivery): void
  /** Copies of stored messages, at any QoS. `delivery` is scratch: read it before returning. */
  deliverAfterCommit(publication: Publication, delivery: Delivery): void
  /** Bytes `delivery` would take on this wire. */
  publicationSize(publication: Publication, delivery: Delivery): number
  packetSize(packet: Packet): number

  /** Stop or go on reading from the peer (authentication under way, back-pressure). */
  pauseReading(): void
  resumeReading(): void
  /**
   * Flush what is in *now*, then close. `Broker.closed` is not called for a close the core asked for.
   * @param reasonCode for the WebSocket close code and the log.
   */
  close(reasonCode: number, detail: string): void
}

export interface LinkDescription {
  readonly transport: 'ws' | 'tcp' | 'tls' | 'wss' | 'memory'
  readonly protocol: 'tally.v1' | 'mqtt'
  readonly remoteAddress: string
}
