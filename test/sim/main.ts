/**
 * `npm run sim -- --seeds N [--seed S] [--hours H] [--json] [--record]`: runs seeds on every core and says what was
 * found. A world runs in one thread from its seed alone, so neither the number of threads nor their pace can change
 * anything. A failing seed is made small and told, with the command that repeats it.
 */
import { execFileSync } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { recordLine, type SimReport, Totals } from './report.js'
import { commandFor, relevantLines, shrink } from './shrink.js'
import { runSeed, type WorldResult } from './world.js'

interface Job {
  readonly firstSeed: number
  readonly seeds: number
  /** This thread runs every n-th seed from its own first. */
  readonly offset: number
  readonly stride: number
  readonly hours: number | undefined
  readonly without: readonly string[]
  readonly untilMs: number | undefined
}

/** Failing seeds that are made small and told; of the others only the sentence is printed. */
const TOLD_MAX = 3
const BATCH = 20

const USAGE = `npm run sim -- --seeds N [--seed FIRST] [--hours H] [--json] [--record] [--workers N]
                [--without CLIENT_OR_FAULT,…] [--until MS] [--trace]`

function runJob(job: Job, tell: (results: WorldResult[]) => void): void {
  let batch: WorldResult[] = []
  const without = new Set(job.without)
  for (let index = job.offset; index < job.seeds; index += job.stride) {
    batch.push(runSeed(choiceOf(job.firstSeed + index, job.hours, without, job.untilMs)))
    if (batch.length < BATCH) continue
    tell(batch)
    batch = []
  }
  tell(batch)
}

function choiceOf(seed: number, hours?: number, without?: ReadonlySet<string>, untilMs?: number) {
  return {
    seed,
    ...(hours === undefined ? {} : { hours }),
    ...(without === undefined ? {} : { without }),
    ...(untilMs === undefined ? {} : { untilMs }),
  }
}

async function runOnAllCores(job: Omit<Job, 'offset' | 'stride'>, workers: number): Promise<Totals> {
  const totals = new Totals()
  const take = (results: readonly WorldResult[]) => {
    for (const result of results) totals.add(result)
  }
  if (workers === 1) {
    runJob({ ...job, offset: 0, stride: 1 }, take)
    return totals
  }
  const jobs = Array.from({ length: workers }, (_, offset) => ({ ...job, offset, stride: workers }))
  await Promise.all(
    jobs.map(
      (workerData) =>
        new Promise<void>((resolve, reject) => {
          const worker = new Worker(new URL(import.meta.url), { workerData })
          worker.on('message', take)
          worker.on('error', reject)
          worker.on('exit', () => resolve())
        }),
    ),
  )
  return totals
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '100' },
      seed: { type: 'string', default: '1' },
      hours: { type: 'string' },
      workers: { type: 'string', default: String(availableParallelism()) },
      without: { type: 'string', default: '' },
      until: { type: 'string' },
      json: { type: 'boolean', default: false },
      record: { type: 'boolean', default: false },
      trace: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return print(USAGE)
  const seeds = whole(values.seeds, 'seeds')
  const firstSeed = whole(values.seed, 'seed')
  const hours = values.hours === undefined ? undefined : Number(values.hours)
  const untilMs = values.until === undefined ? undefined : whole(values.until, 'until')
  const without = values.without.split(',').filter((part) => part !== '')
  if (values.trace) {
    const { lines } = runSeed(choiceOf(firstSeed, hours, new Set(without), untilMs), true)
    return print((lines ?? []).join('\n'))
  }
  const began = performance.now()
  const workers = Math.min(whole(values.workers, 'workers'), Math.max(1, Math.ceil(seeds / BATCH)))
  const totals = await runOnAllCores({ firstSeed, seeds, hours, without, untilMs }, workers)
  const report = totals.report(commitOfThis(), firstSeed, (performance.now() - began) / 1_000)
  if (values.json) print(JSON.stringify(report))
  else tell(report, hours)
  if (values.record) appendFileSync('test/sim/RESULTS.md', `${recordLine(report, today())}\n`)
  if (report.violations.length > 0) process.exitCode = 1
}

function whole(text: string, flag: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1) return value
  throw new Error(`--${flag} is a whole number from 1, not '${text}'\n${USAGE}`)
}

function tell(report: SimReport, hours: number | undefined): void {
  const { violations, ...figures } = report
  const found = new Map<number, { checker: string; sentence: string }>()
  for (const { seed, checker, sentence } of violations) {
    if (!found.has(seed)) found.set(seed, { checker, sentence })
  }
  let told = 0
  for (const [seed, { checker, sentence }] of found) {
    print(`seed ${seed}: ${checker}: ${sentence}`)
    if (told < TOLD_MAX) tellSmallest(seed, checker, hours)
    told += 1
  }
  for (const [name, value] of Object.entries(figures)) print(`${name.padEnd(26)} ${value}`)
  print(`${'violations'.padEnd(26)} ${violations.length}`)
}

function tellSmallest(seed: number, checker: string, hours: number | undefined): void {
  const smallest = shrink(choiceOf(seed, hours), checker)
  const { lines, violations } = smallest.result
  const violation = violations.find((one) => one.checker === checker)
  for (const line of relevantLines(lines ?? [], violation?.sentence ?? '')) print(`  ${line}`)
  print(`  ${violation?.checker}: ${violation?.sentence}`)
  print(`  again: ${commandFor(seed, smallest)}`)
}

function commitOfThis(): string {
  try {
    const [commit, status] = [
      ['rev-parse', '--short=10', 'HEAD'],
      ['status', '--porcelain'],
    ].map((args) => execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim())
    return status === '' ? (commit as string) : `${commit}+changes`
  } catch {
    return 'unknown'
  }
}

function today(): string {
  return new Date().toISOString().slice(0, 10)
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

if (isMainThread) await main()
else runJob(workerData as Job, (results) => parentPort?.postMessage(results))
