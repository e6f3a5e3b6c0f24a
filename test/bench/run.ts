/**
 * Runs scenarios in interleaved rounds, a fresh broker for every run, and tells on stderr how far it is. One run after
 * the other: nothing else may use the two cores meanwhile.
 */
import type { Board, EntrantResult, ScenarioResult } from './board.js'
import { withBroker } from './peers.js'
import type { Entrant, Figures, MeasureOptions, Scenario } from './scenario.js'

export interface Plan {
  readonly scenarios: readonly Scenario[]
  readonly rounds: number
  readonly options: MeasureOptions
}

/** Start and end of a broker and a generator. */
const AROUND_SEC = 1

function secondsOf({ extraSec, isOneDeed = false }: Scenario, { seconds, warmupSec }: MeasureOptions): number {
  return extraSec + AROUND_SEC + (isOneDeed ? 0 : seconds + warmupSec)
}

/** All runs of one round: in turn, as often as the scenario wants. */
function roundOf({ entrants, runsPerRound = 1 }: Scenario): Entrant[] {
  return Array.from({ length: runsPerRound }, () => entrants).flat()
}

/** Of everything, as far as it can be known before. */
export function planSeconds({ scenarios, rounds, options }: Plan): number {
  return scenarios.reduce((sum, one) => sum + secondsOf(one, options) * roundOf(one).length, 0) * rounds
}

export async function runPlan(plan: Plan): Promise<Board['results']> {
  const { scenarios, rounds, options } = plan
  const runs = new Map<Entrant, (Figures | null)[]>(
    scenarios.flatMap(({ entrants }) => entrants.map((one) => [one, []])),
  )
  // What is expected first, and then what the entrant took last time.
  const tookSec = new Map<Entrant, number>()
  const lastsSec = (scenario: Scenario) =>
    roundOf(scenario).reduce((sum, one) => sum + (tookSec.get(one) ?? secondsOf(scenario, options)), 0)
  let leftSec = planSeconds(plan)
  for (let round = 1; round <= rounds; round += 1) {
    for (const scenario of scenarios) {
      for (const entrant of roundOf(scenario)) {
        options.say(`${clock(leftSec)} left · round ${round} of ${rounds} · ${scenario.name} · ${entrant.name}`)
        const startedMs = performance.now()
        const figures = await runOnce(entrant, options)
        runs.get(entrant)?.push(figures)
        options.say(`    ${told(scenario, figures)}`)
        leftSec -= tookSec.get(entrant) ?? secondsOf(scenario, options)
        tookSec.set(entrant, (performance.now() - startedMs) / 1_000)
      }
    }
    leftSec = scenarios.reduce((sum, one) => sum + lastsSec(one), 0) * (rounds - round)
  }
  return scenarios.map((scenario): ScenarioResult => {
    const entrants = scenario.entrants.map((entrant): EntrantResult => {
      return { name: entrant.name, settings: entrant.settings, runs: runs.get(entrant) ?? [] }
    })
    return { scenario, entrants }
  })
}

async function runOnce(entrant: Entrant, options: MeasureOptions): Promise<Figures | null> {
  try {
    return await withBroker(entrant.broker, (broker) => entrant.measure(broker, options))
  } catch (error) {
    options.say(`    did not run: ${error instanceof Error ? error.message : String(error)}`)
    return null
  }
}

function told({ headline }: Scenario, figures: Figures | null): string {
  if (figures === null) return 'no figures'
  const { [headline]: first = Number.NaN, ...others } = figures.values
  const rest = Object.entries(others).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`)
  const marks = [
    ...(figures.isGeneratorBound === true ? ['GENERATOR-BOUND'] : []),
    ...figures.flaws.map((flaw) => `VOID: ${flaw}`),
  ]
  return [`${headline} ${Number(first.toPrecision(4))}`, ...rest, ...marks].join(' · ')
}

export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`
}
