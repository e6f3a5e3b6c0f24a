/** The scoreboard as Markdown: the bounds first, then every scenario with all its figures. Pure. */
import { type Board, flawsOf, isGeneratorBound, type ScenarioResult, spreadOf } from './board.js'
import { figureNames, meanings, ofSpread, ratioText, verdictRows } from './report-text.js'

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const align = head.map((_, column) => (column === 0 ? '---' : '--:'))
  return [line(head), line(align), ...rows.map(line)].join('\n')
}

export function verdictTable(board: Board): string {
  return table(['scenario', 'wanted', 'measured', 'shown'], verdictRows(board))
}

function section(result: ScenarioResult): string {
  const { scenario, entrants } = result
  const names = figureNames(result)
  const rows = entrants.map((entrant, index) => {
    const mark = isGeneratorBound(entrant) ? ' (generator-bound)' : ''
    const ratio = index === 0 ? '1' : ratioText(result, entrant)
    return [`${entrant.name}${mark}`, ratio, ...names.map((name) => ofSpread(spreadOf(entrant, name)))]
  })
  const settings = entrants.map(({ name, settings }) => `- ${name}: ${settings}`)
  const flaws = entrants.flatMap((entrant) => flawsOf(entrant).map((flaw) => `- **void**: ${entrant.name}, ${flaw}`))
  const figures = table(['', 'ours ÷ it', ...names], rows)
  return [`### ${scenario.name}`, scenario.about, figures, [...settings, ...flaws].join('\n')].join('\n\n')
}

function provenance(board: Board): string {
  const skipped = board.skipped.map((reason) => `- not measured: ${reason}`)
  const brokers = board.brokers.map(({ name, settings }) => `- ${name}: ${settings}`)
  return [
    `Commit ${board.commit}, ${board.date}, ${board.machine}.`,
    `\`${board.command}\`: medians of ${board.rounds} rounds, (min…max) behind them; ratios within a round.`,
    [...brokers, ...skipped].join('\n'),
  ].join('\n\n')
}

export function markdownReport(board: Board): string {
  const legend = meanings(board).map((line) => `- ${line}`)
  const shown = ['## What must be shown', verdictTable(board), '## Every scenario', legend.join('\n')]
  const parts = ['# Scoreboard', provenance(board), ...shown]
  return `${[...parts, ...board.results.map(section)].join('\n\n')}\n`
}

/** Every scenario in one row, for the page of results: who measured what of whom. */
export function recordText(board: Board): string {
  const rows = board.results.map((result) => {
    const { scenario, entrants } = result
    const [ours, ...others] = entrants
    const told = others.map((entrant) => {
      const figure = ofSpread(spreadOf(entrant, scenario.headline))
      return `${entrant.name} ${figure}, ratio ${ratioText(result, entrant)}`
    })
    const first = ours === undefined ? '–' : ofSpread(spreadOf(ours, scenario.headline))
    return [scenario.name, `${scenario.headline} ${first}`, told.join('; ')]
  })
  const every = table(['scenario', 'ours', 'beside it'], rows)
  return `${[`## ${board.commit}`, provenance(board), verdictTable(board), every].join('\n\n')}\n`
}

/** The newest first; a commit that is measured again replaces what was there of it. */
export function withRecord(page: string, board: Board): string {
  const [intro = '', ...records] = page.split(/^(?=## )/m)
  const others = records.filter((record) => !record.startsWith(`## ${board.commit}\n`))
  return `${[`${intro.trimEnd()}\n`, recordText(board), ...others.map((record) => `${record.trimEnd()}\n`)].join('\n')}`
}
