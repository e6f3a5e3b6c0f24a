/**
 * What every simulated client does: it connects, comes back after a loss, keeps the connection alive and gives a dead
 * one up, and it knows whether an answer came before it could be true. What it is for is in `publisher.ts`,
 * `consumer.ts` and `producer.ts`.
 */
import type { Codec, PacketDecoder, PacketWriter } from '../../src/protocol/codec.js'
import { mqttCodec } from '../../src/protocol/mqtt/codec.js'
import { nativeCodec } from '../../src/protocol/msgpack/codec.js'
import { type ConnackPacket, type ConnectPacket, type Packet, PacketType } from '../../src/protocol/packets.js'
import type { Random } from '../support/random.js'
import type { Books } from './books.js'
import { describePacket } from './describe-packet.js'
import type { Host } from './host.js'
import { type HandedOver, type LinkClient, type NetPlan, SimLink } from './link.js'
import type { Task } from './schedule.js'

export type ClientProtocol = 'native' | 'mqtt5' | 'mqtt4'

export interface ClientPlan {
  readonly clientId: string
  readonly protocol: ClientProtocol
  readonly keepAliveSec: number
  /** How long it waits for any bytes before it gives a connection up. */
  readonly patienceMs: number
  readonly reconnectMsMax: number
  readonly net: NetPlan
}

const WATCH_MS = 5_000
const CONNACK_TIMEOUT_MS = 15_000
const IDLE_PING_MS = 20_000
const DECODER_LIMITS = { maximumPacketSize: 1 << 24, userPropertiesMax: 1_000, connectPacketSizeMax: 1 << 24 }

/** What was asked with one packet id, and the record the answer has to wait for. */
export class Asked implements HandedOver {
  readonly isWhole: boolean
  processNumber = 0
  record = 0

  constructor(isWhole = false) {
    this.isWhole = isWhole
  }

  handedOver(processNumber: number, record: number): void {
    if (this.processNumber !== 0) return
    this.processNumber = processNumber
    this.record = record
  }
}

/** Several questions in one write. */
class AskedTogether implements HandedOver {
  readonly isWhole = false
  readonly #asked: readonly HandedOver[]
  constructor(asked: readonly HandedOver[]) {
    this.#asked = asked
  }
  handedOver(processNumber: number, record: number): void {
    for (const one of this.#asked) one.handedOver(processNumber, record)
  }
}

export abstract class SimClient implements LinkClient {
  readonly plan: ClientPlan
  protected readonly host: Host
  protected readonly books: Books
  protected readonly random: Random
  readonly #codec: Codec
  readonly #writer: PacketWriter
  #decoder: PacketDecoder | null = null
  #asked: HandedOver[] = []
  protected link: SimLink | null = null
  protected isReady = false
  /** Since the faults have stopped: comes back at once and does nothing of its own. */
  protected isCalm = false
  /** The run is over: what happens now is nobody's business. */
  protected isFinished = false
  /** What the disk had reported when the bytes were written that are being read. */
  protected durableRecord = 0
  #connectedAtMs = 0
  #lastHeardMs = 0
  #lastSentMs = 0
  #watch: Task | null = null
  #reconnect: Task | null = null

  constructor(plan: ClientPlan, host: Host, books: Books, random: Random) {
    this.plan = plan
    this.host = host
    this.books = books
    this.random = random
    this.#codec = plan.protocol === 'native' ? nativeCodec : mqttCodec
    this.#writer = this.#codec.writer(this.level)
  }

  get level(): 4 | 5 {
    return this.plan.protocol === 'mqtt4' ? 4 : 5
  }
  get clientId(): string {
    return this.plan.clientId
  }
  get isConnected(): boolean {
    return this.isReady
  }
  get isHalfOpen(): boolean {
    return this.link?.isHalfOpen ?? false
  }
  protected get nowMs(): number {
    return this.host.schedule.nowMs
  }
  protected get processNumber(): number {
    return this.link?.processNumber ?? 0
  }

  protected abstract connectPacket(): Pick<ConnectPacket, 'cleanStart' | 'properties' | 'will' | 'deliveryCursor'>
  protected abstract accepted(packet: ConnackPacket): void
  protected abstract received(packet: Packet): void
  /** The connection is over, by whoever's doing. */
  protected abstract gone(): void
  /** Nothing is left that the broker owes an answer to. */
  abstract readonly isSettled: boolean

  /** On a connection of its own, whatever became of the one before. */
  connect(): void {
    this.#reconnect = null
    if (this.link !== null) this.leave(this.random.chance(0.5))
    const link = new SimLink(this.host, this, this.#codec, this.plan.net, this.random)
    this.link = link
    this.#decoder = this.#codec.decoder(DECODER_LIMITS)
    this.#decoder.connectAccepted(this.level)
    this.#connectedAtMs = this.nowMs
    this.#lastHeardMs = this.nowMs
    this.#watch ??= this.host.schedule.after(WATCH_MS, this.#look)
    const { keepAliveSec } = this.plan
    const wanted = this.connectPacket()
    const { clientId } = this
    this.write({ type: PacketType.CONNECT, protocolLevel: this.level, clientId, keepAliveSec, ...wanted })
    this.flush()
  }

  /** @param isTold false: the broker hears of it by takeover, by ping or never. */
  protected leave(isTold: boolean): void {
    const { link } = this
    if (link === null) return
    if (isTold) link.closeByClient()
    else link.abandonByClient()
    this.#lose()
  }

  #lose(): void {
    // A CONNECT that the next one overtakes would end what that began: a socket given up so early is reset.
    if (!this.isReady) this.link?.goSilent('up')
    this.link = null
    this.isReady = false
    this.#asked = []
    this.#writer.take()
    this.say('connection gone')
    if (!this.isFinished) this.gone()
  }

  finish(): void {
    this.isFinished = true
  }

  reconnectSoon(): void {
    if (this.#reconnect !== null || this.isFinished) return
    const delayMs = this.isCalm ? 100 : 20 + this.random.below(this.plan.reconnectMsMax)
    this.#reconnect = this.host.schedule.after(delayMs, () => this.connect())
  }

  protected comeBackAfter(delayMs: number): void {
    if (this.#reconnect !== null) this.#reconnect.run = null
    this.#reconnect = this.host.schedule.after(delayMs, () => this.connect())
  }

  /** A connection more, whatever becomes of the one there is. */
  takeOver(): void {
    if (this.#reconnect !== null) this.#reconnect.run = null
    this.connect()
  }

  /** The network breaks, both ends notice. */
  cut(): void {
    if (this.link === null) return
    this.link.cut()
  }

  goSilent(direction: 'up' | 'down' | 'both'): void {
    this.link?.goSilent(direction)
  }

  calm(): void {
    this.isCalm = true
    if (this.#reconnect !== null) this.#reconnect.run = null
    this.#reconnect = null
    if (this.link === null) this.reconnectSoon()
  }

  // ── the link tells ──

  arrived(bytes: Uint8Array, durableRecord: number): void {
    this.#lastHeardMs = this.nowMs
    this.durableRecord = durableRecord
    this.#decoder?.decode(bytes, this.#receive)
    this.flush()
  }

  lost(): void {
    this.#lose()
    this.reconnectSoon()
  }

  readonly #receive = (packet: Packet): void => {
    if (this.link === null) return
    if (this.host.trace.lines !== null) this.say(`◀ ${describePacket(packet)}`)
    switch (packet.type) {
      case PacketType.CONNACK:
        return this.#connackArrived(packet)
      case PacketType.PINGREQ:
        this.write({ ...packet, type: PacketType.PINGRESP })
        return
      case PacketType.PINGRESP:
      case PacketType.DISCONNECT:
        return
      default:
        this.received(packet)
    }
  }

  #connackArrived(packet: ConnackPacket): void {
    if (packet.reasonCode !== 0) return this.refused(packet)
    this.isReady = true
    this.accepted(packet)
  }

  protected refused(packet: ConnackPacket): void {
    // Takeovers too fast, shutting down: both are the world's, not the broker's.
    if (packet.reasonCode === 0x9f || packet.reasonCode === 0x88 || packet.reasonCode === 3) return
    this.books.violation('session-rules', `${this.clientId}: CONNECT was refused with ${packet.reasonCode}`)
  }

  readonly #look = (): void => {
    this.#watch = null
    if (this.link === null) return
    this.#watch = this.host.schedule.after(WATCH_MS, this.#look)
    if (!this.isReady) {
      if (this.nowMs - this.#connectedAtMs > CONNACK_TIMEOUT_MS) this.#giveUp()
      return
    }
    if (this.isReading && this.nowMs - this.#lastHeardMs > Math.max(this.plan.patienceMs, IDLE_PING_MS * 2)) {
      this.#giveUp()
      return
    }
    const { keepAliveSec } = this.plan
    const pingMs = keepAliveSec === 0 ? IDLE_PING_MS : Math.min(keepAliveSec * 450, IDLE_PING_MS)
    if (this.nowMs - this.#lastSentMs < pingMs) return
    this.write({ type: PacketType.PINGREQ })
    this.flush()
  }

  #giveUp(): void {
    this.say('gives the connection up')
    this.leave(this.random.chance(0.5))
    this.reconnectSoon()
  }

  protected get isReading(): boolean {
    return true
  }

  // ── writing ──

  protected write(packet: Packet, asked: HandedOver | null = null): void {
    if (this.host.trace.lines !== null) this.say(`▶ ${describePacket(packet)}`)
    this.#writer.write(packet)
    if (asked !== null) this.#asked.push(asked)
  }

  protected flush(): void {
    const written = this.#writer.take()
    if (written === null || this.link === null) return
    this.#lastSentMs = this.nowMs
    const asked = this.#asked
    this.#asked = []
    const first = asked[0]
    const tag = first === undefined ? null : asked.length === 1 ? first : new AskedTogether(asked)
    this.link.send(written.buffer.subarray(written.headroom), tag)
  }

  /** An answer has come: could it be true when it was written? */
  protected judge(what: string, asked: Asked): void {
    if (asked.processNumber !== this.processNumber || asked.processNumber === 0) return
    this.books.answered(this.clientId, what, asked.record, this.durableRecord)
  }

  protected say(what: string): void {
    if (this.host.trace.lines !== null) this.host.trace.say(this.nowMs, this.clientId, what)
  }
}
