/** Every scenario, in the order of the report. A new one is a file that exports a Scenario, and a line here. */
import { LATENCY_SCENARIOS } from './latency.js'
import { LEDGER_SCENARIOS } from './ledger.js'
import { RATE_SCENARIOS } from './rates.js'
import { scaleScenarios } from './scale/index.js'
import type { Scenario } from './scenario.js'

export const SCENARIOS: readonly Scenario[] = [
  ...RATE_SCENARIOS,
  ...LATENCY_SCENARIOS,
  ...scaleScenarios,
  ...LEDGER_SCENARIOS,
]
