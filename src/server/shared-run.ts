/**
 * Packets that many connections are sent alike. From its fourth copy on a QoS 0 publication is encoded once, into a
 * run; connections that have nothing else to send refer to the run instead of writing copies of their own, and one
 * buffer leaves through all their sockets. What the same subscribers get next is appended to the same run.
 * A connection for which this does not hold writes its copy itself, and nobody need know.
 */
import {
  type Codec,
  type Delivery,
  FRAME_HEADROOM,
  type PacketWriter,
  type Publication,
  type WrittenBytes,
} from '../protocol/codec.js'
import type { ProtocolLevel } from '../protocol/packets.js'
import type { WriterPool } from './writer-pool.js'

/** A run that few can refer to is made in vain. */
const COPIES_BEFORE = 3

export class SharedRun {
  readonly #runs: SharedRuns
  #writer: PacketWriter | null
  #written: WrittenBytes | null = null
  byteLength = 0

  constructor(runs: SharedRuns, writer: PacketWriter) {
    this.#runs = runs
    this.#writer = writer
  }

  /** False: it has begun to leave. */
  get isOpen(): boolean {
    return this.#writer !== null
  }

  append(publication: Publication, delivery: Delivery): void {
    const writer = this.#writer as PacketWriter
    writer.writePublication(publication, delivery)
    this.byteLength = writer.byteLength
  }

  /** For everybody who has all of it, the same buffer: whoever gets it may write into the headroom only what all do. */
  take(from: number, to: number): WrittenBytes {
    if (this.#writer !== null) {
      this.#written = this.#writer.take()
      this.#runs.giveBack(this.#writer)
      this.#writer = null
    }
    const written = this.#written as WrittenBytes
    if (from === 0 && to === this.byteLength) return written
    const { buffer, headroom } = written
    const copy = new Uint8Array(FRAME_HEADROOM + to - from)
    copy.set(buffer.subarray(headroom + from, headroom + to), FRAME_HEADROOM)
    return { buffer: copy, headroom: FRAME_HEADROOM }
  }
}

/** Those of one codec and protocol level: where the publication that is being copied now stands. */
export class SharedRuns {
  readonly #pool: WriterPool
  readonly #codec: Codec
  readonly #protocolLevel: ProtocolLevel
  #publication: Publication | null = null
  #payload: Uint8Array | null = null
  #copies = 0
  #retain = false
  #expirySec = -1
  /** Has the copy from `from` to `to`, once `hasCopy` has said so. */
  run: SharedRun | null = null
  from = 0
  to = 0

  constructor(pool: WriterPool, codec: Codec, protocolLevel: ProtocolLevel) {
    this.#pool = pool
    this.#codec = codec
    this.#protocolLevel = protocolLevel
  }

  /** Call it once for every copy, whoever gets it. @returns true: written by itself, a run would come too early. */
  isEarly(publication: Publication): boolean {
    if (publication !== this.#publication || publication.payload !== this.#payload) {
      this.#publication = publication
      this.#payload = publication.payload
      this.#copies = 0
      this.run = null
    }
    this.#copies += 1
    return this.#copies <= COPIES_BEFORE
  }

  /** @param own what the connection refers to already, up to `ownEnd`; null: nothing. */
  hasCopy(publication: Publication, delivery: Delivery, own: SharedRun | null, ownEnd: number): boolean {
    if (delivery.qos !== 0 || delivery.topicAlias !== 0 || delivery.subscriptionIdentifiers !== null) return false
    if (this.run === null) return this.#begin(publication, delivery, own, ownEnd)
    return delivery.retain === this.#retain && delivery.messageExpiryIntervalSec === this.#expirySec
  }

  giveBack(writer: PacketWriter): void {
    this.#pool.giveBack(this.#codec, this.#protocolLevel, writer)
  }

  #begin(publication: Publication, delivery: Delivery, own: SharedRun | null, ownEnd: number): boolean {
    // It has gone on without this connection: perhaps another one has all of it.
    if (own !== null && (!own.isOpen || own.byteLength !== ownEnd)) return false
    const run = own ?? new SharedRun(this, this.#pool.take(this.#codec, this.#protocolLevel))
    this.from = run.byteLength
    run.append(publication, delivery)
    this.to = run.byteLength
    this.run = run
    this.#retain = delivery.retain
    this.#expirySec = delivery.messageExpiryIntervalSec
    return true
  }
}
