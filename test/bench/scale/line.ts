/**
 * One connection of a crowd: MQTT 3.1.1 over TCP or WebSocket, or the native protocol, at the least cost that fifteen
 * thousand of them in one process allow. Prebuilt bytes out; of what comes in only the places of packets are told.
 * Not for real use: masks with zeros, which the standard allows, and answers no pings.
 */
import { randomBytes } from 'node:crypto'
import net from 'node:net'
import type { RunningBroker } from '../scenario.js'

export type Wire = 'mqtt-tcp' | 'mqtt-ws' | 'native'

export interface LineOptions {
  readonly broker: RunningBroker
  readonly wire: Wire
  /** Each address has ports of its own: `address(index)`. */
  readonly localAddress?: string
  /** Whole packets (MQTT) or whole frames (native) lie in `data` from `start` to `end`; look, do not keep. */
  readonly onPacket?: (data: Buffer, start: number, end: number) => void
  readonly onClose?: () => void
}

/** 27 000 connections from each; loopback needs no set-up for any of 127.0.0.0/8. */
export function address(index: number): string {
  return `127.0.${1 + (index % 16)}.1`
}

const NOTHING = Buffer.alloc(0)

export class Line {
  readonly socket: net.Socket
  readonly #wire: Wire
  readonly #path: string
  readonly #onPacket: (data: Buffer, start: number, end: number) => void
  /** Bytes of a frame that has not come whole, and (MQTT over WebSocket) of a packet. */
  #frameRest: Buffer = NOTHING
  #packetRest: Buffer = NOTHING
  #opened: (() => void) | null = null
  #isUpgraded: boolean
  #waiting: { resolve: () => void; left: number } | null = null
  /** Packets (MQTT) or frames (native) so far that were not PUBLISH. */
  answers = 0

  constructor(options: LineOptions) {
    this.#wire = options.wire
    this.#onPacket = options.onPacket ?? (() => {})
    this.#isUpgraded = options.wire === 'mqtt-tcp'
    const { broker, localAddress } = options
    const port = options.wire === 'mqtt-tcp' ? broker.mqttPort : broker.wsPort
    this.#path = (options.wire === 'native' ? broker.nativePath : broker.wsPath) ?? '/'
    this.socket = net.connect({ host: '127.0.0.1', port, noDelay: true, ...(localAddress && { localAddress }) })
    this.socket.on('error', () => {})
    this.socket.on('data', (chunk: Buffer) => this.#received(chunk))
    if (options.onClose) this.socket.on('close', options.onClose)
  }

  open(): Promise<this> {
    return new Promise((resolve, reject) => {
      this.socket.once('error', reject)
      this.#opened = () => {
        this.socket.off('error', reject)
        resolve(this)
      }
      this.socket.once('connect', () => {
        if (this.#isUpgraded) this.#opened?.()
        else this.#upgrade()
      })
    })
  }

  #upgrade(): void {
    const protocol = this.#wire === 'native' ? 'tally.v1' : 'mqtt'
    this.socket.write(
      `GET ${this.#path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\n` +
        `Sec-WebSocket-Protocol: ${protocol}\r\n\r\n`,
    )
  }

  /** Packets, as many as one frame may carry. */
  send(packets: Buffer): void {
    this.socket.write(this.#wire === 'mqtt-tcp' ? packets : frame(packets))
  }

  /** Resolves when `count` answers have come in all: CONNACK is the first. */
  answered(count: number): Promise<void> {
    if (this.answers >= count) return Promise.resolve()
    return new Promise((resolve) => {
      this.#waiting = { resolve, left: count }
    })
  }

  destroy(): void {
    this.socket.destroy()
  }

  #received(chunk: Buffer): void {
    if (this.#wire === 'mqtt-tcp') return this.#packets(chunk)
    const data = this.#frameRest.length === 0 ? chunk : Buffer.concat([this.#frameRest, chunk])
    let at = 0
    if (!this.#isUpgraded) {
      const end = data.indexOf('\r\n\r\n')
      if (end >= 0 && data.toString('latin1', 9, 12) !== '101') throw new Error(data.toString('latin1', 0, end))
      if (end >= 0) at = end + 4
      this.#isUpgraded = end >= 0
      if (this.#isUpgraded) this.#opened?.()
    }
    while (this.#isUpgraded) {
      const start = frameBodyAt(data, at)
      const end = start < 0 ? -1 : start + frameLength(data, at)
      if (end < 0 || end > data.length) break
      if (((data[at] as number) & 15) <= 2) {
        if (this.#wire === 'native') this.#told(data, start, end)
        else this.#packets(data.subarray(start, end))
      }
      at = end
    }
    this.#frameRest = at === data.length ? NOTHING : Buffer.from(data.subarray(at))
  }

  #packets(chunk: Buffer): void {
    const data = this.#packetRest.length === 0 ? chunk : Buffer.concat([this.#packetRest, chunk])
    let at = 0
    for (;;) {
      const end = packetEnd(data, at)
      if (end < 0) break
      this.#told(data, at, end)
      at = end
    }
    this.#packetRest = at === data.length ? NOTHING : Buffer.from(data.subarray(at))
  }

  #told(data: Buffer, start: number, end: number): void {
    this.#onPacket(data, start, end)
    if (this.#wire !== 'native' && (data[start] as number) >> 4 === 3) return
    this.answers += 1
    if (this.#waiting === null || this.answers < this.#waiting.left) return
    const { resolve } = this.#waiting
    this.#waiting = null
    resolve()
  }
}

/** @returns the end of the packet that begins at `at`; -1: it has not come whole. */
function packetEnd(data: Buffer, at: number): number {
  let length = 0
  for (let index = at + 1, shift = 0; index < data.length; index += 1, shift += 7) {
    const byte = data[index] as number
    length |= (byte & 127) << shift
    if (byte < 128) return index + 1 + length <= data.length ? index + 1 + length : -1
  }
  return -1
}

function frameBodyAt(data: Buffer, at: number): number {
  if (data.length - at < 2) return -1
  const length = data[at + 1] as number
  const head = length < 126 ? 2 : length === 126 ? 4 : 10
  return data.length - at < head ? -1 : at + head
}

function frameLength(data: Buffer, at: number): number {
  const length = data[at + 1] as number
  if (length < 126) return length
  return length === 126 ? data.readUInt16BE(at + 2) : Number(data.readBigUInt64BE(at + 2))
}

/** One binary frame, its mask zero. */
function frame(payload: Buffer): Buffer {
  const { length } = payload
  const head = length < 126 ? 6 : length < 65_536 ? 8 : 14
  const bytes = Buffer.alloc(head + length)
  bytes[0] = 0x82
  if (length < 126) bytes[1] = 0x80 | length
  else if (length < 65_536) bytes.writeUInt16BE(length, 2)
  else bytes.writeBigUInt64BE(BigInt(length), 2)
  if (length >= 126) bytes[1] = length < 65_536 ? 0xfe : 0xff
  payload.copy(bytes, head)
  return bytes
}
