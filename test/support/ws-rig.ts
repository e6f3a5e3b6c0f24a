/** The shell on a fake core, a memory store settled by hand, a clock and an event loop that move when told. */
import { DEFAULT_LIMITS } from '../../src/core/limits.js'
import type { AuthenticationStep } from '../../src/core/ports/access.js'
import type { Link } from '../../src/core/ports/link.js'
import type { StoreOperation } from '../../src/core/ports/store.js'
import { mqttCodec } from '../../src/protocol/mqtt/codec.js'
import type { Durability, Packet, ProtocolLevel } from '../../src/protocol/packets.js'
import type { ProtocolError } from '../../src/protocol/protocol-error.js'
import type { Connection } from '../../src/server/connection.js'
import type { CoreApi } from '../../src/server/core-api.js'
import type { HeartbeatOptions } from '../../src/server/heartbeat.js'
import { Shell } from '../../src/server/shell.js'
import { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { FakeClock } from './fake-clock.js'
import { FakeSocket } from './ws-fake-socket.js'

export interface FakeClient {
  readonly link: Link
  state: 'awaiting-connect' | 'authenticating' | 'connected' | 'closed'
  clientId: string
  keepAliveSec: number
  protocolLevel: ProtocolLevel
  isReauthenticating: boolean
}

/** Records what it is told; what it answers is set by the test. */
export class FakeCore implements CoreApi<FakeClient> {
  openRecordBytes = 0
  isCheckpointing = false
  dueMs = Number.POSITIVE_INFINITY
  readonly received: Packet[] = []
  readonly log: string[] = []
  committedCount = 0
  /** What a packet makes the core do. */
  onPacket: (client: FakeClient, packet: Packet) => void = () => {}
  onCommitted: () => void = () => {}
  /** @returns whether there is more to do at once. */
  onWork: () => boolean = () => false

  open(link: Link): FakeClient {
    return {
      link,
      state: 'awaiting-connect',
      clientId: '',
      keepAliveSec: 0,
      protocolLevel: 5,
      isReauthenticating: false,
    }
  }
  receive(client: FakeClient, packet: Packet): void {
    this.received.push(packet)
    this.onPacket(client, packet)
  }
  protocolError(client: FakeClient, error: ProtocolError): void {
    this.log.push(`protocol-error 0x${error.reasonCode.toString(16)}`)
    client.link.close(error.reasonCode, error.detail)
  }
  overdue(client: FakeClient): void {
    this.log.push('overdue')
    client.link.close(0x8d, 'overdue')
  }
  connectTimedOut(client: FakeClient): void {
    this.log.push('connect-timed-out')
    client.link.close(0x87, 'no CONNECT')
  }
  drained(_client: FakeClient): void {
    this.log.push('drained')
  }
  closed(client: FakeClient, detail: string): void {
    client.state = 'closed'
    this.log.push(`closed: ${detail}`)
  }
  authenticated(_client: FakeClient, _step: AuthenticationStep): void {
    this.log.push('authenticated')
  }
  work(): boolean {
    return this.onWork()
  }
  /** Something to store: until the next commit the record is open. */
  append(bytes = 1): void {
    this.openRecordBytes += bytes
  }
  takeCommit(): readonly StoreOperation[] | null {
    if (this.openRecordBytes === 0) return null
    this.openRecordBytes = 0
    return [{ kind: 'put', table: 'journal', key: Uint8Array.of(1), value: Uint8Array.of(1) }]
  }
  committed(): void {
    this.committedCount += 1
    this.onCommitted()
  }
  handleTimeout(): void {
    this.log.push('timeout')
    this.dueMs = Number.POSITIVE_INFINITY
  }
  nextTimeoutMs(): number {
    return this.dueMs
  }
  drain(): void {
    this.log.push('drain')
  }
}

export const HEARTBEAT: HeartbeatOptions = {
  pingIntervalMs: 30_000,
  pongTimeoutMs: 15_000,
  connectTimeoutMs: 5_000,
  writeTimeoutMs: 30_000,
  closeTimeoutMs: 2_000,
}

export interface Peer {
  readonly socket: FakeSocket
  readonly connection: Connection
  readonly client: FakeClient
}

export class Rig {
  readonly core = new FakeCore()
  readonly store = new MemoryStore({ settle: 'manual' })
  readonly timers = new FakeClock()
  readonly failures: Error[] = []
  readonly refused: [string, string][] = []
  readonly shell: Shell
  #deferred: (() => void)[] = []

  constructor(limits: Partial<typeof DEFAULT_LIMITS> = {}, durability: Durability = 'flush') {
    this.shell = new Shell({
      core: this.core,
      store: this.store,
      durability,
      timers: this.timers,
      defer: (run) => this.#deferred.push(run),
      limits: { ...DEFAULT_LIMITS, ...limits },
      heartbeat: HEARTBEAT,
      onRefused: ({ remoteAddress }, detail) => this.refused.push([remoteAddress, detail]),
      onFatal: (error) => this.failures.push(error),
    })
  }

  /** A connection whose CONNECT has been accepted, unless told otherwise. */
  open({ isConnected = true, keepAliveSec = 0 } = {}): Peer {
    const socket = new FakeSocket()
    const connection = this.shell.opened(socket, mqttCodec) as Connection
    const client = connection.client as FakeClient
    if (isConnected) {
      const original = this.core.onPacket
      this.core.onPacket = (self) => {
        self.state = 'connected'
        self.keepAliveSec = keepAliveSec
      }
      connection.received(CONNECT)
      this.core.onPacket = original
      this.core.received.length = 0
      this.turn()
    }
    return { socket, connection, client }
  }

  /** Ends the current iteration of the event loop. @returns false when nothing was to be done. */
  turn(): boolean {
    const deferred = this.#deferred
    this.#deferred = []
    for (const run of deferred) run()
    return deferred.length > 0
  }

  /** Iterations until nothing is left to do. */
  settle(): void {
    for (let index = 0; index < 100 && this.turn(); index += 1);
  }

  /** Lets time pass in steps of the heartbeat, each with its turn of the event loop. */
  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 50) {
      this.timers.advance(50)
      this.settle()
    }
  }
}

/** MQTT 5, clean start, keep alive 0, client id `c`. */
export const CONNECT = Uint8Array.from([0x10, 14, 0, 4, 77, 81, 84, 84, 5, 2, 0, 0, 0, 0, 1, 99])
export const PINGREQ = Uint8Array.from([0xc0, 0])
