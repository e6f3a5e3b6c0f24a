/** Every scenario, in the order of the report. A new one is a file that exports a Scenario, and a line here. */
import { scaleScenarios } from './scale/index.js'
import type { Scenario } from './scenario.js'

export const SCENARIOS: readonly Scenario[] = [...scaleScenarios]
