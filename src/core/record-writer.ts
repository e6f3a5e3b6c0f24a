/**
 * Writes facts into the record that is open. The disk's bandwidth bounds the broker, so what repeats is left out: the
 * topic of the message before, the identifier that follows the last one, and neighbouring acknowledgements, which
 * become one fact with a count. The other half is `record-reader.ts`; what a fact means stands in `facts.ts`.
 */
import { ByteWriter } from '../base/byte-writer.js'
import type { DropReason, ProducerRefusal, WillMessage } from '../protocol/packets.js'
import { DROP_REASONS } from './drop-reasons.js'
import { type SubscribedFact, writeOptionalText, writeSubscription, writeTerms, writeWill } from './fact-fields.js'
import { type FactHandler, FactType, MESSAGE_FLAG, RECORD_FORMAT, type RecordHeader } from './facts.js'
import type { Tally } from './ledger/tally.js'
import type { CopyTerms } from './message.js'
import { type ProducedFact, writeProduced, writeRefusal } from './producer-rows.js'
import { type StoredBody, writeBody, writeProperties } from './stored-body.js'

/** More than an unwritten run of facts can take. */
const RUN_BYTES_MAX = 40

/** The methods are those of `FactHandler`: what is written here is what a reader hands out. */
export class RecordWriter implements FactHandler {
  readonly #writer = new ByteWriter(4_096)
  #lastMessageId = 0
  #lastTopicName = ''
  #lastPublisher = 0
  #lastEnqueuedSession = 0
  #lastEnqueuedPacketId = 0
  #lastEnqueuedAccount = 0
  #lastHour = 0
  /** Neighbouring facts of one type about one session, not written yet. */
  #runType = 0
  #runSession = 0
  #runPacketId = 0
  #runMessageId = 0
  #runCount = 0

  /** Bytes of facts so far. */
  get length(): number {
    return this.#writer.length + (this.#runCount === 0 ? 0 : RUN_BYTES_MAX)
  }
  get isEmpty(): boolean {
    return this.#writer.length === 0 && this.#runCount === 0
  }

  message(messageId: number, body: StoredBody, account: number): void {
    this.#begin(FactType.MESSAGE)
    const writer = this.#writer
    const { topicName, payload, qos, expiresAtMs, properties } = body
    const isSameTopic = topicName === this.#lastTopicName
    let flags: number = qos
    if (isSameTopic) flags |= MESSAGE_FLAG.SAME_TOPIC
    if (expiresAtMs !== 0) flags |= MESSAGE_FLAG.EXPIRES
    if (properties !== null) flags |= MESSAGE_FLAG.PROPERTIES
    if (account !== this.#lastPublisher) flags |= MESSAGE_FLAG.ACCOUNT
    writer.u8(flags)
    // 0: an older message again, by its own id.
    writer.varint(messageId > this.#lastMessageId ? messageId - this.#lastMessageId : 0)
    if (messageId <= this.#lastMessageId) writer.varint(messageId)
    if (account !== this.#lastPublisher) writer.varint(account)
    if (!isSameTopic) writer.text(topicName)
    writer.bytes(payload)
    if (expiresAtMs !== 0) writer.varint(expiresAtMs)
    if (properties !== null) writeProperties(writer, properties)
    this.#lastMessageId = messageId
    this.#lastTopicName = topicName
    this.#lastPublisher = account
  }

  enqueued(
    session: number,
    messageId: number,
    terms: CopyTerms,
    byteLength: number,
    packetId: number,
    account: number,
  ): void {
    const isSameAccount = account === this.#lastEnqueuedAccount
    this.#lastEnqueuedAccount = account
    const isCurrent = messageId === this.#lastMessageId
    const isNext =
      packetId !== 0 && session === this.#lastEnqueuedSession && packetId === this.#lastEnqueuedPacketId + 1
    const isPlain = terms.subscriptionIdentifiers === null && terms.sharedSubscriptionNumber === 0 && !terms.retain
    if (packetId !== 0) {
      this.#lastEnqueuedSession = session
      this.#lastEnqueuedPacketId = packetId
    }
    if (isCurrent && isNext && isPlain && isSameAccount) {
      this.#begin(terms.qos === 1 ? FactType.ENQUEUED_NEXT_QOS_1 : FactType.ENQUEUED_NEXT_QOS_2)
      this.#writer.varint(byteLength)
      return
    }
    this.#begin(FactType.ENQUEUED)
    const writer = this.#writer
    writer.varint(session)
    writer.varint(isCurrent ? 0 : messageId)
    writeTerms(writer, terms, packetId, isSameAccount ? -1 : account)
    writer.varint(byteLength)
  }

  assigned(session: number, packetId: number): void {
    this.#run(FactType.ASSIGNED, session, packetId, 0)
  }
  acknowledged(session: number, packetId: number, messageId: number): void {
    this.#run(FactType.ACKNOWLEDGED, session, packetId, messageId)
  }
  released(session: number, packetId: number, messageId: number): void {
    this.#run(FactType.RELEASED, session, packetId, messageId)
  }
  completed(session: number, packetId: number): void {
    this.#run(FactType.COMPLETED, session, packetId, 0)
  }
  receiptAdded(session: number, packetId: number): void {
    this.#pair(FactType.RECEIPT_ADDED, session, packetId)
  }
  receiptRemoved(session: number, packetId: number): void {
    this.#run(FactType.RECEIPT_REMOVED, session, packetId, 0)
  }
  dropped(session: number, messageId: number, reason: DropReason): void {
    this.#pair(FactType.DROPPED, session, messageId)
    this.#writer.u8(DROP_REASONS.indexOf(reason))
  }
  lost(session: number, reason: DropReason, account: number, byteLength: number): void {
    this.#pair(FactType.LOST, session, DROP_REASONS.indexOf(reason))
    this.#writer.varint(account)
    this.#writer.varint(byteLength)
  }
  moved(session: number, messageId: number): void {
    this.#pair(FactType.MOVED, session, messageId)
  }
  droppedInflight(session: number, packetId: number, messageId: number, reason: DropReason): void {
    this.#pair(FactType.DROPPED_INFLIGHT, session, packetId)
    this.#writer.varint(messageId)
    this.#writer.u8(DROP_REASONS.indexOf(reason))
  }
  movedInflight(session: number, packetId: number, messageId: number): void {
    this.#pair(FactType.MOVED_INFLIGHT, session, packetId)
    this.#writer.varint(messageId)
  }
  sessionOpened(session: number, clientId: string, username: string | null): void {
    this.#begin(FactType.SESSION_OPENED)
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
    this.#begin(FactType.SUBSCRIBED)
    this.#writer.varint(session)
    writeSubscription(this.#writer, subscription)
  }
  unsubscribed(session: number, shareName: string | null, topicFilter: string): void {
    this.#begin(FactType.UNSUBSCRIBED)
    this.#writer.varint(session)
    writeOptionalText(this.#writer, shareName)
    this.#writer.text(topicFilter)
  }
  willCleared(session: number): void {
    this.#begin(FactType.WILL_CLEARED)
    this.#writer.varint(session)
  }
  retainedSet(body: StoredBody): void {
    this.#begin(FactType.RETAINED_SET)
    writeBody(this.#writer, body)
  }
  retainedCleared(topicName: string): void {
    this.#begin(FactType.RETAINED_CLEARED)
    this.#writer.text(topicName)
  }
  retainedSent(session: number, subscriptionNumber: number): void {
    this.#pair(FactType.RETAINED_SENT, session, subscriptionNumber)
  }
  producerOpened(producerId: Uint8Array, epoch: number, username: string | null): void {
    this.#begin(FactType.PRODUCER_OPENED)
    this.#writer.bytes(producerId)
    this.#writer.varint(epoch)
    writeOptionalText(this.#writer, username)
  }
  produced(producerId: Uint8Array, produced: ProducedFact): void {
    this.#begin(FactType.PRODUCED)
    this.#writer.bytes(producerId)
    writeProduced(this.#writer, produced)
  }
  producerRefused(producerId: Uint8Array, refusal: ProducerRefusal): void {
    this.#begin(FactType.PRODUCER_REFUSED)
    this.#writer.bytes(producerId)
    writeRefusal(this.#writer, refusal)
  }
  producerConfirmed(producerId: Uint8Array, sequence: number): void {
    this.#begin(FactType.PRODUCER_CONFIRMED)
    this.#writer.bytes(producerId)
    this.#writer.varint(sequence)
  }
  keyUsed(key: Uint8Array, content: Uint8Array, atMs: number): void {
    this.#begin(FactType.KEY_USED)
    this.#writer.bytes(key)
    this.#writer.bytes(content)
    this.#writer.varint(atMs)
  }

  ledgerAccount(account: number, clientId: string, topicClass: string, isTransient: boolean): void {
    this.#begin(FactType.LEDGER_ACCOUNT)
    this.#writer.varint(account)
    this.#writer.text(clientId)
    this.#writer.text(topicClass)
    this.#writer.u8(isTransient ? 1 : 0)
  }
  ledger(hour: number, account: number, tally: Tally): void {
    // 0: the hour of the fact before; a record has one.
    this.#pair(FactType.LEDGER, hour === this.#lastHour ? 0 : hour, account)
    this.#lastHour = hour
    tally.write(this.#writer)
  }
  hourClosed(hour: number, digest: Uint8Array): void {
    this.#begin(FactType.HOUR_CLOSED)
    this.#writer.varint(hour)
    this.#writer.bytes(digest)
  }

  /** The finished record; the writer starts the next one. */
  seal(header: RecordHeader): Uint8Array {
    this.#flushRun()
    const facts = this.#writer.take()
    const head = new ByteWriter(48)
    head.u8(RECORD_FORMAT)
    head.varint(header.atMs)
    head.varint(header.nextMessageId)
    head.varint(header.nextSessionNumber)
    head.varint(header.producers)
    head.varint(header.nextAccountNumber)
    head.varint(header.durableAtMs)
    const front = head.take()
    const record = new Uint8Array(front.length + facts.length)
    record.set(front)
    record.set(facts, front.length)
    this.#lastMessageId = 0
    this.#lastTopicName = ''
    this.#lastPublisher = 0
    this.#lastEnqueuedSession = 0
    this.#lastEnqueuedPacketId = 0
    this.#lastEnqueuedAccount = 0
    this.#lastHour = 0
    return record
  }

  #begin(type: number): void {
    if (this.#runCount > 0) this.#flushRun()
    this.#writer.u8(type)
  }

  /** @param messageId 0: facts of this type name no message. */
  #run(type: number, session: number, packetId: number, messageId: number): void {
    const count = this.#runCount
    if (
      count > 0 &&
      type === this.#runType &&
      session === this.#runSession &&
      packetId === this.#runPacketId + count &&
      (messageId === 0 || messageId === this.#runMessageId + count)
    ) {
      this.#runCount = count + 1
      return
    }
    if (count > 0) this.#flushRun()
    this.#runType = type
    this.#runSession = session
    this.#runPacketId = packetId
    this.#runMessageId = messageId
    this.#runCount = 1
  }

  #flushRun(): void {
    if (this.#runCount === 0) return
    const writer = this.#writer
    writer.u8(this.#runType)
    writer.varint(this.#runSession)
    writer.varint(this.#runPacketId)
    if (this.#runMessageId !== 0) writer.varint(this.#runMessageId)
    writer.varint(this.#runCount)
    this.#runCount = 0
  }

  #pair(type: number, first: number, second: number): void {
    this.#begin(type)
    this.#writer.varint(first)
    this.#writer.varint(second)
  }
}
