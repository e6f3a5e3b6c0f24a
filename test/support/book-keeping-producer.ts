/**
 * A publisher with an outbox: every batch is in it before it is sent, what the broker has not answered is sent again,
 * and everything the broker says about the stream is held against the outbox: sequence, digest and refusals. Sometimes
 * it forgets the last answers, as a process does that dies before it has written them down, or a twin of it goes on.
 */
import { StreamDigest } from '../../src/base/stream-digest.js'
import {
  type Packet,
  PacketType,
  type ProducedPacket,
  type ProduceMessage,
  type ProducerOpenedPacket,
  ProducerReason,
  type ProducerRefusal,
} from '../../src/protocol/packets.js'
import { type BookedMessage, Breach, type Ledger } from './book-keeping.js'
import { encodedOf, message, openProducer, produce } from './produce.js'
import type { Random } from './random.js'
import type { TestBroker, TestClient } from './test-broker.js'

interface Row {
  readonly message: ProduceMessage
  readonly booked: BookedMessage
  /** 0: it is to be accepted. */
  readonly refusedWith: number
}

interface Batch {
  readonly firstSequence: number
  readonly lastSequence: number
  readonly isAtomic: boolean
}

const REFUSED_TOPIC = 'not/+'
const TOPIC_NAME_INVALID = 0x90

export class BookedProducer {
  readonly #ledger: Ledger
  readonly #random: Random
  readonly #topics: readonly string[]
  readonly #number: number
  /** By sequence; the first is 1. */
  readonly #rows: Row[] = []
  readonly #digests: string[] = [Buffer.from(new StreamDigest().digest()).toString('hex')]
  readonly #hash = new StreamDigest()
  #batches: Batch[] = []
  /** Sent on this connection and not answered. */
  #sent: Batch[] = []
  #client: TestClient | null = null
  /** Half-open: the broker still believes in it. */
  #twin: TestClient | null = null
  #isReady = false
  #connections = 0
  #epoch = 0
  /** Everything up to it has been answered, which nothing can take back. */
  #answered = 0
  /** What a process that starts again knows of that. */
  #written = 0

  constructor(number: number, topics: readonly string[], ledger: Ledger, random: Random) {
    this.#number = number
    this.#topics = topics
    this.#ledger = ledger
    this.#random = random
  }

  get isConnected(): boolean {
    return this.#client !== null
  }
  get outstanding(): number {
    return this.#rows.length - this.#answered
  }

  connect(host: TestBroker): void {
    this.#connections += 1
    this.#client = host.connect(`producer-${this.#number}-${this.#connections}`)
  }

  /** Into the outbox; sent if somebody is there to take it. */
  publish(): void {
    const random = this.#random
    const isAtomic = random.chance(0.4)
    const count = 1 + random.below(5)
    const topicNames = Array.from({ length: count }, () =>
      random.chance(0.04) ? REFUSED_TOPIC : random.pick(this.#topics),
    )
    const isRefused = isAtomic && topicNames.includes(REFUSED_TOPIC)
    const firstSequence = this.#rows.length + 1
    for (const topicName of topicNames) {
      const refusedWith =
        topicName === REFUSED_TOPIC ? TOPIC_NAME_INVALID : isRefused ? ProducerReason.BATCH_REFUSED : 0
      this.#append(topicName, random.pick([1, 2] as const), refusedWith)
    }
    const batch = { firstSequence, lastSequence: this.#rows.length, isAtomic }
    this.#batches.push(batch)
    if (this.#isReady) this.#send(batch)
  }

  #append(topicName: string, qos: 1 | 2, refusedWith: number): void {
    const order = this.#rows.length + 1
    const publisher = `producer-${this.#number}`
    const key = `${publisher}:${order}`
    // The books allow as many copies as attempts: a producer is never allowed a second one.
    const booked = this.#ledger.publish({ key, publisher, topicName, order, qos, kind: 'publish', mayExpire: false })
    booked.isForbidden = refusedWith !== 0
    const content = message(topicName, key, { qos })
    this.#rows.push({ message: content, booked, refusedWith })
    this.#hash.update(encodedOf(content))
    this.#digests.push(Buffer.from(this.#hash.digest()).toString('hex'))
  }

  #send(batch: Batch): void {
    const { firstSequence, lastSequence, isAtomic } = batch
    const messages = this.#rows.slice(firstSequence - 1, lastSequence).map((row) => row.message)
    this.#sent.push(batch)
    if (this.#client !== null)
      produce(this.#client, firstSequence, messages, { isAtomic, confirmedSequence: this.#written })
  }

  read(): void {
    const client = this.#client
    if (client === null) return
    const arrived = client.link.arrived
    client.link.arrived = []
    for (const packet of arrived) this.#receive(client, packet)
    const { closedWith } = client.link
    if (closedWith !== null) throw new Breach(`the broker closed a producer: ${closedWith.detail}`)
    if (this.#random.chance(0.5)) this.#written = this.#answered
    this.#readTwin()
  }

  #receive(client: TestClient, packet: Packet): void {
    if (packet.type === PacketType.CONNACK) {
      const digest = Buffer.from(this.#digests[this.#written] as string, 'hex')
      const options = this.#random.chance(0.8) ? { digest: new Uint8Array(digest) } : {}
      openProducer(client, { id: this.#number, confirmedSequence: this.#written, ...options })
      return
    }
    if (packet.type === PacketType.PRODUCER_OPENED) return this.#opened(packet)
    if (packet.type === PacketType.PRODUCED) return this.#produced(packet)
    throw new Breach(`a producer got packet type ${packet.type}`)
  }

  #opened(packet: ProducerOpenedPacket): void {
    if (packet.reasonCode !== 0) throw new Breach(`a producer was not opened: ${packet.reasonCode}`)
    if (packet.epoch <= this.#epoch) throw new Breach(`epoch ${packet.epoch} came after ${this.#epoch}`)
    this.#epoch = packet.epoch
    this.#check(packet)
    this.#checkRefusals(packet.refusals, this.#written + 1, packet.sequence)
    const { sequence } = packet
    if (this.#batches.some(({ firstSequence, lastSequence }) => sequence >= firstSequence && sequence < lastSequence)) {
      throw new Breach(`the batch around sequence ${sequence} was stored in part`)
    }
    this.#advance(sequence)
    this.#sent = []
    this.#isReady = true
    // Not all of it is needed, as a process finds out that did not write the last answers down.
    const from = this.#random.chance(0.3) ? this.#written : sequence
    this.#batches = this.#batches.filter(({ lastSequence }) => lastSequence > this.#written)
    for (const batch of this.#batches) if (batch.firstSequence > from) this.#send(batch)
    if (this.#twin !== null) this.#twinGoesOn(this.#twin)
  }

  #produced(packet: ProducedPacket): void {
    const { reasonCode, sequence } = packet
    if (reasonCode !== 0)
      throw new Breach(`a producer was answered ${reasonCode} at ${sequence}: ${packet.reasonString}`)
    const batch = this.#sent.shift()
    if (batch === undefined || sequence < batch.lastSequence) throw new Breach(`an answer to nothing at ${sequence}`)
    this.#check(packet)
    this.#checkRefusals(packet.refusals, Math.max(batch.firstSequence, this.#written + 1), batch.lastSequence)
    this.#advance(sequence)
  }

  #check({ sequence, digest }: ProducerOpenedPacket | ProducedPacket): void {
    if (sequence < this.#answered) throw new Breach(`sequence ${sequence}, but ${this.#answered} was answered`)
    if (sequence > this.#rows.length) throw new Breach(`sequence ${sequence} of ${this.#rows.length}`)
    const found = Buffer.from(digest ?? []).toString('hex')
    if (found !== this.#digests[sequence]) throw new Breach(`the digest at ${sequence} is another`)
  }

  #checkRefusals(found: readonly ProducerRefusal[], first: number, last: number): void {
    const wanted: string[] = []
    for (let sequence = first; sequence <= last; sequence += 1) {
      const { refusedWith } = this.#rows[sequence - 1] as Row
      if (refusedWith !== 0) wanted.push(`${sequence} ${refusedWith}`)
    }
    const got = found.filter(({ sequence }) => sequence >= first)
    const told = got.map(({ sequence, reasonCode }) => `${sequence} ${reasonCode}`)
    if (told.join() !== wanted.join()) throw new Breach(`refusals ${told.join()} instead of ${wanted.join()}`)
  }

  #advance(sequence: number): void {
    for (; this.#answered < sequence; this.#answered += 1) {
      const { booked, refusedWith } = this.#rows[this.#answered] as Row
      if (refusedWith === 0) this.#ledger.promised(booked.key)
    }
  }

  /** Another process with the same outbox has not heard that it is over. */
  #twinGoesOn(twin: TestClient): void {
    produce(twin, this.#answered + 1, [message(this.#topics[0] as string, 'of a twin')])
  }

  #readTwin(): void {
    const produced = this.#twin?.take('PRODUCED') ?? []
    // What left before it was fenced may still be answered.
    const [last] = produced.slice(-1)
    if (last !== undefined && last.reasonCode === 0 && last.sequence > this.#rows.length) {
      throw new Breach('something of a fenced producer was stored')
    }
  }

  /** @param isNoticed false: for the broker the connection is still there, and what it holds is a twin of this. */
  cut(isNoticed: boolean): void {
    this.#twin?.cut()
    this.#twin = null
    if (isNoticed) this.#client?.cut()
    else if (this.#isReady) this.#twin = this.#client
    this.#gone()
  }

  crashed(): void {
    this.#twin = null
    this.#gone()
  }

  #gone(): void {
    this.#client = null
    this.#isReady = false
    this.#sent = []
  }
}
