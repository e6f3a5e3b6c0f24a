/**
 * Our own broker for the suite: three of them, each with a configuration of `own-broker/`, so that every statement has
 * something to be tested on, over both transports. The cases know nothing of this; they get URLs, as of any broker.
 */
import { spawn, spawnSync } from 'node:child_process'
import type { Options } from './context.js'

/** A file of `conformance/own-broker/`. */
export type Configuration = 'open' | 'limited' | 'reduced'

export interface RunningBroker {
  readonly mqtt: URL
  readonly ws: URL
  /** What it said before it ended by itself; null: it is still there. */
  lastWords(): string | null
  stop(): Promise<void>
}

/** @param root of the repository. @param program the broker's compiled `cli/main.js`. */
export async function startOwnBroker(
  root: string,
  program: string,
  configuration: Configuration,
): Promise<RunningBroker> {
  const file = `${root}/conformance/own-broker/${configuration}.yaml`
  const args = ['broker', '--http-port', '0', '--mqtt-port', '0', '--config', file]
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  let output = ''
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  await new Promise<void>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.includes('\n')) resolve()
    })
    void ended.then(resolve)
  })
  const lastWords = () => (child.exitCode === null && child.signalCode === null ? null : errors.trim())
  if (!output.includes('\n')) throw new Error(`the broker does not start: ${errors}`)
  const { mqtt, http } = JSON.parse(output) as { mqtt: string; http: string }
  const stop = async () => {
    kill()
    await ended
    process.off('exit', kill)
  }
  return { mqtt: new URL(mqtt), ws: new URL(`${http.replace('http', 'ws')}/mqtt`), lastWords, stop }
}

/** Builds the checkout and starts it three times, for as long as `use` takes. */
export async function withOwnBrokers<T>(
  root: string,
  use: (running: ReadonlyMap<Configuration, RunningBroker>) => Promise<T>,
): Promise<T> {
  // What the build says goes to stderr: stdout is for the report.
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Error('the broker cannot be built')
  const running = new Map<Configuration, RunningBroker>()
  try {
    for (const name of ['open', 'limited', 'reduced'] as const) {
      running.set(name, await startOwnBroker(root, `${root}/dist/cli/main.js`, name))
    }
    return await use(running)
  } finally {
    for (const broker of running.values()) await broker.stop()
  }
}

/** Where the suite finds what. User and rules are those of `own-broker/limited.yaml`. */
export function ownOptions(
  running: ReadonlyMap<Configuration, RunningBroker>,
  transports: readonly ('mqtt' | 'ws')[],
): Pick<Options, 'urls' | 'limitedUrls' | 'restrictedUrls' | 'authUrls'> & Partial<Options> {
  const doors = (name: Configuration): URL[] => {
    const broker = running.get(name)
    return broker === undefined ? [] : transports.map((transport) => broker[transport])
  }
  const limited = doors('limited')
  const login = { username: 'tester', password: 'secret', deniedTopic: 'denied/t', authMethod: 'SCRAM-SHA-256' }
  return {
    urls: doors('open'),
    limitedUrls: [...limited, ...doors('reduced')],
    restrictedUrls: limited,
    authUrls: limited,
    ...(limited.length === 0 ? {} : login),
  }
}
