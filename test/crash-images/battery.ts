/**
 * One battery of crash images: a script of commits from a seed, the trace of the real store writing it, and judges that
 * look at every image. Needs Linux and a C compiler.
 */
import { type ChildProcess, fork, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { serialize } from 'node:v8'
import { commitScript, journalScript } from './commits.js'
import type { JudgeReport, JudgeTask } from './judge.js'
import { readTrace, type TraceEvent, type Variant } from './trace.js'
import type { WriteTask } from './write-store.js'

const JOURNAL_COMMITS = 200

export interface BatteryOptions {
  /** Odd: the commits of a world of clients. Even: those of a busy journal. */
  readonly seed: number
  /** Steps of the world the commits come from. */
  readonly steps: number
  /** Points per seed, evenly spread; 0: every one. */
  readonly pointsMax: number
  readonly judges: number
  /** Where the traced store and the images live; a file system in memory makes it fast. */
  readonly scratch: string
  /** The compiled programs, as `write-store.js` and `judge.js`. */
  readonly programs: string
  /** `trace-writes.c` */
  readonly tracerSource: string
  /** Default 'flush'. A store that flushes less must be caught: that is how a test knows that the judges look. */
  readonly durability?: 'flush' | 'os'
}

export interface ImageFailure {
  readonly seed: number
  /** Index of the trace's entry at which the power went. */
  readonly at: number
  readonly variant: Variant
  readonly sentence: string
}

export interface BatteryResult {
  readonly commits: number
  /** Of these went into the journal file; the others were LMDB transactions. */
  readonly appends: number
  readonly points: number
  readonly images: number
  readonly failures: readonly ImageFailure[]
}

export async function runBattery(options: BatteryOptions): Promise<BatteryResult> {
  const { seed, scratch } = options
  const parent = `${scratch}/traced`
  mkdirSync(parent, { recursive: true, mode: 0o700 })
  const script = seed % 2 === 0 ? journalScript(seed, JOURNAL_COMMITS) : commitScript(seed, options.steps)
  const scriptFile = `${scratch}/script.bin`
  writeFileSync(scriptFile, serialize(script))
  const traceFile = `${scratch}/trace.bin`
  traceStore(options, parent, scriptFile, traceFile)
  const shared = { parent, traceFile, scriptFile, seed, pointsMax: options.pointsMax, scratch: `${scratch}/images` }
  const results = await Promise.all(
    Array.from({ length: options.judges }, (_, share) =>
      runJudge({ ...shared, share, shares: options.judges, from: 0 }, options),
    ),
  )
  return {
    commits: script.commits.length,
    appends: readTrace(readFileSync(traceFile)).filter(isAppend).length,
    points: results.reduce((sum, { points }) => sum + points, 0),
    images: results.reduce((sum, { images }) => sum + images, 0),
    failures: results.flatMap(({ failures }) => failures),
  }
}

/** Filling a new slot is not flushed write by write. */
function isAppend(event: TraceEvent): boolean {
  return event.kind === 'write' && event.isFlushed && event.name.startsWith('data/journal.')
}

function traceStore(options: BatteryOptions, parent: string, scriptFile: string, traceFile: string): void {
  const library = `${options.scratch}/trace-writes.so`
  const flags = ['-shared', '-fPIC', '-O1', '-o', library, options.tracerSource, '-ldl']
  const compiled = spawnSync('gcc', flags, { encoding: 'utf8' })
  if (compiled.status !== 0) throw new Error(`gcc: ${compiled.stderr ?? compiled.error?.message}`)
  const task: WriteTask = { parent, scriptFile, seed: options.seed, durability: options.durability ?? 'flush' }
  const program = [`${options.programs}/write-store.js`, JSON.stringify(task)]
  const env = { ...process.env, LD_PRELOAD: library, TRACED_DIRECTORY: parent, WRITE_TRACE: traceFile }
  const written = spawnSync(process.execPath, program, { env, encoding: 'utf8' })
  if (written.status !== 0) throw new Error(`the traced store ended with ${written.status}: ${written.stderr}`)
}

interface Share {
  images: number
  points: number
  failures: ImageFailure[]
}

/** A judge that dies is a failure of the image it looked at; another one goes on behind it. */
async function runJudge(task: JudgeTask, options: BatteryOptions): Promise<Share> {
  const share: Share = { images: 0, points: 0, failures: [] }
  for (let from = 0; ; ) {
    const child = fork(`${options.programs}/judge.js`, [JSON.stringify({ ...task, from })], { stdio: 'inherit' })
    const end = await follow(child, share, task.seed)
    if (end === null) return share
    const sentence = `the process that opened it ended with ${end.how}`
    share.failures.push({ seed: task.seed, at: end.at, variant: end.variant, sentence })
    from = end.at + 1
  }
}

/** @returns null when it came to its end, else where it died. */
function follow(
  child: ChildProcess,
  share: Share,
  seed: number,
): Promise<{ at: number; variant: Variant; how: string } | null> {
  let last: { at: number; variant: Variant } = { at: 0, variant: 'none' }
  let looked = 0
  let isFinished = false
  child.on('message', (message) => {
    const report = message as JudgeReport
    if ('points' in report) {
      share.points += report.points
      isFinished = true
    } else if ('failure' in report) {
      const { at, variant, failure } = report
      share.failures.push({ seed, at, variant, sentence: failure })
    } else {
      last = report
      looked += 1
      share.images += 1
    }
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (isFinished && code === 0) return resolve(null)
      if (looked === 0) return reject(new Error(`a judge ended with ${signal ?? code} before its first image`))
      resolve({ ...last, how: String(signal ?? code) })
    })
  })
}
