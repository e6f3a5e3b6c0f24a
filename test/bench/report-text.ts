/** What both reports say in words and digits. Pure. */
import { type Board, type EntrantResult, ratioTo, type ScenarioResult, type Verdict, verdictOf } from './board.js'
import type { Spread } from './statistics.js'

/** Three digits that mean something, thousands apart. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const rounded = value === 0 ? 0 : Number(value.toPrecision(3))
  const [whole = '', fraction] = String(rounded).split('.')
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ' ')
  return fraction === undefined ? grouped : `${grouped}.${fraction}`
}

/** The median, and from where to where the runs went. */
export function ofSpread(value: Spread | null): string {
  if (value === null) return '–'
  const range = `${number(value.min)}…${number(value.max)}`
  return value.min === value.max ? number(value.median) : `${number(value.median)} (${range})`
}

/** Ours by theirs, so that 3 means three times theirs; void when one of the two has no figure. */
export function ratioText(result: ScenarioResult, theirs: EntrantResult): string {
  const ratio = ratioTo(result, theirs, result.scenario.headline)
  return ratio === null ? 'void' : ofSpread(ratio)
}

function wantedOf({ bound }: Verdict): string {
  const limit =
    bound.atLeast === undefined ? `at most ${number(bound.atMost ?? 0)}` : `at least ${number(bound.atLeast)}`
  const whose = bound.of === undefined ? bound.figure : `${bound.of}: ${bound.figure}`
  return bound.times === undefined ? `${whose} ${limit}` : `${whose} ${limit} × ${bound.times}`
}

function answerOf({ isMet, isLimited }: Verdict): string {
  const answer = isMet === null ? 'void' : isMet ? 'yes' : 'NO'
  return isLimited ? `${answer}, generator-bound` : answer
}

/** Scenario, what is wanted of it, what was measured, and whether that will do. */
export function verdictRows(board: Board): string[][] {
  return board.results.flatMap((result) =>
    result.scenario.bounds.flatMap((bound) => {
      const verdict = verdictOf(result, bound)
      if (verdict === null) return []
      const measured = verdict.measured === null ? 'void' : ofSpread(verdict.measured)
      return [[result.scenario.name, wantedOf(verdict), measured, answerOf(verdict)]]
    }),
  )
}

/** Every figure any entrant has, the headline first. */
export function figureNames({ scenario, entrants }: ScenarioResult): string[] {
  const names = new Set([scenario.headline])
  for (const { runs } of entrants) {
    for (const run of runs) for (const name of Object.keys(run?.values ?? {})) names.add(name)
  }
  return [...names]
}

const MEANINGS: readonly (readonly [figure: string, meaning: string])[] = [
  ['brokerMicrosPerDelivery', 'CPU time of the broker, all its threads, for each delivery'],
  ['brokerCpu', 'cores that the broker used; it has one'],
  ['generatorCpu', 'cores that the generator used; on a timetable it watches the clock, and uses one'],
  ['othersCpu', 'cores that neither of the two used: everything else on this machine'],
  ['deliveriesPerWrite', 'deliveries for each write call of the broker, its acknowledgements and files included'],
  ['deliveriesPerFrame', 'deliveries for each WebSocket frame'],
  ['ackP50Ms', 'from when a publication was due until it was acknowledged; likewise p99 and the others'],
  ['sentLateP99Ms', 'how late the generator itself sent: latency that is not the broker’s'],
  ['diskMaxMs', 'the longest flushed write of a bystander on the broker’s disk, warm-up included; likewise p50'],
  ['rssMiB', 'resident memory of the broker at the end'],
]

/** What the figures of this board mean, where their names do not say it. */
export function meanings(board: Board): string[] {
  const present = new Set(board.results.flatMap(figureNames))
  return MEANINGS.flatMap(([figure, meaning]) => (present.has(figure) ? [`${figure}: ${meaning}`] : []))
}
