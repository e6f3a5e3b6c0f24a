/**
 * What `trace-writes.c` wrote down, and the files that a power cut could have left behind. The model: what a flush has
 * confirmed is on the disk; of the writes since then any part may be, each of their sectors on its own, because a page
 * cache writes back in any order and a sector is what a disk writes whole.
 */
import { assert } from '../../src/base/assert.js'
import type { Random } from '../support/random.js'

export type TraceEvent =
  | {
      readonly kind: 'write'
      readonly name: string
      readonly offset: number
      readonly bytes: Buffer
      isFlushed: boolean
    }
  | { readonly kind: 'flush'; readonly name: string }
  | { readonly kind: 'truncate'; readonly name: string; readonly length: number }
  | { readonly kind: 'rename'; readonly name: string; readonly from: string }

/** What the traced process notes beside the store. Eight bytes each: [what u32][number u32], little-endian. */
export const NOTE = { BEGUN: 1, DURABLE: 2 } as const

/** So small that slots of the journal file are changed and filled again within one script. */
export const JOURNAL_SLOT_BYTES = 4_096

const KINDS = ['', 'write', 'flush', 'truncate', 'rename'] as const
const HEAD_BYTES = 16

export function readTrace(trace: Buffer): TraceEvent[] {
  const events: TraceEvent[] = []
  for (let at = 0; at < trace.length; ) {
    const kind = KINDS[trace.readUInt8(at)]
    const isFlushed = trace.readUInt8(at + 1) !== 0
    const nameEnd = at + HEAD_BYTES + trace.readUInt16LE(at + 2)
    const offset = Number(trace.readBigUInt64LE(at + 8))
    const name = trace.toString('utf8', at + HEAD_BYTES, nameEnd)
    const end = nameEnd + trace.readUInt32LE(at + 4)
    assert(end <= trace.length, 'a trace ends with a whole entry')
    const bytes = trace.subarray(nameEnd, end)
    if (kind === 'write') events.push({ kind, name, offset, bytes, isFlushed })
    else if (kind === 'flush') events.push({ kind, name })
    else if (kind === 'truncate') events.push({ kind, name, length: offset })
    else if (kind === 'rename') events.push({ kind, name, from: bytes.toString() })
    else assert(false, 'a trace has entries of known kinds')
    at = end
  }
  return events
}

/** What of the unflushed writes reached the disk. */
export const VARIANTS = ['none', 'all', 'some', 'torn-512', 'torn-4096'] as const
export type Variant = (typeof VARIANTS)[number]

interface Pending {
  readonly offset: number
  readonly bytes: Buffer
}

/** One file as a disk sees it while a trace is played. */
export class TracedFile {
  #flushed: Buffer = Buffer.alloc(0)
  #pending: Pending[] = []

  /** The write is under way: from here on any part of it may be on the disk. */
  write(offset: number, bytes: Buffer): void {
    this.#pending.push({ offset, bytes })
  }

  /** A change of length, like any other write, may or may not have reached the disk. */
  truncate(length: number): void {
    if (length > this.length) this.#pending.push({ offset: length, bytes: Buffer.alloc(0) })
    else if (length < this.length) assert(false, 'the store never cuts its file')
  }

  /** The newest write went through a descriptor that returns when it is on the disk. */
  flushNewest(): void {
    const newest = this.#pending.pop()
    assert(newest !== undefined, 'there is a write to flush')
    this.#flushed = applied(this.#flushed, newest)
  }

  flush(): void {
    for (const write of this.#pending) this.#flushed = applied(this.#flushed, write)
    this.#pending = []
  }

  get length(): number {
    return this.#pending.reduce((end, { offset, bytes }) => Math.max(end, offset + bytes.length), this.#flushed.length)
  }

  /** Variants that can differ from each other here. */
  get variants(): readonly Variant[] {
    return this.#pending.length === 0 ? ['none'] : VARIANTS
  }

  /** What could be on the disk if the power went now. */
  image(variant: Variant, random: Random): Buffer {
    let image: Buffer = Buffer.from(this.#flushed)
    if (variant === 'none') return image
    for (const write of this.#pending) {
      if (variant === 'all') image = applied(image, write)
      else if (variant === 'some') image = random.chance(0.5) ? applied(image, write) : image
      else image = appliedInParts(image, write, variant === 'torn-512' ? 512 : 4_096, random)
    }
    return image
  }
}

/** File by file, as it could be on the disk. */
export type DiskImage = ReadonlyMap<string, Buffer>

/** Several files on one disk: each write of any of them may have reached it on its own. */
export class TracedDisk {
  readonly #files = new Map<string, TracedFile>()

  file(name: string): TracedFile {
    const known = this.#files.get(name)
    if (known !== undefined) return known
    const file = new TracedFile()
    this.#files.set(name, file)
    return file
  }

  get variants(): readonly Variant[] {
    return [...this.#files.values()].some((file) => file.variants.length > 1) ? VARIANTS : ['none']
  }

  image(variant: Variant, random: Random): DiskImage {
    return new Map(Array.from(this.#files, ([name, file]) => [name, file.image(variant, random)]))
  }
}

export function isSameImage(one: DiskImage, other: DiskImage): boolean {
  return [...one].every(([name, bytes]) => other.get(name)?.equals(bytes) === true)
}

function applied(image: Buffer, { offset, bytes }: Pending): Buffer {
  const end = offset + bytes.length
  const target = end > image.length ? Buffer.concat([image, Buffer.alloc(end - image.length)]) : image
  bytes.copy(target, offset)
  return target
}

function appliedInParts(image: Buffer, { offset, bytes }: Pending, partBytes: number, random: Random): Buffer {
  let target = image
  for (let at = 0; at < bytes.length; ) {
    const partEnd = Math.min(bytes.length, (Math.floor((offset + at) / partBytes) + 1) * partBytes - offset)
    if (random.chance(0.5)) target = applied(target, { offset: offset + at, bytes: bytes.subarray(at, partEnd) })
    at = partEnd
  }
  return target
}
