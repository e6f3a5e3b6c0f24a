/**
 * Views of rows where LMDB has put them: for whoever reads a row at once and keeps nothing of it. One view serves all
 * rows of a length, because lmdb-js reads all of them into the same buffer, and a view costs more than what is read.
 */
import { FRAME_BYTES } from './value-frame.js'

/** Views of larger values are not kept. */
const VALUE_BYTES_MAX = 2_048

export class RowViews {
  /** By length, all of them into `#buffer`. */
  #views: Uint8Array[] = []
  #buffer: ArrayBufferLike | null = null
  #offset = 0

  /** The value in `framed`, until the next row is read. */
  of(framed: Uint8Array): Uint8Array {
    const { buffer, byteOffset } = framed
    const length = framed.length - FRAME_BYTES
    if (length > VALUE_BYTES_MAX) return new Uint8Array(buffer, byteOffset + FRAME_BYTES, length)
    if (this.#buffer !== buffer || this.#offset !== byteOffset) {
      // lmdb-js has taken a larger one.
      this.#buffer = buffer
      this.#offset = byteOffset
      this.#views = []
    }
    this.#views[length] ??= new Uint8Array(buffer, byteOffset + FRAME_BYTES, length)
    return this.#views[length]
  }
}
