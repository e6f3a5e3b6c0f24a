/**
 * What a publisher writes: a batch of publications, built once and patched in place for every write (sequence, packet
 * id, when it was due). A batch whose bytes the kernel has not all taken is left alone until it has.
 */
import type { Connection } from './connection.js'
import { clientHeadBytes, MASK, maskInPlace, writeClientHead } from './web-socket-frames.js'
import type { Packed, Produce, Template } from './wire.js'

interface Batch {
  readonly bytes: Uint8Array
  readonly onWritten: () => void
}

export interface SendFramesOptions {
  readonly template: Template
  readonly publisher: number
  /** Messages in one write. */
  readonly batch: number
  /** Messages in one WebSocket frame. */
  readonly perFrame: number
  /** One packet holds the messages of a frame. */
  readonly packed?: Packed | Produce
}

export class SendFrames {
  readonly #connection: Connection
  readonly #options: SendFramesOptions
  readonly #mask: number
  /** Where each message of a batch begins. */
  readonly #starts: readonly number[]
  readonly #image: Uint8Array
  /** Where the heads of packets of many messages stand. */
  readonly #heads: readonly number[]
  readonly #free: Batch[] = []
  #nextPacketId = 1

  constructor(connection: Connection, options: SendFramesOptions) {
    this.#connection = connection
    this.#options = options
    this.#mask = connection.isWebSocket ? MASK : 0
    const { bytes: image, starts, heads } = imageOf(connection.isWebSocket, options)
    this.#image = image
    this.#starts = starts
    this.#heads = heads
  }

  /** One write of a whole batch. @param dueMicros in the stamp, for those who measure latency. */
  send(firstSequence: number, dueMicros: number, acknowledged: number): void {
    const batch = this.#free.pop() ?? this.#build()
    const { bytes } = batch
    const { template } = this.#options
    for (let index = 0; index < this.#starts.length; index += 1) {
      const start = this.#starts[index] as number
      if (template.packetIdAt >= 0) this.#patchPacketId(bytes, start + template.packetIdAt)
      const stampAt = start + template.stampAt
      this.#patch32(bytes, stampAt, firstSequence + index)
      this.#patch32(bytes, stampAt + 8, dueMicros)
    }
    const { packed, perFrame } = this.#options
    for (let frame = 0; packed !== undefined && frame < this.#heads.length; frame += 1) {
      this.#patchHead(bytes, this.#heads[frame] as number, packed, firstSequence + frame * perFrame, acknowledged)
    }
    this.#connection.write(bytes, batch.onWritten)
  }

  #patchHead(bytes: Uint8Array, at: number, packed: Packed | Produce, firstSequence: number, confirmed: number): void {
    if (packed.packetIdAt >= 0) {
      this.#patchPacketId(bytes, at + packed.packetIdAt)
      // The others of this packet are only counted.
      this.#nextPacketId = ((this.#nextPacketId + this.#options.perFrame - 2) % 65_535) + 1
    }
    if (!('open' in packed)) return
    // A producer counts from 1.
    this.#patch32(bytes, at + packed.firstSequenceAt, firstSequence + 1)
    this.#patch32(bytes, at + packed.confirmedSequenceAt, confirmed)
  }

  #build(): Batch {
    const batch: Batch = { bytes: Uint8Array.from(this.#image), onWritten: () => this.#free.push(batch) }
    return batch
  }

  #patchPacketId(bytes: Uint8Array, at: number): void {
    const id = this.#nextPacketId
    bytes[at] = (id >> 8) ^ this.#mask
    bytes[at + 1] = (id & 255) ^ this.#mask
    this.#nextPacketId = id === 65_535 ? 1 : id + 1
  }

  #patch32(bytes: Uint8Array, at: number, value: number): void {
    const mask = this.#mask
    bytes[at] = (value >>> 24) ^ mask
    bytes[at + 1] = ((value >>> 16) & 255) ^ mask
    bytes[at + 2] = ((value >>> 8) & 255) ^ mask
    bytes[at + 3] = (value & 255) ^ mask
  }
}

function imageOf(isWebSocket: boolean, { template, publisher, batch, perFrame, packed }: SendFramesOptions) {
  const message = Uint8Array.from(template.bytes)
  new DataView(message.buffer).setUint32(template.stampAt + 4, publisher)
  const packetHead = packed?.head ?? new Uint8Array(0)
  const bodyBytes = packetHead.length + message.length * (isWebSocket ? perFrame : batch)
  const headBytes = isWebSocket ? clientHeadBytes(bodyBytes) : 0
  const frames = isWebSocket ? batch / perFrame : 1
  const bytes = new Uint8Array((headBytes + bodyBytes) * frames)
  const starts: number[] = []
  const heads: number[] = []
  for (let frame = 0; frame < frames; frame += 1) {
    const frameAt = frame * (headBytes + bodyBytes)
    const bodyAt = frameAt + headBytes
    bytes.set(packetHead, bodyAt)
    heads.push(bodyAt)
    for (let at = bodyAt + packetHead.length; at < bodyAt + bodyBytes; at += message.length) {
      starts.push(at)
      bytes.set(message, at)
    }
    if (!isWebSocket) continue
    writeClientHead(bytes, frameAt, bodyBytes)
    maskInPlace(bytes, bodyAt, bodyAt + bodyBytes)
  }
  return { bytes, starts, heads }
}
