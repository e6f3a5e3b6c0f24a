/**
 * One connection from opening the socket to its end: handshake, keep-alive, and one write per turn. It knows nothing of
 * sessions; what comes after CONNACK goes to the handler as packets. It never comes back: the client makes a new one.
 */
import type { TimerHandle, Timers } from '../base/clock.js'
import type { Codec, PacketDecoder, PacketWriter } from '../protocol/codec.js'
import {
  type AckPacketType,
  type ConnackPacket,
  type ConnectPacket,
  type DisconnectProperties,
  type Packet,
  PacketType,
} from '../protocol/packets.js'
import { ProtocolError } from '../protocol/protocol-error.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import { type Deferred, deferred } from './deferred.js'
import { KeepAlive } from './keep-alive.js'
import { isFinalCloseCode, isFinalReason } from './reconnect.js'
import { TallyError, type TallyErrorCode } from './tally-error.js'
import type { OpenTransport, Transport, TransportTarget } from './transport.js'

export interface ConnectionSettings {
  readonly target: TransportTarget
  readonly openTransport: OpenTransport
  readonly codec: Codec
  readonly timers: Timers
  readonly maximumPacketSize: number
  readonly connectTimeoutMs: number
  readonly outputBufferBytesMax: number
}

export interface ConnectionHandler {
  accepted(connack: ConnackPacket): void
  /** Everything but CONNACK, pings and DISCONNECT. A ProtocolError thrown here ends the connection with its code. */
  received(packet: Packet): void
  /** The output buffer has room again. May come too often. */
  drained(): void
  /** Once, also when it never got as far as CONNACK. `isFinal`: do not come back. */
  ended(error: TallyError, isFinal: boolean): void
}

interface PingWaiter {
  readonly sentMs: number
  /** null: a ping of the keep-alive. */
  readonly answer: Deferred<number> | null
}

const USER_PROPERTIES_MAX = 1024
/** How long a peer may take to close after DISCONNECT. */
const CLOSE_TIMEOUT_MS = 2_000

export class Connection {
  readonly #settings: ConnectionSettings
  readonly #connect: ConnectPacket
  readonly #handler: ConnectionHandler
  readonly #transport: Transport
  readonly #decoder: PacketDecoder
  readonly #writer: PacketWriter
  readonly #closed = deferred<void>()
  #phase: 'opening' | 'awaiting-connack' | 'connected' | 'closing' | 'ended' = 'opening'
  #timer: TimerHandle
  #keepAlive: KeepAlive | null = null
  #isFlushScheduled = false
  #pings: PingWaiter[] = []
  #written: Deferred<void> | null = null
  #drained: Deferred<void> | null = null

  constructor(settings: ConnectionSettings, connect: ConnectPacket, handler: ConnectionHandler) {
    const { codec, maximumPacketSize, timers } = settings
    this.#settings = settings
    this.#connect = connect
    this.#handler = handler
    this.#decoder = codec.decoder({
      maximumPacketSize,
      userPropertiesMax: USER_PROPERTIES_MAX,
      connectPacketSizeMax: maximumPacketSize,
    })
    this.#decoder.connectAccepted(connect.protocolLevel)
    this.#writer = codec.writer(connect.protocolLevel)
    this.#timer = timers.schedule(settings.connectTimeoutMs, () => this.#connectTimedOut())
    this.#transport = settings.openTransport(settings.target, {
      opened: () => this.#opened(),
      received: (chunk) => this.#received(chunk),
      drained: () => this.#transportDrained(),
      closed: (code, detail, isFinal) => this.#transportClosed(code, detail, isFinal ?? false),
    })
  }

  get bufferedBytes(): number {
    return this.#writer.byteLength + this.#transport.bufferedBytes
  }

  get isFull(): boolean {
    return this.bufferedBytes > this.#settings.outputBufferBytesMax
  }

  write(packet: Packet): void {
    if (this.#phase === 'ended' || this.#phase === 'closing') return
    this.#writer.write(packet)
    this.#scheduleFlush()
  }

  writeAck(type: AckPacketType, packetId: number, reasonCode: number): void {
    if (this.#phase === 'ended' || this.#phase === 'closing') return
    this.#writer.writeAck(type, packetId, reasonCode)
    this.#scheduleFlush()
  }

  /** Settles for everything written this turn: when it has left this process's buffers, nearly. */
  written(): Promise<void> {
    this.#written ??= deferred()
    return this.#written.promise
  }

  /** Resolves when the buffer has room. */
  drained(): Promise<void> {
    if (!this.isFull) return Promise.resolve()
    this.#drained ??= deferred()
    return this.#drained.promise
  }

  /** @returns the round trip in milliseconds. */
  ping(): Promise<number> {
    const answer = deferred<number>()
    this.#sendPing(answer)
    return answer.promise
  }

  /** Flushes, says DISCONNECT and waits for the end of the socket, but not for ever. */
  close(reasonCode: number, properties: DisconnectProperties | null): Promise<void> {
    if (this.#phase === 'closing' || this.#phase === 'ended') return this.#closed.promise
    if (this.#phase !== 'connected') {
      this.#end(new TallyError('CLOSED', 'the client was closed while it was connecting'), true)
      return this.#closed.promise
    }
    this.#writer.write({ type: PacketType.DISCONNECT, reasonCode, properties })
    this.#flush()
    this.#phase = 'closing'
    this.#timer.cancel()
    this.#timer = this.#settings.timers.schedule(CLOSE_TIMEOUT_MS, () => this.#transport.destroy())
    this.#transport.close(1000)
    return this.#closed.promise
  }

  /** Ends it because the peer broke a rule: DISCONNECT with the reason where the protocol has one. */
  #refuse(error: ProtocolError): void {
    if (this.#phase === 'connected' && this.#connect.protocolLevel === 5) {
      this.#writer.write({ type: PacketType.DISCONNECT, reasonCode: error.reasonCode, properties: null })
      this.#flush()
    }
    const details = { reasonCode: error.reasonCode, cause: error }
    this.#end(new TallyError('PROTOCOL_ERROR', `the broker broke the protocol: ${error.detail}`, details), true)
  }

  #opened(): void {
    if (this.#phase !== 'opening') return
    this.#phase = 'awaiting-connack'
    this.#writer.write(this.#connect)
    this.#flush()
  }

  #received(chunk: Uint8Array): void {
    if (this.#phase === 'ended' || this.#phase === 'closing') return
    this.#keepAlive?.packetsReceived(this.#settings.timers.nowMs())
    try {
      this.#decoder.decode(chunk, this.#receive)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      this.#refuse(error)
    }
  }

  readonly #receive = (packet: Packet): void => {
    if (this.#phase === 'connected') this.#receiveConnected(packet)
    else if (this.#phase === 'awaiting-connack') this.#receiveConnack(packet)
  }

  #receiveConnack(packet: Packet): void {
    if (packet.type === PacketType.DISCONNECT) {
      this.#disconnected(packet.reasonCode, packet.properties)
      return
    }
    if (packet.type !== PacketType.CONNACK) {
      throw new ProtocolError(ReasonCode.PROTOCOL_ERROR, 'the first packet of a broker must be CONNACK')
    }
    if (packet.reasonCode !== ReasonCode.SUCCESS) {
      this.#turnedAway('CONNECT_REFUSED', 'the broker refused the connection', packet.reasonCode, packet.properties)
      return
    }
    this.#phase = 'connected'
    this.#timer.cancel()
    // The broker's Keep Alive wins [v5 MQTT-3.2.2-21].
    const keepAliveSec = packet.properties.serverKeepAliveSec ?? this.#connect.keepAliveSec
    this.#keepAlive = new KeepAlive({ keepAliveSec, nowMs: this.#settings.timers.nowMs() })
    this.#armKeepAlive(this.#keepAlive)
    this.#handler.accepted(packet)
  }

  #receiveConnected(packet: Packet): void {
    switch (packet.type) {
      case PacketType.PINGREQ: {
        const { timestampMs } = packet
        this.write(timestampMs === undefined ? { type: PacketType.PINGRESP } : { ...packet, type: PacketType.PINGRESP })
        return
      }
      case PacketType.PINGRESP: {
        const waiter = this.#pings.shift()
        waiter?.answer?.resolve(this.#settings.timers.nowMs() - waiter.sentMs)
        return
      }
      case PacketType.DISCONNECT:
        this.#disconnected(packet.reasonCode, packet.properties)
        return
      case PacketType.CONNACK:
        throw new ProtocolError(ReasonCode.PROTOCOL_ERROR, 'a connection has only one CONNACK')
      default:
        this.#handler.received(packet)
    }
  }

  #disconnected(reasonCode: number, properties: DisconnectProperties | null): void {
    this.#turnedAway('DISCONNECTED', 'the broker closed the connection', reasonCode, properties)
  }

  #turnedAway(
    code: TallyErrorCode,
    what: string,
    reasonCode: number,
    properties: { reasonString?: string; serverReference?: string } | null,
  ): void {
    const isFinal = isFinalReason(reasonCode)
    const server = properties?.serverReference === undefined ? '' : `; it names ${properties.serverReference} instead`
    const why = properties?.reasonString === undefined ? '' : `: ${properties.reasonString}`
    this.#end(new TallyError(code, `${what}${why}${server}`, { reasonCode, retryable: !isFinal }), isFinal)
  }

  #connectTimedOut(): void {
    const waited = `${this.#settings.connectTimeoutMs} ms`
    this.#end(new TallyError('TIMEOUT', `no CONNACK within ${waited}`, { retryable: true }), false)
  }

  #transportClosed(code: number, detail: string, isRefused: boolean): void {
    if (this.#phase === 'closing') {
      this.#end(new TallyError('CLOSED', 'the client was closed'), true)
      return
    }
    const isFinal = isRefused || isFinalCloseCode(code)
    const isEarly = this.#phase === 'opening' || this.#phase === 'awaiting-connack'
    const what = isEarly ? 'could not connect' : 'the connection was lost'
    const text = `${what}: ${detail === '' ? `close code ${code}` : detail}`
    this.#end(new TallyError(isEarly ? 'CONNECT_FAILED' : 'CONNECTION_LOST', text, { retryable: !isFinal }), isFinal)
  }

  #end(error: TallyError, isFinal: boolean): void {
    if (this.#phase === 'ended') return
    this.#phase = 'ended'
    this.#timer.cancel()
    this.#transport.destroy()
    for (const ping of this.#pings) ping.answer?.reject(error)
    this.#pings = []
    this.#written?.reject(error)
    this.#drained?.reject(error)
    this.#closed.resolve()
    this.#handler.ended(error, isFinal)
  }

  #armKeepAlive(keepAlive: KeepAlive): void {
    const dueMs = keepAlive.nextTimeoutMs()
    if (dueMs === Number.POSITIVE_INFINITY) return
    const { timers } = this.#settings
    // Traffic does not move the timer: it fires, sees that all is well, and is set again.
    this.#timer = timers.schedule(Math.max(1, dueMs - timers.nowMs()), () => {
      const verdict = keepAlive.verdict(timers.nowMs())
      if (verdict === 'dead') {
        return this.#end(new TallyError('TIMEOUT', 'the broker did not answer a ping', { retryable: true }), false)
      }
      if (verdict === 'ping') this.#sendPing(null)
      this.#armKeepAlive(keepAlive)
    })
  }

  #sendPing(answer: Deferred<number> | null): void {
    const nowMs = this.#settings.timers.nowMs()
    this.#pings.push({ sentMs: nowMs, answer })
    this.#keepAlive?.pingSent(nowMs)
    if (this.#settings.codec.name === 'mqtt') this.write({ type: PacketType.PINGREQ })
    else this.write({ type: PacketType.PINGREQ, timestampMs: Math.floor(nowMs) })
  }

  #scheduleFlush(): void {
    if (this.#isFlushScheduled) return
    this.#isFlushScheduled = true
    queueMicrotask(this.#flush)
  }

  readonly #flush = (): void => {
    this.#isFlushScheduled = false
    if (this.#phase === 'ended') return
    const bytes = this.#writer.take()
    if (bytes === null) return
    const { buffer, headroom } = bytes
    this.#transport.write(headroom === 0 ? buffer : buffer.subarray(headroom))
    this.#keepAlive?.packetsSent(this.#settings.timers.nowMs())
    if (!this.isFull) this.#transportDrained()
  }

  #transportDrained(): void {
    if (this.#phase === 'ended' || this.isFull) return
    const written = this.#written
    const drained = this.#drained
    this.#written = null
    this.#drained = null
    written?.resolve()
    drained?.resolve()
    if (this.#phase === 'connected') this.#handler.drained()
  }
}
