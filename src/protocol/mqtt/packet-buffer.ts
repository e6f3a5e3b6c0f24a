/**
 * Outgoing bytes of one connection: a growing buffer with free room in front for a WebSocket frame header, and the
 * data types of MQTT as appends. Lengths that stand before what they measure are guessed, then corrected: a section
 * begins with room for the expected length and is moved by a byte or two in the rare case that the guess was wrong.
 */
import { utf8Write } from '../../base/utf8.js'
import { FRAME_HEADROOM, type WrittenBytes } from '../codec.js'
import { firstCapacity, grownCapacity } from '../first-capacity.js'
import { ProtocolError } from '../protocol-error.js'
import { ReasonCode } from '../reason-codes.js'

/**
 * First buffers are cut from slabs: a fresh ArrayBuffer costs more than a whole packet. As small as Node's own pool.
 */
const SLAB_BYTES = 8_192
const SLAB_CUT_MAX = 1_024
const COPY_BY_HAND_MAX = 8
const STRING_BYTES_MAX = 65_535
const VARIABLE_BYTE_INTEGER_MAX = 268_435_455
const NO_BACKING = new ArrayBuffer(0)
const EMPTY = new Uint8Array(NO_BACKING)

let slab = EMPTY
let slabBacking: ArrayBuffer = NO_BACKING
let slabUsed = SLAB_BYTES

export class PacketBuffer {
  /** Ours from `#start` to `#limit`; the rest of a slab belongs to others. */
  bytes: Uint8Array = EMPTY
  /** Its buffer, from the beginning: asking a view for it is a call out of JavaScript, a tenth of a small packet. */
  #backing: ArrayBuffer = NO_BACKING
  /** Where the next byte goes. */
  position = 0
  #start = 0
  #limit = 0
  /** Bytes that the last turn wrote. */
  #lastLength = 0

  get byteLength(): number {
    return this.#limit === 0 ? 0 : this.position - this.#start - FRAME_HEADROOM
  }

  /** Makes room for `count` more bytes; whoever appends through `bytes` and `position` has called it. */
  reserve(count: number): void {
    if (this.position + count > this.#limit) this.#grow(count)
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

  /** @returns bytes written, the two of the length included. */
  string(text: string): number {
    this.reserve(2 + text.length * 3)
    const start = this.position
    const length = utf8Write(text, this.bytes, start + 2)
    if (length > STRING_BYTES_MAX) tooLong(`a string of ${length} bytes`)
    this.bytes[start] = length >>> 8
    this.bytes[start + 1] = length
    this.position = start + 2 + length
    return 2 + length
  }

  binary(data: Uint8Array): void {
    if (data.length > STRING_BYTES_MAX) tooLong(`binary data of ${data.length} bytes`)
    this.twoByteInteger(data.length)
    this.raw(data)
  }

  raw(data: Uint8Array): void {
    this.reserve(data.length)
    this.position = putBytes(this.bytes, this.position, data)
  }

  /**
   * @returns where the section begins, counted so that growing does not move it, for `endSection` with the same guess.
   */
  beginSection(expectedLength: number): number {
    const width = variableByteIntegerWidth(checkLength(expectedLength))
    this.reserve(width)
    const start = this.position
    this.position = start + width
    return start - this.#start
  }

  endSection(section: number, expectedLength: number): void {
    const bodyStart = this.#start + section + variableByteIntegerWidth(expectedLength)
    const length = this.position - bodyStart
    const shift = variableByteIntegerWidth(checkLength(length)) - variableByteIntegerWidth(expectedLength)
    if (shift !== 0) this.#moveBody(bodyStart, shift)
    putVariableByteInteger(this.bytes, this.#start + section, length)
  }

  /** Hands the bytes away: what was taken is never written to again. */
  take(): WrittenBytes | null {
    const length = this.position - this.#start
    if (length <= FRAME_HEADROOM) return null
    const buffer = new Uint8Array(this.#backing, this.#start, length)
    this.#lastLength = length
    if (this.bytes === slab && this.#limit === slabUsed) slabUsed = this.position // what was not needed goes back
    this.bytes = EMPTY
    this.#backing = NO_BACKING
    this.position = 0
    this.#start = 0
    this.#limit = 0
    return { buffer, headroom: FRAME_HEADROOM }
  }

  /** Drops what was written since `byteLength` was `length`. */
  truncate(length: number): void {
    if (this.#limit > 0) this.position = this.#start + FRAME_HEADROOM + length
  }

  #moveBody(bodyStart: number, shift: number): void {
    const from = bodyStart - this.#start
    if (shift > 0) this.reserve(shift)
    const begin = this.#start + from
    this.bytes.copyWithin(begin + shift, begin, this.position)
    this.position += shift
  }

  #grow(count: number): void {
    if (this.#limit === 0) {
      this.#begin(Math.max(FRAME_HEADROOM + count, firstCapacity(this.#lastLength)))
      return
    }
    const length = this.position - this.#start
    const old = this.bytes.subarray(this.#start, this.position)
    this.#allocate(grownCapacity(this.#limit - this.#start, this.#lastLength, length + count))
    this.bytes.set(old)
    this.position = length
    this.#start = 0
    this.#limit = this.bytes.length
  }

  #begin(capacity: number): void {
    if (capacity > SLAB_CUT_MAX) {
      this.#allocate(capacity)
    } else {
      if (slabUsed + capacity > SLAB_BYTES) {
        slabBacking = new ArrayBuffer(SLAB_BYTES)
        slab = new Uint8Array(slabBacking)
        slabUsed = 0
      }
      this.bytes = slab
      this.#backing = slabBacking
      this.#start = slabUsed
      slabUsed += capacity
    }
    this.#limit = this.#start + capacity
    this.position = this.#start + FRAME_HEADROOM
  }

  #allocate(capacity: number): void {
    const backing = new ArrayBuffer(capacity)
    this.#backing = backing
    this.bytes = new Uint8Array(backing)
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

/** Few bytes are copied faster by hand than by a call into the engine. @returns the position behind them. */
export function putBytes(bytes: Uint8Array, position: number, piece: Uint8Array): number {
  const { length } = piece
  if (length > COPY_BY_HAND_MAX) bytes.set(piece, position)
  else for (let index = 0; index < length; index += 1) bytes[position + index] = piece[index] as number
  return position + length
}

/** Of a section, before memory is spent on it. */
export function checkLength(length: number): number {
  if (length > VARIABLE_BYTE_INTEGER_MAX) tooLong(`a packet of ${length} bytes`)
  return length
}

/** Refused before it does harm; the message that held it stays where it is. */
function tooLong(what: string): never {
  throw new ProtocolError(ReasonCode.PACKET_TOO_LARGE, `MQTT has no room for ${what}`)
}
