/**
 * From a seed, what a world is like: its clients, its limits, its disk, its network and which faults it has. Data only,
 * so that a failing world can be run again with parts left out; each part draws from a source of its own and so stays
 * the same when others go.
 */
import { type BrokerLimits, DEFAULT_LIMITS, type WorkPace } from '../../src/core/limits.js'
import type { QoS } from '../../src/protocol/packets.js'
import { Random } from '../support/random.js'
import type { ClientPlan, ClientProtocol } from './client.js'
import type { ConsumerPlan } from './consumer.js'
import type { DiskPlan } from './disk.js'
import { FAULTS, type FaultKind, type FaultPlan } from './faults.js'
import type { HostPlan } from './host.js'
import type { NetPlan } from './link.js'
import type { ProducerPlan } from './producer.js'
import type { PublisherPlan } from './publisher.js'

export type AnyClientPlan = PublisherPlan | ProducerPlan | ConsumerPlan

export interface WorldPlan {
  readonly seed: number
  readonly durationMs: number
  readonly host: HostPlan
  readonly clients: readonly AnyClientPlan[]
  readonly faults: FaultPlan
  readonly isLossy: boolean
}

export interface PlanChoice {
  readonly seed: number
  /** Default: about twelve minutes. */
  readonly hours?: number
  /** Client ids and kinds of faults that are left out. */
  readonly without?: ReadonlySet<string>
  /** The faults stop here. */
  readonly untilMs?: number
  /** Chance that the disk reports what is not there: a fault that must be found. */
  readonly diskLies?: number
}

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const FOR_EVER_SEC = 0xffff_ffff
/** 2023-11-14 22:00 UTC. */
const EPOCH_MS = 1_699_999_200_000

/** A source of chance for one part of one world. */
export function randomFor(seed: number, part: string): Random {
  let hash = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b)
  for (let index = 0; index < part.length; index += 1) {
    hash = Math.imul(hash ^ part.charCodeAt(index), 0x0100_0193)
    hash ^= hash >>> 15
  }
  return new Random(hash >>> 0)
}

export function planOf({ seed, hours, without = new Set(), untilMs, diskLies = 0 }: PlanChoice): WorldPlan {
  const random = randomFor(seed, 'plan')
  const wholeMs = hours === undefined ? (8 + random.below(8)) * MINUTE_MS : hours * HOUR_MS
  const isLossy = random.chance(0.1)
  const faults = faultsOf(randomFor(seed, 'faults'), without)
  const clients = clientsOf(randomFor(seed, 'clients'), isLossy).filter(({ clientId }) => !without.has(clientId))
  return {
    seed,
    durationMs: Math.min(wholeMs, untilMs ?? wholeMs),
    host: hostOf(randomFor(seed, 'host'), faults, isLossy, diskLies),
    clients,
    faults,
    isLossy,
  }
}

/** Each kind is there in about two worlds of three, so that every mixture of them comes up. */
function faultsOf(random: Random, without: ReadonlySet<string>): FaultPlan {
  const everyMs = new Map<FaultKind, number>()
  for (const kind of FAULTS) {
    const meanMs = (2 + random.next() * 6) * MINUTE_MS
    if (random.chance(0.65) && !without.has(kind)) everyMs.set(kind, meanMs)
  }
  return { everyMs }
}

function hostOf(random: Random, faults: FaultPlan, isLossy: boolean, lies: number): HostPlan {
  const has = (kind: FaultKind) => faults.everyMs.has(kind)
  const disk: DiskPlan = {
    commitMsTypical: random.pick([0.5, 2, 10, 40]),
    commitMsSlow: random.pick([50, 500, 3_000]),
    fails: has('failed-commit') ? 0.001 : 0,
    stalls: has('stalled-commit') ? 0.0005 : 0,
    crashes: has('crash-at-commit') ? 0.002 : 0,
    lies,
  }
  return {
    limits: limitsOf(random, isLossy),
    pace: paceOf(random),
    disk,
    // Within a quarter of an hour of the full hour, so that hours end while things happen.
    startWallMs: EPOCH_MS - random.below(15 * MINUTE_MS),
    authenticationMsMax: random.chance(0.25) ? 200 : 0,
    clockJumpMsMax: has('clock-jump') ? 2 * HOUR_MS : 0,
    restartMsMax: random.pick([200, 5_000, 30_000]),
  }
}

function limitsOf(random: Random, isLossy: boolean): Partial<BrokerLimits> {
  return {
    queueMessagesMax: isLossy ? 4 : DEFAULT_LIMITS.queueMessagesMax,
    queueFull: isLossy && random.chance(0.5) ? 'refuse-publish' : 'drop-new',
    queueWindowMessages: random.pick([1, 2, 4, 256]),
    inflightMax: random.pick([2, 5, 4_096]),
    receiveMaximum: random.pick([3, 10, 65_535]),
    retainedPerTurn: random.pick([1, 3, 1_000]),
    outputBufferBytesMax: random.pick([16_384, 4_194_304]),
    mqtt311SessionExpiryIntervalSec: FOR_EVER_SEC,
    takeoversPerMinuteMax: random.pick([30, 1_000_000]),
    keepAliveMaxSec: random.pick([0, 3_600]),
  }
}

function paceOf(random: Random): Partial<WorkPace> {
  return {
    checkpointBytes: random.pick([1, 1_000, 5_000, 20_000, 20_000, random.pick([100_000, 4 * 1_048_576])]),
    checkpointRowsPerCommit: random.pick([1, 3, 20]),
    checkpointRecordBytesPerRow: 1_000_000,
    checkpointTrimmedPerCommit: random.pick([1, 5, 50]),
    purgedPerTurn: random.pick([1, 3]),
    retainedSweptPerTurn: random.pick([1, 500]),
  }
}

// ── clients ──

function clientsOf(random: Random, isLossy: boolean): AnyClientPlan[] {
  // MQTT 3.1.1 cannot be told that a publication was refused, and what becomes of it could not be judged.
  const protocols = isLossy ? (['native', 'mqtt5'] as const) : (['native', 'mqtt5', 'mqtt4'] as const)
  // Half of the worlds are about share groups, whose members come, go and end.
  const isAboutGroups = random.chance(0.5)
  const publishers: PublisherPlan[] = [
    publisher(random, 'p1', random.pick(protocols), ['t/1', 't/2', 's/1', 'r/p1/1', 'r/p1/2'], true, [2]),
    publisher(
      random,
      'p2',
      random.pick(protocols),
      isAboutGroups ? ['s/1', 's/2'] : ['t/1', 't/2', 's/1', 's/2', 'r/p2/1'],
      true,
      [0, 1, 2],
    ),
    publisher(random, 'p3', random.pick(protocols), ['t/1', 's/2'], random.chance(0.5), [1, 2]),
  ]
  const producers = [producer(random, 1, ['t/1', 't/2', 's/1'])]
  if (random.chance(0.5)) producers.push(producer(random, 2, isAboutGroups ? ['s/1', 's/2'] : ['t/2']))
  return [...publishers, ...producers, ...consumersOf(random, isAboutGroups && !isLossy)]
}

function client(random: Random, clientId: string, protocol?: ClientProtocol): ClientPlan {
  return {
    clientId,
    protocol: protocol ?? random.pick(['native', 'mqtt5', 'mqtt4'] as const),
    keepAliveSec: random.pick([0, 20, 60]),
    patienceMs: random.pick([10_000, 45_000, 120_000]),
    reconnectMsMax: random.pick([1_000, 5_000, 20_000]),
    net: netOf(random),
  }
}

function netOf(random: Random): NetPlan {
  const latencyMs = random.pick([0, 1, 5, 40, 150])
  return {
    latencyMs,
    jitterMs: random.pick([0, latencyMs, 300]),
    windowBytes: random.pick([256, 4_096, 65_536, 65_536]),
    splits: random.pick([0, 0.1, 0.5]),
  }
}

function publisher(
  random: Random,
  clientId: string,
  protocol: ClientProtocol,
  topics: readonly string[],
  isPersistent: boolean,
  qosChoices: readonly QoS[],
): PublisherPlan {
  return {
    ...client(random, clientId, protocol),
    kind: 'publisher',
    topics,
    isPersistent,
    qosChoices,
    retainedQoS: clientId === 'p1' ? 2 : 1,
    expires: random.chance(0.5),
    hasWills: isPersistent,
    usesAliases: random.chance(0.3),
    burstMax: random.pick([1, 4, 8]),
    idleMsMax: random.pick([30_000, 120_000]),
    payloadBytesMax: random.pick([100, 3_000, 30_000]),
  }
}

function producer(random: Random, producerNumber: number, topics: readonly string[]): ProducerPlan {
  return {
    ...client(random, `q${producerNumber}`, 'native'),
    kind: 'producer',
    producerNumber,
    topics,
    batchMax: random.pick([1, 5, 12]),
    idleMsMax: random.pick([30_000, 120_000]),
    outstandingMax: random.pick([5, 60]),
  }
}

type ConsumerKind = Pick<ConsumerPlan, 'expirySec' | 'isVolatile' | 'resubscribes'>
const LASTING: ConsumerKind = { expirySec: FOR_EVER_SEC, isVolatile: false, resubscribes: false }
const VOLATILE: ConsumerKind = { expirySec: 3, isVolatile: true, resubscribes: true }
const TRANSIENT: ConsumerKind = { expirySec: 0, isVolatile: true, resubscribes: false }

/** MQTT 3.1.1 has no way to say any of this. */
const MQTT4_TERMS = { receiveMaximum: 65_535, maximumPacketSize: 0, topicAliasMaximum: 0 }

function consumer(
  random: Random,
  clientId: string,
  kind: ConsumerKind,
  subscriptions: readonly (readonly [string, QoS])[],
  protocol?: ClientProtocol,
): ConsumerPlan {
  const isVolatile5 = kind.isVolatile && kind.expirySec > 0
  const chosen = protocol ?? (isVolatile5 ? random.pick(['native', 'mqtt5'] as const) : undefined)
  const own = client(random, clientId, chosen)
  const terms = {
    receiveMaximum: random.pick([1, 2, 5, 65_535]),
    maximumPacketSize: random.chance(0.15) ? 400 : 0,
    topicAliasMaximum: random.pick([0, 0, 2, 20]),
  }
  return {
    ...own,
    ...kind,
    kind: 'consumer',
    subscriptions,
    ...(own.protocol === 'mqtt4' ? MQTT4_TERMS : terms),
    keepsCursor: own.protocol === 'native' && random.chance(0.5),
    answerMsMax: random.pick([2, 100, 5_000]),
    idleMsMax: random.pick([30_000, 120_000]),
  }
}

function consumersOf(random: Random, isAboutGroups: boolean): ConsumerPlan[] {
  const all = [
    consumer(random, 'c1', LASTING, [['t/#', 2]], 'native'),
    consumer(
      random,
      'c2',
      { ...LASTING, resubscribes: true },
      [
        ['t/#', 1],
        ['t/1', 2],
      ],
      random.pick(['mqtt5', 'mqtt4'] as const),
    ),
    consumer(random, 'c3', LASTING, [['w/#', 2]]),
    consumer(random, 'c6', { ...LASTING, resubscribes: true }, [['r/#', 1]]),
    consumer(random, 'c4', VOLATILE, [['t/#', 2]]),
    consumer(random, 'c5', TRANSIENT, [['t/#', random.pick([0, 1, 2] as const)]]),
  ]
  const group = (qos: QoS) => [['$share/g/s/#', qos] as const]
  all.push(consumer(random, 'g1', LASTING, group(2)), consumer(random, 'g2', LASTING, group(2)))
  // They do not unsubscribe: what waits for a member that left the group and then ends is dropped, by decision.
  const leaving = { ...VOLATILE, resubscribes: false }
  if (isAboutGroups) {
    all.push(consumer(random, 'c7', LASTING, [['s/#', 1]]), consumer(random, 'c8', LASTING, [['s/1', 2]]))
    all.push(consumer(random, 'g5', leaving, group(1)))
  }
  if (isAboutGroups || random.chance(0.5)) all.push(consumer(random, 'g3', leaving, group(1)))
  if (random.chance(isAboutGroups ? 0.5 : 0.2)) all.push(consumer(random, 'g4', TRANSIENT, group(1)))
  return all
}
