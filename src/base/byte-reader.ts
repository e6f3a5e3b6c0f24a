/**
 * The other half of ByteWriter. Reads our own bytes, already checksummed: what does not fit is a bug or a newer format.
 */
import { assert } from './assert.js'
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

  text(): string {
    const length = this.varint()
    assert(this.#at + length <= this.#bytes.length, 'stored bytes end too early')
    const value = utf8Decode(this.#bytes, this.#at, this.#at + length)
    assert(value !== undefined, 'stored text is not UTF-8')
    this.#at += length
    return value
  }
}
