/**
 * One world: a broker, its disk, its clients and what goes wrong, from one seed. Faults for some minutes, then calm, in
 * which everything must settle; then the books are judged.
 */
import type { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { type BrokerLimits, DEFAULT_LIMITS } from '../../src/core/limits.js'
import { Books, isShared, type Violation } from './books.js'
import type { BrokerState } from '../../src/core/state.js'
import { boundsHold } from './checkers/bounds.js'
import { deliverySequence } from './checkers/delivery-sequence.js'
import { durableBeforeTold } from './checkers/durable-before-told.js'
import { exactlyOnce } from './checkers/exactly-once.js'
import { ledgerAgrees } from './checkers/ledger.js'
import { noAcknowledgedLoss } from './checkers/no-acknowledged-loss.js'
import { publisherOrder } from './checkers/publisher-order.js'
import { retainedIsLastAccepted } from './checkers/retained.js'
import { unsettled } from './checkers/settles.js'
import { willExactlyOnce } from './checkers/will.js'
import type { SimClient } from './client.js'
import { Consumer } from './consumer.js'
import { Faults } from './faults.js'
import { type BrokerProcess, Host } from './host.js'
import { planOf, type PlanChoice, randomFor, type WorldPlan } from './plan.js'
import { SimProducer } from './producer.js'
import { Publisher } from './publisher.js'
import { Schedule } from './schedule.js'
import { Trace } from './trace.js'

export interface WorldResult {
  readonly seed: number
  readonly hash: string
  readonly violations: readonly Violation[]
  readonly virtualMs: number
  readonly crashes: number
  readonly restarts: number
  readonly commits: number
  readonly failedCommits: number
  readonly messages: number
  readonly deliveries: number
  readonly steps: number
  /** What happened, when the world was asked to tell. */
  readonly lines: readonly string[] | null
}

const LOOK_MS = 1_000
const SETTLE_STEP_MS = 500
/** Without anything happening: longer than the longest half-open connection and the longest pause. */
const STUCK_MS = 10 * 60_000
/** One message at a time to a distant client takes its time, but not for ever. */
const SETTLE_MS_MAX = 2 * 3_600_000
/** Wills that wait, sessions and messages that expire. */
const AFTERMATH_MS = 25_000
/** For a question to a broker whose disk is idle. */
const ANSWER_MS_MAX = 5_000
const VIOLATIONS_MAX = 20

export function runSeed(choice: PlanChoice, isTelling = false): WorldResult {
  return new World(planOf(choice), isTelling).run()
}

class World {
  readonly #plan: WorldPlan
  readonly #trace: Trace
  readonly #schedule: Schedule
  readonly #books = new Books()
  readonly #host: Host
  readonly #clients: SimClient[]
  readonly #limits: BrokerLimits

  constructor(plan: WorldPlan, isTelling: boolean) {
    const { seed } = plan
    this.#plan = plan
    this.#trace = new Trace(isTelling)
    this.#schedule = new Schedule(randomFor(seed, 'schedule'))
    this.#books.isLossy = plan.isLossy
    this.#limits = { ...DEFAULT_LIMITS, ...plan.host.limits }
    this.#host = new Host({
      schedule: this.#schedule,
      trace: this.#trace,
      random: randomFor(seed, 'broker'),
      diskRandom: randomFor(seed, 'disk'),
      plan: plan.host,
      watcher: {
        image: (store, isQuiet) => this.#judgeImage(store, isQuiet),
        brokerFailed: (error) => this.#found('no-broken-invariant', error.stack ?? error.message),
      },
    })
    this.#clients = plan.clients.map((client) => {
      const random = randomFor(seed, client.clientId)
      if (client.kind === 'publisher') return new Publisher(client, this.#host, this.#books, random)
      if (client.kind === 'producer') return new SimProducer(client, this.#host, this.#books, random)
      return new Consumer(client, this.#host, this.#books, random)
    })
  }

  run(): WorldResult {
    try {
      this.#live()
    } catch (error) {
      this.#found('no-broken-invariant', error instanceof Error ? (error.stack ?? error.message) : String(error))
    }
    const { crashes, restarts, commits, failedCommits } = this.#host
    let deliveries = 0
    for (const { arrivals } of this.#books.sessions) deliveries += arrivals.length
    this.#trace.number(deliveries)
    return {
      seed: this.#plan.seed,
      hash: this.#trace.hash,
      violations: this.#books.violations.slice(0, VIOLATIONS_MAX),
      virtualMs: this.#schedule.nowMs,
      crashes,
      restarts,
      commits,
      failedCommits,
      messages: this.#books.messages.size,
      deliveries,
      steps: this.#schedule.steps,
      lines: this.#trace.lines,
    }
  }

  #live(): void {
    const { durationMs, faults, seed } = this.#plan
    const trouble = new Faults(this.#host, this.#clients, faults, seed)
    this.#host.start()
    for (const client of this.#clients) client.reconnectSoon()
    trouble.begin()
    for (let lookMs = LOOK_MS; lookMs < durationMs; lookMs += LOOK_MS) {
      this.#schedule.runUntil(lookMs)
      this.#look()
    }
    trouble.end()
    this.#host.calm()
    for (const client of this.#clients) client.calm()
    if (!this.#settle()) return
    this.#schedule.runUntil(this.#schedule.nowMs + AFTERMATH_MS)
    if (!this.#settle()) return
    this.#judgeRetained()
    for (const client of this.#clients) client.finish()
    this.#stop()
    for (const client of this.#clients) if (client instanceof Publisher) client.closeBooks()
    this.#judgeBooks()
  }

  #look(): void {
    const process = this.#host.process
    if (process === null) return
    const { state } = process.core
    const { connections, retained, retainedBytes } = state
    const broker = { sessions: awakeSessions(state), connections, retained, retainedBytes }
    for (const sentence of boundsHold(broker, this.#limits)) this.#found('bounds', sentence)
  }

  #settle(): boolean {
    const lastMs = this.#schedule.nowMs + SETTLE_MS_MAX
    let restless: string[] = []
    let happened = 0
    let happenedMs = this.#schedule.nowMs
    while (this.#schedule.nowMs < Math.min(lastMs, happenedMs + STUCK_MS)) {
      this.#schedule.runUntil(this.#schedule.nowMs + SETTLE_STEP_MS)
      if (this.#books.happened !== happened) happenedMs = this.#schedule.nowMs
      happened = this.#books.happened
      const process = this.#host.process
      restless = process === null ? ['the broker is down'] : this.#restless(process)
      if (restless.length === 0) return true
    }
    for (const sentence of restless) this.#found('settles', sentence)
    return false
  }

  #restless(process: BrokerProcess): string[] {
    const { core, store } = process
    if (store.isBusy || core.openRecordBytes > 0) return ['a commit is under way']
    return unsettled(this.#clients, awakeSessions(core.state))
  }

  #stop(): void {
    this.#host.stop(true)
    const lastMs = this.#schedule.nowMs + STUCK_MS
    while (this.#host.process !== null && this.#schedule.nowMs < lastMs) {
      this.#schedule.runUntil(this.#schedule.nowMs + SETTLE_STEP_MS)
    }
    if (this.#host.process !== null) this.#found('settles', 'the broker does not stop when it is told to')
  }

  /** A client that subscribes now gets what is retained. */
  #judgeRetained(): void {
    const { clientId } = PROBE
    const probe = new Consumer(PROBE, this.#host, this.#books, randomFor(this.#plan.seed, clientId))
    probe.calm()
    this.#awaitAnswers()
    const present = new Map<string, string>()
    const book = this.#books.sessions.find((one) => one.clientId === clientId)
    for (const { topicName, key } of book?.arrivals ?? []) present.set(topicName, key)
    if (!probe.isSettled) this.#found('settles', 'a new client gets no answer')
    else for (const sentence of retainedIsLastAccepted(this.#books, present)) this.#found('retained', sentence)
    this.#clients.push(probe)
  }

  /** What a commit takes is the disk's and not counted: an answer may have to wait for two slow ones. */
  #awaitAnswers(): void {
    const lastMs = this.#schedule.nowMs + STUCK_MS
    for (let leftMs = ANSWER_MS_MAX; leftMs > 0 && this.#schedule.nowMs < lastMs; ) {
      this.#schedule.runUntil(this.#schedule.nowMs + SETTLE_STEP_MS)
      if (this.#host.process?.store.isBusy !== true) leftMs -= SETTLE_STEP_MS
    }
  }

  #judgeImage(store: MemoryStore, isQuiet: boolean): void {
    if (!isQuiet) this.#books.isGroupLossy ||= this.#plan.clients.some(isTransientMember)
    for (const sentence of ledgerAgrees(store)) this.#found('ledger', sentence)
  }

  #judgeBooks(): void {
    const books = this.#books
    for (const [checker, check] of Object.entries(CHECKERS)) {
      for (const sentence of check(books)) this.#found(checker, sentence)
    }
  }

  #found(checker: string, sentence: string): void {
    this.#trace.say(this.#schedule.nowMs, 'WRONG', `${checker}: ${sentence}`)
    this.#books.violation(checker, sentence)
  }
}

const CHECKERS: Readonly<Record<string, (books: Books) => string[]>> = {
  'no-acknowledged-loss': noAcknowledgedLoss,
  'exactly-once': exactlyOnce,
  'publisher-order': publisherOrder,
  'delivery-sequence': deliverySequence,
  will: willExactlyOnce,
  'durable-before-told': durableBeforeTold,
}

const PROBE = {
  kind: 'consumer',
  clientId: 'probe',
  protocol: 'native',
  keepAliveSec: 0,
  patienceMs: 60_000,
  reconnectMsMax: 100,
  net: { latencyMs: 0, jitterMs: 0, windowBytes: 1_000_000, splits: 0 },
  subscriptions: [['r/#', 0]],
  receiveMaximum: 65_535,
  expirySec: 0,
  isVolatile: false,
  resubscribes: false,
  maximumPacketSize: 0,
  topicAliasMaximum: 0,
  keepsCursor: false,
  answerMsMax: 1,
  idleMsMax: 60_000,
} as const

/** In the share group, with a session that ends with its connection. */
/** Looking must wake nobody. */
function awakeSessions({ sessions }: BrokerState) {
  return { get: (clientId: string) => sessions.get(clientId), values: () => sessions.awake() }
}

function isTransientMember(plan: WorldPlan['clients'][number]): boolean {
  if (plan.kind !== 'consumer' || plan.expirySec > 0) return false
  return plan.subscriptions.some(([topicFilter]) => isShared(topicFilter))
}
