/**
 * The bad network between clients and broker: it cuts connections anywhere inside a packet, delays bytes, and lets a
 * connection go half open, where nothing arrives any more and nobody is told. The broker may die and come back on other
 * ports; clients always call the same one.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Random } from '../base/random.js'
import { systemTimers } from '../client/clock.js'

interface Pair {
  readonly near: Socket
  readonly far: Socket
  /** Bytes that still pass before both ends are destroyed; Infinity: not to be cut. */
  budget: number
  delayMs: number
  /** Nothing passes, in either direction, and the far end is not told when the near one goes. */
  isHalfOpen: boolean
}

/** More waits in the sockets, not here. */
const DELAYED_BYTES_MAX = 1_048_576
const CUT_WITHIN_BYTES = 3_000

export class BadNetwork {
  readonly #server: Server
  readonly #random: Random
  readonly #pairs = new Set<Pair>()
  #targetPort = 0
  cuts = 0
  halfOpened = 0
  delays = 0

  private constructor(server: Server, random: Random) {
    this.#server = server
    this.#random = random
    server.on('connection', (near) => this.#accept(near))
  }

  static async start(random: Random): Promise<BadNetwork> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new BadNetwork(server, random)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Where the broker is now; 0: nowhere, and nobody gets through. */
  set targetPort(port: number) {
    this.#targetPort = port
  }

  /** Some connections, each after a few more bytes. */
  cutSome(chance: number): void {
    this.#forSome(chance, (pair) => {
      if (pair.budget !== Number.POSITIVE_INFINITY) return
      pair.budget = this.#random.below(CUT_WITHIN_BYTES)
      this.cuts += 1
    })
  }

  halfOpenSome(chance: number): void {
    this.#forSome(chance, (pair) => {
      if (pair.isHalfOpen) return
      pair.isHalfOpen = true
      this.halfOpened += 1
    })
  }

  delaySome(chance: number, msMax: number): void {
    this.#forSome(chance, (pair) => {
      pair.delayMs = this.#random.below(msMax)
      this.delays += 1
    })
  }

  /** The broker is dead: also who was cut off from it learns that now. */
  dropAll(): void {
    for (const { near, far } of this.#pairs) {
      near.destroy()
      far.destroy()
    }
    this.#pairs.clear()
  }

  async close(): Promise<void> {
    this.dropAll()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #forSome(chance: number, apply: (pair: Pair) => void): void {
    for (const pair of this.#pairs) if (this.#random.chance(chance)) apply(pair)
  }

  #accept(near: Socket): void {
    near.on('error', () => {})
    if (this.#targetPort === 0) {
      near.destroy()
      return
    }
    const far = connect(this.#targetPort, '127.0.0.1')
    const pair: Pair = { near, far, budget: Number.POSITIVE_INFINITY, delayMs: 0, isHalfOpen: false }
    this.#pairs.add(pair)
    this.#join(pair, near, far)
    this.#join(pair, far, near)
  }

  #join(pair: Pair, from: Socket, to: Socket): void {
    const lane = new Lane(pair, from, to)
    from.setNoDelay(true)
    from.on('error', () => {})
    from.on('data', (chunk: Buffer) => lane.receive(chunk))
    to.on('drain', () => from.resume())
    from.on('close', () => {
      // Nobody tells either end of a peer that has vanished.
      if (pair.isHalfOpen) return
      to.destroy()
      this.#pairs.delete(pair)
    })
  }
}

/** One direction of a connection. Delayed bytes keep their order, whatever happens to the delay meanwhile. */
class Lane {
  readonly #pair: Pair
  readonly #from: Socket
  readonly #to: Socket
  #waiting: { readonly chunk: Buffer; readonly dueMs: number }[] = []
  #waitingBytes = 0

  constructor(pair: Pair, from: Socket, to: Socket) {
    this.#pair = pair
    this.#from = from
    this.#to = to
  }

  receive(chunk: Buffer): void {
    if (this.#pair.isHalfOpen) return
    const { delayMs } = this.#pair
    if (delayMs === 0 && this.#waiting.length === 0) return this.#pass(chunk)
    this.#waiting.push({ chunk, dueMs: systemTimers.nowMs() + delayMs })
    this.#waitingBytes += chunk.length
    if (this.#waitingBytes > DELAYED_BYTES_MAX) this.#from.pause()
    if (this.#waiting.length === 1) this.#wait()
  }

  #wait(): void {
    const head = this.#waiting[0]
    if (head === undefined) return
    systemTimers.schedule(Math.max(0, head.dueMs - systemTimers.nowMs()), () => {
      this.#waiting.shift()
      this.#waitingBytes -= head.chunk.length
      this.#from.resume()
      this.#pass(head.chunk)
      this.#wait()
    })
  }

  #pass(chunk: Buffer): void {
    const pair = this.#pair
    const to = this.#to
    if (pair.isHalfOpen || to.destroyed || pair.budget === 0) return
    const passing = Math.min(chunk.length, pair.budget)
    pair.budget -= passing
    const isTaken = to.write(passing === chunk.length ? chunk : chunk.subarray(0, passing))
    if (pair.budget > 0) {
      if (!isTaken) this.#from.pause()
      return
    }
    // What was passed leaves first: the cut is inside a packet, not before it.
    to.end(() => {
      pair.near.destroy()
      pair.far.destroy()
    })
  }
}
