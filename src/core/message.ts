/**
 * A stored message (QoS 1 or 2) and the copies of it that sessions hold. The body is kept once; a copy says how one
 * session gets it and how far its delivery has come. Bodies of old messages are only on disk: see `message-table.ts`.
 */
import type { Publication, WireCache } from '../protocol/codec.js'
import type { PublishProperties, QoS } from '../protocol/packets.js'
import type { Account } from './ledger/account.js'

const NO_BYTES = new Uint8Array(0)

export class Message implements Publication {
  readonly messageId: number
  readonly topicName: string
  payload: Uint8Array
  properties: PublishProperties | null
  readonly qos: QoS
  /** 0: never. */
  readonly expiresAtMs: number
  wire: WireCache | null = null
  /** Copies in durable sessions that are not done yet. Copies in other sessions keep the object alive, nothing more. */
  references = 0
  /** Journal record that holds the message. */
  bornRecord = 0
  /** 'young': only in the journal · 'sealed': its row is in the commit under way · 'stored': its row is on disk. */
  row: 'young' | 'sealed' | 'stored' = 'young'
  /** The body has been given up because the row has it. */
  isEvicted = false
  /** A session without rows needs the body, and the row may go before that session does. */
  isKept = false

  constructor(
    messageId: number,
    topicName: string,
    payload: Uint8Array,
    properties: PublishProperties | null,
    qos: QoS,
    expiresAtMs: number,
  ) {
    this.messageId = messageId
    this.topicName = topicName
    this.payload = payload
    this.properties = properties
    this.qos = qos
    this.expiresAtMs = expiresAtMs
  }

  /** What the queue's byte bound counts. */
  get byteLength(): number {
    return this.payload.length + this.topicName.length
  }

  evict(): void {
    if (this.isKept) return
    this.payload = NO_BYTES
    this.properties = null
    this.wire = null
    this.isEvicted = true
  }

  /** Replaces a view of a network chunk by bytes of its own, so that a waiting message does not pin the chunk. */
  compact(): void {
    if (this.payload.byteLength < this.payload.buffer.byteLength) this.payload = this.payload.slice()
  }

  isExpired(nowMs: number): boolean {
    return this.expiresAtMs !== 0 && nowMs >= this.expiresAtMs
  }
}

/**
 * 'queued': waits for quota · 'sent': PUBLISH may be on the wire · 'released': PUBREC came, PUBREL is due [v5 4.3.3].
 */
export type CopyState = 'queued' | 'sent' | 'released'

export class Copy {
  readonly messageId: number
  /** null: not loaded, or (state 'released') not needed any more. */
  message: Message | null
  readonly qos: 1 | 2
  readonly retain: boolean
  readonly subscriptionIdentifiers: readonly number[] | null
  /** Number of the shared subscription it came through, 0: none. */
  readonly sharedSubscriptionNumber: number
  readonly byteLength: number
  /** Where it is counted; null: it came while nothing was counted. */
  readonly account: Account | null
  state: CopyState = 'queued'
  packetId = 0
  deliverySequence = 0
  /** Sent on the connection that is up now: counts against the client's Receive Maximum. */
  isOnWire = false

  constructor(messageId: number, message: Message | null, how: CopyTerms, byteLength: number, account: Account | null) {
    this.messageId = messageId
    this.message = message
    this.qos = how.qos
    this.retain = how.retain
    this.subscriptionIdentifiers = how.subscriptionIdentifiers
    this.sharedSubscriptionNumber = how.sharedSubscriptionNumber
    this.byteLength = byteLength
    this.account = account
  }
}

export interface CopyTerms {
  readonly qos: 1 | 2
  readonly retain: boolean
  readonly subscriptionIdentifiers: readonly number[] | null
  readonly sharedSubscriptionNumber: number
}

/** Of most copies: nothing but a QoS. */
export const PLAIN_TERMS: Readonly<Record<1 | 2, CopyTerms>> = {
  1: { qos: 1, retain: false, subscriptionIdentifiers: null, sharedSubscriptionNumber: 0 },
  2: { qos: 2, retain: false, subscriptionIdentifiers: null, sharedSubscriptionNumber: 0 },
}

/** Nothing but a QoS? */
export function isPlain({ retain, subscriptionIdentifiers, sharedSubscriptionNumber }: CopyTerms): boolean {
  return !retain && subscriptionIdentifiers === null && sharedSubscriptionNumber === 0
}

/** A QoS 0 message on its way: never stored. */
export class TransientPublication implements Publication {
  readonly messageId = 0
  wire: WireCache | null = null
  readonly topicName: string
  readonly payload: Uint8Array
  readonly properties: PublishProperties | null

  constructor(topicName: string, payload: Uint8Array, properties: PublishProperties | null) {
    this.topicName = topicName
    this.payload = payload
    this.properties = properties
  }
}
