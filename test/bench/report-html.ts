/**
 * The scoreboard as one HTML page: the bounds, a bar for every entrant, curves where latency was measured. Charts are
 * inline SVG; nothing is loaded and nothing runs. Pure.
 */
import { type Board, type EntrantResult, flawsOf, isGeneratorBound, type ScenarioResult, spreadOf } from './board.js'
import { figureNames, meanings, number, ofSpread, ratioText, verdictRows } from './report-text.js'

const WIDTH = 720
const NAME_WIDTH = 150
const BAR_HEIGHT = 20
const ROW_HEIGHT = 30
const CURVE_HEIGHT = 220
/** Ours first; told apart by lightness as well, for those who see no colours. */
const COLOURS = ['#0b6e4f', '#b5533c', '#3d5a80', '#8d6a9f', '#9a8c3c', '#555555']

export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

function colour(index: number): string {
  return COLOURS[index % COLOURS.length] as string
}

/** Length is the median, the thin line from the lowest to the highest run. */
function bars(result: ScenarioResult): string {
  const { entrants, scenario } = result
  const spreads = entrants.map((entrant) => spreadOf(entrant, scenario.headline))
  const highest = Math.max(...spreads.map((one) => one?.max ?? 0), Number.MIN_VALUE)
  const x = (value: number) => NAME_WIDTH + (value / highest) * (WIDTH - NAME_WIDTH - 170)
  const rows = entrants.map((entrant, index) => {
    const top = index * ROW_HEIGHT
    const middle = top + BAR_HEIGHT / 2 + 4
    const name = `<text x="${NAME_WIDTH - 8}" y="${middle + 4}" text-anchor="end">${escaped(entrant.name)}</text>`
    const one = spreads[index]
    if (one === null || one === undefined) return `${name}<text x="${NAME_WIDTH}" y="${middle + 4}">void</text>`
    const width = (x(one.median) - NAME_WIDTH).toFixed(1)
    const size = `x="${NAME_WIDTH}" y="${top + 4}" width="${width}" height="${BAR_HEIGHT}"`
    const bar = `<rect ${size} fill="${colour(index)}"/>`
    const ends = `x1="${x(one.min).toFixed(1)}" x2="${x(one.max).toFixed(1)}" y1="${middle}" y2="${middle}"`
    const line = `<line ${ends} stroke="#000" stroke-width="1.5"/>`
    const factor = index === 0 ? '' : `, ours ÷ it ${ratioText(result, entrant)}`
    const label = `<text x="${(x(one.max) + 6).toFixed(1)}" y="${middle + 4}">${number(one.median)}${factor}</text>`
    return `${name}${bar}${line}${label}`
  })
  const box = `0 0 ${WIDTH} ${entrants.length * ROW_HEIGHT + 4}`
  return `<svg viewBox="${box}" role="img" aria-label="${escaped(scenario.headline)}">${rows.join('')}</svg>`
}

/** The curve of the middle run, by p99: curves themselves have no median. */
function curveOf(entrant: EntrantResult): readonly (readonly [number, number])[] | null {
  const runs = entrant.runs.flatMap((run) => (run?.curve === undefined || run.flaws.length > 0 ? [] : [run]))
  const sorted = runs.sort((a, b) => (a.values.p99Ms ?? 0) - (b.values.p99Ms ?? 0))
  return sorted[sorted.length >> 1]?.curve ?? null
}

/** Percentile to the right, stretched towards 100; milliseconds up; both logarithmic. */
function curves({ entrants }: ScenarioResult): string {
  const drawn = entrants.map(curveOf)
  const points = drawn.flatMap((curve) => curve ?? [])
  if (points.length === 0) return ''
  const times = points.map(([, ms]) => Math.max(ms, 0.001))
  const [lowest, highest] = [Math.log10(Math.min(...times)), Math.log10(Math.max(...times))]
  const x = (percentile: number) => 60 + (Math.min(5, -Math.log10(1 - Math.min(percentile, 99.999) / 100)) / 5) * 560
  const y = (ms: number) =>
    CURVE_HEIGHT - 30 - ((Math.log10(Math.max(ms, 0.001)) - lowest) / (highest - lowest || 1)) * 170
  const axis = [50, 90, 99, 99.9, 99.99].map(
    (percentile) =>
      `<line x1="${x(percentile)}" x2="${x(percentile)}" y1="15" y2="${CURVE_HEIGHT - 30}" stroke="#ddd"/>` +
      `<text x="${x(percentile)}" y="${CURVE_HEIGHT - 12}" text-anchor="middle">p${percentile}</text>`,
  )
  const decades: string[] = []
  for (let power = Math.ceil(lowest); power <= highest; power += 1) {
    const at = y(10 ** power).toFixed(1)
    decades.push(`<line x1="60" x2="620" y1="${at}" y2="${at}" stroke="#ddd"/>`)
    decades.push(`<text x="54" y="${at}" text-anchor="end">${10 ** power} ms</text>`)
  }
  const lines = drawn.map((curve, index) => {
    if (curve === null) return ''
    const path = curve.map(([percentile, ms]) => `${x(percentile).toFixed(1)},${y(ms).toFixed(1)}`).join(' ')
    const name = escaped(entrants[index]?.name ?? '')
    const key = `<text x="628" y="${30 + index * 18}" fill="${colour(index)}">${name}</text>`
    return `<polyline points="${path}" fill="none" stroke="${colour(index)}" stroke-width="2"/>${key}`
  })
  const inside = [...axis, ...decades, ...lines].join('')
  return `<svg viewBox="0 0 ${WIDTH} ${CURVE_HEIGHT}" role="img" aria-label="latency by percentile">${inside}</svg>`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (tag: string, all: readonly string[]) => all.map((text) => `<${tag}>${escaped(text)}</${tag}>`).join('')
  const body = rows.map((row) => `<tr>${cells('td', row)}</tr>`).join('')
  return `<div class="wide"><table><tr>${cells('th', head)}</tr>${body}</table></div>`
}

function section(result: ScenarioResult): string {
  const { scenario, entrants } = result
  const names = figureNames(result)
  const rows = entrants.map((entrant) => [
    isGeneratorBound(entrant) ? `${entrant.name} (generator-bound)` : entrant.name,
    ...names.map((name) => ofSpread(spreadOf(entrant, name))),
  ])
  const notes = [
    ...entrants.map(({ name, settings }) => `${name}: ${settings}`),
    ...entrants.flatMap((entrant) => flawsOf(entrant).map((flaw) => `VOID ${entrant.name}, ${flaw}`)),
  ]
  const list = `<ul>${notes.map((note) => `<li>${escaped(note)}</li>`).join('')}</ul>`
  const unit = `<p>${escaped(scenario.about)} Bars: ${escaped(scenario.headline)}, ${scenario.better} is better.</p>`
  const details = `<details><summary>All figures and settings</summary>${table(['', ...names], rows)}${list}</details>`
  return `<h2>${escaped(scenario.name)}</h2>${unit}${bars(result)}${curves(result)}${details}`
}

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { border-bottom: 1px solid #ddd; padding: .2rem .6rem; text-align: right }
td:first-child, th:first-child { text-align: left }
.wide { overflow-x: auto }
svg { width: 100%; height: auto; font: 13px system-ui, sans-serif }
h2 { margin-top: 2.5rem; font-size: 1.1rem }
summary { cursor: pointer; color: #555 }
li { color: #555 }`

export function htmlReport(board: Board): string {
  const told = [
    `Commit ${board.commit}, ${board.date}, ${board.machine}.`,
    `${board.rounds} interleaved rounds, medians; ratios are taken within a round. ${board.command}`,
  ]
  const brokers = board.brokers.map(({ name, settings }) => `<li>${escaped(`${name}: ${settings}`)}</li>`)
  const skipped = board.skipped.map((reason) => `<li>not measured: ${escaped(reason)}</li>`)
  return [
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
    `<title>TallyMQ scoreboard, ${escaped(board.commit)}</title><style>${STYLE}</style>`,
    `<h1>TallyMQ scoreboard</h1>${told.map((line) => `<p>${escaped(line)}</p>`).join('')}`,
    `<ul>${[...brokers, ...skipped].join('')}</ul>`,
    `<h2>What must be shown</h2>${table(['scenario', 'wanted', 'measured', 'shown'], verdictRows(board))}`,
    ...board.results.map(section),
    `<h2>What the figures mean</h2><ul>${meanings(board)
      .map((line) => `<li>${escaped(line)}</li>`)
      .join('')}</ul>`,
    '</html>\n',
  ].join('\n')
}
