/**
 * What came in on one connection, on its way to the core: bytes to packets, in order. While the core does not want any
 * (a CONNECT is being authenticated) what was read already waits here; as the socket is not read meanwhile, that is
 * bounded by one read.
 */
import type { PacketDecoder } from '../protocol/codec.js'
import type { Packet } from '../protocol/packets.js'

export interface IntakeOwner {
  /** False: whatever still comes is dropped. */
  readonly isOpen: boolean
  receivePacket(packet: Packet, nowMs: number): void
  /** The decoder, or whoever was given a packet by it, threw. */
  decodeFailed(error: unknown, nowMs: number): void
}

/** One for all connections: a decoder wants a function to call, and a closure per connection would be one too many. */
export class DecodeScope {
  #current: Intake | null = null
  #nowMs = 0

  decode(intake: Intake, decoder: PacketDecoder, bytes: Uint8Array, nowMs: number): void {
    const outer = this.#current
    this.#current = intake
    this.#nowMs = nowMs
    decoder.decode(bytes, this.#receive)
    this.#current = outer
  }

  /** After a throw. */
  leave(): void {
    this.#current = null
  }

  readonly #receive = (packet: Packet): void => {
    this.#current?.receivePacket(packet, this.#nowMs)
  }
}

export class Intake {
  readonly #scope: DecodeScope
  readonly #owner: IntakeOwner
  readonly decoder: PacketDecoder
  #backlog: (Packet | Uint8Array)[] | null = null
  #isHeld = false

  constructor(scope: DecodeScope, owner: IntakeOwner, decoder: PacketDecoder) {
    this.#scope = scope
    this.#owner = owner
    this.decoder = decoder
  }

  received(bytes: Uint8Array, nowMs: number): void {
    if (this.#isHeld) {
      this.#keep(bytes)
      return
    }
    try {
      this.#scope.decode(this, this.decoder, bytes, nowMs)
    } catch (error) {
      this.#scope.leave()
      this.#owner.decodeFailed(error, nowMs)
    }
  }

  receivePacket(packet: Packet, nowMs: number): void {
    if (!this.#owner.isOpen) return
    if (this.#isHeld) this.#keep(packet)
    else this.#owner.receivePacket(packet, nowMs)
  }

  /** From now on everything waits. */
  hold(): void {
    this.#isHeld = true
  }

  /** Hands on what waited, unless that makes it wait again. */
  release(nowMs: number): void {
    this.#isHeld = false
    const waiting = this.#backlog
    if (waiting === null) return
    this.#backlog = null
    for (const [index, item] of waiting.entries()) {
      if (item instanceof Uint8Array) this.received(item, nowMs)
      else this.receivePacket(item, nowMs)
      if (!this.#isHeld) continue
      for (const rest of waiting.slice(index + 1)) this.#keep(rest)
      return
    }
  }

  discard(): void {
    this.#backlog = null
  }

  #keep(item: Packet | Uint8Array): void {
    if (this.#backlog === null) this.#backlog = []
    this.#backlog.push(item)
  }
}
