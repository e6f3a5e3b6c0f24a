/**
 * Walks one msgpack value from the wire before anything decodes it, and refuses whatever the protocol does not use:
 * extensions, floats, booleans, negative integers, 0xc1, deep nesting, counts and lengths that the bytes at hand
 * cannot hold, broken UTF-8, U+0000, map keys that are no small integers or come twice. Allocates nothing by what the
 * bytes declare. It does not know packets: arity and types of fields are checked after decoding.
 */
import { utf8Decode } from '../../base/utf8.js'
import { ProtocolError } from '../protocol-error.js'
import { ReasonCode } from '../reason-codes.js'
import { DEPTH_MAX, malformed, protocolError, tooManyValues } from './wire.js'

/** Identifier of User Property: the one list that has a limit of its own. */
const USER_PROPERTY = 38
/** Bigger than every property identifier, small enough for a bit set of two words. */
const MAP_KEY_MAX = 63

export interface WalkLimits {
  /** Of the value itself: 1 is a packet. */
  readonly depth: number
  readonly valuesMax: number
  readonly userPropertiesMax: number
}

class StrictWalk {
  #userPropertiesMax = 0
  #bytes: Uint8Array = EMPTY
  #position = 0
  #end = 0
  #valuesLeft = 0
  #strings = 0
  /** Strings that begin with U+FEFF, by their ordinal: msgpackr's browser build would drop that character. */
  #marked: Map<number, string> | null = null

  /** What the last walk left of its values. */
  get valuesLeft(): number {
    return this.#valuesLeft
  }

  /**
   * @returns where the value that begins at `start` ends, at most `end`.
   * @throws ProtocolError when it is not a value this protocol allows.
   */
  walk(bytes: Uint8Array, start: number, end: number, { depth, valuesMax, userPropertiesMax }: WalkLimits): number {
    this.#userPropertiesMax = userPropertiesMax
    this.#bytes = bytes
    this.#position = start
    this.#end = end
    this.#valuesLeft = valuesMax
    this.#strings = 0
    this.#marked = null
    try {
      this.#value(depth)
    } finally {
      this.#bytes = EMPTY
    }
    return this.#position
  }

  /**
   * Gives strings of the value just walked their leading U+FEFF back [v5 MQTT-1.5.4-3]; a TextDecoder skips it.
   * @param value what msgpackr made of the bytes.
   */
  restoreMarks(value: unknown): unknown {
    if (this.#marked === null) return value
    this.#strings = 0
    return this.#restore(value, this.#marked)
  }

  #restore(value: unknown, marked: ReadonlyMap<number, string>): unknown {
    if (typeof value === 'string') {
      const text = marked.get(this.#strings)
      this.#strings += 1
      return text ?? value
    }
    if (Array.isArray(value)) return value.map((item) => this.#restore(item, marked))
    if (!(value instanceof Map)) return value
    for (const [key, item] of value) value.set(key, this.#restore(item, marked))
    return value
  }

  #value(depth: number): void {
    this.#valuesLeft -= 1
    if (this.#valuesLeft < 0) throw tooManyValues()
    const token = this.#byte()
    if (token <= 0x7f || token === 0xc0) return
    if (token <= 0x8f) this.#map(token & 0x0f, depth)
    else if (token <= 0x9f) this.#array(token & 0x0f, depth)
    else if (token <= 0xbf) this.#string(token & 0x1f)
    else this.#sizedValue(token, depth)
  }

  #sizedValue(token: number, depth: number): void {
    switch (token) {
      case 0xc4:
      case 0xc5:
      case 0xc6:
        this.#skip(this.#length(1 << (token - 0xc4)))
        break
      case 0xd9:
      case 0xda:
      case 0xdb:
        this.#string(this.#length(1 << (token - 0xd9)))
        break
      case 0xdc:
      case 0xdd:
        this.#array(this.#length(2 << (token - 0xdc)), depth)
        break
      case 0xde:
      case 0xdf:
        this.#map(this.#length(2 << (token - 0xde)), depth)
        break
      default:
        this.#wideInteger(token)
    }
  }

  /** Every integer format, as long as the value is not negative and a double holds it exactly. */
  #wideInteger(token: number): number {
    if (token >= 0xcc && token <= 0xce) return this.#length(1 << (token - 0xcc))
    if (token === 0xcf || token === 0xd3) {
      const high = this.#length(4)
      const low = this.#length(4)
      if (high > 0x1f_ffff) throw malformed('an integer is at least 0 and at most 2^53 - 1')
      return high * 0x1_0000_0000 + low
    }
    if (token >= 0xd0 && token <= 0xd2) {
      const width = 1 << (token - 0xd0)
      const value = this.#length(width)
      if (value >= 2 ** (width * 8 - 1)) throw malformed('an integer is not negative')
      return value
    }
    throw malformed(describeForbidden(token))
  }

  #array(count: number, depth: number): void {
    if (depth > DEPTH_MAX) throw malformed(`arrays and maps go at most ${DEPTH_MAX} deep`)
    if (count > this.#end - this.#position) throw malformed('an array claims more elements than there are bytes')
    for (let index = 0; index < count; index += 1) this.#value(depth + 1)
  }

  #map(count: number, depth: number): void {
    if (depth > DEPTH_MAX) throw malformed(`arrays and maps go at most ${DEPTH_MAX} deep`)
    if (count * 2 > this.#end - this.#position) throw malformed('a map claims more entries than there are bytes')
    let seenLow = 0
    let seenHigh = 0
    for (let index = 0; index < count; index += 1) {
      const key = this.#mapKey()
      const bit = 1 << (key & 31)
      if (((key < 32 ? seenLow : seenHigh) & bit) !== 0) throw protocolError(`property ${key} comes twice`)
      if (key < 32) seenLow |= bit
      else seenHigh |= bit
      if (key === USER_PROPERTY) this.#checkUserProperties()
      this.#value(depth + 1)
    }
  }

  #mapKey(): number {
    const token = this.#byte()
    const key = token <= 0x7f ? token : this.#wideInteger(token)
    if (key > MAP_KEY_MAX) throw malformed(`there is no property ${key}`)
    return key
  }

  /** Looks at the header of the list only; the walk itself follows. */
  #checkUserProperties(): void {
    const start = this.#position
    const token = this.#byte()
    let count = 0
    if (token >= 0x90 && token <= 0x9f) count = token & 0x0f
    else if (token === 0xdc) count = this.#length(2)
    else if (token === 0xdd) count = this.#length(4)
    this.#position = start
    if (count > this.#userPropertiesMax) {
      throw new ProtocolError(
        ReasonCode.QUOTA_EXCEEDED,
        `a packet holds at most ${this.#userPropertiesMax} user properties, this one has ${count}`,
      )
    }
  }

  #string(length: number): void {
    const start = this.#position
    this.#skip(length)
    const text = checkText(this.#bytes, start, this.#position)
    if (text !== undefined && text.charCodeAt(0) === 0xfeff) {
      this.#marked ??= new Map()
      this.#marked.set(this.#strings, text)
    }
    this.#strings += 1
  }

  #byte(): number {
    if (this.#position >= this.#end) throw malformed('the packet ends in the middle of a value')
    const byte = this.#bytes[this.#position] as number
    this.#position += 1
    return byte
  }

  #length(width: number): number {
    if (width > this.#end - this.#position) throw malformed('the packet ends in the middle of a value')
    let value = 0
    for (let index = 0; index < width; index += 1) value = value * 256 + (this.#bytes[this.#position + index] as number)
    this.#position += width
    return value
  }

  #skip(length: number): void {
    if (length > this.#end - this.#position) throw malformed('a string or binary claims more bytes than there are')
    this.#position += length
  }
}

/**
 * Well-formed UTF-8 without U+0000 [v5 MQTT-1.5.4-1, MQTT-1.5.4-2].
 * @returns the text if it had to be decoded to be checked, undefined when all of it is ASCII.
 */
export function checkText(bytes: Uint8Array, start: number, end: number): string | undefined {
  let isAscii = true
  for (let index = start; index < end; index += 1) {
    const byte = bytes[index] as number
    if (byte === 0) throw malformed('a string holds no U+0000')
    if (byte > 0x7f) isAscii = false
  }
  if (isAscii) return undefined
  const text = utf8Decode(bytes, start, end)
  if (text === undefined) throw malformed('a string is not well-formed UTF-8')
  return text
}

function describeForbidden(token: number): string {
  const hex = `0x${token.toString(16)}`
  if (token >= 0xe0) return `an integer is not negative (${hex})`
  if (token === 0xc2 || token === 0xc3) return `this protocol has no booleans, only 0 and 1 (${hex})`
  if (token === 0xca || token === 0xcb) return `this protocol has no floats (${hex})`
  if (token === 0xc1) return 'the byte 0xc1 is never used in msgpack'
  return `this protocol has no msgpack extensions (${hex})`
}

const EMPTY = new Uint8Array(0)

/** One serves all connections: what it knows of a value is needed until `restoreMarks`, and no one comes in between. */
export const STRICT_WALK = new StrictWalk()
