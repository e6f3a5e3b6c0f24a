/**
 * Keeps one connection after the other: the first, and a new one with a random delay whenever the last has ended and
 * nothing speaks against it. It owns the client's state word; what a session is, it does not know.
 *
 *   connecting ──▶ connected ──▶ reconnecting ──▶ connected …        any of them ──▶ closed, for good
 */
import type { TimerHandle } from '../base/clock.js'
import type { ConnackPacket, ConnectPacket, DeliveryCursor, DisconnectProperties, Packet } from '../protocol/packets.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import type { ClientState, CloseReason } from './api.js'
import type { ClientSettings } from './connect-options.js'
import { Connection } from './connection.js'
import { reconnectDelayMs } from './reconnect.js'
import type { TallyError } from './tally-error.js'

export interface ConnectionLoopHandler {
  /** null: the application keeps none, or has none yet. */
  deliveryCursor(): DeliveryCursor | null
  accepted(connection: Connection, connack: ConnackPacket): void
  received(packet: Packet): void
  drained(): void
  /** The connection that `accepted` gave is gone. */
  lost(): void
  changed(state: ClientState): void
}

/** A connection that lasted this long shows that all is well: the next delay starts small again. */
const STABLE_MS = 10_000

export class ConnectionLoop {
  readonly #settings: ClientSettings
  readonly #handler: ConnectionLoopHandler
  #state: ClientState = { name: 'connecting' }
  /** The running attempt or the accepted connection. */
  #current: Connection | null = null
  #accepted: Connection | null = null
  #acceptedMs = 0
  #delayTimer: TimerHandle | null = null
  #isFirst = true
  #assignedClientId = ''
  /** Since the last accepted connection; and since the last stable one. */
  #failures = 0
  #backoff = 0
  #attempt = 0

  constructor(settings: ClientSettings, handler: ConnectionLoopHandler) {
    this.#settings = settings
    this.#handler = handler
  }

  get state(): ClientState {
    return this.#state
  }

  /** null: not connected at the moment. */
  get connection(): Connection | null {
    return this.#accepted
  }

  get clientId(): string {
    return this.#settings.connect.clientId === '' ? this.#assignedClientId : this.#settings.connect.clientId
  }

  start(): void {
    this.#handler.changed(this.#state)
    this.#open()
  }

  async close(reasonCode: number, properties: DisconnectProperties | null): Promise<void> {
    if (this.#state.name === 'closed') return
    const current = this.#current
    this.#closed({ kind: 'closed-by-caller' })
    await current?.close(reasonCode, properties)
  }

  /** The end, from inside. */
  fail(error: TallyError): void {
    if (this.#state.name === 'closed') return
    const current = this.#current
    this.#closed({ kind: 'failed', error })
    // Not 0x00: the Will, if there is one, is to be published.
    void current?.close(ReasonCode.UNSPECIFIED_ERROR, null)
  }

  #open(): void {
    this.#attempt += 1
    const attempt = this.#attempt
    const isCurrent = () => this.#attempt === attempt
    const connection = new Connection(this.#settings, this.#connectPacket(), {
      accepted: (connack) => {
        if (isCurrent()) this.#connectionAccepted(connection, connack)
      },
      received: (packet) => {
        if (isCurrent()) this.#handler.received(packet)
      },
      drained: () => {
        if (isCurrent()) this.#handler.drained()
      },
      ended: (error, isFinal) => {
        if (isCurrent()) this.#ended(error, isFinal)
      },
    })
    this.#current = connection
  }

  #connectPacket(): ConnectPacket {
    const deliveryCursor = this.#handler.deliveryCursor()
    const connect = deliveryCursor === null ? this.#settings.connect : { ...this.#settings.connect, deliveryCursor }
    if (this.#isFirst) return connect
    // MQTT 3.1.1 has one bit for "start clean" and "leave nothing behind", so it stays what the caller asked for.
    const cleanStart = connect.protocolLevel === 5 ? false : connect.cleanStart
    return { ...connect, clientId: this.clientId, cleanStart }
  }

  #connectionAccepted(connection: Connection, connack: ConnackPacket): void {
    this.#isFirst = false
    this.#failures = 0
    this.#acceptedMs = this.#settings.timers.nowMs()
    this.#accepted = connection
    this.#assignedClientId = connack.properties.assignedClientIdentifier ?? this.#assignedClientId
    this.#handler.accepted(connection, connack)
    // What came was not the session that was asked for.
    if (this.#state.name === 'closed') return
    this.#change({ name: 'connected', sessionPresent: connack.sessionPresent })
  }

  #ended(error: TallyError, isFinal: boolean): void {
    const { reconnect, random, timers } = this.#settings
    this.#current = null
    if (this.#accepted !== null) {
      this.#accepted = null
      if (timers.nowMs() - this.#acceptedMs >= STABLE_MS) this.#backoff = 0
      this.#handler.lost()
    }
    this.#failures += 1
    this.#backoff += 1
    if (isFinal || reconnect === null || this.#failures > reconnect.attemptsMax) {
      this.#closed({ kind: 'failed', error })
      return
    }
    const delayMs = reconnectDelayMs(this.#backoff, reconnect, random)
    this.#delayTimer = timers.schedule(delayMs, () => this.#open())
    this.#change({ name: 'reconnecting', attempt: this.#failures, delayMs, reason: error })
  }

  #closed(reason: CloseReason): void {
    this.#delayTimer?.cancel()
    this.#attempt += 1
    this.#current = null
    if (this.#accepted !== null) {
      this.#accepted = null
      this.#handler.lost()
    }
    this.#change({ name: 'closed', reason })
  }

  #change(state: ClientState): void {
    this.#state = state
    this.#handler.changed(state)
  }
}
