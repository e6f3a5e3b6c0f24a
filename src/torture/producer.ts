/**
 * A producer in the native protocol that keeps a book: numbered messages in batches, some of them atomic, sent again
 * from where the broker says that it is, whatever became of connection and session. It computes the digest of its
 * stream by itself and holds the broker to it, and to the order of its answers.
 */
import { StreamDigest } from '../base/stream-digest.js'
import type { Random } from '../base/random.js'
import { encodeProduceMessage, joinMessages } from '../protocol/msgpack/produce.js'
import {
  type Packet,
  PacketType,
  type ProducedPacket,
  type ProduceMessage,
  type ProducerOpenedPacket,
} from '../protocol/packets.js'
import type { BookWriter } from './books.js'
import { Breath } from './breath.js'
import type { PublisherRole } from './cast.js'
import { Line, type LineUser, type Ports } from './line.js'
import { payloadOf } from './messages.js'
import type { Speaker } from './publisher.js'

interface Batch {
  readonly first: number
  readonly last: number
  readonly isAtomic: boolean
  readonly messages: readonly ProduceMessage[]
  readonly encoded: readonly Uint8Array[]
  /** Of everything up to its last message, as hexadecimal. */
  readonly digest: string
}

const HANDLE = 1
const BATCH_MESSAGES_MAX = 5
const ID_BYTES = 16

export class Producer implements LineUser, Speaker {
  readonly #role: PublisherRole
  readonly #book: BookWriter
  readonly #random: Random
  readonly #changed: () => void
  readonly #line: Line
  readonly #id: Uint8Array
  readonly #breath: Breath
  readonly #hash = new StreamDigest()
  /** Not confirmed, ascending. */
  #batches: Batch[] = []
  /** The last sequence of which the outcome is known, and the digest there. */
  #confirmed = 0
  #confirmedDigest: string
  #lastSequence = 0
  #epoch = 0
  #isOpen = false
  #maySpeak = false
  acknowledged = 0

  constructor(role: PublisherRole, book: BookWriter, ports: Ports, random: Random, changed: () => void) {
    this.#role = role
    this.#book = book
    this.#random = random
    this.#changed = changed
    this.#id = Uint8Array.from({ length: ID_BYTES }, () => random.below(256))
    this.#confirmedDigest = Buffer.from(this.#hash.digest()).toString('hex')
    this.#breath = new Breath(random, () => this.#fill())
    // A producer needs no session: what it has sent is known by its own name.
    this.#line = new Line({ clientId: role.name, wire: role.wire, ports, random, cleanStart: true }, this)
  }

  get isUp(): boolean {
    return this.#line.isUp
  }

  get isIdle(): boolean {
    return this.#batches.length === 0
  }

  get unacknowledged(): number {
    return this.#lastSequence - this.#confirmed
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

  connected(): void {
    this.#isOpen = false
    this.#line.writer.write({
      type: PacketType.PRODUCER_OPEN,
      handle: HANDLE,
      producerId: this.#id,
      confirmedSequence: this.#confirmed,
      digest: Buffer.from(this.#confirmedDigest, 'hex'),
    })
  }

  receive(packet: Packet): void {
    if (packet.type === PacketType.PRODUCER_OPENED) this.#opened(packet)
    else if (packet.type === PacketType.PRODUCED) this.#produced(packet)
    else this.problem(`packet type ${packet.type} came to a producer`)
  }

  received(): void {
    if (this.unacknowledged <= this.#role.window / 2) this.#breath.take()
    this.#book.write()
    this.#line.flush()
    this.#changed()
  }

  #fill(): void {
    if (!this.isUp) return
    while (this.#isOpen && this.#maySpeak && this.unacknowledged < this.#role.window) this.#produce()
    this.#book.write()
    this.#line.flush()
  }

  disconnected(): void {
    this.#isOpen = false
    this.#changed()
  }

  problem(sentence: string): void {
    this.#book.add('!', sentence)
    this.#book.write()
  }

  #opened(packet: ProducerOpenedPacket): void {
    const { reasonCode, sequence, epoch, digest, refusals } = packet
    if (reasonCode !== 0) return this.problem(`the producer was not opened: 0x${reasonCode.toString(16)}`)
    if (epoch <= this.#epoch) this.problem(`opened with epoch ${epoch} after ${this.#epoch}`)
    this.#epoch = epoch
    if (sequence < this.#confirmed || sequence > this.#lastSequence) {
      this.problem(`the broker is at ${sequence}; ${this.#confirmed} is confirmed, ${this.#lastSequence} was sent`)
      return
    }
    this.#confirm(sequence, digest, refusals.length)
    for (const batch of this.#batches) this.#send(batch)
    this.#isOpen = true
  }

  #produced({ reasonCode, sequence, digest, refusals }: ProducedPacket): void {
    if (reasonCode !== 0) return this.problem(`PRODUCE was answered with 0x${reasonCode.toString(16)} at ${sequence}`)
    const due = this.#batches[0]?.last
    if (sequence !== due) this.problem(`PRODUCED ${sequence} came where ${due} was due`)
    this.#confirm(sequence, digest, refusals.length)
  }

  #confirm(sequence: number, digest: Uint8Array | null, refusals: number): void {
    if (refusals > 0) this.problem(`${refusals} messages were refused up to ${sequence}`)
    while ((this.#batches[0]?.last ?? Number.POSITIVE_INFINITY) <= sequence) {
      const batch = this.#batches.shift() as Batch
      for (let order = batch.first; order <= batch.last; order += 1) this.#book.add('A', order)
      this.acknowledged += batch.messages.length
      this.#confirmed = batch.last
      this.#confirmedDigest = batch.digest
    }
    if (this.#confirmed !== sequence) this.problem(`the broker is at ${sequence}, inside a batch`)
    const found = digest === null ? 'none' : Buffer.from(digest).toString('hex')
    if (found !== this.#confirmedDigest)
      this.problem(`the digest at ${sequence} is ${found}, not ${this.#confirmedDigest}`)
  }

  #produce(): void {
    const { topics, name } = this.#role
    const first = this.#lastSequence + 1
    const count = 1 + this.#random.below(BATCH_MESSAGES_MAX)
    const messages: ProduceMessage[] = []
    for (let order = first; order < first + count; order += 1) {
      const topicName = topics[order % topics.length] as string
      const payload = Buffer.from(payloadOf(name, order))
      messages.push({ topicName, payload, qos: 2, retain: false, properties: null })
      this.#book.add('S', order, topicName)
    }
    const encoded = messages.map(encodeProduceMessage)
    for (const bytes of encoded) this.#hash.update(bytes)
    this.#lastSequence = first + count - 1
    const digest = Buffer.from(this.#hash.digest()).toString('hex')
    const batch = { first, last: this.#lastSequence, isAtomic: this.#random.chance(0.5), messages, encoded, digest }
    this.#batches.push(batch)
    this.#send(batch)
  }

  #send({ first, isAtomic, messages, encoded }: Batch): void {
    this.#line.writer.write({
      type: PacketType.PRODUCE,
      handle: HANDLE,
      firstSequence: first,
      confirmedSequence: this.#confirmed,
      isAtomic,
      messages,
      ...joinMessages(encoded),
    })
  }
}
