/**
 * The journal file: where a commit that only adds a record to the journal goes, instead of an LMDB transaction. One
 * write through a descriptor that returns when the bytes are on the disk, over blocks that are allocated already: one
 * flush and one call, where LMDB writes a handful of pages and flushes twice.
 *
 * The file is a set of slots, `journal.0`, `journal.1`, …, each filled from its beginning and, once LMDB has durably
 * removed all its records, filled again. New slots are made in the background and full of zeros; as long as none is
 * ready, or a record is too large for one, `append` says so and the commit goes through LMDB, which takes everything.
 *
 * One append at a time, as one write at a time is what recovery relies on (`journal-slots.ts`).
 */
import { randomBytes } from 'node:crypto'
import { closeSync, constants, fdatasync, fdatasyncSync, openSync, readSync, write, writeSync } from 'node:fs'
import { open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { assert } from '../../../base/assert.js'
import type { StoreEntry } from '../../../core/ports/store.js'
import { flushPath } from '../directory.js'
import { type JournalContents, journalRows, type Slot } from './journal-slots.js'
import type { JournalState } from './journal-state.js'
import type { KeyRanges } from './key-ranges.js'
import {
  MARK_BYTES,
  MARK_OFFSET,
  recordBytes,
  recordNumber,
  SLOT_HEAD_BYTES,
  writeMark,
  writeRecord,
  writeSlotHead,
} from './slot-format.js'
import { slotIndex, slotName } from './slot-names.js'

/** The first slot is small, so that a small store is; each new one is twice as large, up to sixteen times. */
export const SLOT_BYTES_DEFAULT = 262_144
const SLOT_GROWTH_MAX = 16
const FILL_BYTES_MAX = 262_144
/** After a slot could not be made, as on a full disk. */
const ASKED_BEFORE_RETRY = 1_000
/** Elsewhere than on Linux a write is followed by a flush of its own. */
const FLUSHED_WRITES = process.platform === 'linux' ? constants.O_DSYNC : 0

export interface JournalRecord {
  /** Eight bytes. */
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface JournalFileSetup {
  readonly directory: string
  readonly isFlushed: boolean
  /** Of the first slot. */
  readonly slotBytes: number
  readonly state: JournalState
  readonly contents: JournalContents
}

interface OpenSlot extends Slot {
  /** For records. */
  readonly descriptor: number
  /** For the mark, which need not reach the disk soon. */
  readonly markDescriptor: number
}

interface Append {
  readonly slot: OpenSlot
  readonly epoch: number
  readonly end: number
  readonly numbers: readonly number[]
}

export class JournalFile {
  readonly databaseId: Buffer
  readonly #directory: string
  readonly #isFlushed: boolean
  readonly #slotBytes: number
  readonly #run = randomBytes(4).readUInt32LE()
  readonly #ranges: KeyRanges
  readonly #slots: OpenSlot[]
  #current: OpenSlot | null = null
  #epoch = 0
  #newest: number
  #trimmed: number
  #append: Append | null = null
  readonly #mark = Buffer.alloc(MARK_BYTES)
  #marked = -1
  #buffer = Buffer.allocUnsafeSlow(65_536)
  #preparing: Promise<void> | null = null
  /** A slot could not be made: it is tried again when so many more were asked for. */
  #pauseLeft = 0

  /** @throws what the file system says. */
  constructor({ directory, isFlushed, slotBytes, state, contents }: JournalFileSetup) {
    this.#directory = directory
    this.#isFlushed = isFlushed
    this.#slotBytes = slotBytes
    this.databaseId = state.databaseId
    this.#trimmed = state.trimmed
    this.#ranges = contents.ranges
    this.#newest = Math.max(state.newest, contents.ranges.newest)
    this.#slots = contents.slots.map((slot) => this.#open(slot))
    this.#epoch = this.#slots.at(-1)?.epoch ?? 0
    this.#current = this.#epoch === 0 ? null : (this.#slots.at(-1) ?? null)
  }

  /** What LMDB should know, and writes down with its next transaction. */
  get state(): JournalState {
    return { databaseId: this.databaseId, trimmed: this.#trimmed, newest: this.#newest }
  }

  get isEmpty(): boolean {
    return this.#ranges.isEmpty
  }

  /** @param key of the table `journal`. */
  holds(key: Uint8Array): boolean {
    return key.length === 8 && !this.#ranges.isEmpty && this.#ranges.has(recordNumber(key))
  }

  rows(from: Uint8Array, until: Uint8Array | undefined): IterableIterator<StoreEntry> {
    const filled = [...this.#slots].sort((a, b) => a.epoch - b.epoch)
    return journalRows(filled, this.#ranges, from, until)
  }

  /**
   * Writes records whose keys ascend and are larger than any before; what is passed stays unchanged until the promise
   * settles. Then `appended` makes them visible.
   * @returns null when the file has no room for them: the commit is LMDB's.
   */
  append(records: readonly JournalRecord[]): Promise<void> | null {
    assert(this.#append === null, 'one append at a time')
    let bytes = 0
    for (const { value } of records) bytes += recordBytes(value.length)
    const current = this.#current
    const isNew = current === null || current.end + bytes > current.bytes
    const slot = isNew ? this.#freeSlot(SLOT_HEAD_BYTES + bytes) : current
    if (slot === null) {
      this.#prepare()
      return null
    }
    const epoch = isNew ? this.#epoch + 1 : slot.epoch
    const writeOffset = isNew ? 0 : slot.end
    const length = this.#encode(records, { epoch, run: this.#run, writeOffset }, isNew, bytes)
    const numbers = records.map(({ key }) => recordNumber(key))
    this.#append = { slot, epoch, end: writeOffset + length, numbers }
    return this.#write(slot.descriptor, length, writeOffset)
  }

  /** The promise of `append` has been fulfilled. */
  appended(): void {
    const append = this.#append
    assert(append !== null, 'an append was under way')
    const { slot, epoch, end, numbers } = append
    this.#append = null
    this.#epoch = epoch
    this.#current = slot
    slot.epoch = epoch
    slot.end = end
    for (const number of numbers) this.#ranges.add(number)
    slot.newest = this.#ranges.newest
    this.#newest = slot.newest
    if (2 * end > slot.bytes && this.#freeSlot(0) === null) this.#prepare()
  }

  /**
   * Nothing is under way: notes in the slot how far it reaches. Not flushed: it is there when the process is killed, or
   * the directory copied, and then tells a damaged last record from one that a power cut has torn.
   */
  rest(): void {
    const slot = this.#current
    if (slot === null || slot.newest === this.#marked) return
    this.#marked = slot.newest
    writeMark(this.#mark, slot.epoch, slot.newest)
    writeSync(slot.markDescriptor, this.#mark, 0, MARK_BYTES, MARK_OFFSET)
  }

  /** These records of the file are about to be removed. @returns what LMDB must write down in that transaction. */
  stateWithout(numbers: readonly number[]): JournalState {
    assert(this.#ranges.areOldest(numbers), 'journal records are removed from the oldest on')
    return { ...this.state, trimmed: numbers.at(-1) ?? this.#trimmed }
  }

  /** That transaction is durable. */
  trimmed(numbers: readonly number[]): void {
    for (const number of numbers) {
      this.#ranges.removeOldest(number)
      this.#trimmed = number
    }
  }

  async close(): Promise<void> {
    await this.#preparing
    for (const { descriptor, markDescriptor } of this.#slots) {
      closeSync(descriptor)
      closeSync(markDescriptor)
    }
  }

  #open(slot: Slot): OpenSlot {
    const descriptor = openSync(slot.path, constants.O_WRONLY | (this.#isFlushed ? FLUSHED_WRITES : 0))
    return { ...slot, descriptor, markDescriptor: openSync(slot.path, constants.O_WRONLY) }
  }

  /** A slot all of whose records are removed, large enough for `bytes`. */
  #freeSlot(bytes: number): OpenSlot | null {
    for (const slot of this.#slots) {
      if (slot === this.#current || slot.bytes < bytes) continue
      if (slot.newest <= this.#trimmed) return slot
    }
    return null
  }

  /** @returns bytes to write from the start of the buffer. */
  #encode(
    records: readonly JournalRecord[],
    mark: { epoch: number; run: number; writeOffset: number },
    isNew: boolean,
    bytes: number,
  ): number {
    const length = bytes + (isNew ? SLOT_HEAD_BYTES : 0)
    if (length > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#buffer.length))
    let offset = 0
    if (isNew) {
      writeSlotHead(this.#buffer, { epoch: mark.epoch, databaseId: this.databaseId })
      offset = SLOT_HEAD_BYTES
    }
    let newest = this.#newest
    for (const { key, value } of records) {
      const number = recordNumber(key)
      assert(number > newest, 'journal records are added in ascending order')
      newest = number
      offset = writeRecord(this.#buffer, offset, mark, key, value)
    }
    return offset
  }

  #write(descriptor: number, length: number, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let done = 0
      const next = (error: Error | null, written: number): void => {
        if (error !== null) return reject(error)
        done += written
        if (done < length) write(descriptor, this.#buffer, done, length - done, position + done, next)
        else if (this.#isFlushed && FLUSHED_WRITES === 0) fdatasync(descriptor, (failure) => settle(failure))
        else resolve()
      }
      const settle = (failure: Error | null): void => (failure === null ? resolve() : reject(failure))
      write(descriptor, this.#buffer, 0, length, position, next)
    })
  }

  #prepare(): void {
    if (this.#preparing !== null) return
    if (this.#pauseLeft > 0) {
      this.#pauseLeft -= 1
      return
    }
    this.#preparing = this.#makeSlot().then(
      (slot) => {
        this.#preparing = null
        this.#slots.unshift(slot)
      },
      () => {
        this.#preparing = null
        this.#pauseLeft = ASKED_BEFORE_RETRY
      },
    )
  }

  /** Its name is durable, and its blocks are there, before the first record goes into it. */
  async #makeSlot(): Promise<OpenSlot> {
    const index = this.#slots.reduce((next, { name }) => Math.max(next, slotIndex(name) + 1), 0)
    const largest = this.#slots.reduce((most, { bytes }) => Math.max(most, bytes), this.#slotBytes / 2)
    const bytes = Math.min(2 * largest, SLOT_GROWTH_MAX * this.#slotBytes)
    const name = slotName(index)
    const path = join(this.#directory, name)
    try {
      const file = await open(path, 'wx', 0o600)
      try {
        const zeros = Buffer.alloc(Math.min(bytes, FILL_BYTES_MAX))
        for (let at = 0; at < bytes; at += zeros.length) await fill(file, zeros, at)
        if (this.#isFlushed) await file.datasync()
      } finally {
        await file.close()
      }
      if (this.#isFlushed) await flushName(this.#directory)
    } catch (error) {
      await unlink(path).catch(() => undefined)
      throw error
    }
    return this.#open({ name, path, bytes, epoch: 0, end: SLOT_HEAD_BYTES, newest: -1 })
  }
}

/** As `flushPath`, but without holding up everybody: a broker under load makes slots. */
async function flushName(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function fill(file: { write: Writer }, zeros: Buffer, at: number): Promise<void> {
  const { bytesWritten } = await file.write(zeros, 0, zeros.length, at)
  if (bytesWritten < zeros.length) throw new Error('no room for a slot of the journal')
}

type Writer = (bytes: Buffer, from: number, length: number, at: number) => Promise<{ bytesWritten: number }>

/**
 * Before anything relies on what was found at an opening: names, and the last write, which a process that was killed
 * or whose disk failed may have left in memory only. Written once more, because after a failed write the system holds
 * pages for clean that are not on the disk.
 */
export function settleJournal(directory: string, { slots, lastWrite }: JournalContents): void {
  if (slots.length === 0) return
  flushPath(directory)
  if (lastWrite === null) return
  const { slot, from, until } = lastWrite
  const descriptor = openSync(slot.path, 'r+')
  try {
    const bytes = Buffer.alloc(until - from)
    const length = readSync(descriptor, bytes, 0, bytes.length, from)
    assert(length === bytes.length, 'a slot that was read a moment ago can be read')
    writeSync(descriptor, bytes, 0, length, from)
    fdatasyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
