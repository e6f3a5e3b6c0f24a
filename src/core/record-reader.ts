/** Reads a journal record and hands its facts to a handler, in order. The other half is `record-writer.ts`. */
import { assert } from '../base/assert.js'
import { ByteReader } from '../base/byte-reader.js'
import { readDropReason, readOptionalText, readSubscription, readTerms, readWill } from './fact-fields.js'
import { type FactHandler, FactType, MESSAGE_FLAG, RECORD_FORMAT, type RecordHeader } from './facts.js'
import { Tally } from './ledger/tally.js'
import { PLAIN_TERMS } from './message.js'
import { readProduced, readRefusal } from './producer-rows.js'
import { readBody, readProperties, readQoS } from './stored-body.js'

/** Hands every fact of the record to `handler`, in order. */
export function readRecord(record: Uint8Array, handler: FactHandler): RecordHeader {
  const reader = new ByteReader(record)
  const format = reader.u8()
  const isKnown = format >= 1 && format <= RECORD_FORMAT
  assert(isKnown, `journal record of format ${format}: this build reads 1 to ${RECORD_FORMAT}`)
  const header = readHeader(reader, format)
  const last: LastFacts = {
    hasLedger: format > 1,
    messageId: 0,
    topicName: '',
    publisher: 0,
    session: 0,
    packetId: 0,
    account: 0,
    hour: 0,
  }
  while (!reader.isAtEnd) {
    const type = reader.u8()
    if (type === FactType.MESSAGE) readMessage(reader, last, handler)
    else if (type === FactType.ENQUEUED) readEnqueued(reader, last, handler)
    else if (type === FactType.ENQUEUED_NEXT_QOS_1) readEnqueuedNext(1, reader, last, handler)
    else if (type === FactType.ENQUEUED_NEXT_QOS_2) readEnqueuedNext(2, reader, last, handler)
    else if (readRun(type, reader, handler) || readCopyFact(type, reader, last, handler)) continue
    else if (readLedgerFact(type, reader, last, handler) || readProducerFact(type, reader, handler)) continue
    else readOtherFact(type, reader, handler)
  }
  return header
}

function readHeader(reader: ByteReader, format: number): RecordHeader {
  const counters = { atMs: reader.varint(), nextMessageId: reader.varint(), nextSessionNumber: reader.varint() }
  if (format === 1) return { ...counters, producers: 0, nextAccountNumber: 1, durableAtMs: 0 }
  const producers = reader.varint()
  return { ...counters, producers, nextAccountNumber: reader.varint(), durableAtMs: reader.varint() }
}

/** What the facts so far let the next ones leave out. */
interface LastFacts {
  readonly hasLedger: boolean
  messageId: number
  topicName: string
  publisher: number
  session: number
  packetId: number
  account: number
  hour: number
}

function readMessage(reader: ByteReader, last: LastFacts, handler: FactHandler): void {
  const flags = reader.u8()
  const step = reader.varint()
  last.messageId = step === 0 ? reader.varint() : last.messageId + step
  if (flags & MESSAGE_FLAG.ACCOUNT) last.publisher = reader.varint()
  if (!(flags & MESSAGE_FLAG.SAME_TOPIC)) last.topicName = reader.text()
  const payload = reader.bytes()
  const expiresAtMs = flags & MESSAGE_FLAG.EXPIRES ? reader.varint() : 0
  const properties = flags & MESSAGE_FLAG.PROPERTIES ? readProperties(reader) : null
  const { messageId, topicName, publisher } = last
  handler.message(messageId, { topicName, payload, qos: readQoS(flags & 3), expiresAtMs, properties }, publisher)
}

function readEnqueued(reader: ByteReader, last: LastFacts, handler: FactHandler): void {
  const session = reader.varint()
  const ownMessageId = reader.varint()
  const { terms, packetId, account } = readTerms(reader)
  const byteLength = reader.varint()
  if (account >= 0) last.account = account
  if (packetId !== 0) {
    last.session = session
    last.packetId = packetId
  }
  const messageId = ownMessageId === 0 ? last.messageId : ownMessageId
  handler.enqueued(session, messageId, terms, byteLength, packetId, last.account)
}

function readEnqueuedNext(qos: 1 | 2, reader: ByteReader, last: LastFacts, handler: FactHandler): void {
  last.packetId += 1
  handler.enqueued(last.session, last.messageId, PLAIN_TERMS[qos], reader.varint(), last.packetId, last.account)
}

function readRun(type: number, reader: ByteReader, handler: FactHandler): boolean {
  const hasMessage = type === FactType.ACKNOWLEDGED || type === FactType.RELEASED
  const isRun = hasMessage || type === FactType.ASSIGNED || type === FactType.COMPLETED
  if (!isRun && type !== FactType.RECEIPT_REMOVED) return false
  const session = reader.varint()
  const packetId = reader.varint()
  const messageId = hasMessage ? reader.varint() : 0
  const count = reader.varint()
  for (let step = 0; step < count; step += 1) {
    if (type === FactType.ACKNOWLEDGED) handler.acknowledged(session, packetId + step, messageId + step)
    else if (type === FactType.RELEASED) handler.released(session, packetId + step, messageId + step)
    else if (type === FactType.ASSIGNED) handler.assigned(session, packetId + step)
    else if (type === FactType.COMPLETED) handler.completed(session, packetId + step)
    else handler.receiptRemoved(session, packetId + step)
  }
  return true
}

/** Facts of the form [session][number]…, about copies and receipts. */
function readCopyFact(type: number, reader: ByteReader, { hasLedger }: LastFacts, handler: FactHandler): boolean {
  switch (type) {
    case FactType.RECEIPT_ADDED:
      handler.receiptAdded(reader.varint(), reader.varint())
      return true
    case FactType.DROPPED:
      handler.dropped(reader.varint(), reader.varint(), readDropReason(reader.u8()))
      return true
    case FactType.LOST: {
      const session = reader.varint()
      const reason = readDropReason(reader.varint())
      handler.lost(session, reason, hasLedger ? reader.varint() : 0, hasLedger ? reader.varint() : 0)
      return true
    }
    case FactType.MOVED:
      handler.moved(reader.varint(), reader.varint())
      return true
    case FactType.DROPPED_INFLIGHT:
      handler.droppedInflight(reader.varint(), reader.varint(), reader.varint(), readDropReason(reader.u8()))
      return true
    case FactType.MOVED_INFLIGHT:
      handler.movedInflight(reader.varint(), reader.varint(), reader.varint())
      return true
    default:
      return false
  }
}

function readLedgerFact(type: number, reader: ByteReader, last: LastFacts, handler: FactHandler): boolean {
  switch (type) {
    case FactType.LEDGER_ACCOUNT:
      handler.ledgerAccount(reader.varint(), reader.text(), reader.text(), reader.u8() === 1)
      return true
    case FactType.LEDGER: {
      const hour = reader.varint()
      if (hour !== 0) last.hour = hour
      handler.ledger(last.hour, reader.varint(), Tally.read(reader))
      return true
    }
    case FactType.HOUR_CLOSED:
      handler.hourClosed(reader.varint(), reader.bytes())
      return true
    default:
      return false
  }
}

function readProducerFact(type: number, reader: ByteReader, handler: FactHandler): boolean {
  switch (type) {
    case FactType.PRODUCER_OPENED:
      handler.producerOpened(reader.bytes(), reader.varint(), readOptionalText(reader))
      return true
    case FactType.PRODUCED:
      handler.produced(reader.bytes(), readProduced(reader))
      return true
    case FactType.PRODUCER_REFUSED:
      handler.producerRefused(reader.bytes(), readRefusal(reader))
      return true
    case FactType.PRODUCER_CONFIRMED:
      handler.producerConfirmed(reader.bytes(), reader.varint())
      return true
    case FactType.KEY_USED:
      handler.keyUsed(reader.bytes(), reader.bytes(), reader.varint())
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
