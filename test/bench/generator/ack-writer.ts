/**
 * The acknowledgements that one read of a connection asks for, gathered and written once at its end. One buffer serves
 * all connections, because they are read one after the other.
 */
import type { Connection } from './connection.js'
import { CLIENT_HEAD_BYTES_MAX, clientHeadBytes, maskInPlace, writeClientHead } from './web-socket-frames.js'
import { idCount, type Wire } from './wire.js'

const BUFFER_BYTES = 1 << 17
let buffer = new Uint8Array(BUFFER_BYTES)
let end = CLIENT_HEAD_BYTES_MAX

export class AckWriter {
  readonly #connection: Connection
  readonly #wire: Wire
  /** A range that still grows; 0: none. */
  #type = 0
  #first = 0
  #last = 0

  constructor(connection: Connection, wire: Wire) {
    this.#connection = connection
    this.#wire = wire
  }

  add(type: number, first: number, last: number): void {
    if (this.#type === type && first === (this.#last === 65_535 ? 1 : this.#last + 1)) {
      this.#last = last
      return
    }
    this.#append()
    this.#type = type
    this.#first = first
    this.#last = last
  }

  flush(): void {
    this.#append()
    if (end === CLIENT_HEAD_BYTES_MAX) return
    let start = CLIENT_HEAD_BYTES_MAX
    if (this.#connection.isWebSocket) {
      const length = end - start
      maskInPlace(buffer, start, end)
      start -= clientHeadBytes(length)
      writeClientHead(buffer, start, length)
    }
    this.#connection.write(buffer.subarray(start, end))
    end = CLIENT_HEAD_BYTES_MAX
    // The kernel did not take all of it: those bytes must stay as they are.
    if (this.#connection.pendingBytes > 0) buffer = new Uint8Array(BUFFER_BYTES)
  }

  /** Where there are no ranges, each id of one is a packet. */
  #append(): void {
    if (this.#type === 0) return
    const { ackBytes, isRanged } = this.#wire
    const type = this.#type
    this.#type = 0
    for (let first = this.#first; ; ) {
      const room = Math.floor((BUFFER_BYTES - end) / ackBytes)
      const left = idCount(first, this.#last)
      const count = isRanged ? left : Math.min(left, room)
      if (room > 0) {
        const last = ((first + count - 2) % 65_535) + 1
        end = this.#wire.writeAck(buffer, end, type, first, last)
        if (last === this.#last) return
        first = last === 65_535 ? 1 : last + 1
      }
      this.flush()
    }
  }
}
