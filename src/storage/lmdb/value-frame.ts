/**
 * How a value lies in LMDB, which has no page checksums of its own: 12 bytes before the value,
 *
 *   version u8 = 1 · reserved u8 u8 u8 = 0 · crc32 u32 LE · length u32 LE
 *
 * The checksum runs over key and value, so that a value under a foreign key, or a key with a flipped bit, is as
 * damaged as a value with one. Every read verifies; nothing is ever repaired or skipped here.
 */
import { StoreError, type StoreErrorOptions, type StoreTable } from '../../core/ports/store.js'
import { crc32 } from './checksum.js'

export const FRAME_BYTES = 12
const FRAME_VERSION = 1

/** Writes header and value into `target` at `offset`; the room is the caller's affair: FRAME_BYTES + value.length. */
export function writeFrame(key: Uint8Array, value: Uint8Array, target: Uint8Array, offset: number): void {
  target[offset] = FRAME_VERSION
  target[offset + 1] = 0
  target[offset + 2] = 0
  target[offset + 3] = 0
  writeU32(target, offset + 4, crc32(value, crc32(key)))
  writeU32(target, offset + 8, value.length)
  target.set(value, offset + FRAME_BYTES)
}

/** @throws StoreError STORE_CORRUPT. */
export function checkFrame(table: StoreTable, key: Uint8Array, framed: Uint8Array): void {
  const reason = damageOf(key, framed)
  if (reason !== null) throw corruptRow(table, key, reason, { row: { table, key: key.slice() } })
}

/** @returns the value, a view into `framed`. @throws StoreError STORE_CORRUPT. */
export function readFrame(table: StoreTable, key: Uint8Array, framed: Uint8Array): Uint8Array {
  checkFrame(table, key, framed)
  return new Uint8Array(framed.buffer, framed.byteOffset + FRAME_BYTES, framed.length - FRAME_BYTES)
}

export function corruptRow(table: StoreTable, key: Uint8Array, reason: string, options: StoreErrorOptions): StoreError {
  return new StoreError('STORE_CORRUPT', `the row ${describeKey(key)} of table ${table} is damaged: ${reason}`, options)
}

/** Hexadecimal, and the printable characters beside it; long keys are cut, for a log line. */
export function describeKey(key: Uint8Array): string {
  const shown = key.subarray(0, 64)
  const hex = Array.from(shown, (byte) => byte.toString(16).padStart(2, '0')).join('')
  const text = Array.from(shown, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
  return `0x${hex}${key.length > 64 ? '…' : ''} "${text}" (${key.length} bytes)`
}

function damageOf(key: Uint8Array, framed: Uint8Array): string | null {
  if (framed.length < FRAME_BYTES) return `only ${framed.length} bytes are left of its frame`
  if (framed[0] !== FRAME_VERSION) return `unknown frame version ${framed[0]}`
  if (((framed[1] as number) | (framed[2] as number) | (framed[3] as number)) !== 0) return 'reserved bytes are not 0'
  const length = readU32(framed, 8)
  if (length !== framed.length - FRAME_BYTES) {
    return `its frame says ${length} bytes, ${framed.length - FRAME_BYTES} are there`
  }
  return crc32(framed, crc32(key), FRAME_BYTES) === readU32(framed, 4) ? null : 'its checksum does not match'
}

function writeU32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value
  target[offset + 1] = value >>> 8
  target[offset + 2] = value >>> 16
  target[offset + 3] = value >>> 24
}

function readU32(source: Uint8Array, offset: number): number {
  return (
    ((source[offset] as number) |
      ((source[offset + 1] as number) << 8) |
      ((source[offset + 2] as number) << 16) |
      ((source[offset + 3] as number) << 24)) >>>
    0
  )
}
