/**
 * What the native protocol says about one producer's stream, answer by answer: the sequence never goes back behind what
 * was answered, the digest is that of the messages as they were sent, refusals are those that were due, a batch that is
 * to be taken whole is not taken in part. Each method returns what is wrong.
 */
import { createHash } from 'node:crypto'
import type { ProducerRefusal } from '../../../src/protocol/packets.js'

export interface StreamAnswer {
  readonly sequence: number
  readonly digest: Uint8Array | null
  readonly refusals: readonly ProducerRefusal[]
}

export class ProducerStream {
  readonly #digest = new Digest()
  /** Digest(n), by n. */
  readonly #digests: string[] = [this.#digest.now()]
  /** Reason codes by sequence; 0: it is to be taken; -1: nobody can know. */
  readonly #verdicts: number[] = [0]
  readonly #batches: { readonly first: number; readonly last: number }[] = []
  #answered = 0
  #epoch = 0

  /** Numbered 1, 2, 3 … as they are appended. @param verdict 0 accepted · a reason code · -1 not known. */
  append(encoded: Uint8Array, verdict: number): void {
    this.#digest.update(encoded)
    this.#digests.push(this.#digest.now())
    this.#verdicts.push(verdict)
  }

  /** These go in one packet, whole or not at all. */
  batch(first: number, last: number): void {
    this.#batches.push({ first, last })
  }

  get length(): number {
    return this.#digests.length - 1
  }
  /** Everything up to it was answered. */
  get answered(): number {
    return this.#answered
  }

  digestAt(sequence: number): Uint8Array {
    return new Uint8Array(Buffer.from(this.#digests[sequence] as string, 'hex'))
  }

  /** @param confirmed what PRODUCER_OPEN named: refusals up to it may have been forgotten. */
  opened(answer: StreamAnswer & { readonly epoch: number }, confirmed: number): string | null {
    if (answer.epoch <= this.#epoch) return `epoch ${answer.epoch} came after ${this.#epoch}`
    this.#epoch = answer.epoch
    return this.#judge(answer, confirmed + 1, answer.sequence)
  }

  produced(answer: StreamAnswer, first: number, last: number, confirmed: number): string | null {
    if (answer.sequence < last) return `${first} to ${last} were answered with sequence ${answer.sequence}`
    return this.#judge(answer, Math.max(first, confirmed + 1), last)
  }

  #judge({ sequence, digest, refusals }: StreamAnswer, first: number, last: number): string | null {
    if (sequence < this.#answered) return `sequence ${sequence}, but ${this.#answered} was answered before`
    if (sequence > this.length) return `sequence ${sequence}, but only ${this.length} were ever sent`
    if (Buffer.from(digest ?? []).toString('hex') !== this.#digests[sequence]) return `another digest at ${sequence}`
    if (this.#batches.some((batch) => sequence >= batch.first && sequence < batch.last)) {
      return `the batch around sequence ${sequence} was taken in part`
    }
    this.#answered = sequence
    return this.#judgeRefusals(refusals, first, last)
  }

  #judgeRefusals(refusals: readonly ProducerRefusal[], first: number, last: number): string | null {
    const told = new Map(refusals.map((refusal) => [refusal.sequence, refusal.reasonCode]))
    for (let sequence = first; sequence <= last; sequence += 1) {
      const verdict = this.#verdicts[sequence] as number
      const answer = told.get(sequence) ?? 0
      if (verdict >= 0 && answer !== verdict) return `${sequence} was answered ${answer} where ${verdict} was due`
    }
    return null
  }
}

const BLOCK_BYTES = 512

/** As the page of the native protocol says it, and not as the broker computes it: a chain over blocks of 512 bytes. */
class Digest {
  #chained = Buffer.alloc(32)
  #rest = Buffer.alloc(0)

  update(bytes: Uint8Array): void {
    this.#rest = Buffer.concat([this.#rest, bytes])
    while (this.#rest.length >= BLOCK_BYTES) {
      this.#chained = sha256(this.#chained, this.#rest.subarray(0, BLOCK_BYTES))
      this.#rest = this.#rest.subarray(BLOCK_BYTES)
    }
  }

  now(): string {
    return sha256(this.#chained, this.#rest).toString('hex')
  }
}

function sha256(...parts: Uint8Array[]): Buffer<ArrayBuffer> {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest() as Buffer<ArrayBuffer>
}
