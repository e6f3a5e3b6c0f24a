/**
 * The benchmark of the pipeline, half a minute: ours beside a plain relay, measured in the same run. It fails on a
 * gross loss only, such as a write for every message: each bound is about three times the worst of several runs, some
 * of them on a machine that had much else to do.
 */
import { flowFor, loadEntrant, one, type Shape, shape } from './load-entrant.js'
import type { Bound, Scenario } from './scenario.js'

const HEADLINE = 'deliveriesPerSec'
const FAN_OUT = shape(1, 100, 0)

function relay(shape: Shape) {
  return loadEntrant({ peer: 'relay', wire: 'relay', shape, flow: flowFor('relay', shape) })
}

function ours(name: string, wire: 'tcp' | 'websocket' | 'native', shape: Shape) {
  return loadEntrant({ peer: 'tallymq', name, wire, shape, flow: flowFor('tallymq', shape) })
}

/** Of the broker's CPU for each delivery, which other work on the machine changes least. */
function atMost(of: string, atMost: number): Bound {
  return { figure: 'brokerMicrosPerDelivery', of, times: 'relay', atMost }
}

const COMMON = { headline: HEADLINE, better: 'higher', isRequired: false, extraSec: 0.5 } as const

export const SHORT_SCENARIOS: readonly Scenario[] = [
  {
    ...COMMON,
    name: 'short, 1:1',
    about: '1 publishing, 1 subscribed; 64 bytes. QoS 1 and 2 are flushed.',
    entrants: [
      ours('QoS 0 over TCP', 'tcp', one(0)),
      ours('QoS 1 over TCP', 'tcp', one(1)),
      ours('QoS 2 native', 'native', one(2)),
      relay(one(0)),
    ],
    bounds: [atMost('QoS 0 over TCP', 0.35), atMost('QoS 1 over TCP', 1.3), atMost('QoS 2 native', 1.8)],
  },
  {
    ...COMMON,
    name: 'short, 1:100',
    about: '1 publishing, 100 subscribed; QoS 0, 64 bytes.',
    entrants: [ours('QoS 0 over WebSocket', 'websocket', FAN_OUT), relay(FAN_OUT)],
    bounds: [atMost('QoS 0 over WebSocket', 0.16)],
  },
]
