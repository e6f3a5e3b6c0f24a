/**
 * A publisher of QoS 1 or 2 that obeys MQTT and keeps a book: the same packet identifier and DUP after a resume, PUBREL
 * after PUBREC, nothing sent twice on one connection. Each message is in the book before it is on the line. Fills its
 * window again and again as long as it may speak.
 */
import type { Random } from '../base/random.js'
import { type AckPacket, type ConnackPacket, type Packet, PacketType } from '../protocol/packets.js'
import { Breath } from './breath.js'
import type { PublisherRole } from './cast.js'
import type { BookWriter } from './books.js'
import { acknowledgedIds, Line, type LineUser, type Ports } from './line.js'
import { payloadOf } from './messages.js'

interface Outgoing {
  readonly order: number
  readonly topicName: string
  readonly payload: Uint8Array
  readonly packetId: number
  state: 'published' | 'received'
}

/** Few, so that each is used again soon, also after the broker's next death. */
const PACKET_IDS = 400

/** Somebody who publishes, in whatever way, and knows what has been acknowledged. */
export interface Speaker {
  readonly isUp: boolean
  /** Everything sent has its last acknowledgement. */
  readonly isIdle: boolean
  /** Sent at least once and not promised. */
  readonly unacknowledged: number
  /** Messages, so far. */
  readonly acknowledged: number
  open(): void
  speak(maySpeak: boolean): void
  end(): void
}

export class Publisher implements LineUser, Speaker {
  readonly #role: PublisherRole
  readonly #book: BookWriter
  readonly #changed: () => void
  readonly #line: Line
  readonly #breath: Breath
  /** In the order of first sending. */
  readonly #outgoing = new Map<number, Outgoing>()
  /** Identifiers whose PUBACK or PUBREC is to come on this connection, in the order they were sent. */
  #awaited: number[] = []
  #hasSession = false
  #lastPacketId = 0
  #lastOrder = 0
  #windowMax = 0
  #maySpeak = false
  acknowledged = 0

  /** @param changed is called when something has been acknowledged or the line is lost. */
  constructor(role: PublisherRole, book: BookWriter, ports: Ports, random: Random, changed: () => void) {
    this.#role = role
    this.#book = book
    this.#changed = changed
    this.#breath = new Breath(random, () => this.#fill())
    const { name: clientId, wire, isCareless: cleanStart } = role
    this.#line = new Line({ clientId, wire, ports, random, cleanStart }, this)
  }

  get isUp(): boolean {
    return this.#line.isUp
  }

  get isIdle(): boolean {
    return this.#outgoing.size === 0
  }

  get unacknowledged(): number {
    let count = 0
    for (const { state } of this.#outgoing.values()) if (state === 'published') count += 1
    return count
  }

  open(): void {
    this.#line.open()
  }

  speak(maySpeak: boolean): void {
    this.#maySpeak = maySpeak
    this.#fill()
  }

  end(): void {
    this.#breath.end()
    this.#line.end()
  }

  connected(connack: ConnackPacket): void {
    const { isCareless, window } = this.#role
    this.#windowMax = Math.min(window, connack.properties.receiveMaximum ?? window)
    this.#awaited = []
    if (this.#hasSession && !connack.sessionPresent && !isCareless) this.#book.add('N')
    // What was on the way belonged to the session that is gone: whether it was taken cannot be known.
    if (!connack.sessionPresent) this.#giveUp()
    this.#hasSession = true
    for (const outgoing of this.#outgoing.values()) {
      if (outgoing.state === 'published') this.#send(outgoing, true)
      else this.#line.writer.writeAck(PacketType.PUBREL, outgoing.packetId, 0)
    }
    this.#fill()
  }

  receive(packet: Packet): void {
    if (packet.type === PacketType.PUBACK || packet.type === PacketType.PUBREC) {
      for (const id of acknowledgedIds(packet.packetId, packet.lastPacketId)) this.#promised(packet, id)
    } else if (packet.type === PacketType.PUBCOMP) {
      for (const id of acknowledgedIds(packet.packetId, packet.lastPacketId)) this.#completed(packet, id)
    } else this.problem(`packet type ${packet.type} came to a publisher`)
  }

  received(): void {
    if (this.#outgoing.size <= this.#windowMax / 2) this.#breath.take()
    this.#book.write()
    this.#line.flush()
    this.#changed()
  }

  #fill(): void {
    if (!this.isUp) return
    while (this.#maySpeak && this.#outgoing.size < this.#windowMax) this.#publish()
    this.#book.write()
    this.#line.flush()
  }

  disconnected(): void {
    this.#changed()
  }

  problem(sentence: string): void {
    this.#book.add('!', sentence)
    this.#book.write()
  }

  #giveUp(): void {
    const isPromised = this.#role.promisedBy === 'PUBREC'
    for (const { order, state } of this.#outgoing.values()) {
      if (state === 'published' || !isPromised) this.#book.add('X', order)
    }
    this.#outgoing.clear()
  }

  #publish(): void {
    const { topics, name, retain } = this.#role
    this.#lastOrder += 1
    const order = this.#lastOrder
    const topicName = topics[order % topics.length] as string
    const payload = Buffer.from(retain ? `${order}` : payloadOf(name, order))
    do this.#lastPacketId = (this.#lastPacketId % PACKET_IDS) + 1
    while (this.#outgoing.has(this.#lastPacketId))
    const outgoing: Outgoing = { order, topicName, payload, packetId: this.#lastPacketId, state: 'published' }
    this.#book.add('S', order, topicName)
    this.#outgoing.set(outgoing.packetId, outgoing)
    this.#send(outgoing, false)
  }

  #send({ topicName, payload, packetId }: Outgoing, dup: boolean): void {
    const { qos, retain } = this.#role
    this.#line.writer.write({
      type: PacketType.PUBLISH,
      topicName,
      payload,
      qos,
      retain,
      dup,
      packetId,
      properties: null,
    })
    this.#awaited.push(packetId)
  }

  #promised(packet: AckPacket, packetId: number): void {
    const { qos, promisedBy } = this.#role
    const expected = qos === 1 ? PacketType.PUBACK : PacketType.PUBREC
    const outgoing = this.#outgoing.get(packetId)
    if (packet.type !== expected || outgoing === undefined || outgoing.state !== 'published') {
      this.problem(`acknowledgement ${packet.type} of ${packetId} came, which waits for none`)
      return
    }
    if (this.#awaited.shift() !== packetId) this.problem(`${packetId} is acknowledged out of order`)
    if (packet.reasonCode >= 0x80) {
      this.#book.add('R', outgoing.order, packet.reasonCode)
      this.#outgoing.delete(packetId)
      return
    }
    this.acknowledged += 1
    if (qos === 1 || promisedBy === 'PUBREC') this.#book.add('A', outgoing.order)
    if (qos === 1) this.#outgoing.delete(packetId)
    else {
      outgoing.state = 'received'
      this.#line.writer.writeAck(PacketType.PUBREL, packetId, 0)
    }
  }

  #completed(packet: AckPacket, packetId: number): void {
    const outgoing = this.#outgoing.get(packetId)
    if (outgoing?.state !== 'received') {
      this.problem(`PUBCOMP of ${packetId} came, which waits for none`)
      return
    }
    // Packet Identifier not found: the one before died between PUBCOMP and its arrival [v5 MQTT-4.3.3].
    if (packet.reasonCode !== 0 && packet.reasonCode !== 0x92) {
      this.problem(`PUBCOMP came with 0x${packet.reasonCode.toString(16)}`)
    }
    if (this.#role.promisedBy === 'PUBCOMP') this.#book.add('A', outgoing.order)
    this.#outgoing.delete(packetId)
  }
}
