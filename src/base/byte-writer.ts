/**
 * Bytes in a growing buffer: varints up to 2^53-1 (7 bits per byte, low first), length-prefixed byte strings and UTF-8.
 * For journal records and stored rows; the wire codecs have writers of their own.
 */
import { utf8ByteLength, utf8Write } from './utf8.js'

export class ByteWriter {
  #bytes: Uint8Array
  #length = 0
  readonly #initialBytes: number

  constructor(initialBytes = 256) {
    this.#initialBytes = initialBytes
    this.#bytes = new Uint8Array(initialBytes)
  }

  get length(): number {
    return this.#length
  }

  u8(value: number): void {
    if (this.#length === this.#bytes.length) this.#grow(1)
    this.#bytes[this.#length] = value
    this.#length += 1
  }

  varint(value: number): void {
    if (this.#length + 8 > this.#bytes.length) this.#grow(8)
    const bytes = this.#bytes
    let rest = value
    let at = this.#length
    while (rest > 0x7f) {
      bytes[at] = rest > 0x7fff_ffff ? (rest % 128) | 0x80 : (rest & 0x7f) | 0x80
      rest = rest > 0x7fff_ffff ? Math.floor(rest / 128) : rest >>> 7
      at += 1
    }
    bytes[at] = rest
    this.#length = at + 1
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length)
    if (this.#length + value.length > this.#bytes.length) this.#grow(value.length)
    this.#bytes.set(value, this.#length)
    this.#length += value.length
  }

  text(value: string): void {
    const { length } = value
    if (length <= 42 && this.#shortAscii(value, length)) return
    const byteLength = utf8ByteLength(value)
    this.varint(byteLength)
    if (this.#length + byteLength > this.#bytes.length) this.#grow(byteLength)
    utf8Write(value, this.#bytes, this.#length)
    this.#length += byteLength
  }

  /** The common topic: one pass, no call out of JavaScript. @returns false when it is something else. */
  #shortAscii(value: string, length: number): boolean {
    if (this.#length + 1 + length > this.#bytes.length) this.#grow(1 + length)
    const bytes = this.#bytes
    const start = this.#length + 1
    for (let index = 0; index < length; index += 1) {
      const unit = value.charCodeAt(index)
      if (unit > 0x7f) return false
      bytes[start + index] = unit
    }
    bytes[start - 1] = length
    this.#length = start + length
    return true
  }

  /** The bytes so far; the writer starts over with a new buffer. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length)
    this.#bytes = new Uint8Array(Math.max(this.#initialBytes, Math.min(this.#length, 1_048_576)))
    this.#length = 0
    return taken
  }

  #grow(needed: number): void {
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + needed))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
  }
}
