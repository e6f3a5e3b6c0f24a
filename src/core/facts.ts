/**
 * The facts a journal record is made of. A record is all that happened between two commits; `record-writer.ts` and
 * `record-reader.ts` are its two halves. Reading one consults neither clock nor chance, so replaying it gives the same
 * state everywhere.
 *
 * Record: [format u8][atMs][nextMessageId][nextSessionNumber], since format 2 [producers][nextAccountNumber]
 * [durableAtMs], then facts, each [type u8][fields].
 */
import type { DropReason, ProducerRefusal, WillMessage } from '../protocol/packets.js'
import type { SubscribedFact } from './fact-fields.js'
import type { Tally } from './ledger/tally.js'
import type { CopyTerms } from './message.js'
import type { ProducedFact } from './producer-rows.js'
import type { StoredBody } from './stored-body.js'

/** This build reads every format from 1 on; new in 2: facts about producers, idempotency keys and the ledger. */
export const RECORD_FORMAT = 2

export const FactType = {
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
  ENQUEUED_NEXT_QOS_1: 22,
  ENQUEUED_NEXT_QOS_2: 23,
  PRODUCER_OPENED: 28,
  PRODUCED: 29,
  PRODUCER_REFUSED: 30,
  PRODUCER_CONFIRMED: 31,
  KEY_USED: 32,
  LEDGER_ACCOUNT: 24,
  LEDGER: 25,
  HOUR_CLOSED: 26,
  DROPPED_INFLIGHT: 40,
  MOVED_INFLIGHT: 41,
} as const

/** What happens to each fact of a record, in order. Sessions go by their number. */
export interface FactHandler {
  /** @param account of its publisher; 0: nobody publishes it now, or nothing is counted. */
  message(messageId: number, body: StoredBody, account: number): void
  /** A copy of `messageId`; `packetId` 0: it waits in the queue, else it is in flight under that id. */
  enqueued(
    session: number,
    messageId: number,
    terms: CopyTerms,
    byteLength: number,
    packetId: number,
    account: number,
  ): void
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
  lost(session: number, reason: DropReason, account: number, byteLength: number): void
  /** The head of the queue left for another member of its share group. */
  moved(session: number, messageId: number): void
  /** A copy in flight ended: the client takes less than it once did. */
  droppedInflight(session: number, packetId: number, messageId: number, reason: DropReason): void
  /** A copy in flight left for another member of its share group. */
  movedInflight(session: number, packetId: number, messageId: number): void
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
  /** `epoch` 1: it is new. */
  producerOpened(producerId: Uint8Array, epoch: number, username: string | null): void
  /** After all messages of the record: where the producer stands now. */
  produced(producerId: Uint8Array, produced: ProducedFact): void
  producerRefused(producerId: Uint8Array, refusal: ProducerRefusal): void
  /** Refusals up to `sequence` are forgotten. */
  producerConfirmed(producerId: Uint8Array, sequence: number): void
  /** An idempotency key stands for this content from `atMs` on; both are hashes of 16 bytes. */
  keyUsed(key: Uint8Array, content: Uint8Array, atMs: number): void
  ledgerAccount(account: number, clientId: string, topicClass: string, isTransient: boolean): void
  /** What the facts of this record come to in one account, and the hour they belong to. */
  ledger(hour: number, account: number, tally: Tally): void
  hourClosed(hour: number, digest: Uint8Array): void
}

/** What a MESSAGE fact leaves out. */
export const MESSAGE_FLAG = { SAME_TOPIC: 4, EXPIRES: 8, PROPERTIES: 16, ACCOUNT: 32 } as const

export interface RecordHeader {
  readonly atMs: number
  readonly nextMessageId: number
  readonly nextSessionNumber: number
  /** Producers that were ever opened. */
  readonly producers: number
  readonly nextAccountNumber: number
  /** When the commit of the record before was done; 0: not known, as after a restart. */
  readonly durableAtMs: number
}
