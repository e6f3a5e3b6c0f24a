/**
 * The whole broker without sockets: memory links, memory store, a clock that the test moves. Packets in, packets out.
 *
 *   const { broker, clock } = testBroker(t)
 *   const alice = broker.connect('alice', { cleanStart: false, properties: { sessionExpiryIntervalSec: 60 } })
 *   alice.subscribe('a/#', 1); broker.settle(); alice.take('PUBLISH')
 *
 * `turn()` is one end of turn (flush, seal, hand to the store); `settle()` turns until nothing moves, completing every
 * commit; with `holdCommits` the test completes them itself, so it can look between "written" and "durable".
 */
import {
  type BrokerFeatures,
  type BrokerLimits,
  type LedgerOptions,
  DEFAULT_FEATURES,
  DEFAULT_IDEMPOTENCY,
  DEFAULT_LIMITS,
  type IdempotencyOptions,
  type WorkPace,
} from '../../src/core/limits.js'
import { Broker } from '../../src/core/broker.js'
import type { ClientConnection } from '../../src/core/connection.js'
import type { Access } from '../../src/core/ports/access.js'
import type { BrokerEvent } from '../../src/core/ports/events.js'
import type { Link, LinkDescription } from '../../src/core/ports/link.js'
import type { Store } from '../../src/core/ports/store.js'
import type { Delivery, Publication } from '../../src/protocol/codec.js'
import {
  type AckPacket,
  type AckPacketType,
  type ConnectPacket,
  type Packet,
  PacketType,
  type PublishPacket,
  type PublishProperties,
  type QoS,
  type SubscriptionRequest,
} from '../../src/protocol/packets.js'
import { utf8Encode } from '../../src/base/utf8.js'
import { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { FakeClock } from './fake-clock.js'

export const ALLOW_ALL: Access = {
  allowsEverything: true,
  authenticate: ({ connect }) => ({ accepted: true, username: connect.username ?? null }),
  authorize: () => true,
}

export interface TestBrokerOptions {
  limits?: Partial<BrokerLimits>
  features?: Partial<BrokerFeatures>
  pace?: Partial<WorkPace>
  ledger?: LedgerOptions
  idempotency?: Partial<IdempotencyOptions>
  access?: Access
  store?: Store
  clock?: FakeClock
  presence?: boolean
  /** The test calls `store.settleNext()` itself. */
  holdCommits?: boolean
}

export function testBroker(options: TestBrokerOptions = {}): TestBroker {
  return new TestBroker(options)
}

type PacketTypeName = keyof typeof PacketType
export type Received<N extends PacketTypeName> = (typeof PacketType)[N] extends AckPacketType
  ? AckPacket
  : Extract<Packet, { type: (typeof PacketType)[N] }>

export class TestBroker {
  readonly options: TestBrokerOptions
  readonly clock: FakeClock
  readonly store: Store
  readonly core: Broker
  readonly events: BrokerEvent[] = []
  readonly links = new Set<MemoryLink>()
  /** Commits handed to the store and not done. */
  isCommitting = false
  failure: Error | null = null
  commits = 0
  #ids = 0

  constructor(options: TestBrokerOptions) {
    this.options = options
    this.clock = options.clock ?? new FakeClock()
    this.store = options.store ?? new MemoryStore({ settle: 'manual' })
    this.core = new Broker({
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      features: { ...DEFAULT_FEATURES, ...options.features },
      access: options.access ?? ALLOW_ALL,
      store: this.store,
      events: { emit: (event) => this.events.push(event) },
      durability: 'flush',
      incarnation: 'test',
      idempotency: { ...DEFAULT_IDEMPOTENCY, ...options.idempotency },
      ids: { randomId: () => `id-${++this.#ids}` },
      presence: options.presence ?? false,
      ...(options.pace === undefined ? {} : { pace: options.pace }),
      ...(options.ledger === undefined ? {} : { ledger: options.ledger }),
      authenticating: (connection, pending) => {
        void pending.then((result) => this.core.authenticated(connection, result, this.clock.nowMs()))
      },
    })
    this.core.recover(this.clock.nowMs())
  }

  /** Opens a link, sends CONNECT; with commits held the CONNACK comes only after `settle`. */
  connect(clientId: string, connect: Partial<ConnectPacket> = {}): TestClient {
    const client = this.open()
    client.send({
      type: PacketType.CONNECT,
      protocolLevel: 5,
      clientId,
      cleanStart: true,
      keepAliveSec: 0,
      properties: {},
      ...connect,
    })
    if (this.options.holdCommits !== true) this.settle()
    return client
  }

  /** A durable session: Clean Start 0, one hour. */
  resume(clientId: string, connect: Partial<ConnectPacket> = {}): TestClient {
    return this.connect(clientId, {
      cleanStart: false,
      ...connect,
      properties: { sessionExpiryIntervalSec: 3_600, ...connect.properties },
    })
  }

  open(): TestClient {
    const link = new MemoryLink()
    this.links.add(link)
    const connection = this.core.open(link, this.clock.nowMs())
    return new TestClient(this, link, connection)
  }

  /** One end of turn. @returns whether anything moved. */
  turn(): boolean {
    const more = this.core.work(this.clock.nowMs())
    let moved = false
    for (const link of this.links) moved = link.flushNow() || moved
    if (!this.isCommitting) moved = this.#commit() || moved
    return moved || more
  }

  #commit(): boolean {
    const operations = this.core.takeCommit(this.clock.nowMs())
    if (operations === null) {
      let moved = false
      for (const link of this.links) moved = link.release() || moved
      return moved
    }
    for (const link of this.links) link.seal()
    this.isCommitting = true
    this.commits += 1
    this.store.commit(operations, (error) => {
      this.isCommitting = false
      if (error !== null) {
        this.failure = error
        for (const link of this.links) link.discard()
        return
      }
      this.core.committed(this.clock.nowMs())
      for (const link of this.links) link.releaseSealed()
    })
    return true
  }

  /** Turns and completes commits until nothing moves. */
  settle(): this {
    for (let turns = 0; turns < 100_000; turns += 1) {
      const moved = this.turn()
      const settled = this.store instanceof MemoryStore && this.store.settleNext()
      if (!moved && !settled) return this
    }
    throw new Error('the broker does not come to rest')
  }

  advance(ms: number): this {
    this.clock.advance(ms)
    this.core.handleTimeout(this.clock.nowMs())
    return this.settle()
  }

  /** Power off now: what the store had done survives; a new broker starts on it. Connections are gone. */
  crash(options: TestBrokerOptions = {}): TestBroker {
    if (!(this.store instanceof MemoryStore)) throw new Error('only a memory store can crash here')
    return new TestBroker({ ...this.options, clock: this.clock, ...options, store: this.store.crash() })
  }
}

export class TestClient {
  readonly host: TestBroker
  readonly link: MemoryLink
  readonly connection: ClientConnection
  #nextPacketId = 1

  constructor(host: TestBroker, link: MemoryLink, connection: ClientConnection) {
    this.host = host
    this.link = link
    this.connection = connection
  }

  send(packet: Packet): this {
    this.host.core.receive(this.connection, packet, this.host.clock.nowMs())
    return this
  }

  subscribe(
    topicFilter: string,
    qos: QoS = 0,
    options: Partial<SubscriptionRequest> & { identifier?: number } = {},
  ): this {
    const { identifier, ...rest } = options
    this.send({
      type: PacketType.SUBSCRIBE,
      packetId: this.packetId(),
      subscriptions: [{ topicFilter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0, ...rest }],
      properties: identifier === undefined ? {} : { subscriptionIdentifier: identifier },
    })
    if (this.host.options.holdCommits !== true) this.host.settle()
    return this
  }

  unsubscribe(...topicFilters: string[]): this {
    this.send({ type: PacketType.UNSUBSCRIBE, packetId: this.packetId(), topicFilters, properties: {} })
    if (this.host.options.holdCommits !== true) this.host.settle()
    return this
  }

  /** @returns the packet id. Nothing is settled: call `host.settle()`. */
  publish(
    topicName: string,
    payload: string | Uint8Array,
    qos: QoS = 0,
    options: { retain?: boolean; dup?: boolean; packetId?: number; properties?: PublishProperties } = {},
  ): number {
    const packetId = qos === 0 ? 0 : (options.packetId ?? this.packetId())
    this.send({
      type: PacketType.PUBLISH,
      topicName,
      payload: typeof payload === 'string' ? utf8Encode(payload) : payload,
      qos,
      retain: options.retain ?? false,
      dup: options.dup ?? false,
      packetId,
      properties: options.properties ?? null,
    })
    return packetId
  }

  ack(type: AckPacketType, packetId: number, reasonCode = 0): this {
    return this.send({ type, packetId, reasonCode, properties: null })
  }

  packetId(): number {
    const packetId = this.#nextPacketId
    this.#nextPacketId = packetId === 65_535 ? 1 : packetId + 1
    return packetId
  }

  /** Packets of one kind that arrived since the last call, which are thereby taken. */
  take<N extends PacketTypeName>(name: N): Received<N>[] {
    const type = PacketType[name]
    const taken = this.link.arrived.filter((packet) => packet.type === type)
    this.link.arrived = this.link.arrived.filter((packet) => packet.type !== type)
    return taken as Received<N>[]
  }

  /** Payloads of the PUBLISH packets that arrived, as text. */
  payloads(): string[] {
    return this.take('PUBLISH').map(({ payload }) => new TextDecoder().decode(payload))
  }

  /** Takes PUBLISH packets and answers them to the end, through every turn it needs. @returns payloads in order. */
  drain(): string[] {
    const payloads: string[] = []
    for (;;) {
      this.host.settle()
      const arrived = this.link.arrived
      this.link.arrived = []
      if (arrived.length === 0) return payloads
      for (const packet of arrived) {
        if (packet.type === PacketType.PUBLISH) {
          payloads.push(new TextDecoder().decode(packet.payload))
          if (packet.qos === 1) this.ack(PacketType.PUBACK, packet.packetId)
          if (packet.qos === 2) this.ack(PacketType.PUBREC, packet.packetId)
        } else if (packet.type === PacketType.PUBREL) this.ack(PacketType.PUBCOMP, packet.packetId)
      }
    }
  }

  disconnect(reasonCode = 0, properties: { sessionExpiryIntervalSec?: number } | null = null): void {
    this.send({ type: PacketType.DISCONNECT, reasonCode, properties })
    if (this.host.options.holdCommits !== true) this.host.settle()
  }

  /** The network breaks. */
  cut(): void {
    this.link.isOpen = false
    this.host.core.closed(this.connection, 'connection reset', this.host.clock.nowMs())
    if (this.host.options.holdCommits !== true) this.host.settle()
  }
}

/** Both boxes of a link as lists of packets. */
export class MemoryLink implements Link {
  description: LinkDescription = { transport: 'memory', protocol: 'tally.v1', remoteAddress: '127.0.0.1' }
  isOpen = true
  isReading = true
  closedWith: { reasonCode: number; detail: string } | null = null
  /** What the client has received and the test has not taken. */
  arrived: Packet[] = []
  /** A test may pretend that the socket takes nothing. */
  stalledBytes = 0
  #now: Packet[] = []
  #open: Packet[] = []
  #sealed: Packet[] = []

  get bufferedBytes(): number {
    return this.stalledBytes
  }

  send(packet: Packet): void {
    // Behind a CONNACK that waits for its commit, everything waits.
    const waits = [...this.#open, ...this.#sealed].some(({ type }) => type === PacketType.CONNACK)
    if (this.isOpen) (waits ? this.#open : this.#now).push(packet)
  }
  sendAfterCommit(packet: Packet): void {
    if (this.isOpen) this.#open.push(packet)
  }
  acknowledgeAfterCommit(type: AckPacketType, packetId: number, reasonCode: number): void {
    this.sendAfterCommit({ type, packetId, reasonCode, properties: null })
  }
  deliver(publication: Publication, delivery: Delivery): void {
    this.send(asPublish(publication, delivery))
  }
  deliverAfterCommit(publication: Publication, delivery: Delivery): void {
    this.sendAfterCommit(asPublish(publication, delivery))
  }
  publicationSize(publication: Publication, delivery: Delivery): number {
    return publication.payload.length + (delivery.omitTopicName ? 0 : publication.topicName.length) + 8
  }
  packetSize(packet: Packet): number {
    // As on the wire, so that a small Maximum Packet Size lets a client in.
    if (packet.type === PacketType.CONNACK && packet.reasonCode === 0) {
      const { responseInformation, userProperties } = packet.properties
      return 20 + (responseInformation?.length ?? 0) + (userProperties?.join().length ?? 0)
    }
    return JSON.stringify(packet).length
  }
  pauseReading(): void {
    this.isReading = false
  }
  resumeReading(): void {
    this.isReading = true
  }
  close(reasonCode: number, detail: string): void {
    this.flushNow()
    this.isOpen = false
    this.closedWith = { reasonCode, detail }
    this.discard()
  }

  flushNow(): boolean {
    const moved = this.#now.length > 0
    this.arrived.push(...this.#now)
    this.#now = []
    return moved
  }
  seal(): void {
    this.#sealed.push(...this.#open)
    this.#open = []
  }
  release(): boolean {
    this.seal()
    return this.releaseSealed()
  }
  releaseSealed(): boolean {
    const moved = this.#sealed.length > 0
    this.arrived.push(...this.#sealed)
    this.#sealed = []
    return moved
  }
  discard(): void {
    this.#open = []
    this.#sealed = []
    this.#now = []
  }
}

function asPublish(publication: Publication, delivery: Delivery): PublishPacket {
  const properties: PublishProperties = { ...publication.properties }
  delete properties.messageExpiryIntervalSec
  if (delivery.messageExpiryIntervalSec >= 0) properties.messageExpiryIntervalSec = delivery.messageExpiryIntervalSec
  if (delivery.subscriptionIdentifiers !== null) properties.subscriptionIdentifiers = delivery.subscriptionIdentifiers
  if (delivery.topicAlias > 0) properties.topicAlias = delivery.topicAlias
  const packet: PublishPacket = {
    type: PacketType.PUBLISH,
    topicName: delivery.omitTopicName ? '' : publication.topicName,
    payload: publication.payload.slice(),
    qos: delivery.qos,
    retain: delivery.retain,
    dup: delivery.dup,
    packetId: delivery.packetId,
    properties: Object.keys(properties).length === 0 ? null : properties,
  }
  if (delivery.qos > 0) {
    packet.deliverySequence = delivery.deliverySequence
    packet.messageId = publication.messageId
  }
  return packet
}
