/**
 * Latency on a timetable: messages are sent when they are due whatever comes back, and a delivery's latency counts from
 * when it was due, so that a broker (or a generator) that stands still pays for everything that waited. One hiccup of
 * the machine makes the 99th percentile of a run of three seconds: there are many runs in turn, and what counts is the
 * median of all.
 */
import { besideDiskProbe } from './disk-probe.js'
import { loadEntrant } from './load-entrant.js'
import type { Bound, Entrant, PeerName, Scenario } from './scenario.js'

const RUNS_PER_ROUND = 3
const PEERS: readonly PeerName[] = ['mosquitto', 'nats', 'aedes']

function latencyScenario(ratePerSec: number, qos: 0 | 1, bounds: readonly Bound[]): Scenario {
  const shape = { publishers: 1, subscribers: 1, isPaired: false, qos, payloadBytes: 64, ratePerSec } as const
  // The window has no meaning here; every message is a write of its own.
  const flow = { window: 0, batch: 1 }
  const entrant = (peer: PeerName) => loadEntrant({ peer, wire: 'tcp', shape, flow })
  const native = loadEntrant({ peer: 'tallymq', wire: 'native', shape, flow, name: 'tallymq native' })
  const entrants = [entrant('tallymq'), ...PEERS.map(entrant), native]
  return {
    name: `open loop, ${ratePerSec / 1_000} k msg/s, QoS ${qos}${qos === 1 ? ' flushed' : ''}`,
    isRequired: bounds.length > 0,
    headline: 'p99Ms',
    better: 'lower',
    about:
      `1 publisher, 1 subscriber, QoS ${qos}, 64 bytes, MQTT over TCP, ${ratePerSec} messages a second on a ` +
      'timetable, each a write of its own. Latency is receipt minus the moment the message was due; `ack…` is that ' +
      'of the acknowledgement to the publisher. `sentLateP99Ms` is how late the generator itself was.',
    entrants: qos === 0 ? entrants : entrants.map(withDiskProbe),
    bounds,
    extraSec: 0.5,
    runsPerRound: RUNS_PER_ROUND,
  }
}

function withDiskProbe(entrant: Entrant): Entrant {
  return {
    ...entrant,
    measure: (broker, options) => besideDiskProbe(broker.dataDirectory, () => entrant.measure(broker, options)),
  }
}

export const LATENCY_SCENARIOS: readonly Scenario[] = [
  latencyScenario(10_000, 0, [{ figure: 'p99Ms', times: 'mosquitto', atMost: 1.5 }]),
  latencyScenario(10_000, 1, [
    { figure: 'p50Ms', atMost: 1 },
    { figure: 'p99Ms', atMost: 5 },
  ]),
  latencyScenario(1_000, 0, []),
  latencyScenario(1_000, 1, []),
]
