/**
 * What one connection still has to send, in up to three boxes of encoded packets:
 *
 *   now ─────────────────────────────────────────────▶ flush, at the end of the turn
 *   held open ──seal──▶ held sealed ──release──▶ now
 *   (record filling)    (record in flight)      (record durable)
 *
 * Within a box the order is kept. CONNACK waits for a commit but must come first, so from its arrival until its release
 * everything that would leave at once queues up behind it (`barrier`). What many connections are sent alike is not
 * copied into the first box but referred to, as long as nothing else is in it (`shared-run.ts`).
 */
import type { Codec, Delivery, PacketWriter, Publication, WrittenBytes } from '../protocol/codec.js'
import { FRAME_HEADROOM } from '../protocol/codec.js'
import type { ProtocolLevel } from '../protocol/packets.js'
import type { Promises } from './promises.js'
import type { SharedRun, SharedRuns } from './shared-run.js'
import type { WriterPool } from './writer-pool.js'

type Box = 'none' | 'open' | 'sealed'

export class Outbox {
  readonly #pool: WriterPool
  readonly #codec: Codec
  /** Known once CONNECT has been read, and never changed while packets wait. */
  #protocolLevel: ProtocolLevel = 5
  #runs: SharedRuns | null = null
  /** Leaves before everything else: a part of what others are sent too. */
  #run: SharedRun | null = null
  #runFrom = 0
  #runTo = 0
  #now: PacketWriter | null = null
  /** Released while `now` already held something: leaves behind it, and what comes next goes behind this. */
  #behind: PacketWriter | null = null
  #open: PacketWriter | null = null
  #sealed: PacketWriter | null = null
  #barrier: Box = 'none'
  /** Publications that packets in the held boxes say are safe; `#sealedCommit` is the commit that they are in. */
  #openPromises = 0
  #sealedPromises = 0
  #sealedCommit = 0

  constructor(pool: WriterPool, codec: Codec) {
    this.#pool = pool
    this.#codec = codec
  }

  get byteLength(): number {
    let bytes = this.#runTo - this.#runFrom
    if (this.#now !== null) bytes += this.#now.byteLength
    if (this.#behind !== null) bytes += this.#behind.byteLength
    if (this.#open !== null) bytes += this.#open.byteLength
    if (this.#sealed !== null) bytes += this.#sealed.byteLength
    return bytes
  }

  get hasBarrier(): boolean {
    return this.#barrier !== 'none'
  }

  /** For what leaves at the end of the turn. */
  writerNow(protocolLevel: ProtocolLevel): PacketWriter {
    if (this.#barrier === 'open') return this.writerAfterCommit(protocolLevel)
    if (this.#barrier === 'sealed' && this.#sealed !== null) return this.#sealed
    if (this.#behind !== null) return this.#behind
    this.#now ??= this.#take(protocolLevel)
    return this.#now
  }

  /**
   * A publication that leaves at the end of the turn, for `writerNow` if it is the only one of its kind.
   * @returns bytes in common with others so far; 0: `writerNow` has to write it.
   */
  share(protocolLevel: ProtocolLevel, publication: Publication, delivery: Delivery): number {
    this.#runs ??= this.#pool.runs(this.#codec, protocolLevel)
    const runs = this.#runs
    if (runs.isEarly(publication)) return 0
    if (this.#now !== null || this.#behind !== null || this.#barrier !== 'none') return 0
    const own = this.#run
    if (!runs.hasCopy(publication, delivery, own, this.#runTo)) return 0
    if (own === null) {
      this.#run = runs.run
      this.#runFrom = runs.from
    } else if (own !== runs.run || this.#runTo !== runs.from) {
      return 0
    }
    this.#runTo = runs.to
    return this.#runTo - this.#runFrom
  }

  /** For what leaves when everything in the journal up to now is durable. */
  writerAfterCommit(protocolLevel: ProtocolLevel): PacketWriter {
    this.#open ??= this.#take(protocolLevel)
    return this.#open
  }

  /** What was written for after the commit says that so many publications are safe. */
  promise(count: number): void {
    this.#openPromises += count
  }

  raiseBarrier(): void {
    this.#barrier = 'open'
  }

  /** The open record goes to the store. */
  seal(commit: number): void {
    this.#sealed = this.#open
    this.#open = null
    this.#sealedPromises = this.#openPromises
    this.#openPromises = 0
    this.#sealedCommit = commit
    if (this.#barrier === 'open') this.#barrier = 'sealed'
  }

  /** The sealed record is durable. */
  releaseSealed(promises: Promises): void {
    promises.released(this.#sealedPromises, this.#sealedCommit)
    this.#sealedPromises = 0
    if (this.#barrier === 'sealed') this.#barrier = 'none'
    const sealed = this.#sealed
    this.#sealed = null
    this.#release(sealed)
  }

  /** Nothing needs to become durable, so nothing has to wait. @param commit that holds what was promised. */
  releaseOpen(promises: Promises, commit: number): void {
    promises.released(this.#openPromises, commit)
    this.#openPromises = 0
    if (this.#barrier === 'open') this.#barrier = 'none'
    const open = this.#open
    this.#open = null
    this.#release(open)
  }

  /** True when the next `releaseSealed` or `releaseOpen` needs `take` first. */
  get isFull(): boolean {
    return this.#now !== null && this.#behind !== null
  }

  /** What leaves now, as one buffer; null: nothing. */
  take(): WrittenBytes | null {
    const first = this.#empty(this.#now)
    const second = this.#empty(this.#behind)
    this.#now = null
    this.#behind = null
    const own = first === null || second === null ? (first ?? second) : joined(first, second)
    if (this.#run === null) return own
    const shared = this.#run.take(this.#runFrom, this.#runTo)
    this.#forgetRun()
    return own === null ? shared : joined(shared, own)
  }

  /** Nothing that waits for a commit will leave any more. */
  discardHeld(): void {
    this.#empty(this.#open)
    this.#empty(this.#sealed)
    this.#open = null
    this.#sealed = null
    this.#openPromises = 0
    this.#sealedPromises = 0
    this.#barrier = 'none'
  }

  discard(): void {
    this.discardHeld()
    this.#forgetRun()
    this.take()
  }

  #forgetRun(): void {
    this.#run = null
    this.#runFrom = 0
    this.#runTo = 0
  }

  #release(writer: PacketWriter | null): void {
    if (writer === null) return
    if (this.#now === null) this.#now = writer
    else this.#behind = writer
  }

  #take(protocolLevel: ProtocolLevel): PacketWriter {
    this.#protocolLevel = protocolLevel
    return this.#pool.take(this.#codec, protocolLevel)
  }

  #empty(writer: PacketWriter | null): WrittenBytes | null {
    if (writer === null) return null
    const written = writer.take()
    this.#pool.giveBack(this.#codec, this.#protocolLevel, writer)
    return written
  }
}

function joined(first: WrittenBytes, second: WrittenBytes): WrittenBytes {
  const firstBytes = first.buffer.length - first.headroom
  const secondBytes = second.buffer.length - second.headroom
  const buffer = new Uint8Array(FRAME_HEADROOM + firstBytes + secondBytes)
  buffer.set(first.buffer.subarray(first.headroom), FRAME_HEADROOM)
  buffer.set(second.buffer.subarray(second.headroom), FRAME_HEADROOM + firstBytes)
  return { buffer, headroom: FRAME_HEADROOM }
}
