/** Runs the generator on its core against a broker, as a fresh process: no run finds code that another one warmed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Load, LoadAnswer, LoadTask } from './load.js'
import type { Figures, MeasureOptions, RunningBroker } from './scenario.js'

/**
 * A young generation that is seldom full: the loop that keeps a timetable makes objects all the time, and with the one
 * megabyte that Node begins with they are collected 150 times a second, during which nothing is sent or received.
 */
const NODE_FLAGS = ['--min-semi-space-size=64', '--max-semi-space-size=64']
const GENERATOR = new URL('./generator/main.js', import.meta.url).pathname

function addressOf(broker: RunningBroker, { wire }: Load): Pick<LoadTask, 'port' | 'path'> {
  if (wire === 'tcp') return { port: broker.mqttPort, path: null }
  if (wire === 'native') return { port: broker.wsPort, path: broker.nativePath }
  return { port: broker.wsPort, path: broker.wsPath }
}

export async function generate(load: Load, broker: RunningBroker, options: MeasureOptions): Promise<Figures> {
  const { seconds, warmupSec, generatorCore } = options
  const task: LoadTask = { load, ...addressOf(broker, load), brokerPid: broker.pid, seconds, warmupSec }
  const command = ['-c', String(generatorCore), process.execPath, ...NODE_FLAGS, GENERATOR, JSON.stringify(task)]
  const child = spawn('taskset', command, { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`the generator ended with ${code}`)
  return JSON.parse(text) as LoadAnswer
}
