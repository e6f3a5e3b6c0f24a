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
import type { DropReason, QoS, WillMessage } from '../protocol/packets.js'
import type { CopyTerms } from './message.js'
import { readBody, readProperties, readQoS, type StoredBody, writeBody, writeProperties } from './stored-body.js'

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

export interface SubscribedFact {
  readonly shareName: string | null
  readonly topicFilter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  readonly subscriptionIdentifier: number
  readonly subscriptionNumber: number
  /** Retained messages are still to be sent for it. */
  readonly isRetainedPending: boolean
}

export const DROP_REASONS: readonly DropReason[] = [
  'expired',
  'queue-full',
  'not-authorized',
  'too-large',
  'slow-consumer',
  'session-ended',
  'offline',
]

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

const TERMS = { RETAIN: 4, IDENTIFIERS: 8, SHARED: 16, ASSIGNED: 32 } as const

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

export function writeTerms(writer: ByteWriter, terms: CopyTerms, packetId: number): void {
  let flags: number = terms.qos
  if (terms.retain) flags |= TERMS.RETAIN
  if (terms.subscriptionIdentifiers !== null) flags |= TERMS.IDENTIFIERS
  if (terms.sharedSubscriptionNumber !== 0) flags |= TERMS.SHARED
  if (packetId !== 0) flags |= TERMS.ASSIGNED
  writer.u8(flags)
  if (packetId !== 0) writer.varint(packetId)
  if (terms.sharedSubscriptionNumber !== 0) writer.varint(terms.sharedSubscriptionNumber)
  if (terms.subscriptionIdentifiers === null) return
  writer.varint(terms.subscriptionIdentifiers.length)
  for (const identifier of terms.subscriptionIdentifiers) writer.varint(identifier)
}

export function readTerms(reader: ByteReader): { terms: CopyTerms; packetId: number } {
  const flags = reader.u8()
  const qos = flags & 3
  assert(qos === 1 || qos === 2, 'a stored copy has QoS 1 or 2')
  const packetId = flags & TERMS.ASSIGNED ? reader.varint() : 0
  const sharedSubscriptionNumber = flags & TERMS.SHARED ? reader.varint() : 0
  let subscriptionIdentifiers: number[] | null = null
  if (flags & TERMS.IDENTIFIERS) {
    subscriptionIdentifiers = Array.from({ length: reader.varint() }, () => reader.varint())
  }
  const retain = (flags & TERMS.RETAIN) !== 0
  return { terms: { qos, retain, subscriptionIdentifiers, sharedSubscriptionNumber }, packetId }
}

const SUBSCRIPTION = { NO_LOCAL: 4, RETAIN_AS_PUBLISHED: 8, SHARED: 64, RETAINED_PENDING: 128 } as const

export function writeSubscription(writer: ByteWriter, subscription: SubscribedFact): void {
  let flags: number = subscription.qos | (subscription.retainHandling << 4)
  if (subscription.noLocal) flags |= SUBSCRIPTION.NO_LOCAL
  if (subscription.retainAsPublished) flags |= SUBSCRIPTION.RETAIN_AS_PUBLISHED
  if (subscription.shareName !== null) flags |= SUBSCRIPTION.SHARED
  if (subscription.isRetainedPending) flags |= SUBSCRIPTION.RETAINED_PENDING
  writer.u8(flags)
  if (subscription.shareName !== null) writer.text(subscription.shareName)
  writer.text(subscription.topicFilter)
  writer.varint(subscription.subscriptionIdentifier)
  writer.varint(subscription.subscriptionNumber)
}

export function readSubscription(reader: ByteReader): SubscribedFact {
  const flags = reader.u8()
  const retainHandling = (flags >> 4) & 3
  assert(retainHandling !== 3, 'stored Retain Handling is 0, 1 or 2')
  return {
    qos: readQoS(flags & 3),
    noLocal: (flags & SUBSCRIPTION.NO_LOCAL) !== 0,
    retainAsPublished: (flags & SUBSCRIPTION.RETAIN_AS_PUBLISHED) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
    isRetainedPending: (flags & SUBSCRIPTION.RETAINED_PENDING) !== 0,
    shareName: flags & SUBSCRIPTION.SHARED ? reader.text() : null,
    topicFilter: reader.text(),
    subscriptionIdentifier: reader.varint(),
    subscriptionNumber: reader.varint(),
  }
}

export function writeWill(writer: ByteWriter, will: WillMessage | null): void {
  writer.u8(will === null ? 0 : 1)
  if (will === null) return
  const { willDelayIntervalSec, ...properties } = will.properties
  writer.text(will.topicName)
  writer.bytes(will.payload)
  writer.u8(will.qos | (will.retain ? 4 : 0))
  writer.varint(willDelayIntervalSec ?? 0)
  writeProperties(writer, properties)
}

export function readWill(reader: ByteReader): WillMessage | null {
  if (reader.u8() === 0) return null
  const topicName = reader.text()
  const payload = reader.bytes()
  const flags = reader.u8()
  const willDelayIntervalSec = reader.varint()
  const properties = { ...readProperties(reader), willDelayIntervalSec }
  return { topicName, payload, qos: readQoS(flags & 3), retain: (flags & 4) !== 0, properties }
}

export function writeOptionalText(writer: ByteWriter, text: string | null): void {
  writer.u8(text === null ? 0 : 1)
  if (text !== null) writer.text(text)
}

export function readOptionalText(reader: ByteReader): string | null {
  return reader.u8() === 0 ? null : reader.text()
}

function readDropReason(index: number): DropReason {
  const reason = DROP_REASONS[index]
  assert(reason !== undefined, 'stored drop reason is known')
  return reason
}
