/**
 * The codec port: bytes in, packets out, and back. Two adapters: `mqtt/` (3.1.1 and 5.0) and `msgpack/` (native).
 * A decoder and a writer belong to one connection and one direction; neither reads a clock nor touches a socket.
 */
import type { AckPacketType, Packet, ProtocolLevel, PublishPacket, QoS } from './packets.js'

export interface CodecLimits {
  /** Bytes of one packet, checked before its body is buffered. */
  readonly maximumPacketSize: number
  /** User properties in one packet; more are refused with 0x97 (a CPU guard). */
  readonly userPropertiesMax: number
  /** Bytes of a packet that may come before CONNECT has been accepted. */
  readonly connectPacketSizeMax: number
  /** MQTT only: also accept MQTT 3.1 ('MQIsdp', level 3). Absent: no. */
  readonly acceptMqtt31?: boolean
}

export interface PacketDecoder {
  /**
   * Consumes a chunk and calls `receive` for every whole packet in it, in order. The bytes given stay untouched for
   * as long as anything refers to them: packets hold views (payload, correlationData), not copies.
   * Native: a chunk is one WebSocket message and must hold whole packets. MQTT: a chunk is any part of the stream.
   * @throws ProtocolError with the reason code; the decoder must not be used afterwards.
   */
  decode(chunk: Uint8Array, receive: (packet: Packet) => void): void
  /** True once `decode` was told by its owner that CONNECT has been accepted: lifts `connectPacketSizeMax`. */
  connectAccepted(protocolLevel: ProtocolLevel): void
  /**
   * MQTT only: what the peer's CONNECT named, known even if the rest of it was refused, because the answer depends on
   * it. 0: not known; a CONNACK is then written for level 4 [v311 MQTT-3.1.2-2].
   */
  readonly protocolLevel?: ProtocolLevel | 0
}

/** What a fan-out shares: the codec may keep encoded bytes on it, so that a message is encoded once per layout. */
export interface Publication {
  readonly topicName: string
  readonly payload: Uint8Array
  /** As received from the publisher, without topic alias and subscription identifiers. null: none. */
  readonly properties: PublishPacket['properties']
  /** The broker's id of a QoS 1 or 2 message, 0 for QoS 0. */
  readonly messageId: number
  /** Scratch for codecs: encoded tails by layout. Everything else leaves it alone. */
  wire: WireCache | null
}
export interface WireCache {
  [layout: string]: Uint8Array | undefined
}
/** One copy has been written and nothing is kept: most publications have one subscriber, for which keeping is waste. */
export const SEEN_ONCE: WireCache = Object.freeze({})

/** How one subscriber gets its copy. */
export interface Delivery {
  qos: QoS
  retain: boolean
  dup: boolean
  /** 0 for QoS 0. */
  packetId: number
  /** Gap-free per session at QoS 1 and 2; 0 for QoS 0. */
  deliverySequence: number
  /** null: none. */
  subscriptionIdentifiers: readonly number[] | null
  /** What is left of the Message Expiry Interval; -1: the message has none [v5 MQTT-3.3.2-6]. */
  messageExpiryIntervalSec: number
  /** MQTT 5 with aliases: 0 none, n > 0 send this alias; with `omitTopicName` the name is left out. */
  topicAlias: number
  omitTopicName: boolean
  /** Of the subscriber, in bytes; Infinity: it named none. For writers that put several copies into one packet. */
  maximumPacketSize: number
}

/** Collects outgoing packets of one connection; what `take` returns goes out in one write. */
export interface PacketWriter {
  /** Bytes waiting, an upper bound is enough. */
  readonly byteLength: number
  write(packet: Packet): void
  /**
   * @returns bytes the packet took, so that callers can honour the peer's Maximum Packet Size with `publicationSize`.
   */
  writePublication(publication: Publication, delivery: Delivery): void
  /** Hot path of PUBACK, PUBREC, PUBREL, PUBCOMP with no properties. Native: neighbours become one range. */
  writeAck(type: AckPacketType, packetId: number, reasonCode: number): void
  /**
   * The bytes so far, with `headroom` free bytes in front (for a WebSocket frame header), or null when there are none.
   * The writer forgets them; the caller owns them.
   */
  take(): WrittenBytes | null
}
export interface WrittenBytes {
  /** `headroom` unused bytes, then the packets. */
  readonly buffer: Uint8Array
  readonly headroom: number
}

export interface Codec {
  readonly name: 'tally.v1' | 'mqtt'
  /** Packets begin and end anywhere in what the transport brings. False: each of its messages holds whole packets. */
  readonly isStream: boolean
  decoder(limits: CodecLimits): PacketDecoder
  /** @param protocolLevel ignored by the native codec. */
  writer(protocolLevel: ProtocolLevel): PacketWriter
  /** Bytes that this delivery takes on the wire [v5 MQTT-3.1.2-24]. */
  publicationSize(publication: Publication, delivery: Delivery, protocolLevel: ProtocolLevel): number
  /** Bytes of any other packet. */
  packetSize(packet: Packet, protocolLevel: ProtocolLevel): number
}

/** Free bytes in front of what a writer returns: the longest server-side WebSocket frame header (RFC 6455 5.2). */
export const FRAME_HEADROOM = 10
