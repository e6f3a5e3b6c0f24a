/** What follows from the runs: bounds, void runs, generator-bound rows; and that both reports say it. */
import t from 'tap'
import { type Board, type EntrantResult, isGeneratorBound, type ScenarioResult, verdictOf } from '../../bench/board.js'
import { htmlReport } from '../../bench/report-html.js'
import { markdownReport, withRecord } from '../../bench/report-markdown.js'
import { number, verdictRows } from '../../bench/report-text.js'
import type { Figures } from '../../bench/scenario.js'

const run = (perSec: number, more: Partial<Figures> = {}): Figures => ({ values: { perSec }, flaws: [], ...more })
const entrant = (name: string, ...runs: (Figures | null)[]): EntrantResult => ({
  name,
  settings: 'as <it> comes',
  runs,
})

function result(...entrants: EntrantResult[]): ScenarioResult {
  const bounds = [
    { figure: 'perSec', times: 'theirs', atLeast: 2 },
    { figure: 'perSec', atMost: 250 },
  ]
  const scenario = {
    name: 'a race',
    isRequired: true,
    headline: 'perSec',
    better: 'higher',
    about: 'One.',
    bounds,
  } as const
  return { scenario, entrants }
}

const board = (...results: ScenarioResult[]): Board => ({
  commit: 'abc1234',
  date: '2026-01-02T03:04:05Z',
  machine: 'a machine',
  command: 'npm run bench',
  rounds: 3,
  seconds: 1,
  warmupSec: 1,
  brokers: [{ name: 'tallymq', settings: 'as it comes' }],
  skipped: ['nats-server is not installed'],
  results,
})

t.test('a bound is held against the median ratio of the rounds', async (t) => {
  const fine = result(entrant('tallymq', run(200), run(300), run(100)), entrant('theirs', run(100), run(100), run(60)))
  const [times, alone] = fine.scenario.bounds
  t.match(verdictOf(fine, times as object as never), { isMet: true, isLimited: false, measured: { median: 2 } })
  t.match(verdictOf(fine, alone as object as never), { isMet: true, measured: { median: 200, min: 100, max: 300 } })
  const slow = result(entrant('tallymq', run(300)), entrant('theirs', run(200)))
  t.same(
    verdictRows(board(slow)).map(([, , , answer]) => answer),
    ['NO', 'NO'],
  )
  t.equal(verdictOf(result(entrant('tallymq', run(1))), { figure: 'perSec', times: 'theirs' }), null, 'not measured')
})

t.test('a flaw voids the run, and a row without a sound run is void', async (t) => {
  const lossy = run(1_000, { flaws: ['3 missing'] })
  const once = result(entrant('tallymq', lossy, run(200), null), entrant('theirs', run(100), run(100), run(100)))
  t.match(verdictOf(once, { figure: 'perSec', times: 'theirs', atLeast: 2 }), { isMet: true, measured: { median: 2 } })
  const never = result(entrant('tallymq', lossy), entrant('theirs', run(100)))
  t.same(verdictRows(board(never))[0]?.slice(2), ['void', 'void'])
  for (const text of [markdownReport(board(once)), htmlReport(board(once))]) {
    t.match(text, '3 missing')
    t.match(text, 'run 3: did not run')
    t.match(text, 'nats-server is not installed')
  }
})

t.test('a row is generator-bound when most of its runs are', async (t) => {
  const bound = run(100, { isGeneratorBound: true })
  t.equal(isGeneratorBound(entrant('tallymq', bound, run(100), bound)), true)
  t.equal(isGeneratorBound(entrant('tallymq', bound, run(100), run(100))), false)
  const rows = verdictRows(board(result(entrant('tallymq', bound), entrant('theirs', run(10)))))
  t.equal(rows[0]?.[3], 'yes, generator-bound')
})

t.test('a report says what its figures mean, and of no others', async (t) => {
  const figures: Figures = { values: { perSec: 1, othersCpu: 0.1 }, flaws: [] }
  for (const text of [
    markdownReport(board(result(entrant('tallymq', figures)))),
    htmlReport(board(result(entrant('tallymq', figures)))),
  ]) {
    t.match(text, 'othersCpu: cores that neither')
    t.notMatch(text, 'sentLateP99Ms:')
  }
})

t.test('numbers are short', async (t) => {
  t.same([0, 0.12345, 12.34, 999.6, 1_234_567, Number.NaN].map(number), [
    '0',
    '0.123',
    '12.3',
    '1 000',
    '1 230 000',
    '–',
  ])
})

t.test('the page is one file, draws what was measured and lets nobody write HTML', async (t) => {
  const curve = [
    [50, 0.2],
    [99, 1.5],
    [100, 30],
  ] as const
  const page = htmlReport(board(result(entrant('tallymq', run(200, { curve })), entrant('theirs', run(100)))))
  t.match(page, /<rect [^>]*width="[1-9]/)
  t.match(page, /<polyline points="[\d.]+,[\d.]+ /)
  t.match(page, 'as &lt;it&gt; comes')
  t.notMatch(page, /<script|<link|src=|url\(|https?:/)
  t.notMatch(page, /NaN|Infinity|undefined/)
})

t.test('a page of results holds each commit once, the newest first', async (t) => {
  const fine = board(result(entrant('tallymq', run(200)), entrant('theirs', run(100))))
  const intro = '# Results\n\nText.\n'
  const first = withRecord(intro, fine)
  t.match(first, /^# Results\n\nText\.\n\n## abc1234\n/)
  t.equal(withRecord(first, fine), first)
  const second = withRecord(first, { ...fine, commit: 'def5678' })
  t.ok(second.indexOf('## def5678') < second.indexOf('## abc1234'))
  t.equal(withRecord(second, fine).match(/^## /gm)?.length, 2)
})
