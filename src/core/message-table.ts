/**
 * Which stored messages exist and how many copies in durable sessions still need each. Young messages are only in the
 * journal and live here; once a checkpoint has given a message its row, this table forgets it and asks the disk.
 *
 * Rows: `messages` [record varint][references varint][body], written once; `references` [record varint][count varint],
 * only for a message with more than one reference at that time, and newer than the count in the body's row.
 */
import { assert } from '../base/assert.js'
import { ByteReader } from '../base/byte-reader.js'
import { ByteWriter } from '../base/byte-writer.js'
import { IdWindow } from '../base/id-window.js'
import { Message } from './message.js'
import { type Store, StoreError, type StoreOperation } from './ports/store.js'
import { readBody, type StoredBody, writeBody } from './stored-body.js'
import { keyNumber, numberKey } from './store-keys.js'

interface DirtyCount {
  count: number
  readonly since: number
}

/** Which messages from one on have a row. */
interface StoredTail {
  readonly from: number
  readonly ids: ReadonlySet<number>
}

export class MessageTable {
  readonly #store: Store
  /** In order of messageId, hence of the record that holds them. */
  readonly #young = new IdWindow<Message>()
  #sealed: { message: Message; references: number }[] = []
  #sealedRecord = 0
  readonly #counts = new Map<number, DirtyCount>()
  /** Counts in the commit under way: the disk does not show them yet. */
  readonly #sealedCounts = new Map<number, number>()
  #removals: number[] = []
  #storedTail: StoredTail | null = null

  constructor(store: Store) {
    this.#store = store
  }

  /** Messages that are only in the journal. */
  get youngCount(): number {
    return this.#young.size
  }

  /** Held by durable sessions, and in memory: one copy more is only a matter of counting. */
  isYoung(message: Message): boolean {
    return this.#young.get(message.messageId) === message
  }

  /** Copies of a message in durable sessions. */
  references(messageId: number): number {
    const young = this.#young.get(messageId)
    if (young !== undefined) return young.references
    return this.#counts.get(messageId)?.count ?? this.#storedCount(messageId)?.count ?? 0
  }

  /** The message if it is only in the journal, hence in memory. */
  young(messageId: number): Message | null {
    return this.#young.get(messageId) ?? null
  }

  add(message: Message, record: number): void {
    assert(!this.#young.has(message.messageId), 'a message id is used once')
    message.bornRecord = record
    this.#young.set(message.messageId, message)
  }

  /** The message with its body, from memory or disk. @throws StoreError 'STORE_CORRUPT' when it is in neither. */
  load(messageId: number): Message {
    const young = this.#young.get(messageId)
    if (young !== undefined && !young.isEvicted) return young
    const row = this.#row(messageId)
    if (row === undefined) throw missing(messageId)
    return row.message
  }

  #row(messageId: number): { message: Message; record: number; references: number } | undefined {
    const value = this.#store.get('messages', numberKey(messageId))
    if (value === undefined) return undefined
    const { record, references, body } = readMessageRow(value)
    const message = new Message(messageId, body.topicName, body.payload, body.properties, body.qos, body.expiresAtMs)
    message.row = 'stored'
    return { message, record, references }
  }

  /** One copy more, of a message that is already held: it moves within a share group. */
  hold(messageId: number, record: number): void {
    const young = this.#young.get(messageId)
    if (young !== undefined) {
      young.references += 1
      return
    }
    const dirty = this.#counts.get(messageId)
    if (dirty !== undefined) {
      dirty.count += 1
      return
    }
    const stored = this.#storedCount(messageId)
    if (stored === undefined || stored.record >= record) return
    this.#counts.set(messageId, { count: stored.count + 1, since: record })
  }

  /**
   * One copy less in durable sessions. At zero the message is gone.
   * @param record the journal record with the fact: while replaying, a row that is as new already counts it.
   */
  release(messageId: number, record: number): void {
    const young = this.#young.get(messageId)
    if (young !== undefined) {
      assert(young.references > 0, 'a message is not released more often than it is held')
      young.references -= 1
      if (young.references > 0) return
      this.#young.delete(messageId)
      if (young.row !== 'young') this.#removals.push(messageId)
      return
    }
    this.#releaseStored(messageId, record)
  }

  #releaseStored(messageId: number, record: number): void {
    const dirty = this.#counts.get(messageId)
    if (dirty !== undefined) {
      dirty.count -= 1
      if (dirty.count > 0) return
      this.#counts.delete(messageId)
      this.#removals.push(messageId)
      return
    }
    const stored = this.#storedCount(messageId)
    if (stored === undefined || stored.record >= record) return
    assert(stored.count > 0, 'a stored message is referred to')
    if (stored.count > 1) this.#counts.set(messageId, { count: stored.count - 1, since: record })
    else this.#removals.push(messageId)
  }

  #storedCount(messageId: number): { count: number; record: number } | undefined {
    const sealed = this.#sealedCounts.get(messageId)
    if (sealed !== undefined) return { count: sealed, record: this.#sealedRecord }
    const key = numberKey(messageId)
    const counted = this.#store.get('references', key)
    if (counted !== undefined) {
      const reader = new ByteReader(counted)
      return { record: reader.varint(), count: reader.varint() }
    }
    const row = this.#store.get('messages', key)
    if (row === undefined) return undefined
    const reader = new ByteReader(row)
    return { record: reader.varint(), count: reader.varint() }
  }

  /**
   * While replaying: does a row of `messageId` exist, so that the journal's message is not needed? Most messages of the
   * journal's tail have none, so one walk over the rows behind the first of them replaces a lookup for each.
   */
  isStored(messageId: number): boolean {
    this.#storedTail ??= this.#walkTail(messageId)
    const { from, ids } = this.#storedTail
    return messageId < from ? this.#store.get('messages', numberKey(messageId)) !== undefined : ids.has(messageId)
  }

  #walkTail(from: number): StoredTail {
    const ids = new Set<number>()
    for (const { key } of this.#store.entries({ table: 'messages', from: numberKey(from) })) ids.add(keyNumber(key))
    return { from, ids }
  }

  /** The journal has been replayed. */
  replayed(): void {
    this.#storedTail = null
  }

  /** Rows of messages that ended since the last commit; always written with it, so that none is left behind. */
  removeRows(operations: StoreOperation[]): void {
    for (const messageId of this.#removals) {
      const key = numberKey(messageId)
      operations.push({ kind: 'remove', table: 'messages', key })
      operations.push({ kind: 'remove', table: 'references', key })
    }
    this.#removals = []
  }

  /**
   * Rows for messages and counts that changed in records up to `target`, at most `rowsMax` of them.
   * @param record as of which the rows are true: the last one sealed.
   * @returns true when nothing up to `target` is left.
   */
  writeRows(target: number, record: number, rowsMax: number, operations: StoreOperation[]): boolean {
    this.#sealedRecord = record
    let rows = 0
    for (const message of this.#youngUpTo(target)) {
      if (rows >= rowsMax) return false
      rows += 1
      message.row = 'sealed'
      this.#sealed.push({ message, references: message.references })
      operations.push({
        kind: 'put',
        table: 'messages',
        key: numberKey(message.messageId),
        value: messageRow(message, record),
      })
    }
    for (const [messageId, dirty] of this.#counts) {
      if (dirty.since > target) continue
      if (rows >= rowsMax) return false
      rows += 1
      const writer = new ByteWriter(16)
      writer.varint(record)
      writer.varint(dirty.count)
      operations.push({ kind: 'put', table: 'references', key: numberKey(messageId), value: writer.take() })
      this.#counts.delete(messageId)
      this.#sealedCounts.set(messageId, dirty.count)
    }
    return true
  }
  /** Messages without a row, born in records up to `target`. */
  *#youngUpTo(target: number): IterableIterator<Message> {
    for (const message of this.#young.inOrder()) {
      if (message.bornRecord > target) break
      if (message.row === 'young') yield message
    }
    for (const message of this.#young.outOfOrder()) {
      if (message.bornRecord <= target && message.row === 'young') yield message
    }
  }

  /** The commit with the rows is on disk: bodies leave memory. */
  committed(): void {
    for (const { message, references } of this.#sealed) {
      message.row = 'stored'
      if (this.#young.get(message.messageId) !== message) continue
      this.#young.delete(message.messageId)
      message.evict()
      if (message.references !== references) {
        this.#counts.set(message.messageId, { count: message.references, since: this.#sealedRecord + 1 })
      }
    }
    this.#sealed = []
    this.#sealedCounts.clear()
  }
}

export function readMessageRow(row: Uint8Array): { record: number; references: number; body: StoredBody } {
  const reader = new ByteReader(row)
  const read = { record: reader.varint(), references: reader.varint(), body: readBody(reader) }
  assert(reader.isAtEnd, 'the row of a message is read to its end')
  return read
}

function messageRow(message: Message, record: number): Uint8Array {
  const writer = new ByteWriter(message.byteLength + 64)
  writer.varint(record)
  writer.varint(message.references)
  writeBody(writer, message)
  return writer.take()
}

function missing(messageId: number): StoreError {
  return new StoreError(
    'STORE_CORRUPT',
    `message ${messageId} is referred to but not stored: run a restore from backup`,
  )
}
