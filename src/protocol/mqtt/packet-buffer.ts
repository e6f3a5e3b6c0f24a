/**
 * Outgoing bytes of one connection: a growing buffer with free room in front for a WebSocket frame header, and the
 * data types of MQTT as appends. Lengths that stand before what they measure are guessed, then corrected: a section
 * begins with room for the expected length and is moved by a byte or two in the rare case that the guess was wrong.
 */
import { utf8Write } from '../../base/utf8.js'
import { FRAME_HEADROOM, type WrittenBytes } from '../codec.js'
import { ProtocolError } from '../protocol-error.js'
import { ReasonCode } from '../reason-codes.js'

const CAPACITY_MIN = 256
/** What a busy connection starts with at most; more is grown into. */
const FIRST_CAPACITY_MAX = 65_536
/** First buffers are cut from slabs: a fresh ArrayBuffer costs more than a whole packet. As small as Node's own pool. */
const SLAB_BYTES = 8_192
const STRING_BYTES_MAX = 65_535
const VARIABLE_BYTE_INTEGER_MAX = 268_435_455
const EMPTY = new Uint8Array(0)

let slab = EMPTY
let slabUsed = SLAB_BYTES

export class PacketBuffer {
  bytes: Uint8Array = EMPTY
  /** Where the next byte goes; 0 before anything is allocated, else counted with the headroom. */
  position = 0
  #firstCapacity = CAPACITY_MIN

  get byteLength(): number {
    return this.position === 0 ? 0 : this.position - FRAME_HEADROOM
  }

  /** Makes room for `count` more bytes; whoever appends through `bytes` and `position` has called it. */
  reserve(count: number): void {
    if (this.position + count > this.bytes.length || this.position === 0) this.#grow(count)
  }

  byte(value: number): void {
    this.reserve(1)
    this.bytes[this.position++] = value
  }

  twoByteInteger(value: number): void {
    this.reserve(2)
    this.bytes[this.position++] = value >>> 8
    this.bytes[this.position++] = value
  }

  fourByteInteger(value: number): void {
    this.twoByteInteger(value >>> 16)
    this.twoByteInteger(value & 0xffff)
  }

  variableByteInteger(value: number): void {
    this.reserve(4)
    this.position = putVariableByteInteger(this.bytes, this.position, value)
  }

  string(text: string): void {
    this.reserve(2 + text.length * 3)
    const start = this.position
    const length = utf8Write(text, this.bytes, start + 2)
    if (length > STRING_BYTES_MAX) tooLong(`a string of ${length} bytes`)
    this.bytes[start] = length >>> 8
    this.bytes[start + 1] = length
    this.position = start + 2 + length
  }

  binary(data: Uint8Array): void {
    if (data.length > STRING_BYTES_MAX) tooLong(`binary data of ${data.length} bytes`)
    this.twoByteInteger(data.length)
    this.raw(data)
  }

  raw(data: Uint8Array): void {
    this.reserve(data.length)
    this.bytes.set(data, this.position)
    this.position += data.length
  }

  /** @returns where the section begins, for `endSection` with the same guess. */
  beginSection(expectedLength: number): number {
    const width = variableByteIntegerWidth(expectedLength)
    this.reserve(width)
    const start = this.position
    this.position = start + width
    return start
  }

  endSection(start: number, expectedLength: number): void {
    const bodyStart = start + variableByteIntegerWidth(expectedLength)
    const length = this.position - bodyStart
    if (length > VARIABLE_BYTE_INTEGER_MAX) tooLong(`a packet of ${length} bytes`)
    const shift = start + variableByteIntegerWidth(length) - bodyStart
    if (shift !== 0) {
      if (shift > 0) this.reserve(shift)
      this.bytes.copyWithin(bodyStart + shift, bodyStart, this.position)
      this.position += shift
    }
    putVariableByteInteger(this.bytes, start, length)
  }

  /** Hands the bytes away: what was taken is never written to again. */
  take(): WrittenBytes | null {
    if (this.byteLength === 0) return null
    const buffer = this.bytes.subarray(0, this.position)
    this.#firstCapacity = CAPACITY_MIN
    while (this.#firstCapacity < this.position && this.#firstCapacity < FIRST_CAPACITY_MAX) this.#firstCapacity *= 2
    this.bytes = EMPTY
    this.position = 0
    return { buffer, headroom: FRAME_HEADROOM }
  }

  /** Drops what was written since `byteLength` was `length`. */
  truncate(length: number): void {
    if (this.position > 0) this.position = FRAME_HEADROOM + length
  }

  #grow(count: number): void {
    if (this.position === 0) {
      const needed = FRAME_HEADROOM + count
      this.bytes = allocate(Math.max(needed, this.#firstCapacity))
      this.position = FRAME_HEADROOM
      return
    }
    const needed = this.position + count
    const doubled = this.bytes.length * 2
    const grown = new Uint8Array(Math.max(needed, doubled))
    grown.set(this.bytes.subarray(0, this.position))
    this.bytes = grown
  }
}

export function variableByteIntegerWidth(value: number): 1 | 2 | 3 | 4 {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  return value < 0x20_0000 ? 3 : 4
}

/** @returns the position behind it; always the shortest form [v5 MQTT-1.5.5-1]. */
export function putVariableByteInteger(bytes: Uint8Array, position: number, value: number): number {
  let at = position
  let rest = value
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}

/** No packet may be so long, so it is refused before it does harm; the message that held it stays where it is. */
export function tooLong(what: string): never {
  throw new ProtocolError(ReasonCode.PACKET_TOO_LARGE, `MQTT has no room for ${what}`)
}

function allocate(capacity: number): Uint8Array {
  if (capacity > SLAB_BYTES / 8) return new Uint8Array(capacity)
  if (slabUsed + capacity > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES)
    slabUsed = 0
  }
  const start = slabUsed
  slabUsed += capacity
  return slab.subarray(start, slabUsed)
}
