/**
 * `npm run bench -- --peers mosquitto,nats,aedes [--only REGEX] [--rounds N] [--seconds S] [--json] [--out DIR]`: the
 * scoreboard. Chooses what is measured, runs it, writes the reports. `--help` lists the flags.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Board } from './board.js'
import { againstScenarios } from './ledger.js'
import { missing, PEER_SETTINGS } from './peers.js'
import { htmlReport } from './report-html.js'
import { markdownReport, verdictTable, withRecord } from './report-markdown.js'
import { clock, planSeconds, runPlan } from './run.js'
import { type Entrant, type PeerName, PEER_NAMES, type Scenario } from './scenario.js'
import { verdictRows } from './report-text.js'
import { SCENARIOS } from './scenarios.js'
import { SHORT_SCENARIOS } from './short.js'

const USAGE = `npm run bench -- [--peers mosquitto,nats,aedes] [--only REGEX] [--rounds N] [--json] [--out DIR]
  --peers NAMES     whom to compare with; whoever is not installed is skipped, by name (mosquitto,nats,aedes)
  --only REGEX      scenarios whose name matches, "QoS 1.*TCP"
  --only-required   scenarios that must show something, with the entrants that this takes
  --list            names the scenarios, says how long they take, and ends
  --short           half a minute beside a plain relay; exit code 1 on a gross loss
  --against DIR     instead: this build beside that of another checkout, which has been built
  --rounds N        interleaved rounds; figures are medians (5)
  --seconds S       measured in each run, after the warm-up (3)
  --warmup S        discarded at the start of each run (5)
  --scale N         divides the size of the scenarios that take minutes, for a trial (1)
  --out DIR         where scoreboard.md, scoreboard.html and scoreboard.json go (a temporary directory)
  --json            prints everything as JSON instead of the table
  --record          puts the table into test/bench/RESULTS.md`

const GENERATOR_CORE = 1
/** A just-in-time compiler needs the warm-up; those without one are given it all the same. */
const FULL = { rounds: 5, seconds: 3, warmupSec: 5 }
const SHORT = { rounds: 1, seconds: 1.5, warmupSec: 1.5 }
/** This file runs as dist/bench/main.js. */
const RESULTS = new URL('../../test/bench/RESULTS.md', import.meta.url)

const { values } = parseArgs({
  options: {
    peers: { type: 'string', default: 'mosquitto,nats,aedes' },
    only: { type: 'string', default: '' },
    'only-required': { type: 'boolean', default: false },
    against: { type: 'string' },
    short: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    warmup: { type: 'string' },
    scale: { type: 'string', default: '1' },
    out: { type: 'string' },
    json: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

function chosenPeers(skipped: string[]): Set<PeerName> {
  const chosen = new Set<PeerName>(['tallymq', 'relay'])
  for (const name of values.peers.split(',').filter((name) => name !== '')) {
    const peer = PEER_NAMES.find((known) => known === name)
    if (peer === undefined) throw new Error(`no peer is called ${name}; there are ${PEER_NAMES.join(', ')}`)
    const reason = missing(peer)
    if (reason === null) chosen.add(peer)
    else skipped.push(reason)
  }
  return chosen
}

/** Of each scenario, who is here; if only what is required counts, who is needed for it. */
function chosenScenarios(peers: ReadonlySet<PeerName>): Scenario[] {
  const only = new RegExp(values.only)
  const isOnlyRequired = values['only-required']
  const all = values.short
    ? SHORT_SCENARIOS
    : values.against === undefined
      ? SCENARIOS
      : againstScenarios(values.against)
  const chosen = all.filter(({ name, isRequired }) => only.test(name) && (isRequired || !isOnlyRequired))
  return chosen.map((scenario) => {
    const needed = new Set(scenario.bounds.flatMap(({ of, times }) => [of, times]))
    const isChosen = ({ name, broker }: Entrant, index: number) =>
      peers.has(broker.peer) && (!isOnlyRequired || index === 0 || needed.has(name))
    return { ...scenario, entrants: scenario.entrants.filter(isChosen) }
  })
}

function machine(): string {
  const [cpu] = cpus()
  return `${cpus().length} × ${cpu?.model ?? 'unknown'}, Linux ${release()}, Node ${process.version}`
}

function commit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8', stdio: 'pipe' }).trim()
  try {
    const isClean = git('status', '--porcelain', '--untracked-files=no') === ''
    return `${git('rev-parse', '--short', 'HEAD')}${isClean ? '' : ' with changes'}`
  } catch {
    return 'unknown (no git here)'
  }
}

/** The page for people, the table for other pages, the figures for programs. */
function writeReports(board: Board): void {
  const directory = values.out ?? mkdtempSync(join(tmpdir(), 'tallymq-scoreboard-'))
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'scoreboard.md'), markdownReport(board))
  writeFileSync(join(directory, 'scoreboard.html'), htmlReport(board))
  writeFileSync(join(directory, 'scoreboard.json'), `${JSON.stringify(board, null, 2)}\n`)
  if (values.record) writeFileSync(RESULTS, withRecord(readFileSync(RESULTS, 'utf8'), board))
  process.stdout.write(values.json ? `${JSON.stringify(board)}\n` : `${verdictTable(board)}\n`)
  say(`written to ${directory}`)
}

async function main(): Promise<void> {
  const skipped: string[] = []
  const peers = chosenPeers(skipped)
  const scenarios = chosenScenarios(peers)
  const usual = values.short ? SHORT : FULL
  const rounds = Number(values.rounds ?? usual.rounds)
  const seconds = Number(values.seconds ?? usual.seconds)
  const warmupSec = Number(values.warmup ?? usual.warmupSec)
  const options = { seconds, warmupSec, generatorCore: GENERATOR_CORE, scale: Number(values.scale), say }
  for (const reason of skipped) say(`skipped: ${reason}`)
  if (values.list) {
    for (const { name, entrants } of scenarios) say(`${name}: ${entrants.map((entrant) => entrant.name).join(', ')}`)
    say(`${clock(planSeconds({ scenarios, rounds, options }))} for ${rounds} rounds`)
    return
  }
  // Scenarios that load a broker from this process do it from the other core, too.
  execFileSync('taskset', ['-a', '-c', '-p', String(GENERATOR_CORE), String(process.pid)])
  const about = {
    commit: commit(),
    date: new Date().toISOString(),
    machine: machine(),
    command: `npm run bench -- ${process.argv.slice(2).join(' ')}`.trimEnd(),
    brokers: [...peers].map((name) => ({ name, settings: PEER_SETTINGS[name] })),
  }
  const results = await runPlan({ scenarios, rounds, options })
  const board: Board = { ...about, rounds, seconds, warmupSec, skipped, results }
  writeReports(board)
  // Anywhere else a figure that is not reached is a finding, not a failure.
  if (values.short && verdictRows(board).some(([, , , answer]) => !answer?.startsWith('yes'))) process.exitCode = 1
}

if (values.help) say(USAGE)
else await main()
