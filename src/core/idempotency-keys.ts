/**
 * Keys by which a publication that comes again is known: `idempotency-key` as a user property at QoS 1 or 2, for
 * clients that are no producers. A key belongs to a user, or to a client where users have no names, and
 * stands for one content until its time is over. The table only knows hashes. What a known key is answered is decided
 * in `publish.ts`.
 *
 * Map order is the order in which keys were first used, so what is over is always found at the front.
 */
import { assert } from '../base/assert.js'
import { ByteReader } from '../base/byte-reader.js'
import { ByteWriter } from '../base/byte-writer.js'
import { Sha256 } from '../base/sha256.js'
import { utf8Encode } from '../base/utf8.js'
import type { PublishProperties } from '../protocol/packets.js'
import type { IdempotencyOptions } from './limits.js'
import type { Store, StoreOperation } from './ports/store.js'
import type { Publishing } from './publish.js'
import type { Session } from './session.js'

/** Of a hash: nobody finds two with the same first 128 bits by chance, and nobody can look for somebody else's. */
const HASH_BYTES = 16
const KEY_BYTES_MAX = 256

interface UsedKey {
  readonly name: string
  readonly content: string
  readonly atMs: number
  /** Its row is on disk, or in a commit under way. */
  hasRow: boolean
  /** First record with the fact; 0: the row has it. */
  dirtySince: number
}

/** A key of one publication, and what it stands for. */
export interface KeyUse {
  readonly key: Uint8Array
  readonly content: Uint8Array
}

export class IdempotencyKeys {
  readonly #options: IdempotencyOptions
  readonly #keys = new Map<string, UsedKey>()
  readonly #dirty = new Set<UsedKey>()
  #removals: string[] = []

  constructor(options: IdempotencyOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#keys.size
  }
  get dirtyCount(): number {
    return this.#dirty.size
  }

  /** @returns undefined when it carries none; null when the key has no length that is taken. */
  useOf(session: Session, what: Publishing): KeyUse | null | undefined {
    const { properties } = what
    if (properties === null || properties.userProperties === undefined) return undefined
    const key = this.#keyIn(properties)
    if (key === undefined) return undefined
    const bytes = utf8Encode(key)
    if (bytes.length < 1 || bytes.length > KEY_BYTES_MAX) return null
    const owner = session.username === null ? `c${session.clientId}` : `u${session.username}`
    const terms = Uint8Array.of(what.qos, what.retain ? 1 : 0)
    return {
      key: hashOf(utf8Encode(owner), bytes),
      content: hashOf(utf8Encode(what.topicName), terms, what.payload),
    }
  }

  #keyIn({ userProperties }: PublishProperties): string | undefined {
    const { idempotencyKeyProperty } = this.#options
    if (idempotencyKeyProperty === null) return undefined
    for (const [name, value] of userProperties ?? []) if (name === idempotencyKeyProperty) return value
    return undefined
  }

  /** 'known': with this content · 'other': with another content · 'full': a new one has no room. */
  look(use: KeyUse, nowMs: number): 'new' | 'known' | 'other' | 'full' {
    const used = this.#keys.get(textOf(use.key))
    if (used !== undefined && !this.#isOver(used, nowMs))
      return used.content === textOf(use.content) ? 'known' : 'other'
    return used === undefined && this.#keys.size >= this.#options.idempotencyKeysMax ? 'full' : 'new'
  }

  /** From `atMs` on the key stands for the content. @param record that holds the fact. */
  used(key: Uint8Array, content: Uint8Array, atMs: number, record: number): void {
    const name = textOf(key)
    const before = this.#keys.get(name)
    if (before?.atMs === atMs && before.hasRow) return
    if (before !== undefined) {
      this.#keys.delete(name)
      this.#dirty.delete(before)
    }
    const used = { name, content: textOf(content), atMs, hasRow: before?.hasRow ?? false, dirtySince: record }
    this.#keys.set(name, used)
    this.#dirty.add(used)
  }

  #isOver(used: UsedKey, nowMs: number): boolean {
    return nowMs - used.atMs >= this.#options.idempotencyKeyRetentionSec * 1_000
  }

  /** When `forget` has something to do; Infinity: never. */
  nextMs(): number {
    for (const { atMs } of this.#keys.values()) return atMs + this.#options.idempotencyKeyRetentionSec * 1_000
    return Number.POSITIVE_INFINITY
  }

  /** A bounded slice of the keys whose time is over; rows leave with the next commit. @returns whether more is left. */
  forget(nowMs: number, keysMax: number): boolean {
    let left = keysMax
    for (const used of this.#keys.values()) {
      if (!this.#isOver(used, nowMs)) return false
      if (left === 0) return true
      left -= 1
      this.#keys.delete(used.name)
      this.#dirty.delete(used)
      if (used.hasRow) this.#removals.push(used.name)
    }
    return false
  }

  removeRows(operations: StoreOperation[]): void {
    for (const name of this.#removals) operations.push({ kind: 'remove', table: 'keys', key: bytesOf(name) })
    this.#removals = []
  }

  /** Rows of keys used in records up to `target`, at most `rowsMax`. @returns true when none is left. */
  writeRows(target: number, rowsMax: number, operations: StoreOperation[]): boolean {
    let rows = 0
    for (const used of this.#dirty) {
      if (used.dirtySince > target) return true
      if (rows >= rowsMax) return false
      rows += 1
      this.#dirty.delete(used)
      used.dirtySince = 0
      used.hasRow = true
      const writer = new ByteWriter(32)
      writer.varint(used.atMs)
      writer.bytes(bytesOf(used.content))
      operations.push({ kind: 'put', table: 'keys', key: bytesOf(used.name), value: writer.take() })
    }
    return true
  }

  /** At the start: the rows, in the order of their times. */
  load(store: Store): void {
    const rows: UsedKey[] = []
    for (const { key, value } of store.entries({ table: 'keys' })) {
      const { atMs, content } = readKeyRow(value)
      rows.push({ name: textOf(key), content: textOf(content), atMs, hasRow: true, dirtySince: 0 })
    }
    rows.sort((one, other) => one.atMs - other.atMs)
    for (const row of rows) this.#keys.set(row.name, row)
  }
}

/** A row of the table `keys`, whose key is the hash of owner and key. */
export function readKeyRow(row: Uint8Array): { atMs: number; content: Uint8Array } {
  const reader = new ByteReader(row)
  const atMs = reader.varint()
  const content = reader.bytes()
  assert(content.length === HASH_BYTES && reader.isAtEnd, 'the row of a key is read to its end')
  return { atMs, content }
}

/** Each part behind its length: 'ab' and 'c' are not 'a' and 'bc'. */
function hashOf(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = new Sha256()
  for (const part of parts) {
    const length = new Uint8Array(4)
    new DataView(length.buffer).setUint32(0, part.length)
    hash.update(length).update(part)
  }
  return hash.digest().subarray(0, HASH_BYTES)
}

/** One character a byte. */
function textOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}
function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}
