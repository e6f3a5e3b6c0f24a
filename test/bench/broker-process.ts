/**
 * A broker as a process of its own, pinned to one core: started, known to be ready, ended by its own handle only. How
 * each kind is started is a recipe (`peers.ts`).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../src/torture/free-port.js'
import { usageOf } from './process-usage.js'
import type { BrokerChoice, RunningBroker } from './scenario.js'

export const BROKER_CORE = 0
/** What is durable must be on a disk: never point this to a tmpfs. */
const DATA_PARENT = process.env.TALLYMQ_BENCH_DIR ?? tmpdir()
/** A restart with a million messages may take its time, with a peer too. */
const START_MS_MAX = 120_000
const KNOCK_MS = 2

export interface Ports {
  readonly mqttPort: number
  readonly wsPort: number
}

export interface Recipe {
  readonly wsPath: string
  readonly nativePath: string | null
  command(choice: BrokerChoice, dataDirectory: string, free: Ports): readonly string[]
  /** Reads the ports from its first line on stdout; null: it has taken the free ones, and answers when it is ready. */
  readonly portsOf: ((line: string) => Ports) | null
}

const running = new Set<ChildProcess>()
const directories = new Set<string>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
// Otherwise a broker would outlive whoever is interrupted.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

/** Whatever runs still, restarted ones too. */
export async function killAll(): Promise<void> {
  for (const child of running) {
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
}

export function newDataDirectory(name: string): string {
  const directory = mkdtempSync(join(DATA_PARENT, `tallymq-bench-${name}-`))
  directories.add(directory)
  return directory
}

export function removeDataDirectory(directory: string): void {
  directories.delete(directory)
  rmSync(directory, { recursive: true, force: true })
}

export async function startProcess(
  recipe: Recipe,
  choice: BrokerChoice,
  dataDirectory: string,
): Promise<RunningBroker> {
  const free = { mqttPort: await freePort(), wsPort: await freePort() }
  const command = recipe.command(choice, dataDirectory, free)
  const startedAt = process.hrtime.bigint()
  const child = spawn('taskset', ['-c', String(BROKER_CORE), ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...choice.environment },
  })
  running.add(child)
  const exited = once(child, 'exit').then(() => running.delete(child))
  const complaints: string[] = []
  child.stderr.setEncoding('utf8').on('data', (text: string) => complaints.push(text))
  const ports = await Promise.race([
    recipe.portsOf === null ? untilAnswering(free) : firstLine(child).then(recipe.portsOf),
    exited.then(() => Promise.reject(new Error(`${choice.peer} ended at once: ${complaints.join('')}`))),
  ])
  const readySec = Number(process.hrtime.bigint() - startedAt) / 1e9
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal)
    await exited
  }
  const pid = child.pid as number
  return {
    name: choice.peer,
    pid,
    ...ports,
    wsPath: recipe.wsPath,
    nativePath: recipe.nativePath,
    dataDirectory,
    readySec,
    usage: () => usageOf(pid),
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    restart: () => startProcess(recipe, choice, dataDirectory),
  }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')))
    })
  })
}

async function untilAnswering(ports: Ports): Promise<Ports> {
  const deadline = Date.now() + START_MS_MAX
  for (const port of [ports.mqttPort, ports.wsPort]) {
    while (!(await answers(port))) {
      if (Date.now() > deadline) throw new Error(`nobody answers on port ${port}`)
      await new Promise((resolve) => setTimeout(resolve, KNOCK_MS))
    }
  }
  return ports
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
