/**
 * One connection between a simulated client and the broker: bytes in order, each way with its own delay. What TCP may
 * do is here: cut a message anywhere, deliver a beginning and lose the rest, be dead in one direction without telling
 * anybody, fill up when the reader is slow. What it may not do is not: nothing is reordered, repeated or changed.
 */
import type { LinkDescription } from '../../src/core/ports/link.js'
import type { TransportSocket } from '../../src/core/ports/transport.js'
import type { Codec, WrittenBytes } from '../../src/protocol/codec.js'
import type { Connection } from '../../src/server/connection.js'
import type { Random } from '../support/random.js'
import type { BrokerProcess, Host } from './host.js'

export interface NetPlan {
  readonly latencyMs: number
  readonly jitterMs: number
  /** Bytes that the operating systems of both sides take when nobody reads. */
  readonly windowBytes: number
  /** Chance that a write of an MQTT client arrives in pieces. */
  readonly splits: number
}

/** The client's end. */
export interface LinkClient {
  /** @param durableRecord what the disk had reported when the broker wrote these bytes. */
  arrived(bytes: Uint8Array, durableRecord: number): void
  lost(): void
}

/** Told when the broker has been given bytes written with it: the first of them, or all if `isWhole`. */
export interface HandedOver {
  readonly isWhole: boolean
  /** @param record the journal record that an answer to these bytes has to wait for. */
  handedOver(processNumber: number, record: number): void
}

/** null bytes: a WebSocket ping. */
interface Segment {
  readonly bytes: Uint8Array | null
  readonly durableRecord: number
}

const NEVER_MS = Number.POSITIVE_INFINITY

export class SimLink implements TransportSocket {
  readonly description: LinkDescription
  readonly #host: Host
  readonly #codec: Codec
  readonly #net: NetPlan
  readonly #random: Random
  /** null: the client has turned away; what still arrives is nobody's. */
  #client: LinkClient | null
  #process: BrokerProcess | null = null
  #peer: Connection | null = null
  // Up: from the client to the broker.
  #isClientOpen = true
  #upArrivalMs = 0
  #upLostFromMs = NEVER_MS
  #isUpPaused = false
  /** Arrived while the broker does not read; null: the end of the stream. */
  readonly #upWaiting: ({ bytes: Uint8Array; tag: HandedOver | null } | null)[] = []
  // Down.
  #serverState: 'connecting' | 'open' | 'ended' | 'gone' = 'connecting'
  #downArrivalMs = 0
  #downLostFromMs = NEVER_MS
  readonly #pending: Segment[] = []
  #unreadBytes = 0
  #isReading = true
  readonly #arrived: Segment[] = []
  pendingBytes = 0
  takenBytes = 0

  constructor(host: Host, client: LinkClient, codec: Codec, net: NetPlan, random: Random) {
    this.#host = host
    this.#client = client
    this.#codec = codec
    this.#net = net
    this.#random = random
    const transport = codec.name === 'mqtt' ? 'tcp' : 'ws'
    this.description = { transport, protocol: codec.name, remoteAddress: '10.0.0.1' }
    this.#upArrivalMs = this.#nowMs + this.#delay()
    host.schedule.at(this.#upArrivalMs, this.#accept)
  }

  get processNumber(): number {
    return this.#process?.number ?? 0
  }

  /** In one direction at least; nobody has been told. */
  get isHalfOpen(): boolean {
    return this.#upLostFromMs !== NEVER_MS || this.#downLostFromMs !== NEVER_MS
  }

  get #nowMs(): number {
    return this.#host.schedule.nowMs
  }

  #delay(): number {
    const { latencyMs, jitterMs } = this.#net
    return latencyMs + this.#random.below(jitterMs + 1)
  }

  readonly #accept = (): void => {
    const process = this.#host.process
    if (process === null || this.#nowMs >= this.#upLostFromMs) {
      if (this.#upLostFromMs === NEVER_MS) this.#tellClient(this.#delay())
      return
    }
    process.enter(() => {
      if (!this.#isClientOpen) return
      if (process.shell.refusal(this.description) !== null) {
        this.#tellClient(this.#delay())
        return
      }
      this.#process = process
      this.#serverState = 'open'
      process.links.add(this)
      this.#peer = process.shell.opened(this, this.#codec) as Connection
    })
  }

  // ── the client's end ──

  /** One write. @param tag told when the broker has it. */
  send(bytes: Uint8Array, tag: HandedOver | null): void {
    if (!this.#isClientOpen) return
    this.#host.trace.bytes(bytes)
    if (this.#codec.name !== 'mqtt' || bytes.length < 2 || !this.#random.chance(this.#net.splits)) {
      this.#sendUp(bytes, tag)
      return
    }
    let from = 0
    let to = 0
    while (to < bytes.length) {
      to = Math.min(bytes.length, from + 1 + this.#random.below(bytes.length))
      const isTelling = tag !== null && (tag.isWhole ? to === bytes.length : from === 0)
      this.#sendUp(bytes.subarray(from, to), isTelling ? tag : null)
      from = to
    }
  }

  #sendUp(bytes: Uint8Array, tag: HandedOver | null): void {
    this.#up(() => {
      if (this.#isUpPaused || this.#upWaiting.length > 0) this.#upWaiting.push({ bytes, tag })
      else this.#hand(bytes, tag)
    })
  }

  #up(arrive: () => void): void {
    this.#upArrivalMs = Math.max(this.#upArrivalMs, this.#nowMs + this.#delay())
    this.#host.schedule.at(this.#upArrivalMs, () => {
      if (this.#nowMs >= this.#upLostFromMs) return
      // Judged by the kernel of the process it was sent to: a new one knows nothing of this connection.
      this.#process?.enter(arrive)
    })
  }

  #hand(bytes: Uint8Array, tag: HandedOver | null): void {
    const process = this.#process
    const peer = this.#peer
    if (this.#serverState !== 'open' || process === null || peer === null) return
    const { core } = process
    const record = core.state.recordNumber
    const isHeard = peer.isOpen
    peer.received(bytes)
    if (tag === null || !isHeard) return
    const hasFacts = core.openRecordBytes > 0 || core.state.recordNumber !== record
    tag.handedOver(process.number, hasFacts ? record : record - 1)
  }

  /** The client closes in good order: what it has sent arrives. */
  closeByClient(): void {
    if (!this.#isClientOpen) return
    this.#isClientOpen = false
    this.#client = null
    this.#up(() => {
      if (this.#isUpPaused || this.#upWaiting.length > 0) this.#upWaiting.push(null)
      else this.#serverClosed('the peer closed the connection')
    })
  }

  /** The client turns to another connection and leaves this one as it is. */
  abandonByClient(): void {
    this.#client = null
  }

  /** Both ends will notice; of what is under way each way a beginning arrives. */
  cut(): void {
    const nowMs = this.#nowMs
    this.#upLostFromMs = Math.min(this.#upLostFromMs, nowMs + this.#random.below(this.#net.latencyMs + 2))
    this.#downLostFromMs = Math.min(this.#downLostFromMs, nowMs + this.#random.below(this.#net.latencyMs + 2))
    this.#tellClient(this.#delay())
    this.#host.schedule.after(this.#delay(), () => this.#process?.enter(() => this.#serverClosed('connection reset')))
  }

  /** Nobody is told. */
  goSilent(direction: 'up' | 'down' | 'both'): void {
    if (direction !== 'down') this.#upLostFromMs = Math.min(this.#upLostFromMs, this.#nowMs)
    if (direction !== 'up') this.#downLostFromMs = Math.min(this.#downLostFromMs, this.#nowMs)
  }

  set isReading(isReading: boolean) {
    this.#isReading = isReading
    while (this.#isReading && this.#arrived.length > 0) this.#read(this.#arrived.shift() as Segment)
  }

  #tellClient(delayMs: number): void {
    this.#host.schedule.after(delayMs, this.#clientLost)
  }

  readonly #clientLost = (): void => {
    const client = this.#client
    if (client === null) return
    this.#client = null
    this.#isClientOpen = false
    client.lost()
  }

  // ── the broker's end ──

  write(written: WrittenBytes): void {
    const bytes = written.buffer.subarray(written.headroom)
    this.#host.trace.bytes(bytes)
    if (this.#serverState !== 'open') return
    const durableRecord = this.#process?.store.durableRecord ?? 0
    this.#pending.push({ bytes, durableRecord })
    this.pendingBytes += bytes.length
    this.#take()
  }

  /** The operating system takes what fits its buffers. */
  #take(): void {
    while (this.#pending.length > 0 && this.#unreadBytes < this.#net.windowBytes) {
      const segment = this.#pending.shift() as Segment
      const length = segment.bytes?.length ?? 0
      this.pendingBytes -= length
      this.takenBytes += length
      this.#unreadBytes += length
      this.#downArrivalMs = Math.max(this.#downArrivalMs, this.#nowMs + this.#delay())
      this.#host.schedule.at(this.#downArrivalMs, () => this.#arrive(segment))
    }
    if (this.#serverState === 'ended' && this.#pending.length === 0) this.#finish()
  }

  #arrive(segment: Segment): void {
    if (this.#nowMs >= this.#downLostFromMs) return
    if (this.#isReading && this.#arrived.length === 0) this.#read(segment)
    else this.#arrived.push(segment)
  }

  #read({ bytes, durableRecord }: Segment): void {
    if (bytes === null) {
      if (this.#client !== null) this.#up(() => this.#peer?.ponged())
      return
    }
    const hadPending = this.pendingBytes > 0
    this.#unreadBytes -= bytes.length
    this.#client?.arrived(bytes, durableRecord)
    if (this.#serverState === 'gone') return
    this.#take()
    if (!hadPending || this.pendingBytes > 0 || this.#serverState !== 'open') return
    this.#process?.enter(() => {
      if (this.#serverState === 'open') this.#peer?.drained()
    })
  }

  pauseReading(): void {
    this.#isUpPaused = true
  }

  resumeReading(): void {
    if (!this.#isUpPaused) return
    this.#isUpPaused = false
    this.#host.schedule.after(0, () => this.#process?.enter(this.#readWaiting))
  }

  readonly #readWaiting = (): void => {
    while (!this.#isUpPaused && this.#upWaiting.length > 0) {
      const next = this.#upWaiting.shift()
      if (next === null || next === undefined) this.#serverClosed('the peer closed the connection')
      else this.#hand(next.bytes, next.tag)
    }
  }

  connectAccepted(): void {}

  sendPing(): boolean {
    if (this.#codec.name === 'mqtt') return false
    if (this.#serverState !== 'open') return true
    this.#pending.push({ bytes: null, durableRecord: 0 })
    this.#take()
    return true
  }

  end(): void {
    if (this.#serverState !== 'open') return
    this.#serverState = 'ended'
    // Reading goes on, so that the client's end is seen.
    this.#isUpPaused = false
    if (this.#pending.length === 0) this.#finish()
    if (this.#upWaiting.length > 0) this.#host.schedule.after(0, () => this.#process?.enter(this.#readWaiting))
  }

  /** The end of the stream, behind everything that was written. */
  #finish(): void {
    const atMs = Math.max(this.#downArrivalMs, this.#nowMs + this.#delay())
    this.#host.schedule.at(atMs, () => {
      if (this.#nowMs >= this.#downLostFromMs) return
      if (this.#client !== null && !this.#isReading) this.isReading = true
      this.#clientLost()
      this.#up(() => this.#serverClosed('the peer closed the connection'))
    })
  }

  destroy(): void {
    if (this.#serverState === 'gone') return
    this.#downLostFromMs = Math.min(this.#downLostFromMs, this.#nowMs + this.#random.below(this.#net.latencyMs + 2))
    this.#tellClient(this.#delay())
    this.#serverGone()
    this.#host.schedule.after(0, () => this.#process?.enter(() => this.#closedTold('destroyed')))
  }

  /** The process has ended, or the machine: what it had written may arrive, and mostly the client hears of the end. */
  processGone(isHeard: boolean): void {
    const lostFromMs = this.#nowMs + this.#random.below(this.#net.latencyMs * 2 + 2)
    this.#downLostFromMs = Math.min(this.#downLostFromMs, lostFromMs)
    this.#serverState = 'gone'
    this.#peer = null
    if (isHeard) this.#tellClient(this.#delay() + this.#random.below(500))
  }

  #serverClosed(detail: string): void {
    if (this.#serverState === 'gone' || this.#serverState === 'connecting') return
    this.#serverGone()
    this.#closedTold(detail)
  }

  #serverGone(): void {
    this.#serverState = 'gone'
    this.#process?.links.delete(this)
    this.#pending.length = 0
    this.pendingBytes = 0
  }

  #closedTold(detail: string): void {
    const peer = this.#peer
    this.#peer = null
    peer?.closed(detail)
  }
}
