/**
 * Is a fault seen by a case that is named for it? Only those cases run. A case sees it when it fails, has a remark or
 * finds nothing to test any more: on the broker as it is, which goes first, all of them just pass.
 */
import type { Options } from '../context.js'
import { type Configuration, ownOptions, type RunningBroker } from '../own-broker.js'
import { ALL_CASES, type CaseResult, type NumberedCase, runAll } from '../runner.js'
import type { Version } from '../wire/bytes.js'
import { type Fault, faultySource, type Workshop } from './workshop.js'

/** 'crashed' is no catch: anything would have seen that. */
export type Verdict = 'caught' | 'survived' | 'crashed'

export interface Judgement {
  readonly name: string
  readonly file: string
  readonly version: Fault['version']
  readonly verdict: Verdict
  /** What each named case that saw it says: `5.0 qos-03 failed: …`. */
  readonly seen: readonly string[]
  /** Named, and passed all the same. */
  readonly missed: readonly string[]
  readonly ms: number
}

/** As long as an answer is waited for that the fault leaves out. */
const DEADLINE_MS = 4_000
/** Which cases need more than the open broker. Where one is missing here, its case finds nothing to test. */
const LIMITED = /^(auth|size|limit|connect-(03|16|18|21)|properties-16|publish-21|qos-14|subscribe-26)/
const REDUCED = /^(limit|lifetime-15)/

const isWebSocket = ({ file }: Fault) => file.startsWith('transport/ws')
const idsOf = ({ caughtBy, provokedBy = [] }: Fault) => [...caughtBy, ...provokedBy]
const versionsOf = ({ version }: Fault): Version[] => (version === 'both' ? [5, 4] : version === 5 ? [5] : [4])
const isOf = (each: NumberedCase, version: Version) => (version === 5 ? each.v5 : each.v311) !== undefined
const isSeen = ({ outcome, remarks }: CaseResult) => outcome !== 'passed' || remarks.length > 0
const place = ({ version, case: { id } }: CaseResult) => `${version === 5 ? '5.0' : '3.1.1'} ${id}`

function sentence(result: CaseResult): string {
  const { outcome, reason, remarks } = result
  return `${place(result)} ${outcome === 'passed' ? 'remarks' : outcome}: ${reason || remarks.join('; ')}`
}

/** What is wrong with the list itself. */
export function listProblems(root: string, faults: readonly Fault[]): string[] {
  const problems: string[] = []
  for (const fault of faults) {
    if (faults.some((other) => other !== fault && other.name === fault.name)) problems.push(`twice: "${fault.name}"`)
    // A fault that names what is gone is not one; by its place an argument can be gone without a word.
    if (/\barguments\b/.test(fault.to)) problems.push(`"${fault.name}": name the argument`)
    try {
      faultySource(root, fault)
    } catch (error) {
      problems.push((error as Error).message)
    }
    for (const id of idsOf(fault)) {
      if (!ALL_CASES.some((each) => each.id === id)) problems.push(`"${fault.name}": there is no case ${id}`)
    }
    for (const version of versionsOf(fault)) {
      const isSeeable = ALL_CASES.some((each) => fault.caughtBy.includes(each.id) && isOf(each, version))
      if (!isSeeable) problems.push(`"${fault.name}": none of its cases is about ${version === 5 ? '5.0' : '3.1.1'}`)
    }
  }
  return problems
}

/** @returns what does not pass although there is no fault: while that is so, no fault can be judged. */
export async function judgeOriginal(workshop: Workshop, home: string, faults: readonly Fault[]): Promise<string[]> {
  const wrong: string[] = []
  for (const isOnWebSocket of [false, true]) {
    const group = faults.filter((fault) => isWebSocket(fault) === isOnWebSocket)
    const [first] = group
    if (first === undefined) continue
    const all: Fault = { ...first, version: 'both', caughtBy: [...new Set(group.flatMap(idsOf))], provokedBy: [] }
    const { results, lastWords } = await run(workshop, home, all)
    wrong.push(...lastWords.map((text) => `the broker ended: ${text}`), ...results.filter(isSeen).map(sentence))
  }
  return wrong
}

/** @param home of the broker as it is. */
export async function judge(workshop: Workshop, home: string, fault: Fault): Promise<Judgement> {
  const since = performance.now()
  const faulty = await workshop.plant(home, fault)
  const { results, lastWords } = await run(workshop, faulty, fault)
  workshop.remove(faulty)
  const seen = results.filter(isSeen)
  const isCaught = versionsOf(fault).every((version) => seen.some((result) => result.version === version))
  const { name, file, version } = fault
  return {
    name,
    file,
    version,
    verdict: lastWords.length > 0 ? 'crashed' : isCaught ? 'caught' : 'survived',
    seen: [...lastWords, ...seen.map(sentence)],
    missed: results.filter((result) => !isSeen(result)).map(place),
    ms: Math.round(performance.now() - since),
  }
}

/** The cases that are named for the fault, on a broker that has it or not. */
async function run(workshop: Workshop, home: string, fault: Fault) {
  const running = new Map<Configuration, RunningBroker>()
  try {
    const wanted: Configuration[] = ['open']
    if (idsOf(fault).some((id) => LIMITED.test(id))) wanted.push('limited')
    if (idsOf(fault).some((id) => REDUCED.test(id))) wanted.push('reduced')
    const start = async (each: Configuration) => running.set(each, await workshop.start(home, each))
    await Promise.all(wanted.map(start))
    const all = await runAll(optionsOf(fault, running))
    const results = all.filter((result) => fault.caughtBy.includes(result.case.id))
    const lastWords = [...running.values()].map((broker) => broker.lastWords()).filter((text) => text !== null)
    return { results, lastWords }
  } finally {
    await Promise.all([...running.values()].map((broker) => broker.stop()))
  }
}

function optionsOf(fault: Fault, running: ReadonlyMap<Configuration, RunningBroker>): Options {
  const transport = isWebSocket(fault) ? 'ws' : 'mqtt'
  return {
    ...ownOptions(running, [transport]),
    versions: versionsOf(fault),
    deadlineMs: DEADLINE_MS,
    long: false,
    only: idsOf(fault).join(','),
  }
}
