/**
 * `npm run conformance:mutants`: does the suite see what is wrong? Each fault of `mutants/faults.json` is planted in a
 * copy of our broker, one at a time, and has to be caught by one of the cases that are named for it. Nothing in the
 * checkout is touched. A fault whose text is no longer in the source is a failure too: the list has to be kept.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { build } from 'esbuild'

const ROOT = process.cwd()
const SUITE = `${ROOT}/dist/conformance/main.js`

interface Fault {
  readonly name: string
  /** Below src/. */
  readonly file: string
  readonly from: string
  readonly to: string
  readonly caughtBy: readonly string[]
}

interface Summary {
  readonly failed: readonly { readonly cases: readonly string[] }[]
  readonly remarks: readonly string[]
}

class Copy {
  readonly directory = mkdtempSync(`${tmpdir()}/tallymq-mutants-`)

  constructor() {
    cpSync(`${ROOT}/src`, `${this.directory}/src`, { recursive: true })
    cpSync(`${ROOT}/package.json`, `${this.directory}/package.json`)
    symlinkSync(`${ROOT}/node_modules`, `${this.directory}/node_modules`)
  }

  async compile(files: readonly string[]): Promise<void> {
    const { directory } = this
    await build({
      entryPoints: files.map((file) => `${directory}/src/${file}`),
      outdir: `${directory}/dist`,
      outbase: `${directory}/src`,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      logLevel: 'error',
    })
  }

  files(): string[] {
    const all = readdirSync(`${this.directory}/src`, { recursive: true }) as string[]
    return all.filter((file) => file.endsWith('.ts'))
  }

  /** The broker of one of the configurations, and its addresses. */
  async start(configuration: string): Promise<{ child: ChildProcess; mqtt: string; ws: string }> {
    const flags = ['--config', `${ROOT}/conformance/own-broker/${configuration}.yaml`]
    const program = `${this.directory}/dist/cli/main.js`
    const args = [program, 'broker', '--http-port', '0', '--mqtt-port', '0', '--log-level', 'silent', ...flags]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
    const output = await firstLine(child)
    const { mqtt, http } = JSON.parse(output) as { mqtt: string; http: string }
    return { child, mqtt, ws: `${http.replace('http', 'ws')}/mqtt` }
  }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      if (output.includes('\n')) resolve(output)
    })
    child.once('close', () => reject(new Error('the broker ended')))
  })
}

/** Numbers of the cases that failed, or had a remark. */
async function casesThatSee(copy: Copy, fault: Fault): Promise<Set<string>> {
  const brokers = await Promise.all(['open', 'limited', 'reduced'].map((each) => copy.start(each)))
  const [open, limited, reduced] = brokers as [(typeof brokers)[0], (typeof brokers)[0], (typeof brokers)[0]]
  try {
    const url = fault.file.startsWith('transport/ws') ? open.ws : open.mqtt
    const limits = ['--restricted-url', limited.mqtt, '--limited-url', limited.mqtt, '--limited-url', reduced.mqtt]
    const login = ['--user', 'tester', '--password', 'secret', '--denied-topic', 'denied/t']
    const method = ['--auth-url', limited.mqtt, '--auth-method', 'SCRAM-SHA-256']
    const args = [SUITE, '--json', '--deadline', '3000', '--url', url, ...limits, ...login, ...method]
    const suite = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
    let output = ''
    suite.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    await new Promise((resolve) => suite.once('close', resolve))
    const found = Object.values(JSON.parse(output) as Record<string, Summary>)
    const lines = found.flatMap(({ failed, remarks }) => [...failed.flatMap(({ cases }) => cases), ...remarks])
    return new Set(lines.map((line) => line.split(' ')[0] as string))
  } finally {
    for (const { child } of brokers) child.kill('SIGKILL')
  }
}

async function main(): Promise<number> {
  const [only] = process.argv.slice(2)
  const all = JSON.parse(readFileSync(`${ROOT}/conformance/mutants/faults.json`, 'utf8')) as Fault[]
  const faults = all.filter(({ name }) => only === undefined || name.includes(only))
  const copy = new Copy()
  let survivors = 0
  try {
    await copy.compile(copy.files())
    for (const fault of faults) {
      const verdict = await plant(copy, fault)
      if (!verdict.startsWith('caught')) survivors += 1
      process.stdout.write(`${verdict}: ${fault.name}\n`)
    }
  } finally {
    rmSync(copy.directory, { recursive: true, force: true })
  }
  process.stdout.write(`${faults.length - survivors} of ${faults.length} faults caught\n`)
  return survivors === 0 ? 0 : 1
}

async function plant(copy: Copy, fault: Fault): Promise<string> {
  const path = `${copy.directory}/src/${fault.file}`
  const source = readFileSync(path, 'utf8')
  if (!source.includes(fault.from)) return `NOT IN THE SOURCE ANY MORE (${fault.file})`
  try {
    writeFileSync(
      path,
      source.replace(fault.from, () => fault.to),
    )
    await copy.compile([fault.file])
    const seenBy = await casesThatSee(copy, fault)
    const named = fault.caughtBy.filter((each) => seenBy.has(each))
    return named.length > 0 ? `caught by ${named.join(' ')}` : `SURVIVED, though seen by ${[...seenBy].join(' ')}`
  } catch (error) {
    return `NO RESULT, ${(error as Error).message}`
  } finally {
    writeFileSync(path, source)
    await copy.compile([fault.file])
  }
}

process.exitCode = await main()
