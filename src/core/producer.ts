/**
 * One producer: a stream of messages that are numbered without gaps by whoever sends them, whatever connection they
 * come on. It lives as long as the database. What may happen to it is decided in `producers.ts`.
 */
import { assert } from '../base/assert.js'
import type { StreamDigest } from '../base/stream-digest.js'
import type { ProducerRefusal } from '../protocol/packets.js'
import type { ClientConnection } from './connection.js'

/** One opening of a producer, under the name that the connection gave it. */
export interface OpenProducer {
  readonly producer: Producer
  readonly connection: ClientConnection
  readonly handle: number
  /** Somebody opened it after this: nothing that comes here is stored. */
  isFenced: boolean
}

export class Producer {
  /** 16 bytes. */
  readonly producerId: Uint8Array
  /** Who opened it first; null: no name, so anybody may. */
  readonly username: string | null
  /** Counts the openings. */
  epoch = 0
  /** Of the last message that is stored or refused. Always `accepted` + `refused`. */
  sequence = 0
  accepted = 0
  refused = 0
  /** Over the bytes of every message up to `sequence`, as they came. */
  digest: StreamDigest
  /** Not confirmed by the client yet; ascending. */
  readonly refusals: ProducerRefusal[] = []
  open: OpenProducer | null = null
  /** Journal record as of which its row is on disk; 0: no row. */
  rowRecord = 0
  /** First record with a fact that the row lacks; 0: none. */
  dirtySince = 0
  /** Its row is in the commit under way, so the disk cannot be asked for it yet. */
  isSealed = false

  /** @param digest of what came so far: of nothing, for a new one. */
  constructor(producerId: Uint8Array, username: string | null, digest: StreamDigest) {
    assert(producerId.length === 16, 'a producer id has 16 bytes')
    this.producerId = producerId
    this.username = username
    this.digest = digest
  }

  refuse(refusal: ProducerRefusal): void {
    const last = this.refusals[this.refusals.length - 1]
    assert(refusal.sequence > (last?.sequence ?? 0), 'refusals ascend')
    this.refusals.push(refusal)
  }

  /** The client has the outcome of everything up to `sequence` on its own disk: refusals among it are forgotten. */
  confirm(sequence: number): void {
    assert(sequence <= this.sequence, 'what is confirmed was told')
    const kept = this.refusals.findIndex((refusal) => refusal.sequence > sequence)
    this.refusals.splice(0, kept < 0 ? this.refusals.length : kept)
  }
}
