/**
 * `npm run bench -- --peers mosquitto,nats,aedes [--only REGEX] [--rounds N] [--seconds S] [--json] [--out DIR]`: the
 * scoreboard. Chooses what is measured, runs it, writes the reports. `--help` lists the flags.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Board } from './board.js'
import { missing, PEER_SETTINGS } from './peers.js'
import { markdownReport, verdictTable } from './report-markdown.js'
import { runPlan } from './run.js'
import { type PeerName, PEER_NAMES, type Scenario } from './scenario.js'
import { SCENARIOS } from './scenarios.js'

const USAGE = `npm run bench -- [--peers mosquitto,nats,aedes] [--only REGEX] [--rounds N] [--json] [--out DIR]
  --peers NAMES     whom to compare with; whoever is not installed is skipped, by name (mosquitto,nats,aedes)
  --only REGEX      scenarios whose name matches, "QoS 1.*TCP"
  --only-required   scenarios that must show something
  --list            names the scenarios and ends
  --rounds N        interleaved rounds; figures are medians (5)
  --seconds S       measured in each run, after the warm-up (4)
  --warmup S        discarded at the start of each run (2)
  --scale N         divides the size of the scenarios that take minutes, for a trial (1)
  --out DIR         where scoreboard.md, scoreboard.html and scoreboard.json go (a temporary directory)
  --json            prints everything as JSON instead of the table
  --record          puts the table into test/bench/RESULTS.md`

const GENERATOR_CORE = 1

const { values } = parseArgs({
  options: {
    peers: { type: 'string', default: 'mosquitto,nats,aedes' },
    only: { type: 'string', default: '' },
    'only-required': { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    warmup: { type: 'string', default: '2' },
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

function chosenScenarios(peers: ReadonlySet<PeerName>): Scenario[] {
  const only = new RegExp(values.only)
  return SCENARIOS.filter(({ name, isRequired }) => only.test(name) && (isRequired || !values['only-required'])).map(
    (scenario) => ({ ...scenario, entrants: scenario.entrants.filter(({ broker }) => peers.has(broker.peer)) }),
  )
}

function machine(): string {
  const [cpu] = cpus()
  return `${cpus().length} × ${cpu?.model ?? 'unknown'}, Linux ${release()}, Node ${process.version}`
}

function commit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim()
  const isClean = git('status', '--porcelain', '--untracked-files=no') === ''
  return `${git('rev-parse', '--short', 'HEAD')}${isClean ? '' : ' with changes'}`
}

async function main(): Promise<void> {
  const skipped: string[] = []
  const peers = chosenPeers(skipped)
  const scenarios = chosenScenarios(peers)
  if (values.list) {
    for (const { name, entrants } of scenarios) say(`${name}: ${entrants.map((entrant) => entrant.name).join(', ')}`)
    return
  }
  for (const reason of skipped) say(`skipped: ${reason}`)
  // Scenarios that load a broker from this process do it from the other core, too.
  execFileSync('taskset', ['-a', '-c', '-p', String(GENERATOR_CORE), String(process.pid)])
  const [rounds, seconds, warmupSec, scale] = [values.rounds, values.seconds, values.warmup, values.scale].map(
    Number,
  ) as [number, number, number, number]
  const options = { seconds, warmupSec, generatorCore: GENERATOR_CORE, scale, say }
  const results = await runPlan({ scenarios, rounds, options })
  const brokers = [...peers].map((name) => ({ name, settings: PEER_SETTINGS[name] }))
  const command = `npm run bench -- ${process.argv.slice(2).join(' ')}`.trimEnd()
  const measured = { rounds, seconds, warmupSec, brokers, skipped, results }
  const board: Board = { commit: commit(), date: new Date().toISOString(), machine: machine(), command, ...measured }
  const directory = values.out ?? mkdtempSync(join(tmpdir(), 'tallymq-scoreboard-'))
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'scoreboard.md'), markdownReport(board))
  writeFileSync(join(directory, 'scoreboard.json'), `${JSON.stringify(board, null, 2)}\n`)
  process.stdout.write(values.json ? `${JSON.stringify(board)}\n` : `${verdictTable(board)}\n`)
  say(`written to ${directory}`)
}

if (values.help) say(USAGE)
else await main()
