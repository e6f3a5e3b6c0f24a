/** The built `tallymq` program as a process: what it prints and how it ends. `npm test` builds it before. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'

const PROGRAM = new URL('../../dist/cli/main.js', import.meta.url).pathname

export interface CliResult {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly output: string
  readonly errors: string
}

export class CliProcess {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly ended: Promise<CliResult>
  output = ''
  errors = ''
  readonly #watchers: (() => void)[] = []

  constructor(program: string, args: readonly string[], environment: Record<string, string> = {}) {
    this.child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...environment } })
    this.child.stdin.on('error', () => {})
    this.child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      this.output += chunk
      for (const watch of this.#watchers) watch()
    })
    this.child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      this.errors += chunk
      for (const watch of this.#watchers) watch()
    })
    this.ended = new Promise((resolve, reject) => {
      this.child.once('error', reject)
      this.child.once('close', (exitCode, signal) => {
        resolve({ exitCode, signal, output: this.output, errors: this.errors })
        for (const watch of this.#watchers) watch()
      })
    })
  }

  /** Resolves when stdout or stderr holds a match. */
  saw(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(this.output) ?? pattern.exec(this.errors)
        if (match !== null) resolve(match)
        else if (this.child.exitCode !== null) {
          reject(new Error(`ended with ${this.child.exitCode} before ${pattern}: ${this.output}${this.errors}`))
        }
      }
      this.#watchers.push(look)
      look()
    })
  }
}

export function startTallymq(args: readonly string[], environment: Record<string, string> = {}): CliProcess {
  return new CliProcess(process.execPath, [PROGRAM, ...args], environment)
}

export function tallymq(
  args: readonly string[],
  environment: Record<string, string> = {},
  input = '',
): Promise<CliResult> {
  const cli = startTallymq(args, environment)
  cli.child.stdin.end(input)
  return cli.ended
}

export interface RunningCliBroker {
  readonly cli: CliProcess
  /** `ws://127.0.0.1:port` */
  readonly ws: string
  readonly http: string
  readonly mqtt: string
  readonly mqttPort: string
}

/** A broker on free ports; it ends with the test. */
export async function startBroker(
  t: { teardown(done: () => unknown): void },
  args: readonly string[],
): Promise<RunningCliBroker> {
  const cli = startTallymq(['broker', '--http-port', '0', '--mqtt-port', '0', ...args])
  t.teardown(() => {
    cli.child.kill('SIGKILL')
    return cli.ended
  })
  await cli.saw(/\{"ready":true.*\n/)
  const ready = JSON.parse(cli.output) as { http: string; mqtt: string | null }
  const mqtt = ready.mqtt ?? ''
  return { cli, http: ready.http, ws: ready.http.replace('http', 'ws'), mqtt, mqttPort: mqtt.split(':').at(-1) ?? '' }
}
