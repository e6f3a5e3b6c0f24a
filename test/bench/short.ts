/**
 * The benchmark of the pipeline, half a minute: ours beside a plain relay, measured in the same run. It fails on a
 * gross loss only, such as a write for every message: each bound is about a third of the lowest ratio of many runs.
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

function atLeast(of: string, atLeast: number): Bound {
  return { figure: HEADLINE, of, times: 'relay', atLeast }
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
    bounds: [atLeast('QoS 0 over TCP', 4), atLeast('QoS 1 over TCP', 1), atLeast('QoS 2 native', 0.8)],
  },
  {
    ...COMMON,
    name: 'short, 1:100',
    about: '1 publishing, 100 subscribed; QoS 0, 64 bytes.',
    entrants: [ours('QoS 0 over WebSocket', 'websocket', FAN_OUT), relay(FAN_OUT)],
    bounds: [atLeast('QoS 0 over WebSocket', 7)],
  },
]
