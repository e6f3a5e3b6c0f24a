/** The public API of `tallymq`: a broker to run inside another program. The client is `tallymq/client`. */
export { PROBLEM_KINDS, type Problem, type ProblemKind } from './audit/problems.js'
export { OptionsError, type OptionsProblem, parseOptions } from './config/options.js'
export type { Options, OptionsInput } from './config/options.js'
export { BrokerCounters } from './core/ports/events.js'
export { StoreError, type StoreErrorCode } from './core/ports/store.js'
export { createBroker, type RunningBroker } from './main.js'
export { type DirectoryReport, verifyDirectory } from './main/closed-directory.js'
export { ListenError } from './server/listeners.js'
