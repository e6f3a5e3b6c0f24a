/** Everything a client can grow has a bound here; each is an option of the same name under `limits` (see `config/`). */

import type { QoS } from '../protocol/packets.js'

export interface BrokerLimits {
  /** Bytes of one packet from a client. */
  readonly maximumPacketSize: number
  /** Unacknowledged QoS 1 and 2 publications the broker takes from one client. 1..65535 */
  readonly receiveMaximum: number
  /** Upper bound of what a client's own Receive Maximum opens, per session in flight. 1..65535 */
  readonly inflightMax: number
  readonly topicBytesMax: number
  readonly topicLevelsMax: number
  /** Topic aliases the broker takes from one client; 0 switches them off. */
  readonly topicAliasMaximum: number
  readonly clientIdBytesMax: number
  readonly userPropertiesMax: number
  /** Filters in one SUBSCRIBE or UNSUBSCRIBE. */
  readonly filtersPerPacketMax: number
  readonly subscriptionsPerSessionMax: number
  readonly sessionsMax: number
  readonly connectionsMax: number
  /** Connections of one address at one time, new ones of it in a second; 0: no bound. IPv6: of one /64. */
  readonly connectionsPerAddressMax: number
  readonly connectsPerAddressPerSecMax: number
  readonly retainedMessagesMax: number
  readonly retainedBytesMax: number
  /** Queued (not in flight) messages and bytes of one session. */
  readonly queueMessagesMax: number
  readonly queueBytesMax: number
  /** Queued messages of one session that stay in memory; the rest is only on disk. */
  readonly queueWindowMessages: number
  /** Bytes waiting for one socket before QoS 0 is dropped for it and QoS 1 and 2 wait in the queue. */
  readonly outputBufferBytesMax: number
  /** Longest Session Expiry Interval granted, seconds. 0xFFFFFFFF: no bound. */
  readonly sessionExpiryIntervalMaxSec: number
  /** Expiry given to sessions of MQTT 3.1.1 clients with clean session 0, seconds. */
  readonly mqtt311SessionExpiryIntervalSec: number
  /** Longest Message Expiry Interval, seconds; 0: no bound. */
  readonly messageExpiryIntervalMaxSec: number
  /** Longest Keep Alive; a client that asks for more, or for none, gets this. 0: no bound. Seconds. */
  readonly keepAliveMaxSec: number
  /** Retained messages handed to new subscribers in one slice of work; a turn of the server has time for several. */
  readonly retainedPerTurn: number
  /** Takeovers of one client id per minute before further CONNECTs are refused with 0x9F. */
  readonly takeoversPerMinuteMax: number
  /** Producers that were ever opened: none is forgotten, or what it sends again could not be told from what is new. */
  readonly producersMax: number
  readonly producersPerConnectionMax: number
  /** Refusals of one producer that wait for it to confirm them; one batch may go beyond. */
  readonly producerRefusalsMax: number
  /** What happens to a publish that a full session queue cannot take. */
  readonly queueFull: 'drop-new' | 'refuse-publish'
}

/** Keys by which a publication that comes again is known; each is an option of the same name under `producers`. */
export interface IdempotencyOptions {
  /** Name of the user property; null: publications have no keys. */
  readonly idempotencyKeyProperty: string | null
  readonly idempotencyKeyRetentionSec: number
  readonly idempotencyKeysMax: number
}

export const DEFAULT_IDEMPOTENCY: IdempotencyOptions = Object.freeze({
  idempotencyKeyProperty: 'idempotency-key',
  idempotencyKeyRetentionSec: 86_400,
  idempotencyKeysMax: 1_000_000,
} satisfies IdempotencyOptions)

/** What the broker offers; each is an option of the same name under `mqtt`. CONNACK tells what is switched off. */
export interface BrokerFeatures {
  /** Publications above it are refused, subscriptions above it granted with this. */
  readonly maximumQoS: QoS
  readonly retainAvailable: boolean
  readonly wildcardSubscriptionAvailable: boolean
  readonly subscriptionIdentifiersAvailable: boolean
  readonly sharedSubscriptionAvailable: boolean
  /** Response Information is this, a slash and the client id, for clients that ask for it. null: there is none. */
  readonly responseInformationPrefix: string | null
}

export const DEFAULT_FEATURES: BrokerFeatures = Object.freeze({
  maximumQoS: 2,
  retainAvailable: true,
  wildcardSubscriptionAvailable: true,
  subscriptionIdentifiersAvailable: true,
  sharedSubscriptionAvailable: true,
  responseInformationPrefix: null,
} satisfies BrokerFeatures)

/** What is counted, and how long it is kept; each is an option of the same name under `ledger`. */
export interface LedgerOptions {
  /** False: nothing is counted. Switched on again, the books begin with the copies that are there then. */
  readonly enabled: boolean
  /** Topic filters: a message is in the class of the first that matches, else in that of its first topic level. */
  readonly topicClasses: readonly string[]
  /** Classes in use at a time; what comes beyond them is in class `*`. */
  readonly topicClassesMax: number
  /** Pairs of client and topic class with something to count; clients beyond them are counted as `*`. */
  readonly accountsMax: number
  /** Rows of accounts are kept so long; rows of hours stay. */
  readonly retentionHours: number
}

export const DEFAULT_LEDGER: LedgerOptions = Object.freeze({
  enabled: true,
  topicClasses: [],
  topicClassesMax: 256,
  accountsMax: 200_000,
  retentionHours: 2_160,
} satisfies LedgerOptions)

/**
 * How much background work one commit or turn takes on. Not options: tests make them small, to be everywhere at once.
 */
export interface WorkPace {
  /** Journal bytes that start a checkpoint. */
  readonly checkpointBytes: number
  /** Rows of one kind per commit, at least. */
  readonly checkpointRowsPerCommit: number
  /**
   * A row more for so many bytes of the record in the same commit: folding keeps ahead of what comes in, or the
   * journal, the memory that holds its messages and the next restart would grow with the load.
   */
  readonly checkpointRecordBytesPerRow: number
  readonly checkpointTrimmedPerCommit: number
  /** Copies of ended sessions per turn. */
  readonly purgedPerTurn: number
  /** Retained messages looked at per turn, to find those that have expired. */
  readonly retainedSweptPerTurn: number
  /** Idempotency keys whose time is over, per turn. */
  readonly keysForgottenPerTurn: number
  /** Rows of the ledger written, read or removed per commit or turn. */
  readonly ledgerRowsPerCommit: number
}

export const DEFAULT_PACE: WorkPace = Object.freeze({
  checkpointBytes: 8 * 1_048_576,
  checkpointRowsPerCommit: 512,
  checkpointRecordBytesPerRow: 64,
  checkpointTrimmedPerCommit: 1_024,
  purgedPerTurn: 1_000,
  retainedSweptPerTurn: 500,
  keysForgottenPerTurn: 500,
  ledgerRowsPerCommit: 512,
} satisfies WorkPace)

export const DEFAULT_LIMITS: BrokerLimits = Object.freeze({
  maximumPacketSize: 2_097_152,
  receiveMaximum: 65_535,
  inflightMax: 16_384,
  topicBytesMax: 1_024,
  topicLevelsMax: 128,
  topicAliasMaximum: 64,
  clientIdBytesMax: 256,
  userPropertiesMax: 64,
  filtersPerPacketMax: 256,
  subscriptionsPerSessionMax: 1_000,
  sessionsMax: 1_000_000,
  connectionsMax: 19_000,
  connectionsPerAddressMax: 5_000,
  connectsPerAddressPerSecMax: 500,
  retainedMessagesMax: 2_000_000,
  retainedBytesMax: 1_073_741_824,
  queueMessagesMax: 100_000,
  queueBytesMax: 268_435_456,
  queueWindowMessages: 256,
  outputBufferBytesMax: 4_194_304,
  sessionExpiryIntervalMaxSec: 0xffff_ffff,
  mqtt311SessionExpiryIntervalSec: 604_800,
  messageExpiryIntervalMaxSec: 0,
  keepAliveMaxSec: 3_600,
  retainedPerTurn: 100,
  takeoversPerMinuteMax: 60,
  producersMax: 1_000_000,
  producersPerConnectionMax: 64,
  producerRefusalsMax: 1_000,
  queueFull: 'drop-new',
} satisfies BrokerLimits)
