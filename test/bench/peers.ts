/**
 * The brokers that are measured and how each is configured: ours as it comes, the others with every queue unlimited and
 * what makes them fast. Whatever is set here is told in the report.
 */
import { accessSync, constants, existsSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { killAll, newDataDirectory, type Recipe, removeDataDirectory, startProcess } from './broker-process.js'
import type { BrokerChoice, Keeping, PeerName, RunningBroker } from './scenario.js'

/** This file runs as dist/bench/main.js. */
const ROOT = new URL('../../', import.meta.url).pathname
const SCRIPTS = new URL('.', import.meta.url).pathname

export const MOSQUITTO_SETTINGS: Readonly<Record<Keeping, readonly string[]>> = {
  memory: ['persistence false'],
  // Rewrites its whole database after a change, at most once a second: as often as it can. No acknowledgement waits.
  durable: ['persistence true', 'autosave_on_changes true', 'autosave_interval 1'],
}
const MOSQUITTO_COMMON = [
  'allow_anonymous true',
  'max_queued_messages 0',
  'max_queued_bytes 0',
  'max_inflight_messages 0',
  'set_tcp_nodelay true',
  'log_type error',
]

/** Debian puts daemons where a user's PATH does not look. */
function programPath(name: string): string | null {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not here.
    }
  }
  return null
}

/** Ours and the scripts print their ports as JSON. */
function portsInUrls(line: string): { mqttPort: number; wsPort: number } {
  const { http, mqtt } = JSON.parse(line) as { http: string; mqtt: string }
  return {
    mqttPort: Number(mqtt.slice(mqtt.lastIndexOf(':') + 1)),
    wsPort: Number(http.slice(http.lastIndexOf(':') + 1)),
  }
}

const tallymq: Recipe = {
  wsPath: '/mqtt',
  nativePath: '/tally',
  command: ({ root = ROOT }, data) => [
    process.execPath,
    join(root, 'dist/cli/main.js'),
    ...['broker', '--data', data, '--http-port', '0', '--mqtt-port', '0', '--log-level', 'error'],
  ],
  portsOf: portsInUrls,
}

const mosquitto: Recipe = {
  wsPath: '/mqtt',
  nativePath: null,
  command({ keeping = 'memory' }, data, { mqttPort, wsPort }) {
    // Otherwise it gives up the rights of root, and cannot write into the directory.
    const user = process.geteuid?.() === 0 ? ['user root'] : []
    const listeners = [`listener ${mqttPort} 127.0.0.1`, `listener ${wsPort} 127.0.0.1`, 'protocol websockets']
    const settings = [...user, ...MOSQUITTO_COMMON, ...MOSQUITTO_SETTINGS[keeping], `persistence_location ${data}/`]
    const file = join(data, 'mosquitto.conf')
    writeFileSync(file, `${[...settings, ...listeners].join('\n')}\n`)
    return [programPath('mosquitto') as string, '-c', file]
  },
  portsOf: null,
}

const nats: Recipe = {
  wsPath: '/mqtt',
  nativePath: null,
  command({ keeping = 'memory' }, data, { mqttPort, wsPort }) {
    const isInMemory = keeping === 'memory'
    const file = join(data, 'nats.conf')
    const lines = [
      'host: 127.0.0.1',
      'port: -1',
      'server_name: bench',
      `jetstream { store_dir: "${data}" }`,
      `mqtt { host: 127.0.0.1, port: ${mqttPort}, max_ack_pending: 32767, consumer_memory_storage: ${isInMemory} }`,
      `websocket { host: 127.0.0.1, port: ${wsPort}, no_tls: true }`,
    ]
    writeFileSync(file, `${lines.join('\n')}\n`)
    return [programPath('nats-server') as string, '-c', file]
  },
  portsOf: null,
}

const script = (file: string): Recipe => ({
  wsPath: '/',
  nativePath: null,
  command: () => [process.execPath, join(SCRIPTS, file)],
  portsOf: portsInUrls,
})

const RECIPES: Readonly<Record<PeerName, Recipe>> = {
  tallymq,
  mosquitto,
  nats,
  aedes: script('aedes-broker.js'),
  relay: script('plain-relay.js'),
}

/** For the report. */
export const PEER_SETTINGS: Readonly<Record<PeerName, string>> = {
  tallymq: 'as it comes: store lmdb, durability flush, ledger on',
  mosquitto: [...MOSQUITTO_COMMON, ...MOSQUITTO_SETTINGS.memory].join('; '),
  nats: 'QoS 1 in JetStream on files, unsynced (2.9 cannot); max_ack_pending 32767; consumers in memory, or durable',
  aedes: 'in memory, concurrency 10000, queueLimit 1000000; `ws` as its README sets it up',
  relay: '`ws.send` per message and subscriber, and nothing else',
}

/** Why a peer cannot be measured here, or null. */
export function missing(peer: PeerName, root = ROOT): string | null {
  if (peer === 'mosquitto') return programPath('mosquitto') === null ? 'mosquitto is not installed' : null
  if (peer === 'nats') return programPath('nats-server') === null ? 'nats-server is not installed' : null
  if (peer === 'tallymq') return existsSync(join(root, 'dist/cli/main.js')) ? null : `nothing is built in ${root}`
  try {
    createRequire(import.meta.url).resolve(peer === 'aedes' ? 'aedes' : 'ws')
    return null
  } catch {
    return `${peer} is not installed`
  }
}

/** Runs `use` with a fresh broker on a fresh directory, whatever becomes of it. */
export async function withBroker<T>(choice: BrokerChoice, use: (broker: RunningBroker) => Promise<T>): Promise<T> {
  const directory = newDataDirectory(choice.peer)
  try {
    return await use(await startProcess(RECIPES[choice.peer], choice, directory))
  } finally {
    await killAll()
    removeDataDirectory(directory)
  }
}
