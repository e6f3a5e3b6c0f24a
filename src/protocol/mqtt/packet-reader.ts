/**
 * A cursor over the bytes of one packet: the data types of MQTT [v5 1.5], each read checked against the packet's end.
 * One reader serves a whole connection and is pointed at packet after packet, so that reading allocates nothing but
 * the values themselves. Binary data comes out as a view of the bytes that were read.
 */
import { utf8Decode } from '../../base/utf8.js'
import { ProtocolError } from '../protocol-error.js'
import { ReasonCode } from '../reason-codes.js'

/** Longer topic names are decoded afresh each time: what every connection keeps has to stay small. */
const CACHED_TOPIC_BYTES_MAX = 256
const NO_BYTES = new Uint8Array(0)

export class PacketReader {
  bytes: Uint8Array = NO_BYTES
  position = 0
  /** First byte that no longer belongs to the packet, or to the property section that is being read. */
  end = 0
  /** User properties of the packet so far: CONNECT has two sections that count together. */
  userProperties = 0
  readonly userPropertiesMax: number
  /** Of `bytes`; asked for once per chunk, because asking costs half as much as the view of a payload. */
  #buffer: ArrayBufferLike = this.bytes.buffer
  #byteOffset = 0
  #topicBytes: Uint8Array = NO_BYTES
  #topicLength = -1
  #topicName = ''

  constructor(userPropertiesMax: number) {
    this.userPropertiesMax = userPropertiesMax
  }

  open(bytes: Uint8Array, start: number, end: number): void {
    if (bytes !== this.bytes) this.#turnTo(bytes)
    this.position = start
    this.end = end
    this.userProperties = 0
  }

  /** Lets go of the bytes: a connection that has nothing to say would keep the last that it was sent. */
  close(): void {
    this.#turnTo(NO_BYTES)
  }

  byte(): number {
    if (this.position >= this.end) truncated()
    return this.bytes[this.position++] as number
  }

  twoByteInteger(): number {
    const at = this.position
    if (at + 2 > this.end) truncated()
    this.position = at + 2
    return ((this.bytes[at] as number) << 8) | (this.bytes[at + 1] as number)
  }

  fourByteInteger(): number {
    const high = this.twoByteInteger()
    return high * 0x1_0000 + this.twoByteInteger()
  }

  /** In the fewest bytes that can hold it [v5 MQTT-1.5.5-1]. */
  variableByteInteger(): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte()
      value |= (byte & 0x7f) << shift
      if (byte > 0x7f) continue
      if (byte === 0 && shift > 0) malformed('a variable byte integer uses the fewest bytes possible')
      return value
    }
    return malformed('a variable byte integer has at most four bytes')
  }

  /** A packet identifier is never 0 [v5 MQTT-2.2.1-3] [v311 MQTT-2.3.1-1]. */
  packetId(): number {
    const packetId = this.twoByteInteger()
    if (packetId === 0) violation('a packet identifier is never 0')
    return packetId
  }

  /** @param what names the field in the error. */
  string(what: string): string {
    const length = this.twoByteInteger()
    const start = this.position
    if (start + length > this.end) truncated()
    this.position = start + length
    return this.#text(start, start + length, what)
  }

  /** Publishers repeat themselves: the same bytes as last time give the same string, unread. */
  topicName(): string {
    const length = this.twoByteInteger()
    const start = this.position
    if (start + length > this.end) truncated()
    this.position = start + length
    if (length === this.#topicLength && this.#sameTopic(start, length)) return this.#topicName
    const text = this.#text(start, start + length, 'topic name')
    if (length <= CACHED_TOPIC_BYTES_MAX) this.#rememberTopic(start, length, text)
    return text
  }

  binary(): Uint8Array {
    const length = this.twoByteInteger()
    if (this.position + length > this.end) truncated()
    return this.#view(length)
  }

  /** Everything up to the end. */
  rest(): Uint8Array {
    return this.#view(this.end - this.position)
  }

  /** Exact consumption: a packet holds nothing behind its last field. */
  finish(): void {
    if (this.position !== this.end) malformed('the packet is longer than its fields')
  }

  #turnTo(bytes: Uint8Array): void {
    this.bytes = bytes
    this.#buffer = bytes.buffer
    this.#byteOffset = bytes.byteOffset
  }

  #view(length: number): Uint8Array {
    const start = this.position
    this.position = start + length
    return new Uint8Array(this.#buffer, this.#byteOffset + start, length)
  }

  #text(start: number, end: number, what: string): string {
    const text = utf8Decode(this.bytes, start, end)
    if (text === undefined) return malformed(`the ${what} is not well-formed UTF-8`) // [v5 MQTT-1.5.4-1]
    if (text.includes('\u0000')) malformed(`the ${what} holds U+0000`) // [v5 MQTT-1.5.4-2]
    return text
  }

  #sameTopic(start: number, length: number): boolean {
    const { bytes } = this
    const topicBytes = this.#topicBytes
    for (let index = 0; index < length; index += 1) if (bytes[start + index] !== topicBytes[index]) return false
    return true
  }

  #rememberTopic(start: number, length: number, topicName: string): void {
    if (length > this.#topicBytes.length) this.#topicBytes = new Uint8Array((length + 31) & ~31)
    const { bytes } = this
    const topicBytes = this.#topicBytes
    for (let index = 0; index < length; index += 1) topicBytes[index] = bytes[start + index] as number
    this.#topicLength = length
    this.#topicName = topicName
  }
}

export function malformed(detail: string): never {
  throw new ProtocolError(ReasonCode.MALFORMED_PACKET, detail)
}

export function violation(detail: string): never {
  throw new ProtocolError(ReasonCode.PROTOCOL_ERROR, detail)
}

function truncated(): never {
  malformed('the packet ends inside a field')
}
