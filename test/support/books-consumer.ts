/**
 * A consumer with a durable session that keeps its own books and MQTT's rules. What it finds wrong as packets come:
 * a gap in the delivery sequence, a copy that changes its number or body, a copy that was finished and comes again,
 * and first arrivals out of the order of publishing.
 */
import { type AckPacket, type Packet, PacketType, type PublishPacket, type QoS } from '../../src/protocol/packets.js'
import { type ArrivalBook, type Books, readPayload } from './books.js'
import { acknowledgedIds } from '../../src/torture/line.js'
import { type LinkEnd, NativeLink } from './books-link.js'

interface Arrival {
  readonly key: string
  readonly packetId: number
  readonly messageId: number
  readonly qos: QoS
  state: 'kept' | 'confirmed' | 'done'
}

export interface BookedConsumerOptions {
  readonly name: string
  readonly filters: readonly string[]
  readonly qos: 1 | 2
  readonly arrivals: ArrivalBook
  /** Chance that an acknowledgement waits for a later message. */
  readonly laziness?: number
  readonly receiveMaximum?: number
}

/** More acknowledgements are not held back, or Receive Maximum would end the flow. */
const UNSENT_MAX = 50

export class BookedConsumer {
  readonly #books: Books
  readonly #options: BookedConsumerOptions
  /** By delivery sequence. */
  readonly #arrivals = new Map<number, Arrival>()
  /** QoS 2 identifiers in use, to their delivery sequence. */
  readonly #identifiers = new Map<number, number>()
  readonly #lastOrders = new Map<string, number>()
  #unsent: Arrival[] = []
  #nextSequence = 1
  #lastOfConnection = 0
  /** Of the WebSocket message at hand. */
  #packets = 0
  #link: NativeLink | null = null
  #isSubscribed = false
  isLazy = true
  resumes = 0

  constructor(books: Books, options: BookedConsumerOptions) {
    this.#books = books
    this.#options = options
  }

  get isConnected(): boolean {
    return this.#link?.isOpen === true
  }

  get closed(): Promise<LinkEnd | null> {
    return this.#link?.closed ?? Promise.resolve(null)
  }

  /** QoS 2 copies whose PUBREL has not come. */
  get open(): number {
    return this.#identifiers.size
  }

  /** @returns false when the connection ended before CONNACK. */
  async connect(url: string): Promise<boolean> {
    const { name, receiveMaximum = 200 } = this.#options
    const link = new NativeLink(url, { receive: (packet) => this.#receive(packet), received: () => this.#received() })
    this.#link = link
    this.#unsent = []
    this.#lastOfConnection = 0
    const properties = { sessionExpiryIntervalSec: 0xffff_ffff, receiveMaximum }
    const connack = await link.connect(name, { properties })
    if (connack === null) return false
    this.#books.progress()
    if (connack.reasonCode !== 0) this.#books.fail(`${name}: CONNACK ${connack.reasonCode.toString(16)}`)
    if (this.#isSubscribed && !connack.sessionPresent) this.#books.fail(`${name}: the session is lost`)
    const lost = connack.resume?.lost ?? []
    if (lost.length > 0) this.#books.fail(`${name}: the broker says that it lost ${JSON.stringify(lost)}`)
    if (connack.sessionPresent) this.resumes += 1
    return true
  }

  /** Resolves with the SUBACK. */
  async subscribe(): Promise<void> {
    const { filters, qos } = this.#options
    const subscriptions = filters.map((topicFilter) => {
      return { topicFilter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
    })
    this.#link?.writer.write({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions, properties: {} })
    this.#link?.flush()
    await this.#books.until(() => this.#isSubscribed)
  }

  /** Acknowledges what was held back. */
  catchUp(): void {
    this.isLazy = false
    this.#received()
  }

  disconnect(): void {
    this.#link?.close()
  }

  #receive(packet: Packet): void {
    this.#packets += 1
    try {
      if (packet.type === PacketType.PUBLISH) this.#deliver(packet)
      else if (packet.type === PacketType.PUBREL) this.#release(packet)
      else if (packet.type === PacketType.SUBACK) this.#isSubscribed = packet.reasonCodes.every((code) => code < 0x80)
      else if (packet.type !== PacketType.DISCONNECT && packet.type !== PacketType.PINGREQ) {
        this.#fail(`packet type ${packet.type} came`)
      }
    } catch (error) {
      this.#fail((error as Error).message)
    }
  }

  #deliver(packet: PublishPacket): void {
    const { deliverySequence: sequence = 0, messageId = 0, packetId, qos, dup } = packet
    this.#books.deliveries += 1
    if (sequence <= this.#lastOfConnection) {
      this.#fail(`delivery ${sequence} came behind ${this.#lastOfConnection} on one connection`)
    }
    this.#lastOfConnection = sequence
    const { publisher, order } = readPayload(packet.payload)
    const key = `${packet.topicName} ${publisher}:${order}`
    const known = this.#arrivals.get(sequence)
    if (known !== undefined) {
      this.#deliveredAgain(known, { key, packetId, messageId, qos, state: 'kept' }, dup)
      return
    }
    if (sequence !== this.#nextSequence) {
      this.#fail(`delivery ${sequence} came where ${this.#nextSequence} was due: ${key}`)
    }
    this.#nextSequence = sequence + 1
    const arrival: Arrival = { key, packetId, messageId, qos, state: 'kept' }
    this.#arrivals.set(sequence, arrival)
    if (qos === 2) {
      if (this.#identifiers.has(packetId)) this.#fail(`identifier ${packetId} is used before it was released`)
      this.#identifiers.set(packetId, sequence)
    }
    this.#unsent.push(arrival)
    const isFirst = this.#options.arrivals.add(publisher, order) === 1
    if (isFirst) this.#checkOrder(packet.topicName, publisher, order)
  }

  #deliveredAgain(known: Arrival, again: Arrival, dup: boolean): void {
    const isSame = known.key === again.key && known.packetId === again.packetId && known.messageId === again.messageId
    if (!isSame) this.#fail(`a delivery came again changed: ${JSON.stringify(known)}, now ${JSON.stringify(again)}`)
    if (!dup) this.#fail(`${again.key} came again without DUP`)
    if (known.qos === 2 && known.state === 'done') this.#fail(`${again.key} came again after PUBREL and PUBCOMP`)
    this.#unsent.push(known)
  }

  /** In a share group first arrivals are those of the group, and each member's are in order too. */
  #checkOrder(topicName: string, publisher: string, order: number): void {
    const stream = `${topicName} ${publisher}`
    const last = this.#lastOrders.get(stream) ?? 0
    if (order <= last) this.#fail(`${publisher}:${order} came behind ${publisher}:${last} on ${topicName}`)
    this.#lastOrders.set(stream, order)
  }

  #release(packet: AckPacket): void {
    const writer = this.#link?.writer
    for (const packetId of acknowledgedIds(packet.packetId, packet.lastPacketId)) {
      const sequence = this.#identifiers.get(packetId)
      const arrival = sequence === undefined ? undefined : this.#arrivals.get(sequence)
      if (arrival === undefined) {
        writer?.writeAck(PacketType.PUBCOMP, packetId, 0x92)
        continue
      }
      if (arrival.state !== 'confirmed')
        this.#fail(`PUBREL of ${packetId} (${arrival.key}) came before its PUBREC left`)
      arrival.state = 'done'
      this.#identifiers.delete(packetId)
      writer?.writeAck(PacketType.PUBCOMP, packetId, 0)
    }
  }

  #received(): void {
    const link = this.#link
    if (link === null) return
    const { laziness = 0 } = this.#options
    const isLazy = this.isLazy && this.#unsent.length < UNSENT_MAX
    const isHeldBack = isLazy && this.#books.random.chance(laziness)
    if (!isHeldBack) {
      for (const arrival of this.#unsent) {
        if (arrival.qos === 2) {
          link.writer.writeAck(PacketType.PUBREC, arrival.packetId, 0)
          arrival.state = 'confirmed'
        } else link.writer.writeAck(PacketType.PUBACK, arrival.packetId, 0)
      }
      this.#unsent = []
    }
    link.flush()
    this.#books.progress(this.#packets)
    this.#packets = 0
  }

  #fail(sentence: string): void {
    this.#books.fail(`${this.#options.name}: ${sentence}`)
  }
}
