/**
 * A subscribing client that obeys MQTT and doubts the broker: Receive Maximum, packet ids, delivery sequence and DUP
 * are judged on arrival; what arrived and which subscriptions there were goes into the ledger for the end.
 */
import {
  type AckPacketType,
  type Packet,
  PacketType,
  type PublishPacket,
  type QoS,
} from '../../src/protocol/packets.js'
import { type Arrival, Breach, type Ledger, type SessionBook, type Window } from './book-keeping.js'
import type { Random } from './random.js'
import type { TestBroker, TestClient } from './test-broker.js'

export interface ConsumerOptions {
  readonly clientId: string
  readonly subscriptions: readonly (readonly [topicFilter: string, qos: QoS])[]
  readonly receiveMaximum: number
  /** 0: no Session State. 0xFFFFFFFF: for ever. */
  readonly expirySec: number
  /** Ends its session at times: Clean Start, expiry, or DISCONNECT with expiry 0. */
  readonly isVolatile: boolean
  readonly resubscribes: boolean
}

const STALLED_BYTES = 2_000_000

interface PendingAck {
  readonly type: AckPacketType
  readonly packetId: number
}

export class Consumer {
  readonly options: ConsumerOptions
  readonly #ledger: Ledger
  readonly #random: Random
  #client: TestClient | null = null
  #isReady = false
  #book: SessionBook | null = null
  /** The next CONNECT asks for a new session, until one was granted. */
  #wantsCleanStart = false
  #mayBeGone = true
  /** Packet ids not finished by this client, to delivery sequence; survives connections. */
  readonly #open = new Map<number, number>()
  /** Of those, PUBLISH received on this connection and not finished. */
  readonly #onWire = new Set<number>()
  #pending: PendingAck[] = []
  #drainedLater = false
  readonly #asked = new Map<number, Window | null>()

  constructor(options: ConsumerOptions, ledger: Ledger, random: Random) {
    this.options = options
    this.#ledger = ledger
    this.#random = random
  }

  get isReady(): boolean {
    return this.#isReady
  }
  get isConnected(): boolean {
    return this.#client !== null
  }
  get pendingAcks(): number {
    return this.#pending.length
  }

  connect(host: TestBroker): void {
    const { clientId, expirySec, receiveMaximum, isVolatile } = this.options
    if (expirySec === 0 || (isVolatile && this.#random.chance(0.3))) this.#wantsCleanStart = true
    this.#client = host.connect(clientId, {
      cleanStart: this.#wantsCleanStart,
      properties: { sessionExpiryIntervalSec: expirySec, receiveMaximum },
    })
    if (this.#wantsCleanStart) this.#mayBeGone = true
  }

  read(): void {
    const client = this.#client
    if (client === null) return
    const arrived = client.link.arrived
    client.link.arrived = []
    for (const packet of arrived) this.#receive(packet)
    const { closedWith } = client.link
    if (closedWith !== null && closedWith.reasonCode !== 0) {
      throw new Breach(`the broker closed ${this.options.clientId}: ${closedWith.detail}`)
    }
  }

  #receive(packet: Packet): void {
    switch (packet.type) {
      case PacketType.CONNACK:
        return this.#connected(packet.sessionPresent)
      case PacketType.SUBACK:
      case PacketType.UNSUBACK:
        return this.#answered(packet.packetId)
      case PacketType.PUBLISH:
        return this.#published(packet)
      case PacketType.PUBREL:
        this.#pending.push({ type: PacketType.PUBCOMP, packetId: packet.packetId })
        return
      case PacketType.DISCONNECT:
        return
      default:
        throw new Breach(`a consumer got packet type ${packet.type}`)
    }
  }

  #connected(sessionPresent: boolean): void {
    const { clientId } = this.options
    if (!sessionPresent && !this.#mayBeGone) throw new Breach(`the session of ${clientId} is gone`)
    if (sessionPresent && this.#wantsCleanStart) throw new Breach(`${clientId} got an old session after Clean Start`)
    this.#wantsCleanStart = false
    this.#mayBeGone = this.options.expirySec === 0
    this.#isReady = true
    const book = this.#book
    if (!sessionPresent || book === null) {
      if (book !== null) book.isCurrent = false
      this.#open.clear()
      const nextSequence = sessionPresent ? 0 : 1
      this.#book = { clientId, arrivals: new Map(), windows: [], nextSequence, isCurrent: true }
      this.#ledger.sessions.push(this.#book)
    }
    const held = this.#book?.windows ?? []
    for (const [topicFilter, qos] of this.options.subscriptions) {
      if (
        !held.some(
          (window) => window.topicFilter === topicFilter && window.endedAt === Infinity && window.grantedAt < Infinity,
        )
      ) {
        this.#subscribe(topicFilter, qos)
      }
    }
  }

  #subscribe(topicFilter: string, qos: QoS): void {
    const { step } = this.#ledger
    const window = { topicFilter, qos, askedAt: step, grantedAt: Infinity, endedAt: Infinity, goneAt: Infinity }
    this.#book?.windows.push(window)
    const packetId = this.#client?.packetId() ?? 1
    this.#asked.set(packetId, window)
    const subscription = { topicFilter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 as const }
    this.#client?.send({ type: PacketType.SUBSCRIBE, packetId, subscriptions: [subscription], properties: {} })
  }

  #answered(packetId: number): void {
    const window = this.#asked.get(packetId)
    this.#asked.delete(packetId)
    if (window === undefined || window === null) throw new Breach('an answer to no SUBSCRIBE or UNSUBSCRIBE')
    if (window.endedAt === Infinity) window.grantedAt = this.#ledger.step
    else window.goneAt = this.#ledger.step
  }

  /** Gives one filter up, or takes up again what it gave up. */
  resubscribe(): void {
    const book = this.#book
    if (!this.#isReady || book === null || this.#asked.size > 0) return
    const window = book.windows.find(({ grantedAt, endedAt }) => grantedAt < Infinity && endedAt === Infinity)
    const isHeld = (filter: string) =>
      book.windows.some((one) => one.topicFilter === filter && one.endedAt === Infinity)
    const missing = this.options.subscriptions.find(([topicFilter]) => !isHeld(topicFilter))
    if (missing !== undefined) return this.#subscribe(...missing)
    if (window === undefined) return
    window.endedAt = this.#ledger.step
    const packetId = this.#client?.packetId() ?? 1
    this.#asked.set(packetId, window)
    const topicFilters = [window.topicFilter]
    this.#client?.send({ type: PacketType.UNSUBSCRIBE, packetId, topicFilters, properties: {} })
  }

  #published(packet: PublishPacket): void {
    const { clientId } = this.options
    const key = new TextDecoder().decode(packet.payload)
    if (packet.qos === 0) {
      if (key !== '') this.#ledger.find(key)
      return
    }
    const { packetId } = packet
    const sequence = packet.deliverySequence ?? 0
    const book = this.#book
    if (book === null || sequence === 0) throw new Breach('a delivery without a session or a sequence')
    if (this.#onWire.has(packetId)) throw new Breach(`${clientId}: packet id ${packetId} came twice on one connection`)
    this.#onWire.add(packetId)
    if (this.#onWire.size > this.options.receiveMaximum) throw new Breach(`${clientId}: Receive Maximum exceeded`)
    const known = book.arrivals.get(sequence)
    if (known === undefined) this.#first(book, packet, sequence, key)
    else this.#again(known, packet, key)
    this.#pending.push({ type: packet.qos === 1 ? PacketType.PUBACK : PacketType.PUBREC, packetId })
  }

  #first(book: SessionBook, packet: PublishPacket, sequence: number, key: string): void {
    const { clientId } = this.options
    if (book.nextSequence === 0) book.nextSequence = sequence
    if (sequence !== book.nextSequence) {
      throw new Breach(`${clientId}: delivery sequence ${sequence} where ${book.nextSequence} was due ('${key}')`)
    }
    if (this.#open.has(packet.packetId)) throw new Breach(`${clientId}: packet id ${packet.packetId} is in use`)
    book.nextSequence += 1
    const { packetId, qos, retain, topicName } = packet
    this.#open.set(packetId, sequence)
    const arrival = { key, topicName, packetId, qos, retain, at: this.#ledger.step, isComplete: false }
    book.arrivals.set(sequence, arrival)
  }

  #again(known: Arrival, packet: PublishPacket, key: string): void {
    const { clientId } = this.options
    const isSame = known.key === key && known.packetId === packet.packetId && known.qos === packet.qos
    if (!isSame) throw new Breach(`${clientId}: '${known.key}' came again as '${key}', packet id ${packet.packetId}`)
    if (!packet.dup) throw new Breach(`${clientId}: '${key}' came again without DUP`)
    if (known.isComplete && known.qos === 2) throw new Breach(`${clientId}: '${key}' came again after its PUBREL`)
    this.#open.set(packet.packetId, this.#sequenceOf(known))
  }

  #sequenceOf(known: Arrival): number {
    for (const [sequence, arrival] of this.#book?.arrivals ?? []) if (arrival === known) return sequence
    return 0
  }

  /** Sends up to `count` of the answers that are due: oldest first, at times a range, at times out of turn. */
  acknowledge(count: number): void {
    for (let left = count; left > 0 && this.#pending.length > 0; left -= 1) {
      const index = this.#random.chance(0.15) ? this.#random.below(this.#pending.length) : 0
      const first = this.#pending.splice(index, 1)[0] as PendingAck
      let last = first.packetId
      this.#finish(first)
      while (
        this.#random.chance(0.5) &&
        this.#pending[index]?.type === first.type &&
        first.type !== PacketType.PUBREC
      ) {
        if (this.#pending[index]?.packetId !== last + 1) break
        last += 1
        this.#finish(this.#pending.splice(index, 1)[0] as PendingAck)
      }
      const range = last === first.packetId ? {} : { lastPacketId: last }
      this.#client?.send({ type: first.type, packetId: first.packetId, reasonCode: 0, properties: null, ...range })
    }
  }

  #finish(ack: PendingAck): void {
    const sequence = this.#open.get(ack.packetId)
    if (ack.type === PacketType.PUBREC) return
    this.#onWire.delete(ack.packetId)
    this.#open.delete(ack.packetId)
    const arrival = sequence === undefined ? undefined : this.#book?.arrivals.get(sequence)
    if (arrival !== undefined) arrival.isComplete = true
  }

  /** @param isNoticed false: the broker learns of it when the client takes the session over. */
  cut(isNoticed: boolean): void {
    if (isNoticed) this.#client?.cut()
    this.gone()
  }

  /** The socket takes nothing, or takes again. */
  toggleStall(): void {
    const client = this.#client
    if (client === null) return
    const isStalled = client.link.stalledBytes > 0
    client.link.stalledBytes = isStalled ? 0 : STALLED_BYTES
    if (isStalled) this.#drainedLater = true
  }

  /** The broker hears that there is room again, a while after there was. */
  drained(): void {
    const client = this.#client
    if (!this.#drainedLater || client === null) return
    this.#drainedLater = false
    client.host.core.drained(client.connection, client.host.clock.nowMs())
  }

  unstall(): void {
    if ((this.#client?.link.stalledBytes ?? 0) > 0) this.toggleStall()
    this.drained()
  }

  disconnect(): void {
    const isEnding = this.options.isVolatile && this.#random.chance(0.3)
    if (isEnding) this.#mayBeGone = true
    this.#client?.disconnect(0, isEnding ? { sessionExpiryIntervalSec: 0 } : null)
    this.gone()
  }

  /** Connection lost, by whoever's fault. */
  gone(): void {
    // Which session an unseen CONNACK spoke of is not knowable: the client starts anew.
    if (this.#book !== null && !this.#isReady && this.#mayBeGone) this.#wantsCleanStart = true
    this.#client = null
    this.#isReady = false
    this.#drainedLater = false
    this.#pending = []
    this.#onWire.clear()
    for (const window of this.#asked.values()) if (window !== null && window.endedAt === Infinity) window.endedAt = -1
    this.#asked.clear()
    if (this.options.isVolatile) this.#mayBeGone = true
  }
}
