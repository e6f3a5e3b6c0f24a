/**
 * The built broker in a process of its own, started again and again on one data directory, so that it can be killed,
 * starved of disk space or handed a disk that lies. Ends with the test. Needs `npm run build`, as `npm test` does.
 */
import { existsSync } from 'node:fs'
import { type CliProcess, type CliResult, startTallymq } from './cli-process.js'

const PROGRAM = new URL('../../dist/cli/main.js', import.meta.url).pathname

export interface BrokerProcessOptions {
  readonly directory: string
  /** Default 0: any free port, another one after every start. */
  readonly httpPort?: number
  readonly flags?: readonly string[]
  readonly environment?: Record<string, string>
}

export class BrokerProcess {
  readonly #cli: CliProcess
  /** `ws://127.0.0.1:port`; empty until it is ready. */
  url = ''
  mqttUrl = ''

  private constructor(cli: CliProcess) {
    this.#cli = cli
  }

  /** Spawned; takes no connections yet. */
  static spawn(t: { teardown(done: () => unknown): void }, options: BrokerProcessOptions): BrokerProcess {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is not there: run 'npm run build' first`)
    const flags = ['broker', '--data', options.directory, '--http-port', String(options.httpPort ?? 0)]
    const ports = ['--mqtt-port', '0', '--log-level', 'error']
    // The test runner's loaders would only slow the broker down.
    const environment = { NODE_OPTIONS: '', ...options.environment }
    const cli = startTallymq([...flags, ...ports, ...(options.flags ?? [])], environment)
    t.teardown(() => {
      cli.child.kill('SIGKILL')
      return cli.ended
    })
    return new BrokerProcess(cli)
  }

  static async start(
    t: { teardown(done: () => unknown): void },
    options: BrokerProcessOptions,
  ): Promise<BrokerProcess> {
    const broker = BrokerProcess.spawn(t, options)
    await broker.ready()
    return broker
  }

  get pid(): number {
    return this.#cli.child.pid ?? 0
  }

  get port(): number {
    return Number(new URL(this.url).port)
  }

  get ended(): Promise<CliResult> {
    return this.#cli.ended
  }

  /** What it has written to stderr so far. */
  get errors(): string {
    return this.#cli.errors
  }

  /** Resolves when it takes connections. */
  async ready(): Promise<void> {
    await Promise.race([this.#cli.saw(/\{"ready":true.*\n/), this.#cli.ended])
    if (!this.#cli.output.includes('\n')) throw new Error(`the broker did not start: ${this.#cli.errors}`)
    const { http, mqtt } = JSON.parse(this.#cli.output) as { http: string; mqtt: string }
    this.url = http.replace('http', 'ws')
    this.mqttUrl = mqtt
  }

  /** SIGKILL, without waiting: nothing is flushed, closed or told to anybody. */
  kill(): void {
    this.#cli.child.kill('SIGKILL')
  }

  signal(signal: NodeJS.Signals): void {
    this.#cli.child.kill(signal)
  }

  /** SIGTERM. */
  stop(): Promise<CliResult> {
    this.#cli.child.kill('SIGTERM')
    return this.#cli.ended
  }
}
