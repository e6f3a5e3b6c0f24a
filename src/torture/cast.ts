/**
 * Who plays in the torture: publishers of QoS 1 and 2 and of retained messages, a producer, a careless one that starts
 * a new session after every loss; billing and archives with durable sessions, a share group, and a sleeper who is
 * away now and then. Each in both protocols, where the broker has both. A new part is a row here.
 */
import type { QoS } from '../protocol/packets.js'

export type Wire = 'tally.v1' | 'mqtt 3.1.1' | 'mqtt 5'

export interface PublisherRole {
  readonly kind: 'publisher'
  /** Its client id, and the name of its book. */
  readonly name: string
  readonly wire: Wire
  readonly qos: 1 | 2
  readonly topics: readonly string[]
  /** Publishes under way at one time. */
  readonly window: number
  /** Publishes its number, retained. */
  readonly retain: boolean
  /** Starts a new session after every loss and gives up what was on the way. */
  readonly isCareless: boolean
  /**
   * QoS 2: counts a message as acknowledged with PUBREC, as ours means it, or only with PUBCOMP. A broker may deliver
   * at PUBREL, and then a publisher that gives its session up before has taken the message back [v5 4.3.3].
   */
  readonly promisedBy: 'PUBREC' | 'PUBCOMP'
  /** `produce`: as a producer, numbered, whatever becomes of connections and sessions. `sdk`: the same by the SDK. */
  readonly by: 'publish' | 'produce' | 'sdk'
}

export interface ConsumerRole {
  readonly kind: 'consumer'
  readonly name: string
  readonly wire: Wire
  readonly qos: QoS
  readonly topicFilter: string
  /** Members of a share group have one: together they owe what another consumer owes alone. */
  readonly group: string | null
  /** Chance that acknowledgements wait for a later message. */
  readonly laziness: number
  /** Names at every CONNECT how far it is: what is behind that must not come again. */
  readonly hasCursor: boolean
  readonly by: 'packets' | 'sdk'
  /** Connected for a moment only, now and then. */
  readonly isSleeper: boolean
}

export type Role = PublisherRole | ConsumerRole

/** What one worker process plays. */
export interface Troupe {
  readonly name: string
  readonly roles: readonly Role[]
  /** Its process may be killed and started again: all that its clients know is on disk. */
  readonly isMortal: boolean
}

const EVERYTHING = 't/#'

function publisher(name: string, wire: Wire, qos: 1 | 2, window: number, change: Partial<PublisherRole> = {}) {
  const topics = [`t/${name}/x`, `t/${name}/y`, 't/common']
  const usual = { retain: false, isCareless: false, promisedBy: 'PUBREC' as const, by: 'publish' as const }
  return { kind: 'publisher', name, wire, qos, topics, window, ...usual, ...change } as const
}

function gauge(name: string, wire: Wire): PublisherRole {
  return publisher(name, wire, 1, 4, { topics: [`retained/${name}/x`, `retained/${name}/y`], retain: true })
}

function consumer(name: string, wire: Wire, qos: 1 | 2, change: Partial<ConsumerRole> = {}): ConsumerRole {
  const usual = {
    topicFilter: EVERYTHING,
    group: null,
    laziness: 0.2,
    hasCursor: false,
    isSleeper: false,
    by: 'packets' as const,
  }
  return { kind: 'consumer', name, wire, qos, ...usual, ...change }
}

const member = (name: string, wire: Wire) =>
  consumer(name, wire, 2, { topicFilter: `$share/g/${EVERYTHING}`, group: 'share-group' })

const NATIVE: readonly Troupe[] = [
  {
    name: 'native-publishers',
    isMortal: false,
    roles: [
      publisher('native-1', 'tally.v1', 1, 20),
      publisher('native-2', 'tally.v1', 2, 20),
      publisher('native-careless', 'tally.v1', 2, 10, { isCareless: true }),
      publisher('native-producer', 'tally.v1', 2, 30, { by: 'produce' }),
      gauge('native-gauge', 'tally.v1'),
    ],
  },
  {
    name: 'native-consumers',
    isMortal: false,
    roles: [
      consumer('native-billing', 'tally.v1', 2, { hasCursor: true }),
      member('native-member', 'tally.v1'),
      consumer('native-sleeper', 'tally.v1', 2, { isSleeper: true }),
    ],
  },
]

const SDK: readonly Troupe[] = [
  {
    name: 'sdk-publishers',
    isMortal: true,
    roles: [publisher('sdk-producer', 'tally.v1', 2, 20, { by: 'sdk' })],
  },
  {
    name: 'sdk-consumers',
    isMortal: true,
    roles: [consumer('sdk-ledger', 'tally.v1', 2, { by: 'sdk', hasCursor: true })],
  },
]

const mqtt = (speaksNative: boolean): readonly Troupe[] => [
  {
    name: 'mqtt-publishers',
    isMortal: false,
    roles: [
      publisher('mqtt4-1', 'mqtt 3.1.1', 1, 10),
      publisher('mqtt4-2', 'mqtt 3.1.1', 2, 10),
      publisher('mqtt5-1', 'mqtt 5', 1, 10),
      publisher('mqtt5-2', 'mqtt 5', 2, 10),
      publisher('mqtt5-careless', 'mqtt 5', 2, 10, {
        isCareless: true,
        promisedBy: speaksNative ? 'PUBREC' : 'PUBCOMP',
      }),
      gauge('mqtt5-gauge', 'mqtt 5'),
    ],
  },
  {
    name: 'mqtt-consumers',
    isMortal: false,
    roles: [
      consumer('mqtt4-billing', 'mqtt 3.1.1', 2),
      consumer('mqtt5-archive', 'mqtt 5', 1),
      member('mqtt4-member', 'mqtt 3.1.1'),
      member('mqtt5-member', 'mqtt 5'),
      consumer('mqtt5-sleeper', 'mqtt 5', 2, { isSleeper: true }),
    ],
  },
]

/** Another broker does not speak our protocol; the rest of the cast is the same for everybody. */
export function castFor(speaksNative: boolean): readonly Troupe[] {
  return speaksNative ? [...NATIVE, ...SDK, ...mqtt(true)] : mqtt(false)
}

export function publishersOf(cast: readonly Troupe[]): readonly PublisherRole[] {
  return cast.flatMap(({ roles }) => roles).filter((role) => role.kind === 'publisher')
}

export function consumersOf(cast: readonly Troupe[]): readonly ConsumerRole[] {
  return cast.flatMap(({ roles }) => roles).filter((role) => role.kind === 'consumer')
}
