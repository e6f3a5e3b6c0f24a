/**
 * How records lie in a slot of the journal file, byte by byte. Numbers are little-endian; only the key is as it is in
 * the table, eight bytes big-endian.
 *
 *   slot   "TQJS" · crc32 of the 24 bytes behind it · epoch u32 · version u32 = 1 · database id, 8 bytes · 0, 8 bytes ·
 *          mark: crc32 of the 12 bytes behind it · epoch u32 · key of a record that is on the disk · 0, 16 bytes
 *   record "TQJ1" · crc32 of the 32 bytes behind it · epoch u32 · run u32 · write offset u32 · length u32 ·
 *          crc32 of key and value u32 · 0 u32 · key · value · up to 7 bytes to a multiple of 8
 *
 * A slot is written again and again without being emptied, so what ends its records is a rule and not a mark: a record
 * counts when it has the slot's epoch, a larger key than the one before, and either begins a write of its own (`write
 * offset` says where its write began) or belongs to the same write and run as the one before. So neither what an
 * earlier use of the slot has left counts, nor the rest of a write that was torn by a power cut and was then partly
 * written over.
 */
import { crc32 } from '../checksum.js'

export const SLOT_HEAD_BYTES = 64
const HEAD_CHECKED_BYTES = 32
/** In the sector of the head, so that a power cut leaves either the old one or the new one. */
export const MARK_OFFSET = 32
export const MARK_BYTES = 16
export const RECORD_HEAD_BYTES = 40
const SLOT_MAGIC = 0x534a_5154
const RECORD_MAGIC = 0x314a_5154
const SLOT_VERSION = 1
export const DATABASE_ID_BYTES = 8
const ALIGNMENT = 8

export interface SlotHead {
  /** Grows with each use of any slot: the order in which they were filled. */
  readonly epoch: number
  readonly databaseId: Buffer
}

/** What is the same for all records of one write. */
export interface WriteMark {
  readonly epoch: number
  /** A random number of the process that wrote it. */
  readonly run: number
  /** Where in the slot the write began. */
  readonly writeOffset: number
}

export function recordBytes(valueLength: number): number {
  return aligned(RECORD_HEAD_BYTES + valueLength)
}

export function writeSlotHead(target: Buffer, { epoch, databaseId }: SlotHead): void {
  target.fill(0, 0, SLOT_HEAD_BYTES)
  target.writeUInt32LE(SLOT_MAGIC, 0)
  target.writeUInt32LE(epoch, 8)
  target.writeUInt32LE(SLOT_VERSION, 12)
  databaseId.copy(target, 16, 0, DATABASE_ID_BYTES)
  target.writeUInt32LE(crc32(target.subarray(8, HEAD_CHECKED_BYTES)), 4)
}

/** @returns null when nothing was ever written there, or what was written is damaged. */
export function readSlotHead(bytes: Buffer): SlotHead | null {
  if (bytes.length < SLOT_HEAD_BYTES || bytes.readUInt32LE(0) !== SLOT_MAGIC) return null
  if (bytes.readUInt32LE(4) !== crc32(bytes.subarray(8, HEAD_CHECKED_BYTES))) return null
  if (bytes.readUInt32LE(12) !== SLOT_VERSION) return null
  return { epoch: bytes.readUInt32LE(8), databaseId: Buffer.from(bytes.subarray(16, 16 + DATABASE_ID_BYTES)) }
}

/** Says that a record is on the disk: from then on its damage is no torn write. */
export function writeMark(target: Buffer, epoch: number, number: number): void {
  target.writeUInt32LE(epoch, 4)
  target.writeBigUInt64BE(BigInt(number), 8)
  target.writeUInt32LE(crc32(target.subarray(4, MARK_BYTES)), 0)
}

/** @returns the number of a record that is on the disk; -1: the slot knows of none. */
export function readMark(bytes: Buffer, epoch: number): number {
  const mark = bytes.subarray(MARK_OFFSET, MARK_OFFSET + MARK_BYTES)
  if (mark.readUInt32LE(4) !== epoch || mark.readUInt32LE(0) !== crc32(mark.subarray(4))) return -1
  return recordNumber(mark.subarray(8))
}

/** @param key eight bytes. @returns where the next record goes. */
export function writeRecord(
  target: Buffer,
  offset: number,
  { epoch, run, writeOffset }: WriteMark,
  key: Uint8Array,
  value: Uint8Array,
): number {
  const end = offset + recordBytes(value.length)
  target.writeUInt32LE(RECORD_MAGIC, offset)
  target.writeUInt32LE(epoch, offset + 8)
  target.writeUInt32LE(run, offset + 12)
  target.writeUInt32LE(writeOffset, offset + 16)
  target.writeUInt32LE(value.length, offset + 20)
  target.writeUInt32LE(crc32(value, crc32(key)), offset + 24)
  target.writeUInt32LE(0, offset + 28)
  target.set(key, offset + 32)
  target.writeUInt32LE(crc32(target.subarray(offset + 8, offset + RECORD_HEAD_BYTES)), offset + 4)
  target.set(value, offset + RECORD_HEAD_BYTES)
  target.fill(0, offset + RECORD_HEAD_BYTES + value.length, end)
  return end
}

/** Walks the records of a slot that count. One object for all of them: a start looks at a hundred thousand. */
export class RecordWalk {
  readonly #bytes: Buffer
  readonly #epoch: number
  /** Of the record that `next` has found. */
  offset = 0
  number = -1
  run = 0
  writeOffset = 0
  length = 0
  /** Behind it; when `next` has found no more: behind the last one. */
  end = SLOT_HEAD_BYTES

  constructor(bytes: Buffer, epoch: number) {
    this.#bytes = bytes
    this.#epoch = epoch
  }

  next(): boolean {
    const at = this.end
    const head = readRecordHead(this.#bytes, at)
    if (head === null || head.epoch !== this.#epoch || head.number <= this.number) return false
    const end = at + recordBytes(head.length)
    if (end > this.#bytes.length || !this.#follows(head, at)) return false
    this.offset = at
    this.number = head.number
    this.run = head.run
    this.writeOffset = head.writeOffset
    this.length = head.length
    this.end = end
    return true
  }

  get key(): Buffer {
    return this.#bytes.subarray(this.offset + 32, this.offset + RECORD_HEAD_BYTES)
  }

  get value(): Buffer {
    return this.#bytes.subarray(this.offset + RECORD_HEAD_BYTES, this.offset + RECORD_HEAD_BYTES + this.length)
  }

  get isValueWhole(): boolean {
    return crc32(this.value, crc32(this.key)) === this.#bytes.readUInt32LE(this.offset + 24)
  }

  #follows({ writeOffset, run }: RecordHead, at: number): boolean {
    if (beginsWrite(writeOffset, at)) return true
    return this.number >= 0 && writeOffset === this.writeOffset && run === this.run
  }
}

/**
 * Where no record counts any more: is there one of a later write behind it? Writes are done one after the other, so a
 * power cut tears the last one only, and whoever finds a later one knows that something else has damaged the slot.
 * @returns its number, or -1.
 */
export function laterRecord(bytes: Buffer, epoch: number, end: number): number {
  for (let at = aligned(end); at + RECORD_HEAD_BYTES <= bytes.length; at += ALIGNMENT) {
    if (bytes.readUInt32LE(at) !== RECORD_MAGIC) continue
    const head = readRecordHead(bytes, at)
    if (head !== null && head.epoch === epoch && head.writeOffset > end && head.writeOffset <= at) return head.number
  }
  return -1
}

/** The largest number of any record head in a slot whose own head cannot be read; -1: there is none. */
export function newestRecord(bytes: Buffer): number {
  let newest = -1
  for (let at = SLOT_HEAD_BYTES; at + RECORD_HEAD_BYTES <= bytes.length; at += ALIGNMENT) {
    if (bytes.readUInt32LE(at) === RECORD_MAGIC) newest = Math.max(newest, readRecordHead(bytes, at)?.number ?? -1)
  }
  return newest
}

interface RecordHead extends WriteMark {
  readonly length: number
  readonly number: number
}

function readRecordHead(bytes: Buffer, at: number): RecordHead | null {
  if (at + RECORD_HEAD_BYTES > bytes.length || bytes.readUInt32LE(at) !== RECORD_MAGIC) return null
  if (bytes.readUInt32LE(at + 4) !== crc32(bytes.subarray(at + 8, at + RECORD_HEAD_BYTES))) return null
  return {
    epoch: bytes.readUInt32LE(at + 8),
    run: bytes.readUInt32LE(at + 12),
    writeOffset: bytes.readUInt32LE(at + 16),
    length: bytes.readUInt32LE(at + 20),
    number: recordNumber(bytes.subarray(at + 32, at + RECORD_HEAD_BYTES)),
  }
}

/** The first record of a slot is written together with the slot's head. */
function beginsWrite(writeOffset: number, at: number): boolean {
  return writeOffset === at || (writeOffset === 0 && at === SLOT_HEAD_BYTES)
}

/** @param key eight bytes, up to 2^53-1. */
export function recordNumber(key: Uint8Array): number {
  let number = 0
  for (let index = 0; index < 8; index += 1) number = number * 256 + (key[index] as number)
  return number
}

function aligned(bytes: number): number {
  return (bytes + ALIGNMENT - 1) & ~(ALIGNMENT - 1)
}
