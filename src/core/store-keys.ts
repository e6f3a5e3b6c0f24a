/** Keys of the tables: fixed-width big-endian numbers, so that byte order is numeric order, and UTF-8 topics. */
import { utf8Encode, utf8Write } from '../base/utf8.js'
import { KEY_BYTES_MAX } from './ports/store.js'

/** Eight bytes, up to 2^53-1. */
export function numberKey(value: number): Uint8Array {
  const key = new Uint8Array(8)
  writeNumber(key, 0, value)
  return key
}

/** Session number, then chunk number. */
export function chunkKey(session: number, chunk: number): Uint8Array {
  const key = new Uint8Array(16)
  writeNumber(key, 0, session)
  writeNumber(key, 8, chunk)
  return key
}

export function topicKey(topicName: string): Uint8Array {
  return utf8Encode(topicName)
}

const lookup = new Uint8Array(KEY_BYTES_MAX)
/** Beginnings of `lookup`, by length. */
const lookups: Uint8Array[] = []

/** The same, for one look-up: the next one writes over it. */
export function topicLookupKey(topicName: string): Uint8Array {
  // No character of UTF-16 takes more than three bytes.
  if (topicName.length * 3 > KEY_BYTES_MAX) return topicKey(topicName)
  const length = utf8Write(topicName, lookup, 0)
  lookups[length] ??= lookup.subarray(0, length)
  return lookups[length]
}

export function keyNumber(key: Uint8Array): number {
  let value = 0
  for (let index = 0; index < 8; index += 1) value = value * 256 + (key[index] ?? 0)
  return value
}

function writeNumber(key: Uint8Array, offset: number, value: number): void {
  let rest = value
  for (let index = offset + 7; index >= offset; index -= 1) {
    key[index] = rest % 256
    rest = Math.floor(rest / 256)
  }
}

/** Hour in four bytes, then account number. */
export function hourAccountKey(hour: number, account: number): Uint8Array {
  const key = new Uint8Array(12)
  for (let index = 0; index < 4; index += 1) key[index] = (hour >>> (24 - 8 * index)) & 0xff
  writeNumber(key, 4, account)
  return key
}

export function accountOfKey(key: Uint8Array): number {
  return keyNumber(key.subarray(4))
}

export function hourOfKey(key: Uint8Array): number {
  let hour = 0
  for (let index = 0; index < 4; index += 1) hour = hour * 256 + (key[index] ?? 0)
  return hour
}
