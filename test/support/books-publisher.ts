/**
 * A publisher of QoS 1 or 2 that keeps its own books and MQTT's rules: the same packet identifier and DUP after a
 * resume, PUBREL after PUBREC, nothing sent twice on one connection. Keeps a window full as long as it is running.
 */
import { type AckPacket, type Packet, PacketType } from '../../src/protocol/packets.js'
import { payloadOf } from '../../src/torture/messages.js'
import type { Books, PublisherBook } from './books.js'
import { acknowledgedIds } from '../../src/torture/line.js'
import { type LinkEnd, NativeLink } from './books-link.js'

interface Outgoing {
  readonly order: number
  readonly topicName: string
  readonly payload: Uint8Array
  readonly packetId: number
  state: 'published' | 'received'
}

/** Few, so that each is used again soon, also after the broker's next death. */
const PACKET_IDS = 400

export interface BookedPublisherOptions {
  readonly name: string
  readonly qos: 1 | 2
  readonly topics: readonly string[]
  /** Unacknowledged messages it keeps on the way. */
  readonly window: number
  /** Publishes its number, retained. */
  readonly retain?: boolean
  /** Starts a new session after every loss and gives up what was on the way. */
  readonly isCareless?: boolean
}

export class BookedPublisher {
  readonly book: PublisherBook
  readonly #books: Books
  readonly #options: BookedPublisherOptions
  /** In the order of first sending. */
  readonly #outgoing = new Map<number, Outgoing>()
  /** Identifiers whose PUBACK or PUBREC is to come on this connection, in the order they were sent. */
  #awaited: number[] = []
  #link: NativeLink | null = null
  #hasSession = false
  /** What waits for an answer has been sent again; only then new messages may follow. */
  #isResumed = false
  #lastPacketId = 0
  /** Of the WebSocket message at hand. */
  #packets = 0
  isRunning = true

  constructor(books: Books, options: BookedPublisherOptions) {
    this.#books = books
    this.#options = options
    this.book = books.open(options.name, options.qos, options.topics)
  }

  get isIdle(): boolean {
    return this.#outgoing.size === 0
  }

  get isConnected(): boolean {
    return this.#link?.isOpen === true
  }

  get closed(): Promise<LinkEnd | null> {
    return this.#link?.closed ?? Promise.resolve(null)
  }

  /** @returns false when the connection ended before CONNACK. */
  async connect(url: string): Promise<boolean> {
    const { name, isCareless } = this.#options
    const link = new NativeLink(url, { receive: (packet) => this.#receive(packet), received: () => this.#received() })
    this.#link = link
    this.#isResumed = false
    this.#awaited = []
    const connack = await link.connect(name, { cleanStart: isCareless === true })
    if (connack === null) return false
    this.#books.progress()
    if (connack.reasonCode !== 0) {
      this.#books.fail(`${name}: CONNACK ${connack.reasonCode.toString(16)} ${connack.properties.reasonString}`)
    } else if (isCareless === true) this.#giveUp()
    else if (connack.sessionPresent) this.#hasSession = true
    else if (this.#hasSession) this.#books.fail(`${name}: the session is lost`)
    this.#hasSession = true
    this.#resend(link)
    this.#isResumed = true
    this.#fill()
    return true
  }

  disconnect(): void {
    this.#link?.close()
  }

  #giveUp(): void {
    for (const { order, state } of this.#outgoing.values()) {
      if (state === 'published') this.book.abandoned.add(order)
    }
    this.#outgoing.clear()
  }

  #resend(link: NativeLink): void {
    for (const outgoing of this.#outgoing.values()) {
      if (outgoing.state === 'published') this.#write(link, outgoing, true)
      else link.writer.writeAck(PacketType.PUBREL, outgoing.packetId, 0)
    }
  }

  #received(): void {
    this.#fill()
    this.#books.progress(this.#packets)
    this.#packets = 0
  }

  #fill(): void {
    const link = this.#link
    if (link === null || !this.#isResumed) return
    while (this.isRunning && link.isOpen && this.#outgoing.size < this.#options.window) {
      const order = this.book.sent + 1
      const { topics, name, retain } = this.#options
      const topicName = topics[order % topics.length] as string
      const text = retain === true ? `${order}` : payloadOf(name, order)
      const outgoing: Outgoing = {
        order,
        topicName,
        payload: Buffer.from(text),
        packetId: this.#freePacketId(),
        state: 'published',
      }
      this.book.sent = order
      if (retain === true) this.#retained(topicName).sent = order
      this.#outgoing.set(outgoing.packetId, outgoing)
      this.#write(link, outgoing, false)
    }
    link.flush()
  }

  #write(link: NativeLink, { topicName, payload, packetId }: Outgoing, dup: boolean): void {
    const { qos, retain = false } = this.#options
    link.writer.write({ type: PacketType.PUBLISH, topicName, payload, qos, retain, dup, packetId, properties: null })
    this.#awaited.push(packetId)
  }

  #freePacketId(): number {
    do this.#lastPacketId = (this.#lastPacketId % PACKET_IDS) + 1
    while (this.#outgoing.has(this.#lastPacketId))
    return this.#lastPacketId
  }

  #receive(packet: Packet): void {
    this.#packets += 1
    if (packet.type === PacketType.PUBACK || packet.type === PacketType.PUBREC) {
      for (const id of acknowledgedIds(packet.packetId, packet.lastPacketId)) this.#promised(packet, id)
    } else if (packet.type === PacketType.PUBCOMP) {
      for (const id of acknowledgedIds(packet.packetId, packet.lastPacketId)) this.#completed(packet, id)
    } else if (packet.type !== PacketType.DISCONNECT && packet.type !== PacketType.PINGREQ) {
      this.#books.fail(`${this.book.name} got packet type ${packet.type}`)
    }
  }

  #promised(packet: AckPacket, packetId: number): void {
    const { name, qos } = this.#options
    const expected = qos === 1 ? PacketType.PUBACK : PacketType.PUBREC
    const outgoing = this.#outgoing.get(packetId)
    if (packet.type !== expected || outgoing === undefined || outgoing.state !== 'published') {
      this.#books.fail(`${name}: acknowledgement ${packet.type} of ${packetId}, which waits for none`)
      return
    }
    if (this.#awaited.shift() !== packetId) this.#books.fail(`${name}: ${packetId} is acknowledged out of order`)
    if (packet.reasonCode !== 0 && this.#options.retain !== true) {
      this.#books.fail(`${name}: message ${outgoing.order} is refused with ${packet.reasonCode.toString(16)}`)
      return
    }
    this.book.promised.add(outgoing.order)
    if (this.#options.retain === true) this.#retained(outgoing.topicName).promised = outgoing.order
    if (qos === 1) this.#outgoing.delete(packetId)
    else {
      outgoing.state = 'received'
      this.#link?.writer.writeAck(PacketType.PUBREL, packetId, 0)
    }
  }

  #completed(packet: AckPacket, packetId: number): void {
    const outgoing = this.#outgoing.get(packetId)
    if (outgoing?.state !== 'received') {
      this.#books.fail(`${this.book.name}: PUBCOMP of ${packetId}, which waits for none`)
      return
    }
    if (packet.reasonCode !== 0 && packet.reasonCode !== 0x92) {
      this.#books.fail(`${this.book.name}: PUBCOMP with ${packet.reasonCode.toString(16)}`)
    }
    this.#outgoing.delete(packetId)
  }

  #retained(topicName: string): { sent: number; promised: number } {
    const value = this.#books.retained.get(topicName) ?? { sent: 0, promised: 0 }
    this.#books.retained.set(topicName, value)
    return value
  }
}
