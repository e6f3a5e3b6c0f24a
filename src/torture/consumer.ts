/**
 * A consumer with a durable session that obeys MQTT and keeps a book: what came is in it before it is acknowledged, and
 * a QoS 2 copy whose identifier is still open is the same copy again, as the standard says. What it finds wrong by
 * itself: damaged bodies, identifiers used too early, gaps in the native delivery sequence.
 */
import type { Random } from '../base/random.js'
import {
  type AckPacket,
  type ConnackPacket,
  type DeliveryCursor,
  type Packet,
  PacketType,
  type PublishPacket,
  type QoS,
} from '../protocol/packets.js'
import type { BookWriter } from './books.js'
import type { ConsumerRole } from './cast.js'
import { acknowledgedIds, Line, type LineUser, type Ports } from './line.js'
import { readPayload } from './messages.js'

/** More acknowledgements are not held back, or Receive Maximum would end the flow. */
const UNSENT_MAX = 50
const RECEIVE_MAXIMUM = 200
const SLEEP_MS_MAX = 5_000
/** So many messages at most, and the sleeper is tired. Enough to keep what it is owed from growing for ever. */
const AWAKE_MESSAGES_MAX = 8_000
const SUBSCRIBE_PACKET_ID = 1
/** Deliveries remembered; many more than can be under way. */
const LATEST = 2_000

/** Somebody who consumes, in whatever way, and writes down what came. */
export interface Listener {
  readonly isSubscribed: boolean
  open(): void
  /** From now on it is neither lazy nor asleep. */
  hurry(): void
  end(): void
}

export class Consumer implements LineUser, Listener {
  readonly #role: ConsumerRole
  readonly #book: BookWriter
  readonly #random: Random
  readonly #changed: () => void
  readonly #line: Line
  /** QoS 2 identifiers in use, to what came with them. */
  readonly #open = new Map<number, string>()
  /** Native: the latest deliveries by sequence. One that is finished must not come again. */
  readonly #latest = new Map<number, { readonly key: string; readonly packetId: number }>()
  #unsent: { readonly packetId: number; readonly qos: QoS }[] = []
  /** Native: the delivery sequence that is due. */
  #nextSequence = 1
  /** Native: what the cursor of this connection said is handled. */
  #behind = 0
  #sessionNumber = 0
  #messagesAwake = 0
  #tiredAfter = 0
  #mayIdle = true
  isSubscribed = false

  constructor(role: ConsumerRole, book: BookWriter, ports: Ports, random: Random, changed: () => void) {
    this.#role = role
    this.#book = book
    this.#random = random
    this.#changed = changed
    const { name: clientId, wire, hasCursor } = role
    const options = { clientId, wire, ports, random, cleanStart: false, receiveMaximum: RECEIVE_MAXIMUM }
    this.#line = new Line({ ...options, cursor: () => (hasCursor ? this.#cursor() : null) }, this)
  }

  open(): void {
    this.#line.open()
  }

  end(): void {
    this.#line.end()
  }

  hurry(): void {
    this.#mayIdle = false
    if (this.#line.isUp) this.received()
    else this.#line.open()
  }

  connected(connack: ConnackPacket): void {
    this.#unsent = []
    this.#messagesAwake = 0
    this.#tiredAfter = this.#random.below(AWAKE_MESSAGES_MAX)
    if (connack.sessionPresent && this.#behind > 0) this.#open.clear()
    this.#sessionNumber = connack.sessionNumber ?? 0
    if (connack.sessionPresent) {
      const lost = connack.resume?.lost ?? []
      if (lost.length > 0) this.problem(`the broker says that it dropped ${JSON.stringify(lost)}`)
      if (this.isSubscribed) return
    } else {
      if (this.isSubscribed) this.#book.add('N')
      this.#open.clear()
      this.#latest.clear()
      this.#nextSequence = 1
      this.#behind = 0
    }
    const { topicFilter, qos } = this.#role
    const subscription = { topicFilter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
    const subscriptions = [subscription]
    this.#line.writer.write({
      type: PacketType.SUBSCRIBE,
      packetId: SUBSCRIBE_PACKET_ID,
      subscriptions,
      properties: {},
    })
  }

  receive(packet: Packet): void {
    if (packet.type === PacketType.PUBLISH) this.#deliver(packet)
    else if (packet.type === PacketType.PUBREL) this.#release(packet)
    else if (packet.type === PacketType.SUBACK) {
      this.isSubscribed = packet.reasonCodes.every((code) => code < 0x80)
      if (!this.isSubscribed) this.problem(`SUBSCRIBE was refused with 0x${packet.reasonCodes[0]?.toString(16)}`)
    } else this.problem(`packet type ${packet.type} came to a consumer`)
  }

  received(): void {
    this.#book.write()
    const { laziness, isSleeper } = this.#role
    const isHeldBack = this.#mayIdle && this.#unsent.length < UNSENT_MAX && this.#random.chance(laziness)
    if (!isHeldBack) {
      for (const { packetId, qos } of this.#unsent) {
        this.#line.writer.writeAck(qos === 2 ? PacketType.PUBREC : PacketType.PUBACK, packetId, 0)
      }
      this.#unsent = []
    }
    this.#line.flush()
    this.#changed()
    if (!isSleeper || !this.#mayIdle || !this.isSubscribed) return
    if (this.#messagesAwake >= this.#tiredAfter) this.#line.rest(this.#random.below(SLEEP_MS_MAX))
  }

  disconnected(): void {
    this.#changed()
  }

  problem(sentence: string): void {
    this.#book.add('!', sentence)
    this.#book.write()
  }

  #deliver(packet: PublishPacket): void {
    const { packetId, qos, deliverySequence, topicName } = packet
    const message = readPayload(packet.payload)
    if (typeof message === 'string') return this.problem(message)
    this.#messagesAwake += 1
    const key = `${message.publisher} ${message.order} ${topicName}`
    const isAgain = deliverySequence === undefined ? this.#isOpen(packet, key) : this.#isBehind(packet, key)
    if (qos > 0) this.#unsent.push({ packetId, qos })
    if (qos === 2) this.#open.set(packetId, key)
    if (!isAgain) this.#book.add('D', message.publisher, message.order, topicName, qos)
  }

  /** Everything that came is in the book, as an application would have it in its own database. */
  #cursor(): DeliveryCursor | null {
    this.#behind = this.#sessionNumber === 0 ? 0 : this.#nextSequence - 1
    return this.#behind === 0 ? null : { sessionNumber: this.#sessionNumber, deliverySequence: this.#behind }
  }

  /** MQTT knows a copy that comes again by its identifier. */
  #isOpen({ packetId, dup }: PublishPacket, key: string): boolean {
    const open = this.#open.get(packetId)
    if (open === undefined) return false
    if (open !== key) this.problem(`identifier ${packetId} came with ${key}, and is open for ${open}`)
    else if (!dup) this.problem(`${key} came again without DUP`)
    return open === key
  }

  /** Our protocol numbers copies without gaps: what comes again is known at QoS 1, too, and must be the same. */
  #isBehind({ deliverySequence = 0, packetId, qos, dup }: PublishPacket, key: string): boolean {
    const known = this.#latest.get(deliverySequence)
    if (deliverySequence <= this.#behind) this.problem(`${key} came again, behind the cursor at ${this.#behind}`)
    if (deliverySequence < this.#nextSequence) {
      if (!dup) this.problem(`${key} came again without DUP`)
      if (known?.key !== key || known.packetId !== packetId) {
        this.problem(`delivery ${deliverySequence} came again as ${key} with ${packetId}, was ${JSON.stringify(known)}`)
      } else if (qos === 2 && !this.#open.has(packetId)) this.problem(`${key} came again after PUBREL and PUBCOMP`)
      return true
    }
    if (deliverySequence > this.#nextSequence) {
      this.problem(`delivery ${deliverySequence} came where ${this.#nextSequence} was due: ${key}`)
    }
    if (qos === 2 && this.#open.has(packetId)) this.problem(`identifier ${packetId} is used before it was released`)
    this.#latest.set(deliverySequence, { key, packetId })
    this.#latest.delete(deliverySequence - LATEST)
    this.#nextSequence = deliverySequence + 1
    return false
  }

  #release(packet: AckPacket): void {
    for (const packetId of acknowledgedIds(packet.packetId, packet.lastPacketId)) {
      const reasonCode = this.#open.delete(packetId) ? 0 : 0x92
      this.#line.writer.writeAck(PacketType.PUBCOMP, packetId, reasonCode)
    }
  }
}
