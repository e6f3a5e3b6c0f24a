/**
 * The other half of ByteWriter. Reads our own bytes, already checksummed: what does not fit is a bug or a newer format.
 */
import { assert } from './assert.js'
import { hashOfBytes } from './hash-index.js'
import { utf8Decode } from './utf8.js'

export class ByteReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  u8(): number {
    const value = this.#bytes[this.#at]
    assert(value !== undefined, 'stored bytes end too early')
    this.#at += 1
    return value
  }

  varint(): number {
    let value = 0
    let factor = 1
    for (;;) {
      const byte = this.u8()
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
      factor *= 128
    }
  }

  /** A view, not a copy. */
  bytes(): Uint8Array {
    const length = this.varint()
    assert(this.#at + length <= this.#bytes.length, 'stored bytes end too early')
    // What `subarray` of a Buffer makes is a Buffer again, at several times the price.
    const value = new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + this.#at, length)
    this.#at += length
    return value
  }

  /** Past bytes or text that nobody asks for. */
  skip(): void {
    const length = this.varint()
    assert(this.#at + length <= this.#bytes.length, 'stored bytes end too early')
    this.#at += length
  }

  /** Past a text: its hash; -1 when it has one of these two bytes, neither of which is part of a longer character. */
  textHash(unless = -1, or = -1): number {
    const length = this.varint()
    const end = this.#at + length
    assert(end <= this.#bytes.length, 'stored bytes end too early')
    let isHashed = true
    if (unless >= 0) {
      for (let index = this.#at; index < end; index += 1) {
        const byte = this.#bytes[index]
        if (byte === unless || byte === or) isHashed = false
      }
    }
    const hash = isHashed ? hashOfBytes(this.#bytes, this.#at, end) : -1
    this.#at = end
    return hash
  }

  /** Past a text if it is this one, which is ASCII. @returns whether it was. */
  skipText(expected: string): boolean {
    const start = this.#at
    const length = this.varint()
    let isSame = length === expected.length
    for (let index = 0; isSame && index < length; index += 1) {
      isSame = this.#bytes[this.#at + index] === expected.charCodeAt(index)
    }
    this.#at = isSame ? this.#at + length : start
    return isSame
  }

  text(): string {
    const length = this.varint()
    assert(this.#at + length <= this.#bytes.length, 'stored bytes end too early')
    const value = utf8Decode(this.#bytes, this.#at, this.#at + length)
    assert(value !== undefined, 'stored text is not UTF-8')
    this.#at += length
    return value
  }
}
