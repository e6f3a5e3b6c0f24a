/**
 * Who is loaded how: a shape of traffic, a broker and a wire make an entrant. Ours is durable and flushed, its sessions
 * last; the others hold everything in memory with sessions that do not, unless their name says `durable`.
 */
import { generate } from './generate.js'
import type { Load, WireName } from './load.js'
import type { BrokerChoice, Entrant, Keeping, PeerName } from './scenario.js'

export type Shape = Omit<Load, 'wire' | 'isDurable' | 'window' | 'batch'>
/** Messages of each publisher on their way, and in one write of it. */
type Flow = Pick<Load, 'window' | 'batch'>

export const one = (qos: 0 | 1 | 2, payloadBytes = 64): Shape => shape(1, 1, qos, payloadBytes)
export const pairs = (count: number, qos: 0 | 1 | 2): Shape => ({ ...shape(count, count, qos), isPaired: true })
export function shape(publishers: number, subscribers: number, qos: 0 | 1 | 2, payloadBytes = 64): Shape {
  return { publishers, subscribers, isPaired: false, qos, payloadBytes }
}

export const WIRE_TITLES: Readonly<Record<WireName, string>> = {
  tcp: 'MQTT over TCP',
  websocket: 'MQTT over WebSocket',
  native: 'native',
  relay: 'bare WebSocket',
}

interface EntrantOptions {
  readonly peer: PeerName
  readonly wire: WireName
  readonly shape: Shape
  readonly flow: Flow
  readonly keeping?: Keeping
  readonly name?: string
  readonly broker?: Partial<BrokerChoice>
}

export function loadEntrant({ peer, wire, shape, flow, keeping = 'memory', name, broker }: EntrantOptions): Entrant {
  const isDurable = peer === 'tallymq' || keeping === 'durable'
  const load: Load = { ...shape, ...flow, wire, isDurable }
  const sessions = peer === 'relay' ? 'no sessions' : isDurable ? 'sessions that last' : 'clean sessions'
  return {
    name: name ?? (keeping === 'durable' ? `${peer} durable` : peer),
    broker: { peer, keeping, ...broker },
    settings: `${WIRE_TITLES[wire]}, window ${flow.window} and ${flow.batch} a write for each publisher, ${sessions}`,
    measure: (running, options) => generate(load, running, options),
  }
}

/**
 * What keeps each broker busy and hurts none, found by trying: a longer window makes Mosquitto and aedes slower (they
 * search it), a shorter one leaves ours and nats-server waiting.
 */
const FLOWS: Readonly<Record<PeerName, readonly [qos0: Flow, qos1: Flow, qos2: Flow]>> = {
  tallymq: [flow(4_096, 64), flow(16_384, 64), flow(16_384, 64)],
  mosquitto: [flow(4_096, 64), flow(1_024, 32), flow(512, 16)],
  nats: [flow(4_096, 64), flow(4_096, 64), flow(4_096, 64)],
  aedes: [flow(4_096, 64), flow(256, 32), flow(128, 16)],
  relay: [flow(4_096, 64), flow(4_096, 64), flow(4_096, 64)],
}

function flow(window: number, batch: number): Flow {
  return { window, batch }
}

/** Shared by the publishers, and smaller the more a message weighs: bytes on their way, not messages, fill buffers. */
export function flowFor(peer: PeerName, { publishers, subscribers, isPaired, qos, payloadBytes }: Shape): Flow {
  const { window, batch } = FLOWS[peer][qos]
  const copies = isPaired ? 1 : subscribers
  const byFanOut = copies === 1 ? window : Math.min(window, Math.max(128, 102_400 / copies))
  const byBytes = Math.min(byFanOut, Math.max(16, 4_194_304 / payloadBytes))
  const each = Math.max(16, Math.floor(byBytes / publishers))
  return { window: each, batch: Math.min(batch, each >> (publishers === 1 ? 2 : 1)) }
}
