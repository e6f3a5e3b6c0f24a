/**
 * A broker, publishers and consumers in one process, and a seed that decides what happens next: traffic, broken
 * connections, commits that are done late, checkpoints, and power failures of the broker at any turn.
 */
import { DEFAULT_LIMITS } from '../../src/core/limits.js'
import { MemoryStore, type MemoryStoreOptions } from '../../src/storage/memory/memory-store.js'
import { HOUR_MS } from '../../src/core/ledger/hours.js'
import { Breach, Ledger } from './book-keeping.js'
import { Consumer, type ConsumerOptions } from './book-keeping-consumer.js'
import { BookedProducer } from './book-keeping-producer.js'
import { Publisher } from './book-keeping-publisher.js'
import {
  checkHours,
  checkLedger,
  checkStore,
  copyStore,
  durableState,
  recoveredState,
  rowCounts,
} from './durable-state.js'
import { FakeClock } from './fake-clock.js'
import { Random } from './random.js'
import { TestBroker, type TestBrokerOptions } from './test-broker.js'

const FOR_EVER_SEC = 0xffff_ffff

export class World {
  readonly random: Random
  readonly ledger = new Ledger()
  readonly clock = new FakeClock()
  readonly publishers: Publisher[]
  readonly producers: BookedProducer[]
  readonly consumers: Consumer[]
  readonly #options: TestBrokerOptions
  host: TestBroker
  crashes = 0
  checkpoints = 0
  comparisons = 0

  /** @param store for who wants to see what becomes durable. */
  constructor(seed: number, store: Pick<MemoryStoreOptions, 'onDurable'> = {}) {
    const random = new Random(seed)
    this.random = random
    // Some worlds have queues that overflow: then nothing is owed, everything else holds.
    this.ledger.isLossy = random.chance(0.1)
    this.#options = {
      clock: this.clock,
      holdCommits: true,
      limits: {
        queueMessagesMax: this.ledger.isLossy ? 4 : DEFAULT_LIMITS.queueMessagesMax,
        queueWindowMessages: random.pick([1, 2, 4]),
        inflightMax: random.pick([2, 5, 4_096]),
        retainedPerTurn: random.pick([1, 3]),
        takeoversPerMinuteMax: 1_000_000,
      },
      pace: {
        checkpointBytes: random.pick([1, 200, 2_000, 4 * 1_048_576]),
        checkpointRowsPerCommit: random.pick([1, 2, 7]),
        checkpointRecordBytesPerRow: 1_000_000,
        checkpointTrimmedPerCommit: random.pick([1, 3, 20]),
        purgedPerTurn: random.pick([1, 3]),
        ledgerRowsPerCommit: random.pick([1, 2, 1_000]),
      },
      ledger: {
        enabled: true,
        topicClasses: random.pick([[], ['s/1', 't/#']]),
        topicClassesMax: random.pick([1, 2, 256]),
        accountsMax: random.pick([1, 6, 200_000]),
        retentionHours: random.pick([1, 3, 2_160]),
      },
    }
    this.host = new TestBroker({ ...this.#options, store: new MemoryStore({ ...store, settle: 'manual' }) })
    // Half of the worlds are about share groups, whose members come, go and end.
    const isAboutGroups = random.chance(0.5)
    this.publishers = [
      this.#publisher('p1', ['t/1', 't/2', 's/1', 'r/p1/1', 'r/p1/2'], true, [2]),
      this.#publisher('p2', isAboutGroups ? ['s/1', 's/2'] : ['t/1', 't/2', 's/1', 's/2', 'r/p2/1'], true, [0, 1, 2]),
      this.#publisher('p3', ['t/1', 's/2'], false, [1, 2]),
    ]
    const producerTopics = isAboutGroups ? ['s/1', 's/2'] : ['t/1', 't/2', 's/1']
    this.producers = [1, 2].map((number) => new BookedProducer(number, producerTopics, this.ledger, random))
    this.consumers = consumersOf(random, isAboutGroups).map((options) => new Consumer(options, this.ledger, random))
  }

  #publisher(clientId: string, topics: string[], isPersistent: boolean, qosChoices: (0 | 1 | 2)[]): Publisher {
    const retainedQoS = clientId === 'p1' ? 2 : 1
    return new Publisher({ clientId, topics, isPersistent, qosChoices, retainedQoS }, this.ledger, this.random)
  }

  get #clients(): (Publisher | BookedProducer | Consumer)[] {
    return [...this.publishers, ...this.producers, ...this.consumers]
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step += 1) this.step()
    this.finish()
  }

  step(): void {
    this.ledger.step += 1
    const dice = this.random.below(100)
    if (dice < 28) this.#publisherStep(this.random.pick(this.publishers))
    else if (dice < 40) this.#producerStep(this.random.pick(this.producers))
    else if (dice < 70) this.#consumerStep(this.random.pick(this.consumers))
    else if (dice < 84) this.#turn()
    else if (dice < 93) (this.host.store as MemoryStore).settleNext()
    else if (dice < 95) this.#checkpoint()
    else if (dice < 96) this.#advance(this.random.chance(0.4) ? this.#msToNextHour() : 500 + this.random.below(4_000))
    else if (dice < 97) this.#compare()
    else if (dice < 98) this.#crash()
  }

  #turn(): void {
    this.host.core.handleTimeout(this.clock.nowMs())
    this.host.turn()
  }

  #advance(ms: number): void {
    this.clock.advance(ms)
    this.host.core.handleTimeout(this.clock.nowMs())
  }

  /** A little less or a little more: the ledger closes the hour. */
  #msToNextHour(): number {
    return HOUR_MS - (this.clock.nowMs() % HOUR_MS) - 100 + this.random.below(200)
  }

  #checkpoint(): void {
    this.checkpoints += 1
    this.host.core.checkpoint()
  }

  #publisherStep(publisher: Publisher): void {
    if (!publisher.isConnected) {
      publisher.connect(this.host)
      return
    }
    const dice = this.random.below(100)
    if (dice < 40) publisher.read()
    else if (dice < 94) {
      if (publisher.isReady && publisher.outstanding < 10) publisher.publish()
    } else if (dice < 97) publisher.cut(this.random.chance(0.7))
    else {
      const isSettled = this.random.chance(0.3)
      publisher.disconnect(isSettled)
      if (isSettled) this.#settle()
    }
  }

  #producerStep(producer: BookedProducer): void {
    if (!producer.isConnected) {
      producer.connect(this.host)
      return
    }
    const dice = this.random.below(100)
    if (dice < 45) producer.read()
    else if (dice < 92) {
      if (producer.outstanding < 20) producer.publish()
    } else producer.cut(this.random.chance(0.5))
  }

  #consumerStep(consumer: Consumer): void {
    if (!consumer.isConnected) {
      if (this.random.chance(0.5)) consumer.connect(this.host)
      return
    }
    const dice = this.random.below(100)
    if (dice < 40) {
      consumer.read()
      consumer.drained()
    } else if (dice < 90) consumer.acknowledge(1 + this.random.below(6))
    else if (dice < 93) {
      if (consumer.options.resubscribes) consumer.resubscribe()
    } else if (dice < 96) consumer.cut(this.random.chance(0.7))
    else if (dice < 98) consumer.toggleStall()
    else consumer.disconnect()
  }

  #settle(): void {
    this.host.core.handleTimeout(this.clock.nowMs())
    this.host.settle()
  }

  /** Power off: what was handed to the store may have become durable without anybody having been told. */
  #crash(): void {
    this.crashes += 1
    const store = this.host.store as MemoryStore
    // What had reached the clients counts, their answers do not.
    for (const client of this.#clients) if (this.random.chance(0.5)) client.read()
    this.ledger.isGroupLossy ||= this.consumers.some(({ options }) => options.clientId === 'g4')
    const surviving = this.random.below(store.pendingCommits + 1)
    for (const publisher of this.publishers) if (publisher.isConnected) publisher.crashed()
    for (const producer of this.producers) producer.crashed()
    for (const consumer of this.consumers) if (consumer.isConnected) consumer.gone()
    const survivor = store.crash(surviving)
    checkStore(survivor)
    checkHours(survivor)
    this.host = new TestBroker({ ...this.#options, store: survivor })
    checkLedger(this.host.core.state)
  }

  /** Whatever is durable now says the same to a broker that starts from it as to the one that runs. */
  #compare(): void {
    this.#settle()
    this.comparisons += 1
    const { state } = this.host.core
    const hour = state.ledger.hours.nextMs() === Number.POSITIVE_INFINITY ? 0 : state.ledger.hours.current
    const live = durableState(state, hour)
    const copy = copyStore(this.host.store)
    checkStore(copy)
    checkHours(copy)
    const recovered = recoveredState(copy, state.ports, hour)
    assertSame(live, recovered, 'after a restart')
  }

  /** Everybody comes back, reads and acknowledges all there is; then the books are compared. */
  finish(): void {
    this.#drainAll()
    this.#advance(10_000)
    this.#drainAll()
    this.#advance(HOUR_MS)
    this.#settle()
    if (this.host.core.state.ledger.hours.isClosing) throw new Breach('an hour does not close')
    this.ledger.check()
    this.#checkRetained()
    this.#compare()
    this.#checkpoint()
    this.#settle()
    this.#checkpoint()
    this.#settle()
    const { messages, references, queues, journal } = rowCounts(this.host.store)
    const left = JSON.stringify({ messages, references, queues })
    if (messages + references + queues > 0) throw new Breach(`rows are left behind: ${left}`)
    if (journal > 3) throw new Breach(`${journal} journal records are left after two checkpoints`)
    const { state } = this.host.core
    if (state.messages.youngCount > 0) throw new Breach('messages are left in memory')
    const unwritten = state.producers.dirtyCount + state.keys.dirtyCount
    if (state.dirtySessions.size + state.dirtyRetained.size + unwritten > 0)
      throw new Breach('a checkpoint left something out')
    if (state.endedSessions.size > 0) throw new Breach('ended sessions are left in memory')
    if (state.sessionsByNumber.size !== state.sessions.size) throw new Breach('session numbers are left in memory')
    this.#compare()
  }

  #drainAll(): void {
    for (let round = 0; round < 2_000; round += 1) {
      this.ledger.step += 1
      let isMoving = false
      for (const client of this.#clients) {
        if (client.isConnected) continue
        client.connect(this.host)
        isMoving = true
      }
      this.#settle()
      for (const client of this.#clients) client.read()
      for (const consumer of this.consumers) {
        consumer.unstall()
        if (consumer.pendingAcks > 0) isMoving = true
        consumer.acknowledge(1_000)
      }
      if ([...this.publishers, ...this.producers].some(({ outstanding }) => outstanding > 0)) isMoving = true
      this.#settle()
      if (!isMoving) return
    }
    throw new Breach('the clients do not come to rest')
  }

  #checkRetained(): void {
    const seen = new Map<string, string>()
    const probe = this.host.connect('probe')
    this.host.settle()
    probe.subscribe('r/#', 0)
    this.host.settle()
    for (const { topicName, payload } of probe.take('PUBLISH')) seen.set(topicName, new TextDecoder().decode(payload))
    for (const [topicName, key] of this.ledger.retained) {
      const got = seen.get(topicName) ?? ''
      if (got !== key) throw new Breach(`retained on ${topicName}: '${got}', last published was '${key}'`)
    }
    probe.disconnect()
    this.host.settle()
  }
}

function consumersOf(random: Random, isAboutGroups: boolean): ConsumerOptions[] {
  const receiveMaximum = () => random.pick([1, 2, 5, 65_535])
  const lasting = { expirySec: FOR_EVER_SEC, isVolatile: false, resubscribes: false }
  const volatile = { expirySec: 3, isVolatile: true, resubscribes: true }
  const all: ConsumerOptions[] = [
    { ...lasting, clientId: 'c1', subscriptions: [['t/#', 2]], receiveMaximum: receiveMaximum() },
    {
      ...lasting,
      clientId: 'c2',
      subscriptions: [
        ['t/#', 1],
        ['t/1', 2],
      ],
      receiveMaximum: receiveMaximum(),
      resubscribes: true,
    },
    {
      ...lasting,
      clientId: 'c3',
      subscriptions: [['w/#', 2]],
      receiveMaximum: receiveMaximum(),
    },
    { ...lasting, clientId: 'c6', subscriptions: [['r/#', 1]], receiveMaximum: receiveMaximum(), resubscribes: true },
    { ...volatile, clientId: 'c4', subscriptions: [['t/#', 2]], receiveMaximum: receiveMaximum() },
    { ...volatile, clientId: 'c5', subscriptions: [['t/#', 1]], receiveMaximum: random.pick([1, 2]), expirySec: 0 },
  ]
  const group = [['$share/g/s/#', 2] as const]
  all.push({ ...lasting, clientId: 'g1', subscriptions: group, receiveMaximum: receiveMaximum() })
  all.push({ ...lasting, clientId: 'g2', subscriptions: group, receiveMaximum: receiveMaximum() })
  // They do not unsubscribe: what waits for a member that left the group and then ends is dropped, by decision.
  const leaving = { ...volatile, resubscribes: false, subscriptions: [['$share/g/s/#', 1] as const] }
  if (isAboutGroups) {
    all.push({ ...lasting, clientId: 'c7', subscriptions: [['s/#', 1]], receiveMaximum: receiveMaximum() })
    all.push({ ...lasting, clientId: 'c8', subscriptions: [['s/1', 2]], receiveMaximum: receiveMaximum() })
    all.push({ ...leaving, clientId: 'g5', receiveMaximum: 1 })
  }
  if (isAboutGroups || random.chance(0.5)) all.push({ ...leaving, clientId: 'g3', receiveMaximum: 2 })
  if (random.chance(isAboutGroups ? 0.5 : 0.2))
    all.push({ ...leaving, clientId: 'g4', receiveMaximum: 1, expirySec: 0 })
  return all
}

function assertSame(expected: object, found: object, when: string): void {
  const a = JSON.stringify(expected)
  const b = JSON.stringify(found)
  if (a === b) return
  let at = 0
  while (a[at] === b[at]) at += 1
  const from = Math.max(0, at - 160)
  throw new Breach(
    `state differs ${when}:\n live      …${a.slice(from, at + 120)}\n recovered …${b.slice(from, at + 120)}`,
  )
}
