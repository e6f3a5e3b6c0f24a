/**
 * A line from a client to the broker that is dialled again whenever it is lost: connect, CONNECT, pings, and giving up
 * on a line that is silent. Packets go up and down as they are; sessions, identifiers and books are the client's
 * business.
 */
import type { TimerHandle } from '../base/clock.js'
import type { Random } from '../base/random.js'
import { systemTimers } from '../client/clock.js'
import { nodeTcp } from '../client/node-tcp.js'
import { nodeWebSocket } from '../client/node-websocket.js'
import type { Transport } from '../client/transport.js'
import type { PacketDecoder, PacketWriter } from '../protocol/codec.js'
import { mqttCodec } from '../protocol/mqtt/codec.js'
import { nativeCodec } from '../protocol/msgpack/codec.js'
import {
  type ConnackPacket,
  type DeliveryCursor,
  nextPacketId,
  type Packet,
  PacketType,
  SESSION_NEVER_EXPIRES_SEC,
} from '../protocol/packets.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import type { Wire } from './cast.js'

const LIMITS = { maximumPacketSize: 10_000_000, userPropertiesMax: 64, connectPacketSizeMax: 10_000_000 }
const REDIAL_MS = 40
const LOOK_MS = 500
/** A line without a byte for so long is cut on this side: it may be half open. */
const SILENCE_MS = 2_500
/** Refusals that say "later": the broker is busy, or thinks that this client comes too often. */
const LATER: readonly number[] = [
  ReasonCode.SERVER_UNAVAILABLE,
  ReasonCode.SERVER_BUSY,
  ReasonCode.CONNECTION_RATE_EXCEEDED,
  ReasonCode.QUOTA_EXCEEDED,
]

export interface Ports {
  readonly http: number
  readonly mqtt: number
}

export interface LineOptions {
  readonly clientId: string
  readonly wire: Wire
  readonly ports: Ports
  readonly random: Random
  readonly cleanStart: boolean
  readonly receiveMaximum?: number
  /** Asked at every CONNECT. */
  readonly cursor?: () => DeliveryCursor | null
}

export interface LineUser {
  connected(connack: ConnackPacket): void
  receive(packet: Packet): void
  /** Everything that came in one piece has been received: time to answer. */
  received(): void
  disconnected(): void
  /** The broker says something that it must not say. */
  problem(sentence: string): void
}

export class Line {
  readonly #options: LineOptions
  readonly #user: LineUser
  #transport: Transport | null = null
  #writer: PacketWriter | null = null
  #decoder: PacketDecoder | null = null
  #isUp = false
  #heardMs = 0
  #redial: TimerHandle | null = null
  #look: TimerHandle | null = null
  #isOver = false

  constructor(options: LineOptions, user: LineUser) {
    this.#options = options
    this.#user = user
  }

  /** CONNACK has come and the line stands. */
  get isUp(): boolean {
    return this.#isUp
  }

  /** Where packets collect until `flush`. Only when up. */
  get writer(): PacketWriter {
    if (this.#writer === null) throw new Error('the line is down')
    return this.#writer
  }

  open(): void {
    if (this.#isOver || this.#transport !== null) return
    this.#redial?.cancel()
    this.#redial = null
    const { wire, ports } = this.#options
    const isNative = wire === 'tally.v1'
    const codec = isNative ? nativeCodec : mqttCodec
    const protocolLevel = wire === 'mqtt 3.1.1' ? 4 : 5
    this.#writer = codec.writer(protocolLevel)
    this.#decoder = codec.decoder(LIMITS)
    this.#decoder.connectAccepted(protocolLevel)
    this.#heardMs = systemTimers.nowMs()
    const url = isNative ? `ws://127.0.0.1:${ports.http}/tally` : `mqtt://127.0.0.1:${ports.mqtt}`
    const open = isNative ? nodeWebSocket : nodeTcp
    this.#transport = open(
      { url, subprotocol: 'tally.v1' },
      {
        opened: () => this.#connect(protocolLevel),
        received: (chunk) => this.#received(chunk),
        drained: () => {},
        closed: () => this.#closed(),
      },
    )
    this.#lookLater()
  }

  /** Gone for a while; comes back by itself. */
  rest(ms: number): void {
    this.#transport?.destroy()
    this.#redialIn(ms)
  }

  end(): void {
    this.#isOver = true
    this.#redial?.cancel()
    this.#look?.cancel()
    this.#transport?.destroy()
  }

  flush(): void {
    const written = this.#writer?.take() ?? null
    if (written !== null) this.#transport?.write(written.buffer.subarray(written.headroom))
  }

  #connect(protocolLevel: 4 | 5): void {
    const { clientId, cleanStart, receiveMaximum, cursor } = this.#options
    const sessionExpiryIntervalSec = cleanStart ? 0 : SESSION_NEVER_EXPIRES_SEC
    const properties = { sessionExpiryIntervalSec, ...(receiveMaximum === undefined ? {} : { receiveMaximum }) }
    const packet = { type: PacketType.CONNECT, protocolLevel, clientId, cleanStart, keepAliveSec: 60, properties }
    const deliveryCursor = cursor?.() ?? null
    this.#writer?.write(deliveryCursor === null ? packet : { ...packet, deliveryCursor })
    this.flush()
  }

  #received(chunk: Uint8Array): void {
    this.#heardMs = systemTimers.nowMs()
    try {
      this.#decoder?.decode(chunk, (packet) => this.#receive(packet))
    } catch (error) {
      this.#user.problem(`bytes came that are no packet: ${(error as Error).message}`)
      this.#transport?.destroy()
      return
    }
    if (this.#isUp) this.#user.received()
    this.flush()
  }

  #receive(packet: Packet): void {
    switch (packet.type) {
      case PacketType.CONNACK:
        return this.#connacked(packet)
      case PacketType.PINGREQ: {
        const { timestampMs } = packet
        this.#writer?.write({ type: PacketType.PINGRESP, ...(timestampMs === undefined ? {} : { timestampMs }) })
        return
      }
      case PacketType.PINGRESP:
      case PacketType.DISCONNECT:
        return
      default:
        this.#user.receive(packet)
    }
  }

  #connacked(packet: ConnackPacket): void {
    const { reasonCode } = packet
    if (reasonCode === 0) {
      this.#isUp = true
      this.#user.connected(packet)
      return
    }
    if (!LATER.includes(reasonCode)) this.#user.problem(`CONNECT was refused with 0x${reasonCode.toString(16)}`)
    this.#transport?.destroy()
    this.#redialIn(1_000)
  }

  #closed(): void {
    const wasUp = this.#isUp
    this.#isUp = false
    this.#transport = null
    this.#look?.cancel()
    if (wasUp) this.#user.disconnected()
    if (this.#redial === null) this.#redialIn(REDIAL_MS + this.#options.random.below(REDIAL_MS))
  }

  #redialIn(ms: number): void {
    if (this.#isOver) return
    this.#redial?.cancel()
    this.#redial = systemTimers.schedule(ms, () => {
      this.#redial = null
      this.open()
    })
  }

  #lookLater(): void {
    this.#look?.cancel()
    this.#look = systemTimers.schedule(LOOK_MS, () => {
      if (this.#transport === null) return
      if (systemTimers.nowMs() - this.#heardMs > SILENCE_MS) {
        this.#transport.destroy()
        return
      }
      if (this.#isUp) {
        this.writer.write({ type: PacketType.PINGREQ })
        this.flush()
      }
      this.#lookLater()
    })
  }
}

/** The packet identifiers that a ranged acknowledgement stands for. */
export function* acknowledgedIds(first: number, last: number | undefined): IterableIterator<number> {
  const end = last ?? first
  for (let id = first; ; id = nextPacketId(id)) {
    yield id
    if (id === end) return
  }
}
