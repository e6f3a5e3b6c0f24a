/**
 * The real broker and the real SDK in one process, over bytes in memory, where anything can die between any two steps:
 * the broker with what it had not committed, a client process with everything that was not in its own store. What has
 * been decided is held where a test wants to look: before the commit, or before the answers leave.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { ConnectOptions } from '../../src/client/index.js'
import type { Transport, TransportHandler } from '../../src/client/transport.js'
import { nativeCodec } from '../../src/protocol/msgpack/codec.js'
import type { PacketWriter } from '../../src/protocol/codec.js'
import type { Packet } from '../../src/protocol/packets.js'
import type { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { FakeClock } from './fake-clock.js'
import { TestBroker, type TestClient } from './test-broker.js'

const LIMITS = { maximumPacketSize: 1 << 24, userPropertiesMax: 64, connectPacketSizeMax: 1 << 24 }
const DELAY_MS = 10

/** `commits`: the broker decides, its disk does not answer. `answers`: the network to the clients is slow. */
export type Held = 'nothing' | 'commits' | 'answers'

interface Wire {
  readonly client: TestClient
  readonly writer: PacketWriter
  readonly handler: TransportHandler
  /** The process at this end is dead: it hears nothing more. */
  isDead: boolean
}

export class CrashStage {
  broker = new TestBroker({ holdCommits: true })
  held: Held = 'nothing'
  /** What clients have sent, in order. */
  readonly received: Packet[] = []
  readonly #wires = new Set<Wire>()

  /** Runs until nothing moves, up to where it is held. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 25; quiet += 1) {
      await turn()
      if (this.#pump()) quiet = 0
    }
  }

  /** Runs until the condition holds; a store may take its time in another thread. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.settle()
  }

  /** Runs until the promise has settled. */
  async during<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false
    const settled = () => {
      isSettled = true
    }
    promise.then(settled, settled)
    await this.until(() => isSettled)
    return promise
  }

  /** Power off: what was not committed is gone, and every connection with it. The next broker starts on the rest. */
  crashBroker(): void {
    const wires = [...this.#wires]
    this.#wires.clear()
    this.held = 'nothing'
    this.broker = this.broker.crash()
    for (const wire of wires) if (!wire.isDead) wire.handler.closed(1006, 'the broker is gone')
  }

  /** A process with a client in it. */
  process(): StageProcess {
    return new StageProcess((handler) => this.#open(handler))
  }

  #open(handler: TransportHandler): { wire: Wire; transport: Transport } {
    const { broker } = this
    const decoder = nativeCodec.decoder(LIMITS)
    decoder.connectAccepted(5)
    const wire: Wire = { client: broker.open(), writer: nativeCodec.writer(5), handler, isDead: false }
    this.#wires.add(wire)
    const close = () => {
      if (!this.#wires.delete(wire)) return
      wire.client.cut()
      if (!wire.isDead) queueMicrotask(() => handler.closed(1006, 'closed'))
    }
    const transport: Transport = {
      bufferedBytes: 0,
      write: (bytes) => {
        if (!this.#wires.has(wire)) return
        decoder.decode(bytes.slice(), (packet) => {
          this.received.push(packet)
          wire.client.send(packet)
        })
      },
      close,
      destroy: close,
    }
    queueMicrotask(() => {
      if (!wire.isDead) handler.opened()
    })
    return { wire, transport }
  }

  #pump(): boolean {
    let moved = this.broker.turn()
    if (this.held !== 'commits') moved = (this.broker.store as MemoryStore).settleNext() || moved
    if (this.held !== 'nothing') return moved
    for (const { client, writer, handler, isDead } of [...this.#wires]) {
      const arrived = client.link.arrived.splice(0)
      if (arrived.length === 0) continue
      moved = true
      for (const packet of arrived) writer.write(packet)
      const { buffer, headroom } = writer.take() as { buffer: Uint8Array; headroom: number }
      if (!isDead) handler.received(buffer.slice(headroom))
    }
    return moved
  }
}

export class StageProcess {
  readonly clock = new FakeClock()
  readonly #open: (handler: TransportHandler) => { wire: Wire; transport: Transport }
  readonly #wires: { wire: Wire; transport: Transport }[] = []
  #isDead = false

  constructor(open: (handler: TransportHandler) => { wire: Wire; transport: Transport }) {
    this.#open = open
  }

  get options(): Pick<ConnectOptions, 'url' | 'timers' | 'random' | 'openTransport' | 'keepAliveSec' | 'reconnect'> {
    return {
      url: 'ws://broker.example',
      timers: this.clock,
      random: () => 0.5,
      keepAliveSec: 0,
      reconnect: { minDelayMs: DELAY_MS, maxDelayMs: DELAY_MS },
      openTransport: (_target, handler) => {
        if (this.#isDead) return DEAD
        const opened = this.#open(handler)
        this.#wires.push(opened)
        return opened.transport
      },
    }
  }

  /** The client's delay before it tries again passes. */
  reconnect(): void {
    this.clock.advance(DELAY_MS)
  }

  /** SIGKILL: nothing is said, nothing is heard, no timer runs. Its store is closed by whoever opened it. */
  kill(): void {
    this.#isDead = true
    for (const { wire, transport } of this.#wires) {
      wire.isDead = true
      transport.destroy()
    }
  }
}

const DEAD: Transport = { bufferedBytes: 0, write: () => {}, close: () => {}, destroy: () => {} }
