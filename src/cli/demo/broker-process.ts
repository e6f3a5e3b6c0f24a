/** A broker in a process of its own, so that it can be killed with SIGKILL and started again on the same data. */
import { type ChildProcess, spawn } from 'node:child_process'
import { openSync } from 'node:fs'

const PROGRAM = new URL('../main.js', import.meta.url).pathname

export class BrokerProcess {
  readonly #directory: string
  #child: ChildProcess | undefined
  #port = '0'
  /** Called when it ends without having been told to. */
  onUnexpectedEnd: (how: string) => void = () => {}

  constructor(directory: string) {
    this.#directory = directory
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port}`
  }

  /** Resolves when it takes connections. */
  async start(): Promise<void> {
    const flags = ['broker', '--data', `${this.#directory}/data`, '--http-port', this.#port, '--no-mqtt-port']
    const log = openSync(`${this.#directory}/broker.log`, 'a')
    const child = spawn(process.execPath, [PROGRAM, ...flags], { stdio: ['ignore', 'pipe', log] })
    this.#child = child
    child.once('exit', (code, signal) => {
      if (this.#child === child) this.onUnexpectedEnd(signal ?? `exit code ${code}`)
    })
    this.#port = new URL(await readyUrl(child)).port
  }

  /** SIGKILL: nothing is flushed, closed or told to anybody. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
    return new Promise((resolve) => {
      child.once('exit', () => resolve())
      child.kill(signal)
    })
  }
}

function readyUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.includes('\n')) resolve((JSON.parse(text) as { http: string }).http)
    })
    child.once('exit', (code, signal) =>
      reject(new Error(`the broker did not start (${signal ?? `exit code ${code}`})`)),
    )
  })
}
