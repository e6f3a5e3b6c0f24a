/**
 * Frames that come in, on a road around the stream that `ws` reads them through. A binary message in one frame, which
 * nearly every frame is, is unmasked where it lies and handed on, and a stream of packets gets the messages of a chunk
 * in one piece; the frame that a chunk breaks off waits here for its rest. Everything else goes to `ws` byte for byte:
 * pings, closes, text, fragments, breaches, messages above the bound. So its checks and limits stay the only ones.
 *
 * Stands in for the `write` of `ws`'s receiver, which is private to `ws` by agreement only; where the receiver is not
 * as expected (`canReadFrames`), nothing is put in its place.
 */
import { Writable } from 'node:stream'
import type { WebSocket } from 'ws'
import { webSocketInMemory } from './ws-frames.js'

interface Receiver extends Writable {
  readonly _state: number
  readonly _bufferedBytes: number
  readonly _fragmented: number
  readonly _maxPayload: number
  [INTAKE]?: WsIntake
}

export interface MessageReader {
  /** CONNECT has not been accepted, so the bound of the next message may be another. */
  readonly isNew: boolean
  received(bytes: Uint8Array): void
}

const INTAKE = Symbol('intake')
const FINAL_BINARY = 0x82
const MASKED = 0x80
const BETWEEN_FRAMES = 0
/** Of a frame that `ws` has the beginning of, and nobody knows the end. */
const UNKNOWN = -1
/** A buffer for a frame that was cut is born with this, or with as much as the frame has. */
const FRAME_BYTES_MIN = 256
const writeToStream = Writable.prototype.write as (this: Writable, bytes: Uint8Array) => boolean

/** Before the first byte has come. @param isStream messages may be joined. */
export function readAround(ws: WebSocket, reader: MessageReader, isStream: boolean): void {
  const receiver = (ws as unknown as { _receiver: Receiver | null })._receiver
  if (receiver === null) return
  receiver[INTAKE] = new WsIntake(receiver, reader, isStream)
  receiver.write = write as Receiver['write']
}

/** One function for all of them. What the receiver is given it takes at once, so that no socket ever has to wait. */
function write(this: Receiver, chunk: Buffer): boolean {
  this[INTAKE]?.write(chunk)
  return true
}

class WsIntake {
  readonly #receiver: Receiver
  readonly #reader: MessageReader
  readonly #isStream: boolean
  /** Bytes that belong to the frame that `ws` has the beginning of. */
  #missing = 0
  /** The beginning of a header, cut by the end of a chunk. */
  #head: Buffer | null = null
  /** The beginning of a binary message, cut by the end of a chunk; null: none. */
  #frame: Buffer | null = null
  #frameBytes = 0
  #frameEnd = 0

  constructor(receiver: Receiver, reader: MessageReader, isStream: boolean) {
    this.#receiver = receiver
    this.#reader = reader
    this.#isStream = isStream
  }

  write(chunk: Buffer): void {
    const head = this.#head
    this.#head = null
    const bytes = head === null ? chunk : Buffer.concat([head, chunk])
    let at = this.#frame === null ? 0 : this.#continueFrame(bytes)
    while (at < bytes.length && this.#receiver.writable) {
      if (this.#missing === 0) at = this.#readMessages(bytes, at)
      if (at === bytes.length) return
      const missing = this.#missing === 0 ? this.#frameLength(bytes, at) : this.#missing
      if (missing === 0) {
        this.#head = Buffer.from(bytes.subarray(at))
        return
      }
      const end = missing === UNKNOWN ? bytes.length : Math.min(at + missing, bytes.length)
      writeToStream.call(this.#receiver, bytes.subarray(at, end))
      if (missing !== UNKNOWN) this.#missing = missing - (end - at)
      else this.#missing = this.#isBetweenMessages ? 0 : UNKNOWN
      at = end
    }
  }

  /** As many as stand here, in one frame each; keeps one that is cut. @returns where the first other frame begins. */
  #readMessages(bytes: Buffer, start: number): number {
    if (!this.#isBetweenMessages) return start
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const words = wordsOf(bytes)
    const lengthMax = this.#receiver._maxPayload
    const isJoining = this.#isStream && !this.#reader.isNew
    let at = start
    let first = -1
    let last = -1
    while (bytes.length - at >= 6 && bytes[at] === FINAL_BINARY) {
      const second = bytes[at + 1] as number
      let maskAt = at + 2
      let length = second - MASKED
      if (length === 126) {
        length = view.getUint16(maskAt)
        maskAt += 2
      } else if (length === 127 && bytes.length - at >= 14) {
        length = view.getUint32(maskAt) * 0x1_0000_0000 + view.getUint32(maskAt + 4)
        maskAt += 8
      }
      const payloadAt = maskAt + 4
      const end = payloadAt + length
      if (second < MASKED || length > lengthMax) break
      if (end > bytes.length) {
        // Without the eight bytes of its length, where it ends is not known.
        if (second !== MASKED + 127 || bytes.length - at >= 14) at = this.#keepFrame(bytes, at, end)
        break
      }
      unmask(bytes, words, payloadAt, end, view.getInt32(maskAt, true))
      if (first < 0) first = payloadAt
      else bytes.copyWithin(last, payloadAt, end)
      last = first === payloadAt ? end : last + length
      at = end
      if (isJoining) continue
      this.#reader.received(bytes.subarray(first, last))
      first = -1
    }
    if (first >= 0) this.#reader.received(bytes.subarray(first, last))
    return at
  }

  /** @returns the end of the bytes, all of which are taken. */
  #keepFrame(bytes: Buffer, at: number, end: number): number {
    this.#frameEnd = end - at
    this.#frameBytes = 0
    this.#append(bytes.subarray(at))
    return bytes.length
  }

  /** @returns how much of the chunk belongs to the frame that was kept. */
  #continueFrame(chunk: Buffer): number {
    const missing = Math.min(this.#frameEnd - this.#frameBytes, chunk.length)
    this.#append(chunk.subarray(0, missing))
    if (this.#frameBytes < this.#frameEnd) return missing
    const frame = this.#frame as Buffer
    this.#frame = null
    if (this.#receiver.writable) this.#readMessages(frame, 0)
    return missing
  }

  #append(piece: Buffer): void {
    const needed = this.#frameBytes + piece.length
    let frame = this.#frame
    if (frame === null || needed > frame.length) {
      // Twice what has come, but not more than the frame: announcing a length reserves nothing.
      const grown = Buffer.allocUnsafeSlow(Math.min(this.#frameEnd, Math.max(FRAME_BYTES_MIN, needed * 2)))
      if (frame !== null) grown.set(frame.subarray(0, this.#frameBytes))
      this.#frame = frame = grown
    }
    frame.set(piece, this.#frameBytes)
    this.#frameBytes = needed
  }

  /** @returns 0 when there is too little of the frame to know, and nothing in it that `ws` would refuse already. */
  #frameLength(bytes: Buffer, at: number): number {
    const present = bytes.length - at
    if (present < 2) return 0
    const second = bytes[at + 1] as number
    const length = second & 0x7f
    const headLength = length < 126 ? 6 : length === 126 ? 8 : 14
    if (length < 126) return headLength + length
    if (present >= headLength - 4) {
      if (length === 126) return headLength + bytes.readUInt16BE(at + 2)
      return headLength + bytes.readUInt32BE(at + 2) * 0x1_0000_0000 + bytes.readUInt32BE(at + 6)
    }
    return bytes[at] === FINAL_BINARY && second >= MASKED && this.#isBetweenMessages ? 0 : UNKNOWN
  }

  get #isBetweenMessages(): boolean {
    const { _state, _bufferedBytes, _fragmented } = this.#receiver
    return _state === BETWEEN_FRAMES && _bufferedBytes === 0 && _fragmented === 0
  }
}

/** The same bytes in words where a word may begin in memory, which is up to three bytes before the first of them. */
function wordsOf(bytes: Uint8Array): Int32Array {
  const offset = bytes.byteOffset & ~3
  return new Int32Array(bytes.buffer, offset, (bytes.byteOffset + bytes.length - offset) >>> 2)
}

/**
 * In place; eight words at a time, which takes less than half the time of a DataView.
 * @param mask little endian, as words are where this is used: elsewhere `canReadFrames` says no.
 */
function unmask(bytes: Uint8Array, words: Int32Array, start: number, end: number, mask: number): void {
  const shift = bytes.byteOffset & 3
  let at = start
  let turned = mask
  for (; at < end && ((at + shift) & 3) !== 0; at += 1) {
    bytes[at] = (bytes[at] as number) ^ turned
    turned = (turned >>> 8) | (turned << 24)
  }
  let word = (at + shift) >>> 2
  const wordEnd = (end + shift) >>> 2
  for (; word + 8 <= wordEnd; word += 8) {
    words[word] = (words[word] as number) ^ turned
    words[word + 1] = (words[word + 1] as number) ^ turned
    words[word + 2] = (words[word + 2] as number) ^ turned
    words[word + 3] = (words[word + 3] as number) ^ turned
    words[word + 4] = (words[word + 4] as number) ^ turned
    words[word + 5] = (words[word + 5] as number) ^ turned
    words[word + 6] = (words[word + 6] as number) ^ turned
    words[word + 7] = (words[word + 7] as number) ^ turned
  }
  for (; word < wordEnd; word += 1) words[word] = (words[word] as number) ^ turned
  at = Math.max(at, wordEnd * 4 - shift)
  for (; at < end; at += 1, turned >>>= 8) bytes[at] = (bytes[at] as number) ^ turned
}

/** Reads the same frames with and without it, in one chunk and in many, and compares what came out. */
export function canReadFrames(): boolean {
  try {
    const frames = Buffer.concat(PROBE)
    const expected = messagesRead([frames], false)
    const pieces: Buffer[] = []
    for (let [at, size] = [0, 1]; at < frames.length; at += size++) pieces.push(frames.subarray(at, at + size))
    return (
      expected.length === 6 && [[frames], pieces].every((chunks) => `${messagesRead(chunks, true)}` === `${expected}`)
    )
  } catch {
    return false
  }
}

/** Messages of all lengths of a header, fragments with a ping between them, a close. */
const PROBE = [
  frame(FINAL_BINARY, 5),
  frame(FINAL_BINARY, 300),
  frame(0x02, 7),
  frame(0x89, 3),
  frame(0x80, 7),
  frame(FINAL_BINARY, 0),
  frame(FINAL_BINARY, 65_600),
  frame(0x88, 0),
]

function frame(firstByte: number, length: number): Buffer {
  const head = length < 126 ? [length] : length < 65_536 ? [126, length >> 8, length & 255] : [127, 0, 0, 0, 0]
  if (length > 65_535) head.push(0, length >> 16, (length >> 8) & 255, length & 255)
  head[0] = (head[0] as number) | MASKED
  return Buffer.concat([Buffer.of(firstByte, ...head, 1, 2, 3, 4), Buffer.alloc(length, 0xa5)])
}

function messagesRead(chunks: readonly Buffer[], isAround: boolean): string[] {
  const messages: string[] = []
  const reader = {
    isNew: true,
    received: (bytes: Uint8Array) => void messages.push(`message ${Buffer.from(bytes).toString('base64')}`),
  }
  webSocketInMemory((ws, socket) => {
    ws.on('message', reader.received)
    ws.on('ping', (data: Buffer) => messages.push(`ping ${data.toString('base64')}`))
    if (isAround) readAround(ws, reader, false)
    for (const chunk of chunks) socket.emit('data', Buffer.from(chunk))
  })
  return messages
}
