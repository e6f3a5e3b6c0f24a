/**
 * `tallymq torture` as a customer runs it, short: our broker keeps its word, also on a slow disk; a broker that
 * acknowledges what it only remembers is found out, and so is Mosquitto. `TALLYMQ_KILLS` and `TALLYMQ_SEED` set kills
 * and choices of the first one.
 */
import { existsSync } from 'node:fs'
import t from 'tap'
import { tallymq } from '../support/cli-process.js'
import { FaultyDisk, faultyDiskNeeds } from '../support/faulty-disk.js'
import { needs } from '../support/peers.js'

const PROGRAM = new URL('../../dist/cli/main.js', import.meta.url).pathname
const KILLS = process.env.TALLYMQ_KILLS ?? '20'
const SEED = process.env.TALLYMQ_SEED ?? String(Date.now() % 1_000_000)
const KEPT_ITS_WORD = { ok: true, lost: 0, duplicated: 0, outOfOrder: 0, sessionsLost: 0, breaches: 0, problems: [] }

interface Report {
  readonly [figure: string]: unknown
  readonly problems: readonly string[]
  readonly kept: string | null
}

async function torture(data: string, flags: readonly string[], environment: Record<string, string> = {}) {
  const args = ['torture', '--json', '--seed', SEED, '--data', data, ...flags]
  // The test runner's loaders would only slow all these processes down.
  const { exitCode, output, errors } = await tallymq(args, { NODE_OPTIONS: '', ...environment })
  if (output === '') throw new Error(`torture ended with ${exitCode}: ${errors}`)
  return { exitCode, report: JSON.parse(output) as Report }
}

t.test(`killed ${KILLS} times under load, nothing acknowledged is lost, and nothing comes twice`, async (t) => {
  const { exitCode, report } = await torture(t.testdir(), ['--kills', KILLS])
  t.comment(JSON.stringify(report))
  t.match(report, { ...KEPT_ITS_WORD, kills: Number(KILLS), broker: 'tallymq', kept: null })
  t.equal(exitCode, 0)
  const { unacknowledgedAtKills, published, delivered, cuts, diskFull, restarts } = report
  t.ok((unacknowledgedAtKills as number) >= Number(KILLS), `under way at the kills: ${unacknowledgedAtKills}`)
  t.ok((delivered as number) > (published as number), 'everybody got something')
  t.ok(
    [cuts, diskFull, restarts].every((times) => (times as number) > 0),
    'every fault took place',
  )
})

// Nearly every kill falls into a commit: whatever was told before its end is found out.
t.test('the same on a slow disk', faultyDiskNeeds, async (t) => {
  const { environment } = new FaultyDisk(t.testdir(), 'delay')
  const { report } = await torture(`${t.testdirName}/work`, ['--kills', '3', '--no-disk-full'], environment)
  t.match(report, { ...KEPT_ITS_WORD, kills: 3 })
})

t.test('a broker that only remembers what it acknowledges is found out', async (t) => {
  const liar = `${process.execPath} ${PROGRAM} broker --store memory --http-port 0 --mqtt-port {port} --log-level error`
  const { exitCode, report } = await torture(t.testdir(), ['--kills', '3', '--no-disk-full', '--broker', liar])
  t.equal(exitCode, 1)
  t.match(report, { ok: false, kills: 3, configuration: liar })
  t.ok((report.lost as number) > 0, `lost: ${report.lost}`)
  const named = /mqtt\d-\w+:\d+ \(QoS [12]\) was acknowledged and never came to |retained retained\/\S+ is /
  t.match(report.problems.join('\n'), named)
  t.ok((report.sessionsLost as number) > 0)
  t.ok(existsSync(`${report.kept}/books/mqtt5-2.book`), 'the books are kept')
})

t.test('Mosquitto, with everything on that it has, as the control', needs('mosquitto'), async (t) => {
  const { exitCode, report } = await torture(t.testdir(), ['--kills', '4', '--no-disk-full', '--broker', 'mosquitto'])
  t.comment(JSON.stringify({ ...report, problems: report.problems.length }))
  t.equal(exitCode, 1)
  t.match(report, { ok: false, kills: 4, configuration: /persistence true.*autosave_on_changes true/ })
  const { lost, duplicated, sessionsLost } = report as Record<string, number>
  t.ok((lost ?? 0) + (duplicated ?? 0) + (sessionsLost ?? 0) > 0, `${lost} lost, ${duplicated} duplicated`)
})
