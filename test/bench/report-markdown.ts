/** The scoreboard as Markdown: the bounds first, then every scenario with all its figures. Pure. */
import {
  type Board,
  type EntrantResult,
  flawsOf,
  isGeneratorBound,
  ratioTo,
  type ScenarioResult,
  spreadOf,
  type Verdict,
  verdictOf,
} from './board.js'
import type { Spread } from './statistics.js'

/** Three digits that mean something, thousands apart. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const rounded = value === 0 ? 0 : Number(value.toPrecision(3))
  const [whole = '', fraction] = String(rounded).split('.')
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ' ')
  return fraction === undefined ? grouped : `${grouped}.${fraction}`
}

export function ofSpread(value: Spread | null): string {
  if (value === null) return 'void'
  return value.min === value.max
    ? number(value.median)
    : `${number(value.median)} (${number(value.min)}…${number(value.max)})`
}

export function wantedOf({ bound }: Verdict): string {
  const limit =
    bound.atLeast === undefined ? `at most ${number(bound.atMost ?? 0)}` : `at least ${number(bound.atLeast)}`
  return bound.times === undefined ? `${bound.figure} ${limit}` : `${bound.figure} ${limit} × ${bound.times}`
}

export function answerOf({ isMet, isLimited }: Verdict): string {
  const answer = isMet === null ? 'void' : isMet ? 'yes' : 'NO'
  return isLimited ? `${answer}, generator-bound` : answer
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const align = head.map((_, column) => (column === 0 ? '---' : '--:'))
  return [line(head), line(align), ...rows.map(line)].join('\n')
}

export function verdictTable(board: Board): string {
  const rows = board.results.flatMap((result) =>
    result.scenario.bounds.flatMap((bound) => {
      const verdict = verdictOf(result, bound)
      if (verdict === null) return []
      return [[result.scenario.name, wantedOf(verdict), ofSpread(verdict.measured), answerOf(verdict)]]
    }),
  )
  return table(['scenario', 'wanted', 'measured', 'shown'], rows)
}

/** Every figure any entrant has, the headline first. */
export function figureNames({ scenario, entrants }: ScenarioResult): string[] {
  const names = new Set([scenario.headline])
  for (const { runs } of entrants)
    for (const run of runs) for (const name of Object.keys(run?.values ?? {})) names.add(name)
  return [...names]
}

function section(result: ScenarioResult): string {
  const { scenario, entrants } = result
  const names = figureNames(result)
  const ratioText = (entrant: EntrantResult, index: number): string =>
    index === 0 ? '1' : ofSpread(ratioTo(result, entrant, scenario.headline))
  const rows = entrants.map((entrant, index) => {
    const mark = isGeneratorBound(entrant) ? ' (generator-bound)' : ''
    return [
      `${entrant.name}${mark}`,
      ratioText(entrant, index),
      ...names.map((name) => ofSpread(spreadOf(entrant, name))),
    ]
  })
  const flaws = entrants.flatMap((entrant) => flawsOf(entrant).map((flaw) => `- **${entrant.name}**, ${flaw}`))
  const settings = entrants.map(({ name, settings }) => `- ${name}: ${settings}`)
  const parts = [`### ${scenario.name}`, scenario.about, table(['', 'ours ÷ it', ...names], rows), settings.join('\n')]
  return [...parts, ...(flaws.length > 0 ? [`Void runs:\n\n${flaws.join('\n')}`] : [])].join('\n\n')
}

export function provenance(board: Board): string {
  const skipped = board.skipped.map((reason) => `- not measured: ${reason}`)
  const brokers = board.brokers.map(({ name, settings }) => `- ${name}: ${settings}`)
  return [
    `Commit ${board.commit}, ${board.date}, ${board.machine}. \`${board.command}\``,
    `Medians of ${board.rounds} interleaved rounds, (min…max) behind them; ratios are taken within a round.`,
    [...brokers, ...skipped].join('\n'),
  ].join('\n\n')
}

export function markdownReport(board: Board): string {
  const parts = ['# Scoreboard', provenance(board), '## What must be shown', verdictTable(board), '## Every scenario']
  return `${[...parts, ...board.results.map(section)].join('\n\n')}\n`
}
