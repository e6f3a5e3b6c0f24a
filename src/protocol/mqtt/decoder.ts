/**
 * Cuts a stream of bytes into MQTT packets, wherever the chunks happen to break. Whole packets are read where they
 * lie; only a packet that a chunk leaves unfinished is carried over, in memory that grows with the bytes that have
 * come and not with the length that was announced. After an error nothing more is read from the stream.
 */
import { unreachable } from '../../base/assert.js'
import type { CodecLimits, PacketDecoder } from '../codec.js'
import { type Packet, PacketType, type ProducerPacket, type ProtocolLevel } from '../packets.js'
import { ProtocolError } from '../protocol-error.js'
import { ReasonCode } from '../reason-codes.js'
import { decodeAck } from './ack.js'
import { decodeAuth } from './auth.js'
import { decodeConnack } from './connack.js'
import { decodeConnect, decodeProtocolLevel } from './connect.js'
import { decodeDisconnect } from './disconnect.js'
import { checkFirstByte } from './fixed-header.js'
import { malformed, PacketReader } from './packet-reader.js'
import { decodePing } from './ping.js'
import { decodePublish } from './publish.js'
import { decodeSuback } from './suback.js'
import { decodeSubscribe } from './subscribe.js'
import { decodeUnsuback } from './unsuback.js'
import { decodeUnsubscribe } from './unsubscribe.js'

const CARRY_BYTES_MIN = 64
const NOTHING = new Uint8Array(0)

export class MqttDecoder implements PacketDecoder {
  readonly #limits: CodecLimits
  readonly #reader: PacketReader
  #level: ProtocolLevel | 0 = 0
  #sizeMax: number
  #failed = false
  #failure: unknown
  /** The beginning of an unfinished packet; bytes that a packet was read from are never written again. */
  #carry = NOTHING
  #carryLength = 0
  // The fixed header read last.
  #bodyStart = 0
  #packetEnd = 0
  #lengthIsMinimal = true

  constructor(limits: CodecLimits) {
    this.#limits = limits
    this.#sizeMax = Math.min(limits.connectPacketSizeMax, limits.maximumPacketSize)
    this.#reader = new PacketReader(limits.userPropertiesMax)
  }

  /** What the peer's CONNECT named, even if the rest of it was refused; 0 while that is not known. */
  get protocolLevel(): ProtocolLevel | 0 {
    return this.#level
  }

  connectAccepted(protocolLevel: ProtocolLevel): void {
    this.#level = protocolLevel
    this.#sizeMax = this.#limits.maximumPacketSize
  }

  decode(chunk: Uint8Array, receive: (packet: Packet) => void): void {
    if (this.#failed) throw this.#failure
    try {
      let offset = this.#carryLength === 0 ? 0 : this.#continueCarry(chunk, receive)
      const end = chunk.length
      while (offset < end) {
        const isComplete = this.#readHeader(chunk, offset, end)
        const packetEnd = this.#packetEnd
        if (!isComplete || packetEnd > end) {
          this.#append(chunk, offset, end - offset, isComplete ? packetEnd - offset : 0)
          break
        }
        receive(this.#readPacket(chunk, offset))
        offset = packetEnd
      }
      this.#reader.close()
    } catch (error) {
      this.#failed = true
      this.#failure = error
      this.#carry = NOTHING
      throw error
    }
  }

  /** @returns how much of the chunk went into the packet that was begun earlier. */
  #continueCarry(chunk: Uint8Array, receive: (packet: Packet) => void): number {
    let offset = 0
    while (!this.#readHeader(this.#carry, 0, this.#carryLength)) {
      if (offset === chunk.length) return offset
      this.#append(chunk, offset, 1, 0)
      offset += 1
    }
    const total = this.#packetEnd
    const missing = Math.min(total - this.#carryLength, chunk.length - offset)
    this.#append(chunk, offset, missing, total)
    if (this.#carryLength < total) return chunk.length
    const packetBytes = this.#carry
    this.#carry = NOTHING
    this.#carryLength = 0
    receive(this.#readPacket(packetBytes, 0))
    return offset + missing
  }

  /** @param total bytes of the packet, 0 while that is not known. */
  #append(chunk: Uint8Array, offset: number, count: number, total: number): void {
    const needed = this.#carryLength + count
    if (needed > this.#carry.length) {
      // Twice what has come, but not more than the packet: announcing a length reserves nothing.
      const roomy = Math.max(CARRY_BYTES_MIN, needed * 2)
      const grown = new Uint8Array(total === 0 ? roomy : Math.min(total, roomy))
      grown.set(this.#carry.subarray(0, this.#carryLength))
      this.#carry = grown
    }
    this.#carry.set(chunk.subarray(offset, offset + count), this.#carryLength)
    this.#carryLength = needed
  }

  /** @returns false when the header is not complete yet. What it says is judged before the body is waited for. */
  #readHeader(bytes: Uint8Array, offset: number, end: number): boolean {
    checkFirstByte(bytes[offset] as number, this.#level)
    let length = 0
    for (let width = 1; width <= 4; width += 1) {
      if (offset + width >= end) return false
      const byte = bytes[offset + width] as number
      length |= (byte & 0x7f) << (7 * (width - 1))
      if (byte > 0x7f) continue
      this.#lengthIsMinimal = byte !== 0 || width === 1
      if (!this.#lengthIsMinimal && this.#level === 5) this.#refuseLongLength()
      this.#bodyStart = offset + 1 + width
      this.#packetEnd = this.#bodyStart + length
      if (1 + width + length > this.#sizeMax) this.#refuseSize(1 + width + length)
      return true
    }
    return malformed('the remaining length has at most four bytes')
  }

  #readPacket(bytes: Uint8Array, offset: number): Packet {
    const firstByte = bytes[offset] as number
    const reader = this.#reader
    reader.open(bytes, this.#bodyStart, this.#packetEnd)
    const type = (firstByte >>> 4) as MqttPacketType // 0 was refused with the header
    const level = this.#level
    if (level === 0 || type === PacketType.CONNECT) return this.#readConnect()
    if (type === PacketType.PUBLISH) return decodePublish(reader, firstByte, level)
    return decodeOther(reader, type, level)
  }

  /** The level stays known if the rest is refused. A second CONNECT is for the core to refuse; it changes nothing. */
  #readConnect(): Packet {
    const reader = this.#reader
    const level = decodeProtocolLevel(reader, this.#limits.acceptMqtt31 === true)
    if (this.#level === 0) this.#level = level
    if (!this.#lengthIsMinimal && level === 5) this.#refuseLongLength()
    return decodeConnect(reader, level)
  }

  /** [v5 MQTT-1.5.5-1]; 3.1.1 has no such rule, and old devices write a length in four bytes. */
  #refuseLongLength(): never {
    malformed('the remaining length uses the fewest bytes possible')
  }

  #refuseSize(size: number): never {
    throw new ProtocolError(
      ReasonCode.PACKET_TOO_LARGE,
      `a packet has at most ${this.#sizeMax} bytes here, this one has ${size}`,
    )
  }
}

/** What fits into four bits. */
type MqttPacketType = Exclude<PacketType, typeof PacketType.RESERVED | ProducerPacket['type']>
type OtherType = Exclude<MqttPacketType, typeof PacketType.CONNECT | typeof PacketType.PUBLISH>

function decodeOther(reader: PacketReader, type: OtherType, level: ProtocolLevel): Packet {
  switch (type) {
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      return decodeAck(reader, type, level)
    case PacketType.CONNACK:
      return decodeConnack(reader, level)
    case PacketType.SUBSCRIBE:
      return decodeSubscribe(reader, level)
    case PacketType.SUBACK:
      return decodeSuback(reader, level)
    case PacketType.UNSUBSCRIBE:
      return decodeUnsubscribe(reader, level)
    case PacketType.UNSUBACK:
      return decodeUnsuback(reader, level)
    case PacketType.PINGREQ:
    case PacketType.PINGRESP:
      return decodePing(reader, type)
    case PacketType.DISCONNECT:
      return decodeDisconnect(reader, level)
    case PacketType.AUTH:
      return decodeAuth(reader)
    default:
      return unreachable(type, 'packet type')
  }
}
