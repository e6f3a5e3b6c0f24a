/**
 * RFC 6455 for a client that loads a broker: frames found in place, their payload handed on in pieces, and heads for
 * frames that are sent. The mask is one byte four times, so that prebuilt bytes can be patched anywhere; for the broker
 * it is as much work as any other.
 */

const CONTINUATION = 0
const BINARY = 2
const CLOSE = 8
const PING = 9
const HEAD_BYTES_MAX = 10
/** A client's frame has a mask behind that. */
export const CLIENT_HEAD_BYTES_MAX = 14
export const MASK = 0x5a

export interface FrameSink {
  /** A piece of a binary message. */
  onMessageBytes(data: Uint8Array, start: number, end: number): void
  onPing(): void
  onClose(): void
}

export class FrameStream {
  readonly #sink: FrameSink
  readonly #head = new Uint8Array(HEAD_BYTES_MAX)
  #headBytes = 0
  #payloadLeft = 0
  #opcode = 0
  frames = 0

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  feed(data: Uint8Array, start: number, end: number): void {
    let at = start
    while (at < end) {
      if (this.#payloadLeft === 0) {
        at = this.#headBytes === 0 ? this.#readHead(data, at, end) : this.#completeHead(data, at, end)
        if (at < 0) return
        if (this.#opcode === CLOSE) this.#sink.onClose()
        else if (this.#opcode === PING) this.#sink.onPing()
      }
      const pieceEnd = Math.min(end, at + this.#payloadLeft)
      this.#payloadLeft -= pieceEnd - at
      const isMessage = this.#opcode === BINARY || this.#opcode === CONTINUATION
      if (isMessage && pieceEnd > at) this.#sink.onMessageBytes(data, at, pieceEnd)
      at = pieceEnd
    }
  }

  /** @returns where the payload begins; -1: the head was not complete, and is kept. */
  #readHead(data: Uint8Array, at: number, end: number): number {
    const payloadAt = this.#parseHead(data, at, end)
    if (payloadAt >= 0) return payloadAt
    this.#head.set(data.subarray(at, end))
    this.#headBytes = end - at
    return -1
  }

  #completeHead(data: Uint8Array, at: number, end: number): number {
    const kept = this.#headBytes
    const added = Math.min(HEAD_BYTES_MAX - kept, end - at)
    this.#head.set(data.subarray(at, at + added), kept)
    const payloadAt = this.#parseHead(this.#head, 0, kept + added)
    this.#headBytes = payloadAt < 0 ? kept + added : 0
    return payloadAt < 0 ? -1 : at + payloadAt - kept
  }

  #parseHead(data: Uint8Array, at: number, end: number): number {
    if (end - at < 2) return -1
    const short = data[at + 1] as number
    if (short > 127) throw new Error('a masked frame from a server')
    const lengthBytes = short < 126 ? 0 : short === 126 ? 2 : 8
    if (end - at < 2 + lengthBytes) return -1
    let length = lengthBytes === 0 ? short : 0
    for (let index = 0; index < lengthBytes; index += 1) length = length * 256 + (data[at + 2 + index] as number)
    this.#opcode = (data[at] as number) & 15
    this.#payloadLeft = length
    this.frames += 1
    return at + 2 + lengthBytes
  }
}

export function clientHeadBytes(length: number): number {
  return length < 126 ? 6 : length < 65_536 ? 8 : CLIENT_HEAD_BYTES_MAX
}

/** The head of a client's frame, which ends with the mask. @returns where the payload begins. */
export function writeClientHead(target: Uint8Array, at: number, length: number, opcode = BINARY): number {
  target[at] = 0x80 | opcode
  let end = at + 2
  if (length < 126) target[at + 1] = 0x80 | length
  else {
    const lengthBytes = length < 65_536 ? 2 : 8
    target[at + 1] = 0x80 | (lengthBytes === 2 ? 126 : 127)
    for (let index = lengthBytes - 1, rest = length; index >= 0; index -= 1, rest = Math.floor(rest / 256)) {
      target[at + 2 + index] = rest & 255
    }
    end += lengthBytes
  }
  target.fill(MASK, end, end + 4)
  return end + 4
}

export function maskInPlace(target: Uint8Array, start: number, end: number): void {
  for (let at = start; at < end; at += 1) target[at] = (target[at] as number) ^ MASK
}
