/**
 * msgpackr, set up for this wire: no records, no extensions, no shared references, maps as Maps with their keys as
 * numbers, minimal map headers. Nothing reaches `unpackRange` that `strict-walk.ts` has not passed: msgpackr alone
 * accepts record definitions, RegExp extensions and broken UTF-8.
 */
import { Packr, RESET_BUFFER_MODE, Unpackr } from 'msgpackr'
import { assert } from '../../base/assert.js'
import { malformed } from './wire.js'

const packr = new Packr({
  useRecords: false,
  variableMapSize: true,
  mapsAsObjects: false,
  encodeUndefinedAsNil: true,
  useToJSON: false,
  structuredClone: false,
  moreTypes: false,
})
const unpackr = new Unpackr({
  useRecords: false,
  mapsAsObjects: false,
  structuredClone: false,
  moreTypes: false,
  int64AsType: 'number',
  copyBuffers: false,
})

/** Encoded bytes, good until the next call: msgpackr writes all of them to the same place. */
export function pack(value: unknown): Uint8Array {
  return packr.pack(value, RESET_BUFFER_MODE)
}

/**
 * Exactly one value in `bytes[start, end)`. Binaries are views.
 * @throws ProtocolError should msgpackr refuse what the walk has passed: no input may look like a failure of ours.
 */
export function unpackRange(bytes: Uint8Array, start: number, end: number): unknown {
  try {
    return unpackr.unpack(bytes, { start, end })
  } catch {
    throw malformed('the packet is not msgpack')
  }
}

/** msgpackr writes numbers from 2^32 on as floats, BigInts as int 64; the wire has no floats. */
export function wireInteger(value: number): number | bigint {
  assert(Number.isSafeInteger(value) && value >= 0, 'integers on the wire are safe and not negative')
  return value > 0xffff_ffff ? BigInt(value) : value
}
