/**
 * Rows of the tables `sessions` and `queues`: a session as of one journal record, and chunks of its queue.
 * A session row and the chunk rows it speaks of are always written in one commit.
 */
import { assert } from '../base/assert.js'
import { ByteReader } from '../base/byte-reader.js'
import { ByteWriter } from '../base/byte-writer.js'
import type { ChunkLoader } from './delivery-queue.js'
import { DROP_REASONS } from './drop-reasons.js'
import {
  isSharedSubscription,
  readOptionalText,
  readSubscription,
  readTerms,
  readWill,
  type SubscribedFact,
  writeOptionalText,
  writeSubscription,
  writeTerms,
  writeWill,
} from './fact-fields.js'
import { SESSION_NEVER_EXPIRES_SEC } from '../protocol/packets.js'
import type { Ledger } from './ledger/ledger.js'
import { Copy, type CopyState } from './message.js'
import type { StoreOperation } from './ports/store.js'
import { StoreError } from './ports/store.js'
import { Session } from './session.js'
import type { BrokerState } from './state.js'
import { chunkKey, numberKey } from './store-keys.js'

const FLAG = { HAS_ENDED: 1, IS_CONNECTED: 2 } as const

/** Puts (or removes) the rows of a session as it is after `record`; `rows` counts what was added to `operations`. */
export function writeSessionRows(session: Session, record: number, operations: StoreOperation[]): void {
  for (;;) {
    const spilled = session.queue.spill()
    if (spilled === null) break
    const writer = new ByteWriter(spilled.copies.length * 16)
    writer.varint(spilled.copies.length)
    for (const copy of spilled.copies) writeCopy(writer, copy)
    operations.push({
      kind: 'put',
      table: 'queues',
      key: chunkKey(session.number, spilled.chunk),
      value: writer.take(),
    })
  }
  for (; session.rowFirstChunk < session.queue.firstChunk; session.rowFirstChunk += 1) {
    operations.push({ kind: 'remove', table: 'queues', key: chunkKey(session.number, session.rowFirstChunk) })
  }
  const key = numberKey(session.number)
  if (session.hasEnded && session.queue.isEmpty) {
    operations.push({ kind: 'remove', table: 'sessions', key })
    return
  }
  session.rowRecord = record
  operations.push({ kind: 'put', table: 'sessions', key, value: sessionRow(session, record) })
}

function sessionRow(session: Session, record: number): Uint8Array {
  const writer = new ByteWriter(256)
  writer.varint(record)
  writer.u8((session.hasEnded ? FLAG.HAS_ENDED : 0) | (session.isConnected ? FLAG.IS_CONNECTED : 0))
  writer.text(session.clientId)
  writeOptionalText(writer, session.username)
  writer.varint(session.sessionExpiryIntervalSec)
  writer.varint(session.disconnectedAtMs)
  writer.varint(session.willDueAtMs)
  writeWill(writer, session.will)
  writer.varint(session.nextDeliverySequence)
  writer.varint(session.nextSubscriptionNumber)
  writer.varint(session.subscriptionCount)
  for (const subscription of session.subscriptions) {
    const isRetainedPending = session.retainedPending?.has(subscription.subscriptionNumber) ?? false
    writeSubscription(writer, { ...subscription, isRetainedPending })
  }
  writer.varint(session.receipts.size)
  for (const packetId of session.receipts) writer.varint(packetId)
  writer.varint(session.lost?.size ?? 0)
  for (const [reason, count] of session.lost ?? []) {
    writer.u8(DROP_REASONS.indexOf(reason))
    writer.varint(count)
  }
  writer.varint(session.inflight.size)
  for (const copy of session.inflight.inOrder()) {
    writeCopy(writer, copy)
    writer.varint(copy.deliverySequence)
    writer.u8(copy.state === 'released' ? 1 : 0)
  }
  const { queue } = session
  writer.varint(queue.firstChunk)
  writer.varint(queue.nextChunk)
  writer.varint(queue.coldCount)
  writer.varint(queue.byteLength)
  const front = queue.front()
  writer.varint(front.length)
  for (const copy of front) writeCopy(writer, copy)
  writer.varint(session.formerShares?.size ?? 0)
  for (const [subscriptionNumber, { shareName, topicFilter }] of session.formerShares ?? []) {
    writer.varint(subscriptionNumber)
    writer.text(shareName)
    writer.text(topicFilter)
  }
  return writer.take()
}

/** Who knows the accounts that stored copies name. */
export type CopyAccounts = Pick<Ledger, 'ofStoredCopy'>
/** For whoever looks at rows alone. */
export const NO_ACCOUNTS: CopyAccounts = { ofStoredCopy: () => null }

export interface RestoredSession {
  readonly session: Session
  readonly subscriptions: readonly SubscribedFact[]
}

/** Lean: bodies of messages stay on disk, chunks of the queue too. */
export function readSessionRow(
  number: number,
  row: Uint8Array,
  windowCopies: number,
  ledger: CopyAccounts,
): RestoredSession {
  const reader = new ByteReader(row)
  const record = reader.varint()
  const flags = reader.u8()
  const session = new Session(number, reader.text(), readOptionalText(reader), true, windowCopies)
  session.rowRecord = record
  session.hasEnded = (flags & FLAG.HAS_ENDED) !== 0
  session.isConnected = (flags & FLAG.IS_CONNECTED) !== 0
  session.sessionExpiryIntervalSec = reader.varint()
  session.disconnectedAtMs = reader.varint()
  session.willDueAtMs = reader.varint()
  session.will = readWill(reader)
  session.nextDeliverySequence = reader.varint()
  session.nextSubscriptionNumber = reader.varint()
  const subscriptions = readList(reader, readSubscription)
  for (const packetId of readList(reader, readNumber)) session.addReceipt(packetId)
  for (const [reason, count] of readList(reader, readLost)) session.addLost(reason, count)
  for (const copy of readList(reader, (each) => readInflight(each, ledger))) session.restoreInflight(copy)
  const firstChunk = reader.varint()
  const nextChunk = reader.varint()
  const coldCount = reader.varint()
  const byteLength = reader.varint()
  session.queue.restore(
    readList(reader, (each) => readCopy(each, ledger)),
    firstChunk,
    nextChunk,
    coldCount,
    byteLength,
  )
  const formerShares = readList(reader, readFormerShare)
  if (formerShares.length > 0) session.formerShares = new Map(formerShares)
  session.rowFirstChunk = firstChunk
  assert(reader.isAtEnd, `the row of session ${number} is read to its end`)
  return { session, subscriptions }
}

const PLUS = 0x2b
const HASH = 0x23

/** What a start needs to know of a session that stays asleep. One object, filled again by each row. */
export class SessionRowSummary {
  record = 0
  clientIdHash = 0
  readonly filterHashes: number[] = []
  expiresAtMs = 0
  copies = 0
  copyBytes = 0

  /** @returns false when the session cannot sleep: it acts by itself, or is found by more than a topic name. */
  read(row: Uint8Array): boolean {
    const reader = new ByteReader(row)
    this.record = reader.varint()
    if (reader.u8() !== 0) return false
    this.clientIdHash = reader.textHash()
    if (reader.u8() !== 0) reader.skip()
    const expirySec = reader.varint()
    const disconnectedAtMs = reader.varint()
    this.expiresAtMs =
      expirySec === SESSION_NEVER_EXPIRES_SEC ? Number.POSITIVE_INFINITY : disconnectedAtMs + expirySec * 1_000
    if (reader.varint() !== 0 || reader.u8() !== 0) return false
    skipNumbers(reader, 2)
    if (!this.#readFilters(reader)) return false
    for (let left = reader.varint(); left > 0; left -= 1) reader.varint()
    for (let left = reader.varint(); left > 0; left -= 1) skipNumbers(reader, 2)
    this.copies = reader.varint()
    for (let left = this.copies; left > 0; left -= 1) readInflight(reader, NO_ACCOUNTS)
    skipNumbers(reader, 2)
    this.copies += reader.varint()
    this.copyBytes = reader.varint()
    this.copies += reader.varint()
    return true
  }

  #readFilters(reader: ByteReader): boolean {
    this.filterHashes.length = 0
    for (let left = reader.varint(); left > 0; left -= 1) {
      if (isSharedSubscription(reader.u8())) return false
      const hash = reader.textHash(PLUS, HASH)
      if (hash < 0) return false
      this.filterHashes.push(hash)
      skipNumbers(reader, 2)
    }
    return true
  }
}

function skipNumbers(reader: ByteReader, count: number): void {
  for (let left = count; left > 0; left -= 1) reader.varint()
}

/** Reads chunks of the session's queue; their messages are loaded when they are due. */
export function queueLoader(state: BrokerState, session: Session): ChunkLoader {
  return {
    loadChunk: (chunk) => {
      const row = state.ports.store.get('queues', chunkKey(session.number, chunk))
      if (row === undefined) {
        throw new StoreError('STORE_CORRUPT', `chunk ${chunk} of the queue of session ${session.number} is missing`)
      }
      return readChunkRow(row, state.ledger)
    },
  }
}

/** The copies of a chunk of a queue, oldest first. */
export function readChunkRow(row: Uint8Array, ledger: CopyAccounts): readonly Copy[] {
  const reader = new ByteReader(row)
  const copies = readList(reader, (each) => readCopy(each, ledger))
  assert(reader.isAtEnd, 'a chunk of a queue is read to its end')
  return copies
}

function readList<T>(reader: ByteReader, read: (reader: ByteReader) => T): T[] {
  const items: T[] = []
  for (let left = reader.varint(); left > 0; left -= 1) items.push(read(reader))
  return items
}

function readNumber(reader: ByteReader): number {
  return reader.varint()
}

function readFormerShare(reader: ByteReader): [number, { shareName: string; topicFilter: string }] {
  return [reader.varint(), { shareName: reader.text(), topicFilter: reader.text() }]
}

function readLost(reader: ByteReader): [(typeof DROP_REASONS)[number], number] {
  const reason = DROP_REASONS[reader.u8()]
  assert(reason !== undefined, 'stored drop reason is known')
  return [reason, reader.varint()]
}

function writeCopy(writer: ByteWriter, copy: Copy): void {
  writer.varint(copy.messageId)
  writeTerms(writer, copy, copy.packetId, copy.state === 'released' ? 0 : (copy.account?.number ?? 0))
  writer.varint(copy.byteLength)
}

function readCopy(reader: ByteReader, ledger: CopyAccounts): Copy {
  const messageId = reader.varint()
  const { terms, packetId, account } = readTerms(reader)
  const copy = new Copy(messageId, null, terms, reader.varint(), ledger.ofStoredCopy(Math.max(0, account)))
  copy.packetId = packetId
  return copy
}

function readInflight(reader: ByteReader, ledger: CopyAccounts): Copy {
  const copy = readCopy(reader, ledger)
  copy.deliverySequence = reader.varint()
  const state: CopyState = reader.u8() === 1 ? 'released' : 'sent'
  copy.state = state
  return copy
}

/** Every copy of a durable session that is neither done nor released, from disk where it must be. */
export function* durableCopies(state: BrokerState): IterableIterator<Copy> {
  for (const session of state.sessionsByNumber.values()) {
    if (!session.isDurable) continue
    for (const copy of session.inflight.inOrder()) if (copy.state === 'sent') yield copy
    yield* session.queue.inMemory()
    const loader = queueLoader(state, session)
    for (let chunk = session.queue.firstChunk; chunk < session.queue.nextChunk; chunk += 1) {
      yield* loader.loadChunk(chunk)
    }
  }
}
