/** The scenarios about numbers of things: connections, sessions, filters, retained topics, stored messages. */
import type { Scenario } from '../scenario.js'
import { connectionScenarios } from './connections.js'
import { filterScenarios } from './filters.js'
import { frozenScenarios } from './frozen.js'
import { offlineScenarios } from './offline.js'
import { restartScenarios } from './restart.js'
import { retainedScenarios } from './retained.js'

export const scaleScenarios: readonly Scenario[] = [
  ...connectionScenarios,
  ...retainedScenarios,
  ...filterScenarios,
  ...offlineScenarios,
  ...restartScenarios,
  ...frozenScenarios,
]
