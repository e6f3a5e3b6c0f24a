/** The two roles of the generator: who publishes and counts acknowledgements, who receives, checks and acknowledges. */
import type { Histogram } from '../histogram.js'
import { AckWriter } from './ack-writer.js'
import { type Address, Connection, type ConnectionOwner } from './connection.js'
import type { DeliveryCheck } from './delivery-check.js'
import { SendFrames, type SendFramesOptions } from './send-frames.js'
import { idCount, PUBACK, PUBCOMP, PUBREC, PUBREL, readUint32, type Wire } from './wire.js'

/** What both ask of the one who drives them. */
export interface Driver {
  /** Something has come for this one, or this one’s pair: more may be sent. */
  onProgress(index: number): void
  onBroken(reason: string): void
  /** Microseconds since the timetable began. */
  nowMicros(): number
}

abstract class Client implements ConnectionOwner {
  readonly connection: Connection
  protected readonly acks: AckWriter
  protected readonly driver: Driver
  readonly #name: string
  readonly #index: number
  #others = 0
  #wake: () => void = () => {}

  constructor(role: string, index: number, address: Address, wire: Wire, driver: Driver) {
    this.#name = `${role}-${index}`
    this.#index = index
    this.driver = driver
    this.connection = new Connection(address, wire, this)
    this.acks = new AckWriter(this.connection, wire)
  }

  abstract onPublish(data: Uint8Array, stampAt: number, qos: number, packetId: number): void
  abstract onAck(type: number, first: number, last: number): void
  abstract onProduced(sequence: number): void

  onOther(): void {
    this.#others += 1
    this.#wake()
  }

  onReadEnd(): void {
    this.acks.flush()
    this.driver.onProgress(this.#index)
  }

  onClosed(reason: string): void {
    this.driver.onBroken(`${this.#name}: ${reason}`)
  }

  /** Sends what is answered by one packet, and waits for that. */
  async ask(packet: Uint8Array | null): Promise<void> {
    if (packet === null) return
    const before = this.#others
    this.connection.send(packet)
    while (this.#others === before) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

export class Subscriber extends Client {
  readonly check: DeliveryCheck
  readonly #latency: Histogram | null
  /** When this read came; -1: it has held no publication yet. */
  #readAtMicros = -1
  /** Only what was due from then on is recorded. */
  recordFromMicros = Number.POSITIVE_INFINITY

  constructor(
    index: number,
    address: Address,
    wire: Wire,
    driver: Driver,
    { check, latency }: { check: DeliveryCheck; latency: Histogram | null },
  ) {
    super('subscriber', index, address, wire, driver)
    this.check = check
    this.#latency = latency
  }

  override onPublish(data: Uint8Array, stampAt: number, qos: number, packetId: number): void {
    this.check.take(data, stampAt)
    if (this.#latency !== null) this.#record(this.#latency, readUint32(data, stampAt + 8))
    if (qos === 1) this.acks.add(PUBACK, packetId, packetId)
    else if (qos === 2) this.acks.add(PUBREC, packetId, packetId)
  }

  override onAck(type: number, first: number, last: number): void {
    if (type === PUBREL) this.acks.add(PUBCOMP, first, last)
  }

  override onProduced(): void {
    throw new Error('a subscriber has produced nothing')
  }

  override onReadEnd(): void {
    this.#readAtMicros = -1
    super.onReadEnd()
  }

  #record(latency: Histogram, dueMicros: number): void {
    if (this.#readAtMicros < 0) this.#readAtMicros = this.driver.nowMicros()
    if (dueMicros >= this.recordFromMicros) latency.record(this.#readAtMicros - dueMicros)
  }
}

export class Publisher extends Client {
  constructor(index: number, address: Address, wire: Wire, driver: Driver) {
    super('publisher', index, address, wire, driver)
  }

  sent = 0
  acknowledged = 0
  /** Told before they are counted. */
  onAcknowledged: ((from: number, count: number) => void) | null = null
  #frames: SendFrames | null = null

  prepare(options: SendFramesOptions): void {
    this.#frames = new SendFrames(this.connection, options)
  }

  send(messages: number, dueMicros: number): void {
    this.#frames?.send(this.sent, dueMicros, this.acknowledged)
    this.sent += messages
  }

  override onPublish(): void {
    throw new Error('a publisher has subscribed to nothing')
  }

  override onProduced(sequence: number): void {
    this.acknowledged = sequence
  }

  override onAck(type: number, first: number, last: number): void {
    if (type === PUBREC) {
      this.acks.add(PUBREL, first, last)
      return
    }
    const count = idCount(first, last)
    this.onAcknowledged?.(this.acknowledged, count)
    this.acknowledged += count
  }
}
