/** Fifteen thousand clients: how fast they come, what each costs while it does nothing, and what all of them cost. */
import assert from 'node:assert/strict'
import { nativeCodec } from '../../../src/protocol/msgpack/codec.js'
import { PacketType } from '../../../src/protocol/packets.js'
import type { Entrant, Figures, MeasureOptions, PeerName, RunningBroker, Scenario } from '../scenario.js'
import { atATime, percentile, secondsSince, wait } from './crowd.js'
import { address, Line, type Wire } from './line.js'
import { connect } from './mqtt-bytes.js'

const CONNECTIONS = 15_000
const WIDTH = 200
const KEEP_ALIVE_SEC = 600
/** A session for every connection, which outlives it; NATS would make a stream of JetStream of each. */
const IS_DURABLE: Readonly<Record<PeerName, boolean>> = {
  tallymq: true,
  mosquitto: true,
  aedes: true,
  nats: false,
  relay: false,
}

function connectBytes(wire: Wire, clientId: string, isDurable: boolean): Buffer {
  if (wire !== 'native') return connect(clientId, isDurable, KEEP_ALIVE_SEC)
  const writer = nativeCodec.writer(5)
  writer.write({
    type: PacketType.CONNECT,
    protocolLevel: 5,
    cleanStart: true,
    keepAliveSec: KEEP_ALIVE_SEC,
    clientId,
    properties: { sessionExpiryIntervalSec: isDurable ? 3_600 : 0 },
  })
  const written = writer.take()
  assert(written !== null)
  return Buffer.from(written.buffer.subarray(written.headroom))
}

interface Came {
  readonly lines: readonly Line[]
  readonly seconds: number
  /** From the first packet of the handshake of TCP to CONNACK. */
  readonly latencyMs: readonly number[]
}

async function come(broker: RunningBroker, wire: Wire, count: number): Promise<Came> {
  const isDurable = IS_DURABLE[broker.name]
  const lines: Line[] = []
  const latencyMs: number[] = []
  const began = process.hrtime.bigint()
  await atATime(WIDTH, count, async (index) => {
    const start = process.hrtime.bigint()
    const line = await new Line({ broker, wire, localAddress: address(index) }).open()
    line.send(connectBytes(wire, `crowd-${index}`, isDurable))
    await line.answered(1)
    latencyMs.push(secondsSince(start) * 1_000)
    lines.push(line)
  })
  return { lines, seconds: secondsSince(began), latencyMs }
}

async function measureStorm(broker: RunningBroker, wire: Wire, scale: number): Promise<Figures> {
  const count = Math.ceil(CONNECTIONS / scale)
  // Code that has not run yet is not what a storm meets.
  const before = await come(broker, wire, Math.ceil(count / 10))
  for (const line of before.lines) line.destroy()
  await wait(1_000)
  const cpuBegan = broker.usage().cpuSec
  const own = process.cpuUsage()
  const { lines, seconds, latencyMs } = await come(broker, wire, count)
  const cpuSec = broker.usage().cpuSec - cpuBegan
  const { user, system } = process.cpuUsage(own)
  const lost = lines.filter(({ socket }) => socket.destroyed).length
  for (const line of lines) line.destroy()
  return {
    values: {
      connectsPerSec: count / seconds,
      p50Ms: percentile(latencyMs, 0.5),
      p99Ms: percentile(latencyMs, 0.99),
      brokerMicrosPerConnect: (cpuSec * 1e6) / count,
    },
    flaws: lost === 0 ? [] : [`${lost} connections lost`],
    isGeneratorBound: (user + system) / 1e6 > cpuSec,
  }
}

async function measureIdle(broker: RunningBroker, wire: Wire, options: MeasureOptions): Promise<Figures> {
  const { scale, seconds, say } = options
  const count = Math.ceil(CONNECTIONS / scale)
  await wait(2_000)
  const before = broker.usage()
  const { lines } = await come(broker, wire, count)
  say(`${count} connections`)
  await wait(5_000)
  const loaded = broker.usage()
  await wait(seconds * 1_000)
  const idle = broker.usage()
  const lost = lines.filter(({ socket }) => socket.destroyed).length
  for (const line of lines) line.destroy()
  return {
    values: {
      rssPerConnectionBytes: (idle.rssBytes - before.rssBytes) / count,
      anonPerConnectionBytes: (idle.anonBytes - before.anonBytes) / count,
      idleCpuPercent: ((idle.cpuSec - loaded.cpuSec) / seconds) * 100,
    },
    flaws: lost === 0 ? [] : [`${lost} connections lost`],
  }
}

type Measure = (broker: RunningBroker, wire: Wire, options: MeasureOptions) => Promise<Figures>

function entrant(peer: PeerName, wire: Wire, measure: Measure): Entrant {
  return {
    name: wire === 'native' ? 'tallymq native' : peer,
    broker: { peer },
    settings: IS_DURABLE[peer] ? 'each with a session that outlives it' : 'clean sessions',
    measure: (broker, options) => measure(broker, wire, options),
  }
}

const WIRES = { 'mqtt-tcp': 'MQTT over TCP', 'mqtt-ws': 'MQTT over WebSocket' } as const
const PEERS = ['tallymq', 'mosquitto', 'nats', 'aedes'] as const

function storm(wire: 'mqtt-tcp' | 'mqtt-ws'): Scenario {
  const measure: Measure = (broker, kind, { scale }) => measureStorm(broker, kind, scale)
  return {
    name: `connect storm, ${WIRES[wire]}`,
    isRequired: false,
    headline: 'connectsPerSec',
    better: 'higher',
    about: '15 000 clients connect, 200 at a time, and stay. Latency from connecting the socket to CONNACK.',
    entrants: PEERS.map((peer) => entrant(peer, wire, measure)),
    bounds: [],
    extraSec: 40,
    isOneDeed: true,
  }
}

function idle(wire: 'mqtt-tcp' | 'mqtt-ws'): Scenario {
  const ours = wire === 'mqtt-ws' ? [entrant('tallymq', 'native', measureIdle)] : []
  const [first, ...peers] = PEERS.map((peer) => entrant(peer, wire, measureIdle)) as [Entrant, ...Entrant[]]
  return {
    name: `15 000 idle connections, ${WIRES[wire]}`,
    isRequired: wire === 'mqtt-ws',
    headline: 'rssPerConnectionBytes',
    better: 'lower',
    about: '15 000 connections with sessions that do nothing: resident memory of the broker for each, and its CPU.',
    entrants: [first, ...ours, ...peers],
    bounds: wire === 'mqtt-ws' ? [{ figure: 'rssPerConnectionBytes', atMost: 8_192 }] : [],
    extraSec: 30,
  }
}

export const connectionScenarios: readonly Scenario[] = [
  idle('mqtt-ws'),
  idle('mqtt-tcp'),
  storm('mqtt-tcp'),
  storm('mqtt-ws'),
]
