/**
 * Session State of one client [v5 4.1]: subscriptions, copies in flight and waiting, received QoS 2 packet ids, Will.
 * Data with small operations that keep it consistent; who changes it, and what is written about that, is decided in
 * `deliver.ts`, `publish.ts`, `connect.ts` and replayed in `replay.ts` through the same operations.
 */
import { assert } from '../base/assert.js'
import { type DropReason, nextPacketId, PACKET_ID_MAX, type QoS, type WillMessage } from '../protocol/packets.js'
import type { ClientConnection } from './connection.js'
import { DeliveryQueue } from './delivery-queue.js'
import { InflightTable } from './inflight-table.js'
import type { Account } from './ledger/account.js'
import type { Copy } from './message.js'
import { type PacketIds, PacketIdSet } from './packet-id-set.js'
import type { Matches } from './topic-tree.js'

export interface SessionSubscription {
  readonly session: Session
  readonly topicFilter: string
  readonly shareName: string | null
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  /** 0: none. */
  readonly subscriptionIdentifier: number
  /** Unique in the session, from 1. */
  readonly subscriptionNumber: number
  /** Of the topic tree. */
  alone: Matches<Session> | null
}

/** What others may ask; what changes it goes through the session. */
export type Inflight = Pick<InflightTable, 'size' | 'get' | 'has' | 'inOrder'>

const NO_RECEIPTS: PacketIds = new PacketIdSet()
const NO_INFLIGHT: Inflight = new InflightTable()
const NO_SUBSCRIPTIONS: readonly SessionSubscription[] = []

export class Session {
  readonly number: number
  readonly clientId: string
  readonly username: string | null
  /** Facts about it are written to the journal: it outlives its connection, or has a Will that must. */
  isDurable: boolean
  /** Its end is written; what it still holds is being purged. */
  hasEnded = false
  connection: ClientConnection | null = null
  /** The account of the ledger that was used for it last. */
  account: Account | null = null
  /** In the journal's view: there was a connection. After a restart it is gone, and the Will is due. */
  isConnected = false
  sessionExpiryIntervalSec = 0
  disconnectedAtMs = 0
  /** The connection goes on with what an earlier one began, whose last answers may have got lost. */
  isResumed = false
  will: WillMessage | null = null
  /** When the Will fires unless the client comes back; 0: not due. */
  willDueAtMs = 0
  readonly queue: DeliveryQueue
  nextDeliverySequence = 1
  nextSubscriptionNumber = 1
  /** Most sessions have one: a Map for it would cost more than all the rest of it. */
  #subscriptions: SessionSubscription | Map<string, SessionSubscription> | null = null
  #inflight: InflightTable | null = null
  #receipts: PacketIdSet | null = null
  #nextPacketId = 1
  /** Subscription numbers whose retained messages have not all been sent; null: none. */
  retainedPending: Set<number> | null = null
  /** Share groups it was in when it ended, by subscription number. */
  formerShares: Map<number, { shareName: string; topicFilter: string }> | null = null
  /** Copies lost since the client was last told, by reason. */
  lost: Map<DropReason, number> | null = null
  /** Journal record as of which its row is on disk; 0: no row. */
  rowRecord = 0
  /** Chunks before this one are gone from disk too. */
  rowFirstChunk = 1
  /** First record with a fact that the row lacks; 0: none. */
  dirtySince = 0

  constructor(number: number, clientId: string, username: string | null, isDurable: boolean, windowCopies: number) {
    this.number = number
    this.clientId = clientId
    this.username = username
    this.isDurable = isDurable
    this.queue = new DeliveryQueue(windowCopies)
  }

  /** In the order in which they came. */
  get subscriptions(): Iterable<SessionSubscription> {
    const held = this.#subscriptions
    if (held === null) return NO_SUBSCRIPTIONS
    return held instanceof Map ? held.values() : [held]
  }
  get subscriptionCount(): number {
    const held = this.#subscriptions
    if (held === null) return 0
    return held instanceof Map ? held.size : 1
  }
  get inflight(): Inflight {
    return this.#inflight ?? NO_INFLIGHT
  }
  get receipts(): PacketIds {
    return this.#receipts ?? NO_RECEIPTS
  }

  setSubscription(subscription: SessionSubscription): void {
    const held = this.#subscriptions
    if (held instanceof Map) held.set(keyOf(subscription), subscription)
    else if (held === null || keyOf(held) === keyOf(subscription)) this.#subscriptions = subscription
    else {
      this.#subscriptions = new Map([
        [keyOf(held), held],
        [keyOf(subscription), subscription],
      ])
    }
    if (subscription.subscriptionNumber >= this.nextSubscriptionNumber) {
      this.nextSubscriptionNumber = subscription.subscriptionNumber + 1
    }
  }

  removeSubscription(shareName: string | null, topicFilter: string): SessionSubscription | undefined {
    const subscription = this.findSubscription(shareName, topicFilter)
    if (subscription === undefined) return undefined
    if (this.#subscriptions instanceof Map) this.#subscriptions.delete(subscriptionKey(shareName, topicFilter))
    else this.#subscriptions = null
    return subscription
  }

  findSubscription(shareName: string | null, topicFilter: string): SessionSubscription | undefined {
    const held = this.#subscriptions
    if (held === null) return undefined
    if (held instanceof Map) return held.get(subscriptionKey(shareName, topicFilter))
    return held.topicFilter === topicFilter && held.shareName === shareName ? held : undefined
  }

  /**
   * Called when it leaves a group: what it holds for the group can then go to another member.
   * @param sharesMax the oldest is forgotten beyond that: who joins and leaves for ever must not grow.
   */
  rememberShare(shareName: string, topicFilter: string, sharesMax: number): void {
    const subscription = this.findSubscription(shareName, topicFilter)
    assert(subscription !== undefined, 'only a subscription it has is remembered')
    this.formerShares ??= new Map()
    if (this.formerShares.size >= sharesMax) {
      for (const oldest of this.formerShares.keys()) {
        this.formerShares.delete(oldest)
        break
      }
    }
    this.formerShares.set(subscription.subscriptionNumber, { shareName, topicFilter })
  }

  /** A packet id that is not in use, counting on from the last one [v5 MQTT-2.2.1-3]. */
  allocatePacketId(): number {
    const inflight = this.#inflight
    assert(inflight === null || inflight.size < PACKET_ID_MAX, 'there is a free packet id')
    let packetId = this.#nextPacketId
    while (inflight?.has(packetId)) packetId = nextPacketId(packetId)
    return packetId
  }

  /** The copy takes its packet id and its place in the gap-free delivery sequence. */
  assign(copy: Copy, packetId: number): void {
    this.#inflight ??= new InflightTable()
    copy.packetId = packetId
    copy.deliverySequence = this.nextDeliverySequence
    copy.state = 'sent'
    this.nextDeliverySequence += 1
    this.#nextPacketId = nextPacketId(packetId)
    this.#inflight.add(copy)
  }

  /** From a row: keeps the packet id and delivery sequence that the copy has. */
  restoreInflight(copy: Copy): void {
    this.#inflight ??= new InflightTable()
    this.#inflight.add(copy)
    this.#nextPacketId = nextPacketId(copy.packetId)
  }

  removeInflight(packetId: number): void {
    this.#inflight?.delete(packetId)
  }

  addReceipt(packetId: number): void {
    this.#receipts ??= new PacketIdSet()
    this.#receipts.add(packetId)
  }
  /** @returns whether it was there. */
  removeReceipt(packetId: number): boolean {
    return this.#receipts?.delete(packetId) ?? false
  }

  addLost(reason: DropReason, count: number): void {
    this.lost ??= new Map()
    this.lost.set(reason, (this.lost.get(reason) ?? 0) + count)
  }

  /** When the session ends by itself; Infinity while connected or when it never expires [v5 3.1.2.11.2]. */
  expiresAtMs(): number {
    if (this.isConnected || this.sessionExpiryIntervalSec === 0xffff_ffff) return Number.POSITIVE_INFINITY
    return this.disconnectedAtMs + this.sessionExpiryIntervalSec * 1_000
  }
}

function keyOf({ shareName, topicFilter }: SessionSubscription): string {
  return subscriptionKey(shareName, topicFilter)
}

function subscriptionKey(shareName: string | null, topicFilter: string): string {
  return shareName === null ? topicFilter : `$share/${shareName}/${topicFilter}`
}
