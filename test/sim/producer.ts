/**
 * A publisher with an outbox: every batch is in it before it is sent, what was not answered is sent again in the same
 * bytes, on whatever connection. At times it dies before it has written the last answers down; each connection is
 * another client for the broker, so that one that was left half-open goes on as a twin, and must be fenced.
 */
import { encodeProduceMessage, joinMessages } from '../../src/protocol/msgpack/produce.js'
import {
  type ConnackPacket,
  type ConnectPacket,
  type Packet,
  PacketType,
  type ProducedPacket,
  type ProduceMessage,
  type ProducerOpenedPacket,
  ProducerReason,
  type ProducerRefusal,
} from '../../src/protocol/packets.js'
import type { Random } from '../support/random.js'
import type { Books, SentMessage } from './books.js'
import { ProducerStream } from './checkers/producer-stream.js'
import { Asked, type ClientPlan, SimClient } from './client.js'
import type { Host } from './host.js'
import { payloadOf } from './payload.js'

export interface ProducerPlan extends ClientPlan {
  readonly kind: 'producer'
  /** All 16 bytes of its id. */
  readonly producerNumber: number
  readonly topics: readonly string[]
  readonly batchMax: number
  readonly idleMsMax: number
  readonly outstandingMax: number
}

interface Row {
  readonly message: ProduceMessage
  readonly encoded: Uint8Array
  readonly booked: SentMessage
}
interface Batch {
  readonly first: number
  readonly last: number
  readonly isAtomic: boolean
}
interface SentBatch extends Batch {
  readonly confirmed: number
  readonly asked: Asked
}

const REFUSED_TOPIC = 'not/+'
const TOPIC_NAME_INVALID = 0x90
const HANDLE = 1

export class SimProducer extends SimClient {
  override readonly plan: ProducerPlan
  readonly #stream = new ProducerStream()
  readonly #rows: Row[] = []
  #batches: Batch[] = []
  /** On this connection, waiting for their answers in this order. */
  #sent: SentBatch[] = []
  #openAsked = new Asked()
  #isOpen = false
  #connections = 0
  /** What it would know after a restart: everything up to it has been answered and written down. */
  #confirmed = 0
  #openConfirmed = 0

  constructor(plan: ProducerPlan, host: Host, books: Books, random: Random) {
    super(plan, host, books, random)
    this.plan = plan
    host.schedule.after(random.below(plan.idleMsMax), this.#wake)
  }

  get isSettled(): boolean {
    return this.#isOpen && this.#stream.answered === this.#stream.length
  }

  override get clientId(): string {
    return `${this.plan.clientId}.${this.#connections}`
  }

  protected connectPacket(): Pick<ConnectPacket, 'cleanStart' | 'properties'> {
    this.#connections += 1
    // The process may have died between the last answer and writing it down.
    if (this.random.chance(0.7)) this.#confirmed = this.#stream.answered
    return { cleanStart: true, properties: {} }
  }

  protected accepted(_packet: ConnackPacket): void {
    const digest = this.random.chance(0.8) ? this.#stream.digestAt(this.#confirmed) : null
    const producerId = new Uint8Array(16).fill(this.plan.producerNumber)
    this.#openAsked = new Asked()
    this.#openConfirmed = this.#confirmed
    const open = { handle: HANDLE, producerId, confirmedSequence: this.#confirmed, digest }
    this.write({ type: PacketType.PRODUCER_OPEN, ...open }, this.#openAsked)
  }

  protected received(packet: Packet): void {
    if (packet.type === PacketType.PRODUCER_OPENED) return this.#opened(packet)
    if (packet.type === PacketType.PRODUCED) return this.#produced(packet)
    this.#tell(`a producer got packet type ${packet.type}`)
  }

  #opened(packet: ProducerOpenedPacket): void {
    this.judge('that its producer is open', this.#openAsked)
    if (packet.reasonCode !== 0) {
      this.#tell(`it was not opened: ${packet.reasonCode}`)
      return
    }
    this.#settle(packet.sequence, packet.refusals)
    this.#tell(this.#stream.opened(packet, this.#openConfirmed))
    this.#isOpen = true
    this.#batches = this.#batches.filter(({ last }) => last > this.#confirmed)
    // Not all of it is needed, as a process finds out that has not written the last answers down.
    const from = this.random.chance(0.3) ? this.#confirmed : packet.sequence
    for (const batch of this.#batches) if (batch.first > from) this.#send(batch)
  }

  #produced(packet: ProducedPacket): void {
    const batch = this.#sent.shift()
    if (packet.reasonCode !== 0) {
      this.#tell(`it was answered ${packet.reasonCode} at ${packet.sequence}: ${packet.reasonString ?? ''}`)
      return
    }
    if (batch === undefined) {
      this.#tell(`an answer to nothing at ${packet.sequence}`)
      return
    }
    const { first, last, confirmed, asked } = batch
    this.judge(`the answer to ${first} to ${last}`, asked)
    this.#settle(packet.sequence, packet.refusals)
    this.#tell(this.#stream.produced(packet, first, last, confirmed))
    if (this.random.chance(0.5)) this.#confirmed = this.#stream.answered
  }

  /** @param sequence everything up to it has been taken, or refused. */
  #settle(sequence: number, refusals: readonly ProducerRefusal[]): void {
    for (const refusal of refusals) {
      const row = this.#rows[refusal.sequence - 1]
      if (row !== undefined) row.booked.isRefused = true
    }
    for (let at = this.#stream.answered; at < Math.min(sequence, this.#rows.length); at += 1) {
      const { booked } = this.#rows[at] as Row
      if (!booked.isRefused && booked.promisedAt === 0) booked.promisedAt = this.books.now()
    }
  }

  // ── what it does of its own ──

  readonly #wake = (): void => {
    if (this.isCalm) return
    const { random } = this
    this.host.schedule.after(random.chance(0.3) ? 20 : random.below(this.plan.idleMsMax), this.#wake)
    if (this.#stream.length - this.#stream.answered > this.plan.outstandingMax) return
    this.#append()
    this.flush()
  }

  /** Into the outbox; sent if somebody is there to take it. */
  #append(): void {
    const { random } = this
    const { batchMax, topics } = this.plan
    const isAtomic = random.chance(0.4)
    const count = 1 + random.below(batchMax)
    const names = Array.from({ length: count }, () => (random.chance(0.04) ? REFUSED_TOPIC : random.pick(topics)))
    const isRefused = isAtomic && names.includes(REFUSED_TOPIC)
    const first = this.#rows.length + 1
    for (const topicName of names) {
      const due = topicName === REFUSED_TOPIC ? TOPIC_NAME_INVALID : isRefused ? ProducerReason.BATCH_REFUSED : 0
      this.#appendOne(topicName, due)
    }
    const batch = { first, last: this.#rows.length, isAtomic }
    if (isAtomic) this.#stream.batch(batch.first, batch.last)
    this.#batches.push(batch)
    if (this.#isOpen) this.#send(batch)
  }

  #appendOne(topicName: string, due: number): void {
    const { clientId: publisher } = this.plan
    const order = this.#rows.length + 1
    const key = `${publisher}:${order}`
    const qos = this.random.pick([1, 2] as const)
    const payloadBytes = 16 + this.random.below(48)
    const content = { publisher, topicName, order, qos, payloadBytes, retain: false, mayExpire: false }
    const booked = this.books.send({ ...content, key, kind: 'produce' })
    const message = { topicName, payload: payloadOf(key, payloadBytes), qos, retain: false, properties: null }
    const encoded = encodeProduceMessage(message)
    this.#rows.push({ message, encoded, booked })
    // A full queue may refuse what is else in order.
    this.#stream.append(encoded, this.books.isLossy ? -1 : due)
  }

  #send(batch: Batch): void {
    const rows = this.#rows.slice(batch.first - 1, batch.last)
    const asked = new Asked()
    const confirmed = this.#confirmed
    this.#sent.push({ ...batch, confirmed, asked })
    for (const { booked } of rows) {
      if (booked.firstAsked === null || booked.firstAsked.processNumber === 0) booked.firstAsked = asked
    }
    const messages = rows.map(({ message }) => message)
    const bytes = joinMessages(rows.map(({ encoded }) => encoded))
    const head = { handle: HANDLE, firstSequence: batch.first, confirmedSequence: confirmed, isAtomic: batch.isAtomic }
    this.write({ type: PacketType.PRODUCE, ...head, messages, ...bytes }, asked)
  }

  protected gone(): void {
    this.#isOpen = false
    this.#sent = []
  }

  #tell(sentence: string | null): void {
    if (sentence !== null) this.books.violation('producer-stream', `${this.clientId}: ${sentence}`)
  }
}
