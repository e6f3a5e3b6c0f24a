/**
 * One fixed story through QoS 1, QoS 2, retained messages, Wills, sessions, checkpoints and a restart, on any store:
 * to let each store operation of it fail once, and to compare stores. Clients note what they were promised.
 */
import { type Packet, PacketType, type PublishPacket, type QoS } from '../../src/protocol/packets.js'
import { type Store, StoreError } from '../../src/core/ports/store.js'
import { FakeClock } from './fake-clock.js'
import { TestBroker, type TestClient } from './test-broker.js'

export interface ScriptEnd {
  /** null: the script went through. */
  readonly failure: StoreError | null
  /** A commit never settled. */
  readonly isStalled: boolean
  /** Everything the clients saw, in order. */
  readonly transcript: readonly string[]
  /** Payloads that PUBACK or PUBREC promised, with their QoS. */
  readonly promised: ReadonlyMap<string, QoS>
  /** QoS 2 payloads whose PUBREL the consumer has seen. */
  readonly consumed: ReadonlySet<string>
  /** Payloads that came to the consumer at all. */
  readonly seen: ReadonlySet<string>
  readonly clock: FakeClock
}

const LIMITS = { queueWindowMessages: 2, inflightMax: 3 }
const PACE = {
  checkpointBytes: 1_000_000,
  checkpointRowsPerCommit: 2,
  checkpointRecordBytesPerRow: 1_000_000,
  checkpointTrimmedPerCommit: 2,
  purgedPerTurn: 2,
}

class Stalled extends Error {}

class Script {
  readonly #store: Store
  readonly #isStalled: () => boolean
  readonly clock = new FakeClock()
  readonly transcript: string[] = []
  readonly promised = new Map<string, QoS>()
  readonly consumed = new Set<string>()
  readonly seen = new Set<string>()
  #host: TestBroker | null = null
  readonly #published = new Map<number, { key: string; qos: QoS }>()
  readonly #open = new Map<number, { key: string; qos: QoS }>()
  readonly #received = new Map<number, string>()

  constructor(store: Store, isStalled: () => boolean) {
    this.#store = store
    this.#isStalled = isStalled
  }

  async run(): Promise<void> {
    await this.#start()
    const consumer = await this.#resume('consumer')
    consumer.subscribe('a/#', 2)
    await this.#rest(consumer)
    const publisher = await this.#resume('publisher')
    for (let number = 1; number <= 6; number += 1)
      this.#publish(publisher, `a/${number % 3}`, `m${number}`, 1 + (number % 2))
    await this.#rest(consumer, publisher)
    this.#answer(consumer, 2)
    await this.#rest(consumer, publisher)
    this.#host?.core.checkpoint()
    await this.#rest(consumer, publisher)
    consumer.cut()
    await this.#rest(consumer, publisher)
    for (let number = 7; number <= 14; number += 1) this.#publish(publisher, 'a/1', `m${number}`, 2, number === 9)
    await this.#rest(publisher)
    this.#host?.core.checkpoint()
    await this.#rest(publisher)
    await this.#restart()
    await this.#afterRestart()
  }

  async #afterRestart(): Promise<void> {
    const consumer = await this.#resume('consumer')
    const dying = await this.#resume('dying', 'gone')
    this.#answer(consumer, 3)
    await this.#rest(consumer)
    dying.cut()
    const publisher = await this.#resume('publisher')
    this.#publish(publisher, 'a/2', 'm15', 1)
    await this.#rest(consumer, publisher)
    this.#host?.core.checkpoint()
    for (let round = 0; round < 30; round += 1) {
      this.#answer(consumer, 2)
      await this.#rest(consumer, publisher)
    }
    const late = await this.#resume('late')
    late.subscribe('a/1', 1)
    await this.#rest(late)
  }

  async #start(): Promise<void> {
    const options = { store: this.#store, clock: this.clock, holdCommits: true, limits: LIMITS, pace: PACE }
    this.#host = new TestBroker(options)
    await this.#rest()
  }

  async #restart(): Promise<void> {
    this.#open.clear()
    this.#published.clear()
    this.transcript.push('restart')
    await this.#start()
  }

  async #resume(clientId: string, will?: string): Promise<TestClient> {
    const message = {
      topicName: 'a/will',
      payload: new TextEncoder().encode(will),
      qos: 2 as const,
      retain: false,
      properties: {},
    }
    const client = (this.#host as TestBroker).resume(clientId, will === undefined ? {} : { will: message })
    await this.#rest(client)
    return client
  }

  #publish(publisher: TestClient, topicName: string, key: string, qos: number, retain = false): void {
    const packetId = publisher.publish(topicName, key, qos as QoS, { retain })
    this.#published.set(packetId, { key, qos: qos as QoS })
  }

  /** Turns until nothing moves, waiting for each commit; then everybody reads. */
  async #rest(...clients: TestClient[]): Promise<void> {
    const host = this.#host as TestBroker
    for (let isMoving = true; isMoving; ) {
      isMoving = host.turn()
      while (host.isCommitting) {
        await new Promise((resolve) => setImmediate(resolve))
        if (this.#isStalled()) throw new Stalled()
      }
      for (const client of clients) if (this.#read(client)) isMoving = true
      if (host.failure !== null) throw host.failure
    }
  }

  #read(client: TestClient): boolean {
    const { arrived } = client.link
    client.link.arrived = []
    for (const packet of arrived) {
      this.transcript.push(describe(packet))
      if (packet.type === PacketType.PUBACK || packet.type === PacketType.PUBREC) this.#promise(client, packet)
      else if (packet.type === PacketType.PUBLISH && packet.qos > 0) this.#deliver(packet)
      else if (packet.type === PacketType.PUBREL) this.#release(client, packet.packetId)
    }
    return arrived.length > 0
  }

  #promise(client: TestClient, packet: { type: number; packetId: number }): void {
    const published = this.#published.get(packet.packetId)
    if (published !== undefined) this.promised.set(published.key, published.qos)
    if (packet.type === PacketType.PUBREC) client.ack(PacketType.PUBREL, packet.packetId)
  }

  #deliver({ packetId, payload, qos }: PublishPacket): void {
    const key = new TextDecoder().decode(payload)
    this.seen.add(key)
    this.#open.set(packetId, { key, qos })
  }

  #release(client: TestClient, packetId: number): void {
    this.consumed.add(this.#received.get(packetId) ?? '')
    client.ack(PacketType.PUBCOMP, packetId)
  }

  /** The consumer answers the oldest `count` deliveries. */
  #answer(consumer: TestClient, count: number): void {
    for (const [packetId, { key, qos }] of [...this.#open].slice(0, count)) {
      this.#open.delete(packetId)
      if (qos === 2) this.#received.set(packetId, key)
      consumer.ack(qos === 1 ? PacketType.PUBACK : PacketType.PUBREC, packetId)
    }
  }
}

function describe(packet: Packet): string {
  const { properties: _properties, ...rest } = packet as { properties?: unknown }
  return JSON.stringify(rest, (_name, value) => (value instanceof Uint8Array ? new TextDecoder().decode(value) : value))
}

/** Runs the story; a failing store ends it. Any other error is a finding, and is thrown. */
export async function runStoreScript(store: Store, isStalled: () => boolean = () => false): Promise<ScriptEnd> {
  const script = new Script(store, isStalled)
  let failure: StoreError | null = null
  let hasStalled = false
  try {
    await script.run()
  } catch (error) {
    if (error instanceof StoreError) failure = error
    else if (error instanceof Stalled) hasStalled = true
    else throw error
  }
  const { transcript, promised, consumed, seen, clock } = script
  return { failure, isStalled: hasStalled, transcript, promised, consumed, seen, clock }
}
