/**
 * What all connections share: the core, the turn, the heartbeat, the table of connections and the one way to stop after
 * a failure. It opens connections for the transports and keeps time for the core; rules it has none.
 */
import type { TimerHandle, Timers } from '../base/clock.js'
import type { BrokerLimits } from '../core/limits.js'
import type { AuthenticationStep } from '../core/ports/access.js'
import type { LinkDescription } from '../core/ports/link.js'
import type { Store } from '../core/ports/store.js'
import type { TransportAcceptor, TransportPeer, TransportSocket } from '../core/ports/transport.js'
import type { Codec, CodecLimits } from '../protocol/codec.js'
import type { Durability } from '../protocol/packets.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import { type AddressLimitOptions, AddressLimits } from './address-limits.js'
import { Connection } from './connection.js'
import type { ConnectionHost } from './connection-host.js'
import type { CoreApi, CoreConnection } from './core-api.js'
import { Heartbeat, type HeartbeatOptions, TICK_MS } from './heartbeat.js'
import { DecodeScope } from './intake.js'
import { Promises } from './promises.js'
import { TrafficCounters } from './traffic-counters.js'
import { Turn } from './turn.js'
import { WriterPool } from './writer-pool.js'

export interface ShellOptions {
  readonly core: CoreApi<CoreConnection>
  readonly store: Store
  /** What it means that the store has reported a commit as done. */
  readonly durability: Durability
  readonly timers: Timers
  /** Runs once the current iteration of the event loop has read all there is: setImmediate. */
  readonly defer: (run: () => void) => void
  readonly limits: Pick<
    BrokerLimits,
    'connectionsMax' | 'outputBufferBytesMax' | 'maximumPacketSize' | 'userPropertiesMax' | keyof AddressLimitOptions
  >
  readonly heartbeat: HeartbeatOptions
  /** Called with the time at every tick of the heartbeat, for what is refreshed now and then. */
  readonly onTick?: (nowMs: number) => void
  /** MQTT 3.1 too. Default: no. */
  readonly acceptMqtt31?: boolean
  /** A connection may not open because its address has taken enough. */
  readonly onRefused?: (link: LinkDescription, detail: string) => void
  /** Called once, after the clients have been told. */
  readonly onFatal: (error: Error) => void
}

/** Bytes of a packet that may come before CONNECT has been accepted: room for a Will, not for a flood. */
export const CONNECT_PACKET_SIZE_MAX = 65_536
/** Journal bytes that wait for the disk, record in flight included, before those who publish are no longer read. */
const JOURNAL_BYTES_MAX = 16 * 1_048_576
const EARLY_FLUSH_BYTES = 262_144
/** How many times as long as a client may take itself it may have to wait: others may be in front of it. */
const AUTHENTICATION_PATIENCE = 6

export class Shell implements TransportAcceptor, ConnectionHost {
  readonly core: CoreApi<CoreConnection>
  readonly turn: Turn
  readonly heartbeat: Heartbeat
  readonly clock: Timers
  readonly writers = new WriterPool()
  readonly decodeScope = new DecodeScope()
  readonly traffic = new TrafficCounters()
  readonly promises: Promises
  readonly codecLimits: CodecLimits
  readonly outputBufferBytesMax: number
  readonly earlyFlushBytes: number
  readonly #options: ShellOptions
  readonly #addresses: AddressLimits
  readonly #connections: (Connection | null)[] = []
  #connectionCount = 0
  #state: 'running' | 'draining' | 'failed' = 'running'
  #timer: TimerHandle | null = null
  #goneWaiters: (() => void)[] = []

  constructor(options: ShellOptions) {
    const { core, store, timers, defer, limits } = options
    this.#options = options
    this.core = core
    this.clock = timers
    this.outputBufferBytesMax = limits.outputBufferBytesMax
    this.earlyFlushBytes = Math.min(EARLY_FLUSH_BYTES, limits.outputBufferBytesMax / 4)
    this.codecLimits = {
      maximumPacketSize: limits.maximumPacketSize,
      userPropertiesMax: limits.userPropertiesMax,
      connectPacketSizeMax: Math.min(limits.maximumPacketSize, CONNECT_PACKET_SIZE_MAX),
      acceptMqtt31: options.acceptMqtt31 ?? false,
    }
    this.#addresses = new AddressLimits(limits)
    this.heartbeat = new Heartbeat(options.heartbeat)
    const onFatal = (error: unknown) => this.#stopAfterFailure(error)
    this.promises = new Promises(options.durability)
    const { promises } = this
    this.turn = new Turn({ core, store, promises, clock: timers, defer, onFatal, journalBytesMax: JOURNAL_BYTES_MAX })
  }

  get state(): 'running' | 'draining' | 'failed' {
    return this.#state
  }

  get connectionCount(): number {
    return this.#connectionCount
  }

  /** Open and closing connections. */
  *connections(): IterableIterator<Connection> {
    for (const connection of this.#connections) if (connection) yield connection
  }

  /** Begins to keep time. */
  start(): void {
    this.#timer = this.clock.schedule(TICK_MS, this.#tickSoon)
    this.turn.schedule()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  // ── for transports ──

  refusal(link: LinkDescription): string | null {
    const everybody = this.unreadiness()
    if (everybody !== null) return everybody
    const detail = this.#addresses.refusal(link.remoteAddress, this.clock.nowMs())
    if (detail !== null) this.#options.onRefused?.(link, detail)
    return detail
  }

  /** Why no connection at all may open now; null: the broker is ready. */
  unreadiness(): string | null {
    if (this.#state !== 'running') return 'the broker is stopping'
    if (this.#connectionCount >= this.#options.limits.connectionsMax) return 'too many connections; try again later'
    return null
  }

  opened(socket: TransportSocket, codec: Codec): TransportPeer {
    const nowMs = this.clock.nowMs()
    const connection = new Connection(this, socket, codec, nowMs)
    this.#addresses.opened(socket.description.remoteAddress, nowMs)
    this.#connections[connection.slot] = connection
    this.#connectionCount += 1
    this.traffic.socketsOpened += 1
    return connection
  }

  // ── for the core ──

  /**
   * Waits for an authentication that takes its time. Stays on the safe side: an adapter that rejects, or that has not
   * answered in time, refuses.
   */
  authenticating(connection: CoreConnection, pending: Promise<AuthenticationStep>): void {
    const answer = (step: AuthenticationStep): void => {
      this.core.authenticated(connection, step, this.clock.nowMs())
      this.turn.schedule()
    }
    const timeoutMs = this.#options.heartbeat.connectTimeoutMs * AUTHENTICATION_PATIENCE
    const timer = this.clock.schedule(timeoutMs, () => {
      try {
        answer(unavailable('the authentication took too long; try again later'))
      } catch (error) {
        this.fail(error)
      }
    })
    pending
      .catch((): AuthenticationStep => unavailable('the authentication is not available'))
      .then((step) => {
        timer.cancel()
        answer(step)
      })
      .catch((error: unknown) => this.fail(error))
  }

  // ── for connections ──

  gone(slot: number): void {
    const connection = this.#connections[slot]
    if (connection) this.#addresses.closed(connection.description.remoteAddress)
    this.#connections[slot] = null
    this.heartbeat.close(slot)
    this.#connectionCount -= 1
    if (this.#connectionCount > 0) return
    const waiters = this.#goneWaiters
    this.#goneWaiters = []
    for (const wake of waiters) wake()
  }

  fail(error: unknown): void {
    this.turn.fail(error)
  }

  // ── for the shutdown ──

  /** No new connections, nothing new from the old ones. */
  beginDraining(): void {
    if (this.#state === 'running') this.#state = 'draining'
    for (const connection of this.connections()) connection.stopReading()
  }

  /** Resolves when the last socket is gone, or after `timeoutMs`, when the rest is destroyed. */
  allGone(timeoutMs: number): Promise<void> {
    if (this.#connectionCount === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = this.clock.schedule(timeoutMs, () => {
        for (const connection of this.connections()) connection.destroy()
        resolve()
      })
      this.#goneWaiters.push(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  /** After the sockets have been read: what lies unread after a pause of this process speaks for its sender. */
  readonly #tickSoon = (): void => {
    this.#options.defer(this.#tick)
  }

  readonly #tick = (): void => {
    if (this.#timer === null) return
    const nowMs = this.clock.nowMs()
    try {
      this.heartbeat.tick(nowMs)
      this.#options.onTick?.(nowMs)
      if (this.core.nextTimeoutMs() <= nowMs || this.core.isCheckpointing) this.turn.schedule()
    } catch (error) {
      this.fail(error)
    }
    this.#timer = this.clock.schedule(TICK_MS, this.#tickSoon)
  }

  #stopAfterFailure(error: unknown): void {
    this.#state = 'failed'
    const nowMs = this.clock.nowMs()
    for (const connection of this.connections()) {
      try {
        connection.stopAfterFailure(nowMs)
      } catch {
        // The failure that stopped us may have left anything behind; the others are still told.
        connection.destroy()
      }
    }
    this.#options.onFatal(error instanceof Error ? error : new Error(String(error)))
  }
}

function unavailable(detail: string): AuthenticationStep {
  return { accepted: false, reasonCode: ReasonCode.SERVER_UNAVAILABLE, detail }
}
