/**
 * The parts of the battery, as short as they go, each against one build of the broker. A part *catches* a bug when its
 * own judge says so; a part that cannot run at all is an error, not a catch.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { basename } from 'node:path'
import { runBattery } from '../crash-images/battery.js'
import { buildPrograms, type SeededBug } from './plant.js'

/** Cheap ones first: without `--every-part` the first that catches a bug is the last that runs. */
export const PARTS = ['crash-fuzz', 'simulation', 'crash-images', 'rules'] as const
export type Part = (typeof PARTS)[number]

export interface Effort {
  /** Seeds of the in-process world with power failures. */
  readonly fuzzSeeds: number
  readonly simulationSeeds: number
  /** Points of one trace. */
  readonly imagePoints: number
}

/** What a part found, or null: nothing. */
export type Catch = string | null

const RULE_FOLDERS = ['test/broker', 'test/unit/server']
/** Looks for other tests beside itself, where a bundle is not. */
const READS_THE_CHECKOUT = ['limits.test.ts']
const FUZZ_STEPS = 600
/** Of `crash-images/`: a world and its length, and a busy journal. */
const IMAGE_SEEDS = [3, 4]
const IMAGE_STEPS = 300
/**
 * A bug may make a program run in circles: that it does not end is a catch as well. Counted in seconds that this
 * process has seen pass, so that a machine that was stopped for an hour is not taken for a bug.
 */
const PATIENCE_SEC = 600

export class Battery {
  readonly #root: string
  readonly #directory: string
  readonly #effort: Effort

  /** @param root of the repository. @param directory inside it or below its packages; is filled. */
  constructor(root: string, directory: string, effort: Effort) {
    this.#root = root
    this.#directory = directory
    this.#effort = effort
  }

  async run(part: Part, bug: SeededBug | null): Promise<Catch> {
    const directory = `${this.#directory}/${part}`
    mkdirSync(directory, { recursive: true })
    if (part === 'crash-fuzz') return this.#crashFuzz(directory, bug)
    if (part === 'rules') return this.#rules(directory, bug)
    return part === 'simulation' ? this.#simulation(directory, bug) : this.#crashImages(directory, bug)
  }

  async #crashFuzz(directory: string, bug: SeededBug | null): Promise<Catch> {
    await buildPrograms(this.#root, bug, ['test/seeded-bugs/crash-fuzz.ts'], directory)
    const { code, output } = await run(`${directory}/crash-fuzz.js`, [
      String(this.#effort.fuzzSeeds),
      String(FUZZ_STEPS),
    ])
    return code === 0 ? null : firstLine(output, code)
  }

  async #simulation(directory: string, bug: SeededBug | null): Promise<Catch> {
    await buildPrograms(this.#root, bug, ['test/sim/main.ts'], directory)
    const { code, output } = await run(`${directory}/main.js`, [
      '--seeds',
      String(this.#effort.simulationSeeds),
      '--json',
    ])
    if (code === 0) return null
    const text = output.slice(output.indexOf('{'))
    try {
      const { violations } = JSON.parse(text) as { violations: { seed: number; checker: string; sentence: string }[] }
      const [first] = violations
      if (first !== undefined) return `${first.checker}, seed ${first.seed}: ${first.sentence}`
    } catch {
      // It ended before it could report: the line it died with says why.
    }
    return firstLine(output, code)
  }

  /** What no client does that obeys the protocol: the tests of single rules. */
  async #rules(directory: string, bug: SeededBug | null): Promise<Catch> {
    const tests = RULE_FOLDERS.flatMap((folder) =>
      readdirSync(`${this.#root}/${folder}`)
        .filter((name) => name.endsWith('.test.ts') && !READS_THE_CHECKOUT.includes(name))
        .map((name) => `${folder}/${name}`),
    )
    await buildPrograms(this.#root, bug, tests, directory)
    for (const test of tests) {
      const program = `${directory}/${basename(test, '.ts')}.js`
      const { code, output } = await run(program, [])
      if (code === 0) continue
      const failed = /^ *not ok \d+ - (.*?)(?: # time=.*)?$/m.exec(output)?.[1]
      return `${test}: ${failed ?? firstLine(output, code)}`
    }
    return null
  }

  async #crashImages(directory: string, bug: SeededBug | null): Promise<Catch> {
    const programs = ['test/crash-images/judge.ts', 'test/crash-images/write-store.ts']
    await buildPrograms(this.#root, bug, programs, directory)
    for (const seed of IMAGE_SEEDS) {
      const caught = await this.#images(directory, seed)
      if (caught !== null) return caught
    }
    return null
  }

  async #images(directory: string, seed: number): Promise<Catch> {
    const scratch = memoryScratch(directory)
    try {
      const { failures } = await runBattery({
        seed,
        steps: IMAGE_STEPS,
        pointsMax: this.#effort.imagePoints,
        judges: 1,
        scratch,
        programs: directory,
        tracerSource: `${this.#root}/test/crash-images/trace-writes.c`,
      })
      const [first] = failures
      return first === undefined ? null : `entry ${first.at}, ${first.variant}: ${first.sentence}`
    } finally {
      rmSync(scratch, { recursive: true, force: true })
    }
  }
}

/** Each image is flushed to nobody's disk: a file system in memory, where there is one. */
function memoryScratch(directory: string): string {
  const memory = '/dev/shm'
  if (!existsSync(memory)) return `${directory}/scratch`
  return mkdtempSync(`${memory}/tallymq-seeded-bugs-`)
}

function run(program: string, args: readonly string[]): Promise<{ code: number | string; output: string }> {
  return new Promise((resolve, reject) => {
    // A test of ours that is slow because the machine is busy has caught nothing.
    const env = { ...process.env, TAP_TIMEOUT: String(PATIENCE_SEC) }
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env })
    let output = ''
    let seconds = 0
    const timer = setInterval(() => {
      seconds += 1
      if (seconds === PATIENCE_SEC) child.kill('SIGKILL')
    }, 1_000)
    const collect = (chunk: Buffer) => {
      output += chunk.toString()
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearInterval(timer)
      resolve({ code: code ?? String(signal), output })
    })
  })
}

function firstLine(output: string, code: number | string): string {
  const line = output.split('\n').find((each) => /\S/.test(each) && !/^(node:|file:|\s+at )/.test(each))
  return line?.trim().slice(0, 300) ?? `ended with ${code}`
}
