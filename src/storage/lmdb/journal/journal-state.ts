/**
 * What LMDB knows of the journal file, in a row of a table of the adapter's own: which database the file belongs to,
 * which records are history, and a record up to which the file is known to reach. Written in the same transaction
 * as what it goes with.
 */
import { randomBytes } from 'node:crypto'
import { StoreError } from '../../../core/ports/store.js'
import { crc32 } from '../checksum.js'
import { DATABASE_ID_BYTES } from './slot-format.js'

export const JOURNAL_STATE_TABLE = 'journal-file'
export const JOURNAL_STATE_KEY = Buffer.from('state')
export const JOURNAL_STATE_BYTES = 28

export interface JournalState {
  readonly databaseId: Buffer
  /** Records up to this one are removed; -1: none is. */
  readonly trimmed: number
  /** A record that is in the file or removed; -1: none is known. */
  readonly newest: number
}

export function newJournalState(): JournalState {
  return { databaseId: randomBytes(DATABASE_ID_BYTES), trimmed: -1, newest: -1 }
}

/** Database id · trimmed + 1 u64 · newest + 1 u64 · crc32 u32, little-endian. */
export function writeJournalState(target: Buffer, offset: number, { databaseId, trimmed, newest }: JournalState): void {
  databaseId.copy(target, offset, 0, DATABASE_ID_BYTES)
  target.writeBigUInt64LE(BigInt(trimmed + 1), offset + 8)
  target.writeBigUInt64LE(BigInt(newest + 1), offset + 16)
  target.writeUInt32LE(crc32(target.subarray(offset, offset + 24)), offset + 24)
}

/** @throws StoreError STORE_CORRUPT. */
export function readJournalState(bytes: Uint8Array): JournalState {
  const row = Buffer.from(bytes)
  if (row.length !== JOURNAL_STATE_BYTES || crc32(row.subarray(0, 24)) !== row.readUInt32LE(24)) {
    throw new StoreError('STORE_CORRUPT', `the row of table ${JOURNAL_STATE_TABLE} is damaged`)
  }
  const trimmed = Number(row.readBigUInt64LE(8)) - 1
  const newest = Number(row.readBigUInt64LE(16)) - 1
  return { databaseId: row.subarray(0, DATABASE_ID_BYTES), trimmed, newest }
}
