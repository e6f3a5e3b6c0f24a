/**
 * A growing buffer and the four msgpack formats the hot packets need, in the shortest form, as msgpackr writes them.
 * The buffer is born at the first write and handed away by `take`: a connection that is silent holds none.
 */
import { utf8ByteLength, utf8Write } from '../../base/utf8.js'
import { FRAME_HEADROOM, type WrittenBytes } from '../codec.js'
import { firstCapacity, grownCapacity } from '../first-capacity.js'

export class ByteSink {
  #buffer: Uint8Array = NONE
  #position = FRAME_HEADROOM
  /** Bytes that the last turn wrote. */
  #lastLength = 0

  get byteLength(): number {
    return this.#position - FRAME_HEADROOM
  }

  /** Room for so many more bytes; every write below relies on it. */
  reserve(bytes: number): void {
    if (this.#position + bytes > this.#buffer.length) this.#grow(this.#position + bytes)
  }

  byte(value: number): void {
    this.#buffer[this.#position] = value
    this.#position += 1
  }

  /** At most 9 bytes. Written out, because three of them stand before every payload. */
  integer(value: number): void {
    const buffer = this.#buffer
    const at = this.#position
    if (value <= 0x7f) {
      buffer[at] = value
      this.#position = at + 1
    } else if (value <= 0xffff) {
      this.#shortInteger(value)
    } else if (value <= 0xffff_ffff) {
      buffer[at] = 0xce
      buffer[at + 1] = value >>> 24
      buffer[at + 2] = value >>> 16
      buffer[at + 3] = value >>> 8
      buffer[at + 4] = value
      this.#position = at + 5
    } else this.#longInteger(value)
  }

  /** At most 5 bytes. */
  arrayHeader(length: number): void {
    if (length < 16) this.byte(0x90 | length)
    else this.#sizedHeader(length < 0x1_0000 ? 0xdc : 0xdd, length < 0x1_0000 ? 2 : 4, length)
  }

  /**
   * Makes what was written last, `bytes` of it, the first element of an array whose length is yet to be said. Three
   * bytes. @returns where `setArrayLength` finds it.
   */
  wrapInArray(bytes: number): number {
    const at = this.#position - bytes
    this.#buffer.copyWithin(at + 3, at, this.#position)
    this.#buffer[at] = 0xdc
    this.#position += 3
    return at + 1
  }

  setArrayLength(at: number, length: number): void {
    this.#buffer[at] = length >>> 8
    this.#buffer[at + 1] = length
  }

  /** At most 5 bytes and three for each UTF-16 unit. */
  text(text: string): void {
    const length = text.length
    const start = this.#position
    if (length <= 48) {
      const headerSize = length < 0x20 ? 1 : 2
      const written = utf8Write(text, this.#buffer, start + headerSize)
      // Only ASCII keeps its length; anything else may need a longer header and is written again below.
      if (written === length) {
        if (headerSize === 2) this.#buffer[this.#position++] = 0xd9
        this.#buffer[this.#position++] = headerSize === 1 ? 0xa0 | length : length
        this.#position += length
        return
      }
    }
    this.#textHeader(utf8ByteLength(text))
    this.#position += utf8Write(text, this.#buffer, this.#position)
  }

  /** At most 5 bytes and the payload's. */
  binary(payload: Uint8Array): void {
    const length = payload.length
    if (length < 0x100) {
      this.#buffer[this.#position] = 0xc4
      this.#buffer[this.#position + 1] = length
      this.#position += 2
    } else {
      this.#sizedHeader(length < 0x1_0000 ? 0xc5 : 0xc6, length < 0x1_0000 ? 2 : 4, length)
    }
    this.raw(payload)
  }

  raw(bytes: Uint8Array): void {
    const buffer = this.#buffer
    const start = this.#position
    const length = bytes.length
    if (length > 24) buffer.set(bytes, start)
    else for (let index = 0; index < length; index += 1) buffer[start + index] = bytes[index] as number
    this.#position = start + length
  }

  take(): WrittenBytes | null {
    if (this.#position === FRAME_HEADROOM) return null
    const buffer = this.#buffer.subarray(0, this.#position)
    this.#lastLength = this.#position
    this.#buffer = NONE
    this.#position = FRAME_HEADROOM
    return { buffer, headroom: FRAME_HEADROOM }
  }

  #shortInteger(value: number): void {
    const buffer = this.#buffer
    const at = this.#position
    if (value <= 0xff) {
      buffer[at] = 0xcc
      buffer[at + 1] = value
      this.#position = at + 2
      return
    }
    buffer[at] = 0xcd
    buffer[at + 1] = value >>> 8
    buffer[at + 2] = value
    this.#position = at + 3
  }

  /** int 64, as msgpackr writes a BigInt. */
  #longInteger(value: number): void {
    this.#sizedHeader(0xd3, 4, Math.floor(value / 0x1_0000_0000))
    this.#bigEndian(4, value % 0x1_0000_0000)
  }

  #textHeader(length: number): void {
    if (length < 0x20) this.byte(0xa0 | length)
    else if (length < 0x100) this.#sizedHeader(0xd9, 1, length)
    else if (length < 0x1_0000) this.#sizedHeader(0xda, 2, length)
    else this.#sizedHeader(0xdb, 4, length)
  }

  #sizedHeader(token: number, width: number, value: number): void {
    this.byte(token)
    this.#bigEndian(width, value)
  }

  #bigEndian(width: number, value: number): void {
    const buffer = this.#buffer
    let position = this.#position
    if (width === 4) {
      buffer[position++] = value >>> 24
      buffer[position++] = value >>> 16
    }
    if (width >= 2) buffer[position++] = value >>> 8
    buffer[position++] = value
    this.#position = position
  }

  #grow(needed: number): void {
    const { length } = this.#buffer
    if (length === 0) {
      this.#buffer = new Uint8Array(Math.max(firstCapacity(this.#lastLength), needed))
      return
    }
    const larger = new Uint8Array(grownCapacity(length, this.#lastLength, needed))
    larger.set(this.#buffer.subarray(0, this.#position))
    this.#buffer = larger
  }
}

export function integerSize(value: number): number {
  if (value <= 0x7f) return 1
  if (value < 0x100) return 2
  if (value < 0x1_0000) return 3
  return value <= 0xffff_ffff ? 5 : 9
}

export function arrayHeaderSize(length: number): number {
  if (length < 16) return 1
  return length < 0x1_0000 ? 3 : 5
}

export function textSize(text: string): number {
  const length = utf8ByteLength(text)
  if (length < 0x20) return 1 + length
  return length + (length < 0x100 ? 2 : length < 0x1_0000 ? 3 : 5)
}

export function binarySize(payload: Uint8Array): number {
  const length = payload.length
  return length + (length < 0x100 ? 2 : length < 0x1_0000 ? 3 : 5)
}

const NONE = new Uint8Array(0)
