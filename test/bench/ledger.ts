/**
 * What exactness costs: the same build without the ledger, with it, and with producers on top, flushed to disk alike.
 * And what a change costs: with `--against DIRECTORY`, this build beside one of another checkout.
 */
import { flowFor, loadEntrant, one } from './load-entrant.js'
import type { BrokerChoice, Scenario } from './scenario.js'

const HEADLINE = 'deliveriesPerSec'
const COMMON = { headline: HEADLINE, better: 'higher', isRequired: false, extraSec: 0.5 } as const

function entrant(name: string, qos: 0 | 1 | 2, broker: Partial<BrokerChoice>, isProducer = false) {
  const shape = { ...one(qos), isProducer }
  return loadEntrant({ peer: 'tallymq', name, wire: 'native', shape, flow: flowFor('tallymq', shape), broker })
}

const ON = { environment: { TALLYMQ_LEDGER__ENABLED: 'true' } }
const OFF = { environment: { TALLYMQ_LEDGER__ENABLED: 'false' } }

export const LEDGER_SCENARIOS: readonly Scenario[] = ([1, 2] as const).map((qos) => ({
  ...COMMON,
  name: `ledger, QoS ${qos} 1:1 flushed, native`,
  about: `1 publishing, 1 subscribed; QoS ${qos}, 64 bytes, native. A producer sends its batch as one PRODUCE.`,
  entrants: [
    entrant('ledger on', qos, ON),
    entrant('ledger off', qos, OFF),
    entrant('producer, ledger on', qos, ON, true),
  ],
  bounds: [
    { figure: HEADLINE, times: 'ledger off', atLeast: 0.85 },
    { figure: HEADLINE, of: 'producer, ledger on', times: 'ledger off', atLeast: 0.85 },
  ],
}))

/** A build beside this one, so that a change for speed, or a price, can be told from the machine's mood. */
export function againstScenarios(root: string): Scenario[] {
  return ([0, 1, 2] as const).map((qos) => ({
    ...COMMON,
    name: `another build, QoS ${qos} 1:1, native`,
    about: `1 publishing, 1 subscribed; QoS ${qos}, 64 bytes, native; the other build is in ${root}.`,
    entrants: [entrant('this build', qos, {}), entrant('other build', qos, { root })],
    bounds: [{ figure: HEADLINE, times: 'other build', atLeast: 0.95 }],
  }))
}
