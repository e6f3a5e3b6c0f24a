/**
 * The digest of a stream that may be put down and taken up again, made of whole calls of SHA-256: the stream is cut
 * into blocks of 512 bytes; H(0) is 32 zero bytes, H(k) = SHA-256(H(k-1), block k), and the digest is SHA-256 of the
 * last H and the bytes behind its block, of which there may be none.
 *
 * Not SHA-256 over the whole: the state of that cannot be taken out of any platform's implementation, and one in
 * JavaScript takes twelve times as long (measured: 730 ns for a message of 86 bytes instead of 60), more than all else
 * that the broker does for it.
 */
import { assert } from './assert.js'
import { sha256 } from './sha256.js'

/** SHA-256: 32 bytes. What is given is not kept. */
export type Hash = (bytes: Uint8Array) => Uint8Array

const HASH_BYTES = 32
const BLOCK_BYTES = 512

export class StreamDigest {
  readonly #hash: Hash
  /** H, then the bytes that do not fill a block yet. */
  readonly #state = new Uint8Array(HASH_BYTES + BLOCK_BYTES)
  #end = HASH_BYTES

  /** @param hash the platform's; default: ours, in JavaScript. */
  constructor(hash: Hash = sha256) {
    this.#hash = hash
  }

  /** @param saved what `save` returned. */
  static restored(saved: Uint8Array, hash: Hash = sha256): StreamDigest {
    assert(saved.length >= HASH_BYTES && saved.length < HASH_BYTES + BLOCK_BYTES, 'a saved digest has 32 to 543 bytes')
    const digest = new StreamDigest(hash)
    digest.#state.set(saved)
    digest.#end = saved.length
    return digest
  }

  update(bytes: Uint8Array): this {
    const state = this.#state
    for (let at = 0; at < bytes.length; ) {
      const taken = Math.min(state.length - this.#end, bytes.length - at)
      state.set(taken === bytes.length ? bytes : bytes.subarray(at, at + taken), this.#end)
      this.#end += taken
      at += taken
      if (this.#end < state.length) return this
      state.set(this.#hash(state))
      this.#end = HASH_BYTES
    }
    return this
  }

  /** 32 bytes: of all that came so far. More may come. */
  digest(): Uint8Array {
    return this.#hash(this.#state.subarray(0, this.#end))
  }

  /** 32 to 543 bytes. */
  save(): Uint8Array {
    return this.#state.slice(0, this.#end)
  }
}
