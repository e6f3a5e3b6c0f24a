/**
 * LMDB's data file read page by page, without LMDB: for looking at a directory that may be damaged. LMDB maps the file
 * and trusts it, so a flipped bit or a short file ends the process with SIGSEGV or SIGBUS; here it is a `PageDamage`
 * that names the page. Nothing is written, not even LMDB's lock file.
 *
 * The format is that of the LMDB inside lmdb-js 3.5 (mdb.c: data version 2, pages with their transaction's number).
 * All numbers are little-endian here; a file from a machine with another byte order is refused like another version.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

/** Something about one page that cannot be as LMDB wrote it. */
export class PageDamage extends Error {
  override readonly name = 'PageDamage'
  readonly page: number
  constructor(page: number, reason: string) {
    super(`page ${page} ${reason}`)
    this.page = page
  }
}

/** A search tree: MDB_db, 48 bytes. */
export interface TreeRecord {
  readonly flags: number
  readonly depth: number
  readonly branchPages: number
  readonly leafPages: number
  readonly overflowPages: number
  readonly entries: number
  /** -1: the tree is empty. */
  readonly root: number
}

/** Where a snapshot starts: MDB_meta. The newer of the two counts. */
export interface MetaPage {
  readonly page: number
  readonly mapBytes: number
  readonly free: TreeRecord
  readonly main: TreeRecord
  readonly lastPage: number
  readonly transaction: number
}

export const PAGE_HEADER_BYTES = 24
export const TREE_RECORD_BYTES = 48
export const PAGE_FLAG = { BRANCH: 1, LEAF: 2, OVERFLOW: 4, META: 8 } as const
const META_AT = PAGE_HEADER_BYTES
const META_BYTES = 144
const MAGIC = 0xbeefc0de
const DATA_VERSION = 2
const PAGE_SIZES = [4_096, 8_192, 16_384, 32_768, 65_536]

export class PageFile {
  readonly #descriptor: number
  readonly pageSize: number
  readonly bytes: number
  readonly metas: readonly [MetaPage, MetaPage]

  /** @throws PageDamage when the file has no two meta pages. */
  constructor(path: string) {
    this.#descriptor = openSync(path, 'r')
    try {
      this.bytes = fstatSync(this.#descriptor).size
      this.pageSize = this.#readPageSize()
      this.metas = [this.#meta(0), this.#meta(1)]
    } catch (error) {
      closeSync(this.#descriptor)
      throw error
    }
  }

  /** The snapshot that LMDB opens. */
  get meta(): MetaPage {
    const [even, odd] = this.metas
    return even.transaction >= odd.transaction ? even : odd
  }

  /** Neighbouring pages in one buffer. @throws PageDamage when the file ends before them. */
  pages(number: number, count = 1): Buffer {
    const from = number * this.pageSize
    const length = count * this.pageSize
    if (from + length > this.bytes) {
      throw new PageDamage(number, `should be in the file, which ends after ${this.bytes} bytes: it has been cut short`)
    }
    return this.#read(from, length)
  }

  close(): void {
    closeSync(this.#descriptor)
  }

  #read(from: number, length: number): Buffer {
    const buffer = Buffer.allocUnsafe(length)
    let at = 0
    while (at < length) {
      const read = readSync(this.#descriptor, buffer, at, length - at, from + at)
      if (read === 0) throw new PageDamage(Math.floor(from / 4_096), 'cannot be read: the file ends')
      at += read
    }
    return buffer
  }

  #readPageSize(): number {
    if (this.bytes < 2 * 4_096) throw new PageDamage(0, `is not whole: the file has only ${this.bytes} bytes`)
    const pageSize = this.#read(0, 4_096).readUInt32LE(META_AT + 24)
    if (!PAGE_SIZES.includes(pageSize)) throw new PageDamage(0, `names a page size of ${pageSize} bytes`)
    if (this.bytes < 2 * pageSize) throw new PageDamage(1, `is not whole: the file has only ${this.bytes} bytes`)
    return pageSize
  }

  #meta(number: 0 | 1): MetaPage {
    const page = this.#read(number * this.pageSize, PAGE_HEADER_BYTES + META_BYTES)
    if (page.readUInt32LE(META_AT) !== MAGIC) throw new PageDamage(number, 'has no LMDB signature')
    const version = page.readUInt32LE(META_AT + 4)
    if (version !== DATA_VERSION) throw new PageDamage(number, `has LMDB data version ${version}, not ${DATA_VERSION}`)
    if (page.readUInt32LE(META_AT + 24) !== this.pageSize) throw new PageDamage(number, 'names another page size')
    const flags = page.readUInt16LE(18)
    if (pageNumber(page, 0) !== number || flags !== PAGE_FLAG.META) {
      throw new PageDamage(number, 'is not marked as a meta page')
    }
    return {
      page: number,
      mapBytes: number64(page, META_AT + 16),
      free: readTreeRecord(page, META_AT + 24),
      main: readTreeRecord(page, META_AT + 24 + TREE_RECORD_BYTES),
      lastPage: number64(page, META_AT + 120),
      transaction: number64(page, META_AT + 128),
    }
  }
}

export function readTreeRecord(bytes: Buffer, at: number): TreeRecord {
  return {
    flags: bytes.readUInt16LE(at + 4),
    depth: bytes.readUInt16LE(at + 6),
    branchPages: number64(bytes, at + 8),
    leafPages: number64(bytes, at + 16),
    overflowPages: number64(bytes, at + 24),
    entries: number64(bytes, at + 32),
    root: pageNumber(bytes, at + 40),
  }
}

/** Exact up to 2^53; a larger one is damage, and stays larger. */
export function number64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 4_294_967_296
}

/** -1: none, which LMDB writes as all ones. */
export function pageNumber(bytes: Buffer, at: number): number {
  if (bytes.readUInt32LE(at) === 0xffff_ffff && bytes.readUInt32LE(at + 4) === 0xffff_ffff) return -1
  return number64(bytes, at)
}
