/** Starts what is measured, pinned to one core, and knows how to stop it. Only by its own handle. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const ROOT = join(HERE, '../..')
/** The directory of durable data is on the disk of the project, not on a tmpfs. */
const DATA_PARENT = process.env.TALLYMQ_BENCH_DIR ?? tmpdir()

export async function startTally({
  dataDirectory,
  core = 0,
  args = [],
  nodeArgs = [],
  environment = {},
  root = ROOT,
} = {}) {
  const directory = dataDirectory ?? mkdtempSync(join(DATA_PARENT, 'tallymq-bench-'))
  const command = [join(root, 'dist/cli/main.js'), 'broker', '--data', directory]
  const flags = ['--http-port', '0', '--mqtt-port', '0', '--log-level', 'error', ...args]
  const target = await start('tallymq', [...nodeArgs, ...command, ...flags], core, environment)
  target.port = Number(new URL(target.ready.http).port)
  target.mqttPort = Number(new URL(target.ready.mqtt.replace('mqtt:', 'http:')).port)
  target.directory = directory
  if (dataDirectory === undefined) target.cleanUp = () => rmSync(directory, { recursive: true, force: true })
  return target
}

async function start(name, nodeCommand, core, environment = {}) {
  const startedAt = process.hrtime.bigint()
  const child = spawn('taskset', ['-c', String(core), process.execPath, ...nodeCommand], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  const line = await new Promise((resolve, reject) => {
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += chunk
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')))
    })
    child.once('exit', (code) => reject(new Error(`${name} exited with ${code} before it was ready`)))
  })
  const target = {
    name,
    pid: child.pid,
    ready: JSON.parse(line),
    startedAt,
    cleanUp: () => {},
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      await exited
      target.cleanUp()
    },
  }
  return target
}

/** CPU seconds (all threads) and memory in bytes, as Linux counts them. */
export function usage(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const kilobytes = (field) => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) * 1_024
  return {
    cpuSec: (Number(fields[11]) + Number(fields[12])) / 100,
    rssBytes: kilobytes('VmRSS'),
    anonBytes: kilobytes('RssAnon'),
  }
}
