/**
 * Rates in a closed loop: each publisher keeps a window of messages on their way, and what counts is what arrives.
 */
import type { WireName } from './load.js'
import { flowFor, loadEntrant, one, pairs, type Shape, shape, WIRE_TITLES } from './load-entrant.js'
import type { Bound, Keeping, PeerName, Scenario } from './scenario.js'

interface Row {
  readonly name: string
  readonly wire: WireName
  readonly shape: Shape
  readonly against: readonly (readonly [peer: PeerName, keeping?: Keeping])[]
  /** Ratios to the peers that must be shown; such a row is required. */
  readonly atLeast?: Partial<Record<PeerName, number>>
}

const IN_MEMORY: Row['against'] = [['mosquitto'], ['nats'], ['aedes']]
/** nats-server 2.9 has no QoS 2. */
const IN_MEMORY_QOS_2: Row['against'] = [['mosquitto'], ['aedes']]

function rateScenario({ name, wire, shape, against, atLeast = {} }: Row): Scenario {
  const peers = [['tallymq'] as const, ...against]
  const entrants = peers.map(([peer, keeping]) =>
    loadEntrant({ peer, wire, shape, flow: flowFor(peer, shape), ...(keeping === undefined ? {} : { keeping }) }),
  )
  const bounds = Object.entries(atLeast).map(([times, ratio]): Bound => ({ figure: HEADLINE, times, atLeast: ratio }))
  return { ...RATE, name, isRequired: bounds.length > 0, about: aboutOf(wire, shape), entrants, bounds }
}

const HEADLINE = 'deliveriesPerSec'
const RATE = { headline: HEADLINE, better: 'higher', extraSec: 0.5 } as const

function aboutOf(wire: WireName, { publishers, subscribers, isPaired, qos, payloadBytes }: Shape): string {
  const who = isPaired
    ? `${publishers} publishers, each with a topic and a subscriber of its own`
    : `${publishers} publishing, ${subscribers} subscribed to \`bench/#\``
  return `${who}; QoS ${qos}, ${payloadBytes} bytes, ${WIRE_TITLES[wire]}.`
}

/** The native protocol beside our own MQTT over TCP: they differ by less than one run differs from the next. */
function nativeScenario(qos: 1 | 2): Scenario {
  const ours = { peer: 'tallymq', shape: one(qos), flow: flowFor('tallymq', one(qos)) } as const
  const entrants = [
    loadEntrant({ ...ours, wire: 'native', name: 'tallymq native' }),
    loadEntrant({ ...ours, wire: 'tcp', name: 'tallymq MQTT' }),
  ]
  const bounds: readonly Bound[] = [{ figure: HEADLINE, times: 'tallymq MQTT', atLeast: 1 }]
  const about = aboutOf('native', one(qos))
  const name = `QoS ${qos} 1:1 flushed, native beside MQTT`
  return { ...RATE, name, isRequired: true, about, entrants, bounds, runsPerRound: 3 }
}

/** Over WebSocket, beside what is written first when there is no broker, and beside aedes. */
function relayScenario(shape: Shape, timesRelay: number): Scenario {
  const { qos, subscribers } = shape
  const plain = { ...shape, qos: 0 } as const
  const entrants = [
    loadEntrant({ peer: 'tallymq', wire: 'native', shape, flow: flowFor('tallymq', shape) }),
    loadEntrant({ peer: 'relay', wire: 'relay', shape: plain, flow: flowFor('relay', plain) }),
    loadEntrant({ peer: 'aedes', wire: 'websocket', shape, flow: flowFor('aedes', shape) }),
  ]
  const bounds: readonly Bound[] = [{ figure: HEADLINE, times: 'relay', atLeast: timesRelay }]
  const name = `QoS ${qos} 1:${subscribers}${qos === 0 ? '' : ' flushed'}, native beside a plain relay`
  return { ...RATE, name, isRequired: false, about: aboutOf('native', shape), entrants, bounds }
}

export const RATE_SCENARIOS: readonly Scenario[] = [
  ...(['tcp', 'websocket'] as const).map((wire) =>
    rateScenario({
      name: `QoS 0 1:1, ${WIRE_TITLES[wire]}`,
      wire,
      shape: one(0),
      against: IN_MEMORY,
      atLeast: wire === 'tcp' ? { mosquitto: 8, aedes: 6, nats: 1 } : { mosquitto: 5, aedes: 30, nats: 1 },
    }),
  ),
  ...(['tcp', 'websocket'] as const).map((wire) =>
    rateScenario({
      name: `QoS 0 1:100, ${WIRE_TITLES[wire]}`,
      wire,
      shape: shape(1, 100, 0),
      against: IN_MEMORY,
      atLeast: { mosquitto: 25, nats: 1.5 },
    }),
  ),
  rateScenario({
    name: 'QoS 1 1:1 flushed, MQTT over TCP, peers in memory',
    wire: 'tcp',
    shape: one(1),
    against: IN_MEMORY,
    atLeast: { mosquitto: 6, aedes: 4, nats: 6 },
  }),
  rateScenario({
    name: 'QoS 2 1:1 flushed, MQTT over TCP, peers in memory',
    wire: 'tcp',
    shape: one(2),
    against: IN_MEMORY_QOS_2,
    atLeast: { mosquitto: 10, aedes: 7 },
  }),
  nativeScenario(1),
  nativeScenario(2),
  relayScenario(one(0), 4),
  relayScenario(one(1), 3),
  relayScenario(one(2), 2),
  relayScenario(shape(1, 100, 0), 15),
  ...([1, 2] as const).map((qos) =>
    rateScenario({
      name: `QoS ${qos} 1:1 flushed, MQTT over TCP, peers as durable as they can be`,
      wire: 'tcp',
      shape: one(qos),
      against:
        qos === 1
          ? [
              ['mosquitto', 'durable'],
              ['nats', 'durable'],
            ]
          : [['mosquitto', 'durable']],
    }),
  ),
  ...([1, 2] as const).map((qos) =>
    rateScenario({
      name: `QoS ${qos} 1:1 flushed, MQTT over WebSocket, peers in memory`,
      wire: 'websocket',
      shape: one(qos),
      against: qos === 1 ? IN_MEMORY : IN_MEMORY_QOS_2,
    }),
  ),
  ...([1_024, 65_536] as const).flatMap((payloadBytes) =>
    ([0, 1] as const).map((qos) =>
      rateScenario({
        name: `QoS ${qos} 1:1, ${payloadBytes / 1_024} KiB, MQTT over TCP`,
        wire: 'tcp',
        shape: one(qos, payloadBytes),
        against: IN_MEMORY,
      }),
    ),
  ),
  ...([0, 1, 2] as const).map((qos) =>
    rateScenario({
      name: `QoS ${qos} 100:1, MQTT over TCP`,
      wire: 'tcp',
      shape: shape(100, 1, qos),
      against: qos === 2 ? IN_MEMORY_QOS_2 : IN_MEMORY,
    }),
  ),
  rateScenario({ name: 'QoS 1 1:100, MQTT over TCP', wire: 'tcp', shape: shape(1, 100, 1), against: IN_MEMORY }),
  rateScenario({ name: 'QoS 0 1:1000, MQTT over TCP', wire: 'tcp', shape: shape(1, 1_000, 0), against: IN_MEMORY }),
  rateScenario({ name: 'QoS 1 1:1000, MQTT over TCP', wire: 'tcp', shape: shape(1, 1_000, 1), against: IN_MEMORY }),
  ...([0, 1, 2] as const).map((qos) =>
    rateScenario({
      name: `QoS ${qos} 500 pairs, MQTT over TCP`,
      wire: 'tcp',
      shape: pairs(500, qos),
      against: qos === 2 ? IN_MEMORY_QOS_2 : IN_MEMORY,
    }),
  ),
]
