/**
 * What the broker knows: the maps, and the handful of parts every rule needs. Rules live in the files that take this
 * as their first argument (`publish.ts`, `deliver.ts`, `connect.ts` …); nothing here decides anything.
 */
import { sha256 } from '../base/sha256.js'
import type { Hash } from '../base/stream-digest.js'
import type { Durability } from '../protocol/packets.js'
import type { ClientConnection } from './connection.js'
import { DeadlineQueue } from './deadline-queue.js'
import { IdempotencyKeys } from './idempotency-keys.js'
import {
  type BrokerFeatures,
  type BrokerLimits,
  DEFAULT_FEATURES,
  DEFAULT_IDEMPOTENCY,
  DEFAULT_LEDGER,
  DEFAULT_PACE,
  type IdempotencyOptions,
  type LedgerOptions,
  type WorkPace,
} from './limits.js'
import { Ledger } from './ledger/ledger.js'
import { MessageTable } from './message-table.js'
import type { Access, AuthenticationStep } from './ports/access.js'
import { BrokerCounters, type EventSink } from './ports/events.js'
import type { Store } from './ports/store.js'
import { ProducerTable } from './producer-table.js'
import { RecordWriter } from './record-writer.js'
import type { RetainedMessage } from './retained.js'
import { RetainedSweep } from './retained-sweep.js'
import { RetainedTree } from './retained-tree.js'
import type { Session } from './session.js'
import { SleepingSessions } from './sleeping-sessions.js'
import { TopicTree } from './topic-tree.js'
import { WakingMap } from './waking-map.js'

export interface BrokerPorts {
  readonly limits: BrokerLimits
  /** Default: `DEFAULT_FEATURES`, which is everything. */
  readonly features?: BrokerFeatures
  /** Default: `DEFAULT_IDEMPOTENCY`. */
  readonly idempotency?: IdempotencyOptions
  /** Default: `DEFAULT_LEDGER`. */
  readonly ledger?: LedgerOptions
  readonly access: Access
  readonly store: Store
  readonly events: EventSink
  readonly durability: Durability
  /** A random id of the database: another one means that it was restored or replaced. */
  readonly incarnation: string
  /** SHA-256 of the platform, which is faster than ours. Default: ours. */
  readonly hash?: Hash
  readonly ids: { randomId(): string }
  /** Default: `DEFAULT_PACE`. */
  readonly pace?: Partial<WorkPace>
  /** Publish `$SYS/clients/{clientId}/online` and `offline`. */
  readonly presence: boolean
  /** Authentication takes its time: wait for it, then call `Broker.authenticated`. */
  authenticating(connection: ClientConnection, pending: Promise<AuthenticationStep>): void
}

export class BrokerState {
  readonly ports: BrokerPorts
  readonly limits: BrokerLimits
  readonly features: BrokerFeatures
  readonly pace: WorkPace
  readonly hash: Hash
  readonly counters = new BrokerCounters()
  /** The facts since the last commit. */
  readonly record = new RecordWriter()
  readonly ledger: Ledger
  readonly messages: MessageTable
  readonly producers: ProducerTable
  readonly keys: IdempotencyKeys
  readonly tree = new TopicTree<Session>()
  readonly retained = new RetainedTree<RetainedMessage>()
  /** `$SYS/broker/…`: retained in memory only, written by the broker only. */
  readonly systemTopics = new RetainedTree<RetainedMessage>()
  retainedBytes = 0
  readonly retainedSweep = new RetainedSweep()
  /** The topic name that was found acceptable last: publishers repeat themselves. */
  acceptedTopicName = ''
  /** Topics whose retained row is older than the record given. */
  readonly dirtyRetained = new Map<string, number>()
  readonly sleepingSessions = new SleepingSessions()
  readonly sessions = new WakingMap<string, Session>()
  readonly sessionsByNumber = new WakingMap<number, Session>()
  /** In order of `dirtySince`. */
  readonly dirtySessions = new Set<Session>()
  /** Those with facts of the journal that was read at the start which their rows lack, as far as they have woken. */
  readonly staleSessions = new Set<Session>()
  /** Ended, but still holding copies or rows. */
  readonly endedSessions = new Set<Session>()
  readonly connections = new Set<ClientConnection>()
  readonly retainedJobConnections = new Set<ClientConnection>()
  readonly sessionDeadlines = new DeadlineQueue<Session>()
  readonly willDeadlines = new DeadlineQueue<Session>()
  /** Number of the record that is open. The first is 1. */
  recordNumber = 1
  nextMessageId = 1
  nextSessionNumber = 1
  /** When the commit of the newest durable record was done; 0: not since the start. */
  durableAtMs = 0
  /** Connections with a PUBACK that waits for a commit. */
  acknowledgingOpen: ClientConnection[] = []
  acknowledgingSealed: ClientConnection[] = []
  readonly takeovers = new Map<string, { sinceMs: number; count: number }>()

  constructor(ports: BrokerPorts) {
    this.ports = ports
    this.limits = ports.limits
    this.features = ports.features ?? DEFAULT_FEATURES
    this.pace = { ...DEFAULT_PACE, ...ports.pace }
    this.ledger = new Ledger(ports.ledger ?? DEFAULT_LEDGER, this.record, ports.store)
    this.messages = new MessageTable(ports.store)
    this.hash = ports.hash ?? sha256
    this.producers = new ProducerTable(ports.store, this.hash)
    this.keys = new IdempotencyKeys(ports.idempotency ?? DEFAULT_IDEMPOTENCY)
    this.sessions.sleepBeside(this.sleepingSessions.byClientId)
    this.sessionsByNumber.sleepBeside(this.sleepingSessions.byNumber)
    this.tree.wakeBefore((topicName) => this.sleepingSessions.wakeSubscribers(topicName))
  }

  /** Everything that is known of sessions and accounts into memory, for audits. */
  wakeAll(): void {
    this.sleepingSessions.wakeAll()
    this.ledger.wakeAll()
  }

  /** Of sleeping sessions too. */
  get subscriptionCount(): number {
    return this.tree.subscriptionCount + this.sleepingSessions.subscriptionCount
  }

  /** Call before a fact about the session is written: its row is behind from this record on. */
  touch(session: Session): void {
    if (session.dirtySince !== 0) return
    session.dirtySince = this.recordNumber
    this.dirtySessions.add(session)
  }

  touchRetained(topicName: string): void {
    if (!this.dirtyRetained.has(topicName)) this.dirtyRetained.set(topicName, this.recordNumber)
  }
}
