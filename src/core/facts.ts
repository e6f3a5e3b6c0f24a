/**
 * The facts a journal record is made of: each with the function that writes it and, below, the one reader that hands
 * them out again in order. A record is all that happened between two commits. Reading one consults neither clock nor
 * chance, so replaying it gives the same state everywhere.
 *
 * Record: [format u8][atMs][nextMessageId][nextSessionNumber] then facts, each [type u8][fields].
 */
import { assert } from '../base/assert.js'
import { ByteReader } from '../base/byte-reader.js'
import { ByteWriter } from '../base/byte-writer.js'
import type { DropReason, WillMessage } from '../protocol/packets.js'
import {
  DROP_REASONS,
  readDropReason,
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
import type { CopyTerms } from './message.js'
import { readBody, type StoredBody, writeBody } from './stored-body.js'

export const RECORD_FORMAT = 1

const FactType = {
  MESSAGE: 1,
  ENQUEUED: 2,
  ASSIGNED: 3,
  ACKNOWLEDGED: 4,
  RELEASED: 5,
  COMPLETED: 6,
  RECEIPT_ADDED: 7,
  RECEIPT_REMOVED: 8,
  DROPPED: 9,
  LOST: 10,
  MOVED: 11,
  SESSION_OPENED: 12,
  SESSION_CONNECTED: 13,
  SESSION_DISCONNECTED: 14,
  SESSION_ENDED: 15,
  SUBSCRIBED: 16,
  UNSUBSCRIBED: 17,
  WILL_CLEARED: 18,
  RETAINED_SET: 19,
  RETAINED_CLEARED: 20,
  RETAINED_SENT: 21,
} as const

/** What happens to each fact of a record, in order. Sessions go by their number. */
export interface FactHandler {
  message(messageId: number, body: StoredBody): void
  /** A copy of `messageId`; `packetId` 0: it waits in the queue, else it is in flight under that id. */
  enqueued(session: number, messageId: number, terms: CopyTerms, byteLength: number, packetId: number): void
  /** The head of the queue is in flight under this id. */
  assigned(session: number, packetId: number): void
  acknowledged(session: number, packetId: number, messageId: number): void
  /** PUBREC came: the message is the client's, PUBREL is due. */
  released(session: number, packetId: number, messageId: number): void
  completed(session: number, packetId: number): void
  receiptAdded(session: number, packetId: number): void
  receiptRemoved(session: number, packetId: number): void
  /** The head of the queue ended undelivered. */
  dropped(session: number, messageId: number, reason: DropReason): void
  /** A copy never got into the queue. */
  lost(session: number, reason: DropReason): void
  /** The head of the queue left for another member of its share group. */
  moved(session: number, messageId: number): void
  sessionOpened(session: number, clientId: string, username: string | null): void
  sessionConnected(session: number, sessionExpiryIntervalSec: number, will: WillMessage | null): void
  sessionDisconnected(session: number, atMs: number, sessionExpiryIntervalSec: number, willDueAtMs: number): void
  /** `messageIds`: what was in flight and is given up. */
  sessionEnded(session: number, messageIds: readonly number[]): void
  subscribed(session: number, subscription: SubscribedFact): void
  unsubscribed(session: number, shareName: string | null, topicFilter: string): void
  willCleared(session: number): void
  retainedSet(body: StoredBody): void
  retainedCleared(topicName: string): void
  retainedSent(session: number, subscriptionNumber: number): void
}

export class RecordWriter {
  readonly #writer = new ByteWriter(4_096)
  #lastMessageId = 0

  /** Bytes of facts so far. */
  get length(): number {
    return this.#writer.length
  }
  get isEmpty(): boolean {
    return this.#writer.length === 0
  }

  message(messageId: number, body: StoredBody): void {
    this.#writer.u8(FactType.MESSAGE)
    this.#writer.varint(messageId)
    writeBody(this.#writer, body)
    this.#lastMessageId = messageId
  }

  enqueued(session: number, messageId: number, terms: CopyTerms, byteLength: number, packetId: number): void {
    const writer = this.#writer
    writer.u8(FactType.ENQUEUED)
    writer.varint(session)
    writer.varint(messageId === this.#lastMessageId ? 0 : messageId)
    writeTerms(writer, terms, packetId)
    writer.varint(byteLength)
  }

  assigned(session: number, packetId: number): void {
    this.#pair(FactType.ASSIGNED, session, packetId)
  }
  acknowledged(session: number, packetId: number, messageId: number): void {
    this.#pair(FactType.ACKNOWLEDGED, session, packetId)
    this.#writer.varint(messageId)
  }
  released(session: number, packetId: number, messageId: number): void {
    this.#pair(FactType.RELEASED, session, packetId)
    this.#writer.varint(messageId)
  }
  completed(session: number, packetId: number): void {
    this.#pair(FactType.COMPLETED, session, packetId)
  }
  receiptAdded(session: number, packetId: number): void {
    this.#pair(FactType.RECEIPT_ADDED, session, packetId)
  }
  receiptRemoved(session: number, packetId: number): void {
    this.#pair(FactType.RECEIPT_REMOVED, session, packetId)
  }
  dropped(session: number, messageId: number, reason: DropReason): void {
    this.#pair(FactType.DROPPED, session, messageId)
    this.#writer.u8(DROP_REASONS.indexOf(reason))
  }
  lost(session: number, reason: DropReason): void {
    this.#pair(FactType.LOST, session, DROP_REASONS.indexOf(reason))
  }
  moved(session: number, messageId: number): void {
    this.#pair(FactType.MOVED, session, messageId)
  }
  sessionOpened(session: number, clientId: string, username: string | null): void {
    this.#writer.u8(FactType.SESSION_OPENED)
    this.#writer.varint(session)
    this.#writer.text(clientId)
    writeOptionalText(this.#writer, username)
  }
  sessionConnected(session: number, sessionExpiryIntervalSec: number, will: WillMessage | null): void {
    this.#pair(FactType.SESSION_CONNECTED, session, sessionExpiryIntervalSec)
    writeWill(this.#writer, will)
  }
  sessionDisconnected(session: number, atMs: number, sessionExpiryIntervalSec: number, willDueAtMs: number): void {
    this.#pair(FactType.SESSION_DISCONNECTED, session, atMs)
    this.#writer.varint(sessionExpiryIntervalSec)
    this.#writer.varint(willDueAtMs)
  }
  sessionEnded(session: number, messageIds: readonly number[]): void {
    this.#pair(FactType.SESSION_ENDED, session, messageIds.length)
    for (const messageId of messageIds) this.#writer.varint(messageId)
  }
  subscribed(session: number, subscription: SubscribedFact): void {
    this.#writer.u8(FactType.SUBSCRIBED)
    this.#writer.varint(session)
    writeSubscription(this.#writer, subscription)
  }
  unsubscribed(session: number, shareName: string | null, topicFilter: string): void {
    this.#writer.u8(FactType.UNSUBSCRIBED)
    this.#writer.varint(session)
    writeOptionalText(this.#writer, shareName)
    this.#writer.text(topicFilter)
  }
  willCleared(session: number): void {
    this.#writer.u8(FactType.WILL_CLEARED)
    this.#writer.varint(session)
  }
  retainedSet(body: StoredBody): void {
    this.#writer.u8(FactType.RETAINED_SET)
    writeBody(this.#writer, body)
  }
  retainedCleared(topicName: string): void {
    this.#writer.u8(FactType.RETAINED_CLEARED)
    this.#writer.text(topicName)
  }
  retainedSent(session: number, subscriptionNumber: number): void {
    this.#pair(FactType.RETAINED_SENT, session, subscriptionNumber)
  }

  /** The finished record; the writer starts the next one. */
  seal(header: RecordHeader): Uint8Array {
    const facts = this.#writer.take()
    const head = new ByteWriter(32)
    head.u8(RECORD_FORMAT)
    head.varint(header.atMs)
    head.varint(header.nextMessageId)
    head.varint(header.nextSessionNumber)
    const front = head.take()
    const record = new Uint8Array(front.length + facts.length)
    record.set(front)
    record.set(facts, front.length)
    this.#lastMessageId = 0
    return record
  }

  #pair(type: number, first: number, second: number): void {
    this.#writer.u8(type)
    this.#writer.varint(first)
    this.#writer.varint(second)
  }
}

export interface RecordHeader {
  readonly atMs: number
  readonly nextMessageId: number
  readonly nextSessionNumber: number
}

/** Hands every fact of the record to `handler`, in order. */
export function readRecord(record: Uint8Array, handler: FactHandler): RecordHeader {
  const reader = new ByteReader(record)
  const format = reader.u8()
  assert(format === RECORD_FORMAT, `journal record of format ${format}: this build reads ${RECORD_FORMAT}`)
  const header = { atMs: reader.varint(), nextMessageId: reader.varint(), nextSessionNumber: reader.varint() }
  let messageId = 0
  while (!reader.isAtEnd) {
    const type = reader.u8()
    if (type === FactType.MESSAGE) {
      messageId = reader.varint()
      handler.message(messageId, readBody(reader))
    } else if (type === FactType.ENQUEUED) {
      readEnqueued(reader, messageId, handler)
    } else if (!readCopyFact(type, reader, handler)) {
      readOtherFact(type, reader, handler)
    }
  }
  return header
}

function readEnqueued(reader: ByteReader, lastMessageId: number, handler: FactHandler): void {
  const session = reader.varint()
  const ownMessageId = reader.varint()
  const { terms, packetId } = readTerms(reader)
  const byteLength = reader.varint()
  handler.enqueued(session, ownMessageId === 0 ? lastMessageId : ownMessageId, terms, byteLength, packetId)
}

/** Facts of the form [session][number]…, about copies and receipts. */
function readCopyFact(type: number, reader: ByteReader, handler: FactHandler): boolean {
  switch (type) {
    case FactType.ASSIGNED:
      handler.assigned(reader.varint(), reader.varint())
      return true
    case FactType.ACKNOWLEDGED:
      handler.acknowledged(reader.varint(), reader.varint(), reader.varint())
      return true
    case FactType.RELEASED:
      handler.released(reader.varint(), reader.varint(), reader.varint())
      return true
    case FactType.COMPLETED:
      handler.completed(reader.varint(), reader.varint())
      return true
    case FactType.RECEIPT_ADDED:
      handler.receiptAdded(reader.varint(), reader.varint())
      return true
    case FactType.RECEIPT_REMOVED:
      handler.receiptRemoved(reader.varint(), reader.varint())
      return true
    case FactType.DROPPED:
      handler.dropped(reader.varint(), reader.varint(), readDropReason(reader.u8()))
      return true
    case FactType.LOST:
      handler.lost(reader.varint(), readDropReason(reader.varint()))
      return true
    case FactType.MOVED:
      handler.moved(reader.varint(), reader.varint())
      return true
    default:
      return false
  }
}

function readOtherFact(type: number, reader: ByteReader, handler: FactHandler): void {
  switch (type) {
    case FactType.SESSION_OPENED:
      return handler.sessionOpened(reader.varint(), reader.text(), readOptionalText(reader))
    case FactType.SESSION_CONNECTED:
      return handler.sessionConnected(reader.varint(), reader.varint(), readWill(reader))
    case FactType.SESSION_DISCONNECTED:
      return handler.sessionDisconnected(reader.varint(), reader.varint(), reader.varint(), reader.varint())
    case FactType.SESSION_ENDED: {
      const session = reader.varint()
      const messageIds = Array.from({ length: reader.varint() }, () => reader.varint())
      return handler.sessionEnded(session, messageIds)
    }
    case FactType.SUBSCRIBED:
      return handler.subscribed(reader.varint(), readSubscription(reader))
    case FactType.UNSUBSCRIBED:
      return handler.unsubscribed(reader.varint(), readOptionalText(reader), reader.text())
    case FactType.WILL_CLEARED:
      return handler.willCleared(reader.varint())
    case FactType.RETAINED_SET:
      return handler.retainedSet(readBody(reader))
    case FactType.RETAINED_CLEARED:
      return handler.retainedCleared(reader.text())
    case FactType.RETAINED_SENT:
      return handler.retainedSent(reader.varint(), reader.varint())
    default:
      assert(false, `journal fact of unknown type ${type}`)
  }
}
