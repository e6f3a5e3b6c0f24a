/**
 * The broker that is tortured, ours or another, as a process that is started again and again on one data directory. How
 * each kind is started is a recipe; what is done to it is the same for all.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { systemTimers } from '../client/clock.js'
import { freePort } from './free-port.js'
import type { Ports } from './line.js'

const TALLYMQ = new URL('../cli/main.js', import.meta.url).pathname
/** A broker that does not take connections by then will not. */
const START_MS_MAX = 60_000
const KNOCK_MS = 20
/** POSIX counts `ulimit -f` in these. */
const ULIMIT_BYTES = 512

export type Environment = Readonly<Record<string, string | undefined>>

export interface BrokerEnd {
  readonly exitCode: number | null
  readonly signal: string | null
}

export interface BrokerRecipe {
  readonly name: string
  /** Ours: the native protocol, a ledger to verify, and an exit code that says why. */
  readonly isOurs: boolean
  /** For the report: what this broker was told about keeping messages. */
  readonly configuration: string
  /** @param mqttPort one that is free; ours takes none of them and says which it took. */
  command(dataDirectory: string, mqttPort: number): readonly string[]
}

/** So that what the sleepers are owed is not dropped, and no client is held back because it comes too often. */
const NO_LIMIT = {
  TALLYMQ_LIMITS__QUEUE_MESSAGES_MAX: '10000000',
  TALLYMQ_LIMITS__QUEUE_BYTES_MAX: '8GiB',
  TALLYMQ_LIMITS__TAKEOVERS_PER_MINUTE_MAX: '1000000',
}

export const tallymqRecipe: BrokerRecipe = {
  name: 'tallymq',
  isOurs: true,
  configuration: 'defaults (store lmdb, durability flush), queues without a limit',
  command: (data) => [
    process.execPath,
    TALLYMQ,
    ...['broker', '--data', data, '--http-port', '0', '--mqtt-port', '0', '--log-level', 'error'],
  ],
}

const MOSQUITTO_SETTINGS = [
  'allow_anonymous true',
  'persistence true',
  // Saved after every single change, which is as often as it can.
  'autosave_on_changes true',
  'autosave_interval 1',
  'max_queued_messages 0',
  'max_queued_bytes 0',
  'max_inflight_messages 0',
  'set_tcp_nodelay true',
  'log_type error',
]

export function mosquittoRecipe(): BrokerRecipe {
  // Otherwise it would give up the rights of root, and could not write into the directory.
  const settings = process.geteuid?.() === 0 ? [...MOSQUITTO_SETTINGS, 'user root'] : MOSQUITTO_SETTINGS
  return {
    name: 'mosquitto',
    isOurs: false,
    configuration: settings.join('; '),
    command(data, mqttPort) {
      const file = `${data}/mosquitto.conf`
      const lines = [...settings, `listener ${mqttPort} 127.0.0.1`, `persistence_location ${data}/`]
      writeFileSync(file, `${lines.join('\n')}\n`)
      return ['mosquitto', '-c', file]
    },
  }
}

/** @param command with `{port}` and `{data}`; the shell becomes it. A wrapper that stays would be killed instead. */
export function commandRecipe(command: string): BrokerRecipe {
  return {
    name: command.split(' ')[0] ?? command,
    isOurs: false,
    configuration: command,
    command: (data, mqttPort) => {
      const filled = command.replaceAll('{port}', String(mqttPort)).replaceAll('{data}', data)
      return ['/bin/sh', '-c', `exec ${filled}`]
    },
  }
}

export class BrokerProcess {
  readonly #recipe: BrokerRecipe
  readonly #logPath: string
  readonly #environment: Environment
  #child: ChildProcess | null = null
  #ended: Promise<BrokerEnd> = Promise.resolve({ exitCode: 0, signal: null })
  ports: Ports = { http: 0, mqtt: 0 }

  constructor(recipe: BrokerRecipe, logPath: string, environment: Environment) {
    this.#recipe = recipe
    this.#logPath = logPath
    this.#environment = environment
  }

  get ended(): Promise<BrokerEnd> {
    return this.#ended
  }

  get isRunning(): boolean {
    return this.#child !== null
  }

  /** @param fileBytesMax no file may grow beyond it: a disk that is full, for those who may not mount one. */
  async spawn(dataDirectory: string, fileBytesMax?: number): Promise<void> {
    const mqttPort = this.#recipe.isOurs ? 0 : await freePort()
    const command = this.#recipe.command(dataDirectory, mqttPort)
    const limited = fileBytesMax === undefined ? command : limitedTo(fileBytesMax, command)
    const log = openSync(this.#logPath, 'a')
    const [program = '', ...args] = limited
    const env = this.#recipe.isOurs ? { ...this.#environment, ...NO_LIMIT } : this.#environment
    // A group of its own: Ctrl-C is for the torture, which then ends the broker in order.
    const stdio = ['ignore', this.#recipe.isOurs ? 'pipe' : log, log] as const
    const child = spawn(program, args, { stdio: [...stdio], env, detached: true })
    closeSync(log)
    this.#child = child
    this.ports = { http: 0, mqtt: mqttPort }
    this.#ended = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (exitCode, signal) => {
        if (this.#child === child) this.#child = null
        resolve({ exitCode, signal })
      })
    })
  }

  /** @returns false when it ended instead. */
  async ready(): Promise<boolean> {
    const child = this.#child
    if (child === null) return false
    if (!this.#recipe.isOurs) return this.#knock(child)
    const line = await firstLine(child)
    if (line === null) return false
    const { http, mqtt } = JSON.parse(line) as { http: string; mqtt: string }
    this.ports = { http: Number(new URL(http).port), mqtt: Number(mqtt.split(':').at(-1)) }
    return true
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  /** SIGKILL: nothing is flushed, closed or told to anybody. */
  kill(): Promise<BrokerEnd> {
    this.signal('SIGKILL')
    return this.#ended
  }

  async #knock(child: ChildProcess): Promise<boolean> {
    const untilMs = systemTimers.nowMs() + START_MS_MAX
    while (this.#child === child && systemTimers.nowMs() < untilMs) {
      if (await isListening(this.ports.mqtt)) return true
      await pause(KNOCK_MS)
    }
    return false
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => systemTimers.schedule(ms, resolve))
}

/** The signal for a file that would grow too far is ignored, so that writes fail as on a full disk. */
function limitedTo(bytes: number, command: readonly string[]): readonly string[] {
  const script = `trap '' XFSZ; ulimit -f ${Math.ceil(bytes / ULIMIT_BYTES)}; exec "$0" "$@"`
  return ['/bin/sh', '-c', script, ...command]
}

function firstLine(child: ChildProcess): Promise<string | null> {
  return new Promise((resolve) => {
    let text = ''
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.includes('\n')) resolve(text)
    })
    child.once('exit', () => resolve(null))
  })
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (result: boolean) => {
      socket.destroy()
      resolve(result)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
