/**
 * From a failing seed to the smallest world that still fails in the same way: clients and kinds of faults are left out
 * one by one, and the faults stop as early as possible. The world is run again for every question; nothing is guessed.
 */
import { FAULTS } from './faults.js'
import { type PlanChoice, planOf } from './plan.js'
import { runSeed, type WorldResult } from './world.js'

export interface Shrunk {
  readonly without: readonly string[]
  readonly untilMs: number
  /** The smallest failing run, told. */
  readonly result: WorldResult
}

const HALVINGS = 6

/** @param checker the one whose complaint must stay. */
export function shrink(failing: PlanChoice, checker: string): Shrunk {
  const plan = planOf(failing)
  const without = new Set(failing.without)
  let untilMs = plan.durationMs
  const choice = () => ({ ...failing, without, untilMs })
  const stillFails = () => runSeed(choice()).violations.some((violation) => violation.checker === checker)
  for (let step = untilMs / 2, halvings = 0; halvings < HALVINGS; halvings += 1, step /= 2) {
    untilMs -= step
    if (!stillFails()) untilMs += step
  }
  const parts = [...FAULTS.filter((kind) => plan.faults.everyMs.has(kind)), ...plan.clients.map((one) => one.clientId)]
  for (const part of parts) {
    without.add(part)
    if (!stillFails()) without.delete(part)
  }
  return { without: [...without], untilMs, result: runSeed(choice(), true) }
}

/** What repeats it. */
export function commandFor(seed: number, { without, untilMs }: Pick<Shrunk, 'without' | 'untilMs'>): string {
  const left = without.length === 0 ? '' : ` --without ${without.join(',')}`
  return `npm run sim -- --seeds 1 --seed ${seed}${left} --until ${Math.ceil(untilMs)}`
}

const LINES_MAX = 120

/** The lines about what the complaint names, with the faults around them; all lines when there are few. */
export function relevantLines(lines: readonly string[], sentence: string): string[] {
  const words = new Set(sentence.match(/[\w:]+/g) ?? [])
  const named = [...words].filter((word) => /^(will:)?[a-z]+\d+(:\d+)?$/.test(word))
  const isRelevant = (line: string) =>
    /WRONG|fault {2}|broker {2}/.test(line) || named.some((word) => line.includes(word))
  const chosen = lines.length <= LINES_MAX ? lines : lines.filter(isRelevant)
  return chosen.slice(-LINES_MAX)
}
