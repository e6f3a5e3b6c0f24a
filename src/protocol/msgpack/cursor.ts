/**
 * Reads the fields of the hot packets straight out of the bytes: integers, topic, payload, without an array in
 * between. Checks what `strict-walk.ts` checks for all others. Topics that came lately are found again by their bytes
 * (`recent-topics.ts`), so that a device that publishes to a few topics decodes no text.
 */
import { utf8Decode } from '../../base/utf8.js'
import type { ProtocolError } from '../protocol-error.js'
import { RecentTopics } from './recent-topics.js'
import { checkText } from './strict-walk.js'
import { malformed } from './wire.js'

export class Cursor {
  bytes: Uint8Array = EMPTY
  position = 0
  end = 0
  /** Of `bytes`; asked for once per message, because asking costs half as much as the view of a payload. */
  #buffer: ArrayBufferLike = EMPTY.buffer
  #byteOffset = 0
  readonly #recent = new RecentTopics()

  start(bytes: Uint8Array): void {
    this.bytes = bytes
    this.position = 0
    this.end = bytes.length
    this.#buffer = bytes.buffer
    this.#byteOffset = bytes.byteOffset
  }

  /** Lets go of the bytes, so that an idle connection does not keep its last message. */
  finish(): void {
    this.start(EMPTY)
  }

  /** False at the end too. */
  get isAtArray(): boolean {
    const token = this.bytes[this.position] as number
    return (token & 0xf0) === 0x90 || token === 0xdc || token === 0xdd
  }

  arrayLength(what = 'a packet'): number {
    const token = this.bytes[this.position]
    if (token === undefined) throw malformed(`the message ends where ${what} should begin`)
    this.position += 1
    if (token >= 0x90 && token <= 0x9f) return token & 0x0f
    if (token === 0xdc) return this.#uint(2)
    if (token === 0xdd) return this.#uint(4)
    throw malformed(`${what} is a msgpack array`)
  }

  /** Any integer format, as long as the value is not negative and at most 2^53 - 1. */
  integer(): number {
    const token = this.bytes[this.position] as number
    if (token <= 0x7f) {
      this.position += 1
      return token
    }
    return this.#wideInteger()
  }

  /** @returns -1 for nil. */
  integerOrNil(): number {
    if (this.skipNil()) return -1
    return this.integer()
  }

  skipNil(): boolean {
    if (this.bytes[this.position] !== 0xc0) return false
    this.position += 1
    return true
  }

  /** A view, not a copy. */
  binary(): Uint8Array {
    const token = this.bytes[this.position]
    this.position += 1
    let length: number
    if (token === 0xc4) length = this.#uint(1)
    else if (token === 0xc5) length = this.#uint(2)
    else if (token === 0xc6) length = this.#uint(4)
    else throw this.#unexpected(token, 'a payload is a bin')
    const start = this.position
    if (length > this.end - start) throw malformed('a payload claims more bytes than there are')
    this.position = start + length
    return this.view(start, this.position)
  }

  view(start: number, end: number): Uint8Array {
    // Not `subarray`: on Node the chunk is a Buffer, and a view of that kind costs twice as much.
    return new Uint8Array(this.#buffer, this.#byteOffset + start, end - start)
  }

  text(): string {
    const token = this.bytes[this.position]
    this.position += 1
    let length: number
    if (token !== undefined && token >= 0xa0 && token <= 0xbf) length = token & 0x1f
    else if (token === 0xd9) length = this.#uint(1)
    else if (token === 0xda) length = this.#uint(2)
    else if (token === 0xdb) length = this.#uint(4)
    else throw this.#unexpected(token, 'a topic is a str')
    const start = this.position
    const end = start + length
    if (length > this.end - start) throw malformed('a topic claims more bytes than there are')
    this.position = end
    return length === 0 ? '' : this.#recentText(start, end)
  }

  #recentText(start: number, end: number): string {
    const bytes = this.bytes
    const known = this.#recent.get(bytes, start, end)
    if (known !== null) return known
    const text = checkText(bytes, start, end) ?? (utf8Decode(bytes, start, end) as string)
    this.#recent.set(bytes, start, end, text)
    return text
  }

  #wideInteger(): number {
    const token = this.bytes[this.position]
    this.position += 1
    let value: number
    let max = Number.MAX_SAFE_INTEGER
    if (token === 0xcc) return this.#uint(1)
    if (token === 0xcd) return this.#uint(2)
    if (token === 0xce) return this.#uint(4)
    if (token === 0xcf || token === 0xd3) {
      value = this.#uint(4) * 0x1_0000_0000 + this.#uint(4)
    } else if (token === 0xd0 || token === 0xd1 || token === 0xd2) {
      const width = 1 << (token - 0xd0)
      value = this.#uint(width)
      max = 2 ** (width * 8 - 1) - 1
    } else throw this.#unexpected(token, 'this field is an integer of at least 0')
    if (value > max) throw malformed('an integer is at least 0 and at most 2^53 - 1')
    return value
  }

  #unexpected(token: number | undefined, rule: string): ProtocolError {
    return malformed(token === undefined ? 'the packet ends before its last field' : rule)
  }

  #uint(width: number): number {
    const bytes = this.bytes
    const start = this.position
    if (width > this.end - start) throw malformed('the packet ends in the middle of a value')
    this.position = start + width
    if (width === 1) return bytes[start] as number
    if (width === 2) return ((bytes[start] as number) << 8) | (bytes[start + 1] as number)
    return (
      (bytes[start] as number) * 0x100_0000 +
      (((bytes[start + 1] as number) << 16) | ((bytes[start + 2] as number) << 8) | (bytes[start + 3] as number))
    )
  }
}

const EMPTY = new Uint8Array(0)
