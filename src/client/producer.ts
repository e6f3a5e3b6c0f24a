/**
 * A producer over any number of connections: what is in its outbox goes out in order, and what the broker has answered
 * is noted there. Decides what to drop, what to send again, and when to stop, from sequences and digests alone.
 *
 *   waiting ──connection──▶ opening ──PRODUCER_OPENED──▶ settling ──▶ open        any of them ──▶ ended, for good
 *      ▲                       ▲      (compares digests,               │
 *      └────connection lost────┼── reads what is missing)              │
 *                              └───── something was not taken ◀────────┘
 *
 * A message is durable in the outbox before it is sent (`ProducerLog`), and is sent again until PRODUCED covers it. The
 * digest of every answer is compared with our own: the broker has what we have, or we stop.
 */
import { StreamDigest } from '../base/stream-digest.js'
import { joinMessages, messageValues, PRODUCE_VALUES_MAX } from '../protocol/msgpack/produce.js'
import {
  type Packet,
  PacketType,
  type ProducedPacket,
  type ProducerOpenedPacket,
  ProducerReason,
  type ProducerRefusal,
} from '../protocol/packets.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import { Fifo } from './fifo.js'
import { ProducerLog } from './producer-log.js'
import type { PreparedMessage, ProducerOutbox, ProducerRow } from './producer-outbox.js'
import type { ProducerProgress } from './producer-progress.js'
import { producerRefused } from './producer-errors.js'
import { TallyError } from './tally-error.js'
import type { Timers } from '../base/clock.js'

/** What it needs of a connection. */
export interface ProducerLink {
  readonly isFull: boolean
  write(packet: Packet): void
}

export interface ProducerSettings {
  readonly outbox: ProducerOutbox
  readonly timers: Timers
  readonly handle: number
  readonly ackedRowsKeptMs: number
  readonly windowMessagesMax: number
  readonly windowBytesMax: number
  /** Every refusal, in order; `isAwaited`: the promise of its `publish` is rejected too. */
  readonly refused: (refusal: ProducerRefusal, isAwaited: boolean) => void
  /** What nobody's promise is told. */
  readonly report: (error: TallyError) => void
  /** The broker and we agree; at the first opening of many. */
  readonly opened: () => void
  readonly ended: (error: TallyError) => void
}

/** More in one packet gains nothing, and less waits for the first answer. */
const PACKET_MESSAGES_MAX = 512
const PACKET_BYTES_MAX = 65_536
/** Array, type, handle, sequences, isAtomic, header of the list. */
const PACKET_HEAD_BYTES = 32
/** Openings without any progress in between. */
const REOPENINGS_MAX = 3

type State = 'waiting' | 'opening' | 'settling' | 'open' | 'ended'

export class ProducerStream {
  readonly log: ProducerLog
  readonly #settings: ProducerSettings
  readonly #progress: ProducerProgress
  #state: State = 'waiting'
  #failure: TallyError | null = null
  #link: ProducerLink | null = null
  #maximumPacketSize = Number.POSITIVE_INFINITY
  /** Rows behind `answered`, without a gap: those that are out on this connection, then those that may go. */
  #sent = new Fifo<ProducerRow>()
  #ready = new Fifo<ProducerRow>()
  /** Bytes of both. */
  #loadedBytes = 0
  #loadedSequence: number
  #sentSequence: number
  /** Reads of the outbox under way; one that an opening has overtaken may still run beside the next. */
  #reads = 0
  /** Grows with every opening and its end: whoever waited for the store sees that it is too late. */
  #opening = 0
  #reopenings = 0

  constructor(settings: ProducerSettings, progress: ProducerProgress, lastSequence: number) {
    this.#settings = settings
    this.#progress = progress
    this.#loadedSequence = progress.answered
    this.#sentSequence = progress.answered
    this.log = new ProducerLog({
      ...settings,
      progress,
      lastSequence,
      appended: (rows) => this.#appended(rows),
      failed: (error) => this.#stop(error),
    })
  }

  get failure(): TallyError | null {
    return this.#failure
  }

  /** @throws TallyError PUBLISH_REFUSED when no packet for this broker can hold them. */
  checkSize(messages: readonly PreparedMessage[]): void {
    let bytes = PACKET_HEAD_BYTES
    for (const message of messages) bytes += message.bytes.length
    if (bytes <= this.#maximumPacketSize) return
    const text = `it takes ${bytes} bytes, the broker takes ${this.#maximumPacketSize} in one packet`
    throw new TallyError('PUBLISH_REFUSED', text, { reasonCode: ReasonCode.PACKET_TOO_LARGE })
  }

  connected(link: ProducerLink, maximumPacketSize: number): void {
    if (this.#state === 'ended') return
    this.#link = link
    this.#maximumPacketSize = maximumPacketSize
    this.#open()
  }

  disconnected(): void {
    this.#link = null
    if (this.#state === 'ended') return
    this.#state = 'waiting'
    this.#opening += 1
  }

  end(error: TallyError): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#failure = error
    this.#opening += 1
    this.#sent.clear()
    this.#ready.clear()
    this.log.end(error)
    this.#settings.ended(error)
  }

  receiveOpened(packet: ProducerOpenedPacket): void {
    if (this.#state !== 'opening') return
    if (packet.reasonCode !== ProducerReason.SUCCESS) {
      this.#stop(producerRefused(packet.reasonCode, packet.reasonString))
      return
    }
    this.#state = 'settling'
    this.#settle(packet, this.#opening).catch((cause: unknown) => {
      this.#stop(new TallyError('OUTBOX_FAILED', 'the outbox could not be read', { cause }))
    })
  }

  receiveProduced(packet: ProducedPacket): void {
    // Answers to what was sent before the last opening; PRODUCER_OPENED has said all of it.
    if (this.#state !== 'open') return
    const { reasonCode, sequence } = packet
    if (reasonCode === ProducerReason.UNCONFIRMED_REFUSALS || reasonCode === ProducerReason.SEQUENCE_GAP) {
      void this.#reopen(packet)
      return
    }
    if (reasonCode !== ProducerReason.SUCCESS) {
      this.#stop(producerRefused(reasonCode, packet.reasonString))
      return
    }
    if (sequence < this.#progress.answered || sequence > this.#sentSequence) {
      const sent = `${this.#progress.answered} to ${this.#sentSequence}`
      this.#stop(new TallyError('PROTOCOL_ERROR', `the broker acknowledged ${sequence}; out are ${sent}`))
      return
    }
    while (this.#progress.answered < sequence) this.#take(this.#sent)
    if (this.#agrees(packet.digest)) this.#answered(packet.refusals)
  }

  /** Sends what the window, the output buffer and the outbox have. */
  pump(): void {
    const { windowMessagesMax, windowBytesMax } = this.#settings
    while (this.#state === 'open' && this.#link !== null && !this.#link.isFull) {
      if (this.#sent.length >= windowMessagesMax) return
      const rows = this.#nextPacket()
      if (rows === null) break
      const [first] = rows as [ProducerRow]
      for (const row of rows) this.#sent.push(row)
      this.#sentSequence = first.sequence + rows.length - 1
      this.#link.write({
        type: PacketType.PRODUCE,
        handle: this.#settings.handle,
        firstSequence: first.sequence,
        confirmedSequence: this.#progress.confirmed,
        isAtomic: first.batchRest > 0,
        // The writer needs the bytes only; decoding them again for it would be waste.
        messages: [],
        ...joinMessages(rows.map((row) => row.bytes)),
      })
    }
    if (this.#state !== 'open' || this.#loadedSequence >= this.log.lastSequence) return
    const isBatchCut = this.#ready.length > 0 && this.#ready.length <= (this.#ready.peek()?.batchRest ?? 0)
    const hasRoom = this.#ready.length < windowMessagesMax && this.#loadedBytes < windowBytesMax
    if (isBatchCut || hasRoom) void this.#load()
  }

  /** @returns rows that go together, taken from those that may go. null: there are none, or a batch is not whole. */
  #nextPacket(): readonly ProducerRow[] | null {
    const first = this.#ready.peek()
    if (first === undefined) return null
    const isBatch = first.batchRest > 0
    if (isBatch && this.#ready.length <= first.batchRest) return null
    const rows: ProducerRow[] = []
    let bytes = PACKET_HEAD_BYTES
    let values = 0
    for (let row: ProducerRow | undefined = first; row !== undefined; row = this.#ready.peek()) {
      if (!isBatch && rows.length > 0) {
        const isFull = rows.length >= PACKET_MESSAGES_MAX || bytes + row.bytes.length > this.#packetBytesMax
        if (isFull || row.batchRest > 0 || values + messageValues(row.bytes) > PRODUCE_VALUES_MAX) break
      }
      bytes += row.bytes.length
      values += messageValues(row.bytes)
      rows.push(row)
      this.#ready.shift()
      if (isBatch && row.batchRest === 0) break
    }
    if (bytes <= this.#maximumPacketSize) return rows
    const what = isBatch ? `the batch from ${first.sequence} on` : `message ${first.sequence}`
    const size = `${bytes} bytes, the broker takes ${this.#maximumPacketSize} in one packet`
    this.#stop(
      new TallyError('PRODUCER_REFUSED', `${what} has ${size}; it stays in the outbox`, {
        reasonCode: ReasonCode.PACKET_TOO_LARGE,
      }),
    )
    return null
  }

  get #packetBytesMax(): number {
    return Math.min(PACKET_BYTES_MAX, this.#maximumPacketSize)
  }

  #open(): void {
    this.#opening += 1
    this.#state = 'opening'
    const { confirmed, confirmedDigest, producerId } = this.#progress
    this.#link?.write({
      type: PacketType.PRODUCER_OPEN,
      handle: this.#settings.handle,
      producerId,
      confirmedSequence: confirmed,
      digest: confirmedDigest,
    })
  }

  /** What was sent was not taken: our disk first catches up with what the broker has said, then we ask where it is. */
  async #reopen(packet: ProducedPacket): Promise<void> {
    this.#reopenings += 1
    if (this.#reopenings > REOPENINGS_MAX) {
      this.#stop(producerRefused(packet.reasonCode, packet.reasonString))
      return
    }
    this.#state = 'settling'
    this.#opening += 1
    const opening = this.#opening
    try {
      await this.log.saved()
    } catch {
      // The producer has ended, and its owner has been told.
      return
    }
    if (this.#opening === opening) this.#open()
  }

  /** Brings our half to where the broker is: drops what it has, or goes back to what it lost. */
  async #settle(packet: ProducerOpenedPacket, opening: number): Promise<void> {
    const { sequence, digest } = packet
    const progress = this.#progress
    this.#unsend()
    if (sequence < progress.answered && !(await this.#rewind(packet, opening))) return
    while (progress.answered < sequence) {
      if (this.#ready.length === 0) await this.#read()
      if (this.#opening !== opening) return
      if (this.#ready.length === 0) {
        const text = `the broker has ${sequence} messages of this producer, its outbox only ${progress.answered}`
        this.#stop(new TallyError('DIVERGED', `${text}: the outbox was restored, or is used twice`))
        return
      }
      this.#take(this.#ready)
    }
    if (!this.#agrees(digest)) return
    this.#sentSequence = sequence
    this.#state = 'open'
    this.#settings.opened()
    this.#answered(packet.refusals)
  }

  /** The broker has less than it acknowledged. @returns whether our half is back to where the broker is. */
  async #rewind({ sequence, digest }: ProducerOpenedPacket, opening: number): Promise<boolean> {
    const progress = this.#progress
    const { answered } = progress
    const lost = `the broker lost what it had acknowledged: ${sequence + 1} to ${answered}`
    const mark = progress.markBefore(sequence)
    const hash = mark === undefined ? null : StreamDigest.restored(mark.midstate)
    let reached = mark?.sequence ?? 0
    while (hash !== null && reached < sequence) {
      const rows = await this.#settings.outbox.read(reached, sequence - reached, this.#settings.windowBytesMax)
      if (this.#opening !== opening) return false
      if (rows.length === 0) break
      for (const row of rows) hash.update(row.bytes)
      reached = (rows.at(-1) as ProducerRow).sequence
    }
    if (hash === null || reached !== sequence) {
      this.#stop(new TallyError('BROKER_LOST_DATA', `${lost}; the outbox no longer has them`))
      return false
    }
    this.#ready.clear()
    this.#loadedBytes = 0
    this.#loadedSequence = sequence
    progress.rewind(sequence, hash)
    if (!this.#agrees(digest)) return false
    // Durable first: a later opening must not claim what the broker no longer has.
    this.log.rewound()
    await this.log.saved()
    if (this.#opening !== opening) return false
    this.#settings.report(new TallyError('BROKER_LOST_DATA', `${lost}; they are sent again`, { retryable: true }))
    return true
  }

  /** What is out may not have arrived. */
  #unsend(): void {
    const rows = this.#sent
    for (let row = this.#ready.shift(); row !== undefined; row = this.#ready.shift()) rows.push(row)
    this.#sent = new Fifo()
    this.#ready = rows
  }

  #take(from: Fifo<ProducerRow>): void {
    const row = from.shift() as ProducerRow
    this.#loadedBytes -= row.bytes.length
    this.#progress.advance(row)
    this.#reopenings = 0
  }

  #agrees(digest: Uint8Array | null): boolean {
    const own = this.#progress.digest()
    if (digest !== null && own.every((byte, index) => byte === digest[index])) return true
    const text = `the broker has other messages than the outbox up to ${this.#progress.answered}`
    this.#stop(new TallyError('DIVERGED', `${text}: the outbox was restored, or is used twice`))
    return false
  }

  #answered(refusals: readonly ProducerRefusal[]): void {
    this.log.answered(refusals)
    this.pump()
  }

  /** A commit is done; its rows may go at once if nothing in the outbox stands before them. */
  #appended(rows: readonly ProducerRow[]): void {
    if (this.#state === 'ended') return
    for (const row of rows) {
      const isNext = row.sequence === this.#loadedSequence + 1 && this.#reads === 0
      if (!isNext || this.#loadedBytes >= this.#settings.windowBytesMax) break
      this.#push(row)
    }
    this.pump()
  }

  async #load(): Promise<void> {
    if (this.#reads > 0) return
    const from = this.#loadedSequence
    const opening = this.#opening
    try {
      await this.#read()
    } catch (cause) {
      this.#stop(new TallyError('OUTBOX_FAILED', 'the outbox could not be read', { cause }))
      return
    }
    if (this.#opening === opening && this.#loadedSequence === from) {
      this.#stop(new TallyError('OUTBOX_FAILED', `the outbox has no row ${from + 1}, but later ones`))
    }
    this.pump()
  }

  /** Rows behind the last loaded one; a batch may need more of them than the window has. */
  async #read(): Promise<void> {
    const { outbox, windowMessagesMax, windowBytesMax } = this.#settings
    const opening = this.#opening
    this.#reads += 1
    try {
      const batchRest = this.#ready.peek()?.batchRest ?? 0
      const rows = await outbox.read(this.#loadedSequence, Math.max(windowMessagesMax, batchRest), windowBytesMax)
      // A rewind meanwhile has begun from another place.
      if (this.#opening === opening) for (const row of rows) this.#push(row)
    } finally {
      this.#reads -= 1
    }
  }

  #push(row: ProducerRow): void {
    if (row.sequence !== this.#loadedSequence + 1) {
      const text = `the outbox gave row ${row.sequence} where ${this.#loadedSequence + 1} comes next`
      this.#stop(new TallyError('OUTBOX_FAILED', text))
      return
    }
    this.#ready.push(row)
    this.#loadedBytes += row.bytes.length
    this.#loadedSequence = row.sequence
  }

  /** Nothing the application does can make this go on by itself, so it is told, whoever asked. */
  #stop(error: TallyError): void {
    if (this.#state === 'ended') return
    this.end(error)
    this.#settings.report(error)
  }
}
