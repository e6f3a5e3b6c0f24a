/**
 * The scoreboard as data: what was measured, and what follows from it (medians, ratios, whether a bound is met). Pure;
 * how it looks is the business of the reports.
 */
import type { Bound, Figures, Scenario } from './scenario.js'
import { ratio, type Spread, spread } from './statistics.js'

export interface EntrantResult {
  readonly name: string
  readonly settings: string
  /** In the order in which entrants took turns, so that equal places were neighbours; null: it could not be run. */
  readonly runs: readonly (Figures | null)[]
}

export interface ScenarioResult {
  readonly scenario: Pick<Scenario, 'name' | 'isRequired' | 'headline' | 'better' | 'about' | 'bounds'>
  readonly entrants: readonly EntrantResult[]
}

export interface Board {
  readonly commit: string
  readonly date: string
  readonly machine: string
  readonly command: string
  readonly rounds: number
  readonly seconds: number
  readonly warmupSec: number
  /** Name, version and settings of each broker. */
  readonly brokers: readonly { readonly name: string; readonly settings: string }[]
  /** Peers asked for that are not here. */
  readonly skipped: readonly string[]
  readonly results: readonly ScenarioResult[]
}

/** NaN where a run is missing or flawed: such a run has no figure. */
export function figuresOf(entrant: EntrantResult, figure: string): number[] {
  return entrant.runs.map((run) =>
    run === null || run.flaws.length > 0 ? Number.NaN : (run.values[figure] ?? Number.NaN),
  )
}

export function spreadOf(entrant: EntrantResult, figure: string): Spread | null {
  const numbers = figuresOf(entrant, figure).filter((number) => !Number.isNaN(number))
  return numbers.length === 0 ? null : spread(numbers)
}

export function flawsOf(entrant: EntrantResult): string[] {
  return entrant.runs.flatMap((run, index) =>
    (run?.flaws ?? ['did not run']).map((flaw) => `run ${index + 1}: ${flaw}`),
  )
}

/** In most of its runs. */
export function isGeneratorBound({ runs }: EntrantResult): boolean {
  return runs.filter((run) => run?.isGeneratorBound === true).length * 2 > runs.length
}

/** Ours by theirs. */
export function ratioTo(result: ScenarioResult, theirs: EntrantResult, figure: string): Spread | null {
  const [ours] = result.entrants
  return ours === undefined ? null : ratio(figuresOf(ours, figure), figuresOf(theirs, figure))
}

export interface Verdict {
  readonly bound: Bound
  /** What was measured: our figure, or the ratio; null: one of the two is missing or flawed. */
  readonly measured: Spread | null
  readonly isMet: boolean | null
  /** One of the two was generator-bound: where ours was, a bound that is met is met all the same. */
  readonly isLimited: boolean
}

/** @returns null for a bound to a peer that was not measured. */
export function verdictOf(result: ScenarioResult, bound: Bound): Verdict | null {
  const ours = result.entrants.find(({ name }, index) => (bound.of === undefined ? index === 0 : name === bound.of))
  const theirs = result.entrants.find(({ name }) => name === bound.times)
  if (ours === undefined || (bound.times !== undefined && theirs === undefined)) return null
  const figures = figuresOf(ours, bound.figure)
  const measured = theirs === undefined ? spreadOf(ours, bound.figure) : ratio(figures, figuresOf(theirs, bound.figure))
  const isLimited = isGeneratorBound(ours) || (theirs !== undefined && isGeneratorBound(theirs))
  if (measured === null) return { bound, measured, isMet: null, isLimited }
  const { atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY } = bound
  return { bound, measured, isMet: measured.median >= atLeast && measured.median <= atMost, isLimited }
}
