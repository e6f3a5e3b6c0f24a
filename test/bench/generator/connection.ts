/**
 * A socket that loads a broker: TCP or WebSocket, read into one buffer that all connections share, parsed before the
 * next read, written in bytes that are built already. Not for real use: no heartbeat, no orderly end.
 */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { PacketStream } from './packet-stream.js'
import { FrameStream, maskInPlace, clientHeadBytes, writeClientHead } from './web-socket-frames.js'
import type { PacketSink, Wire } from './wire.js'

const READ_BYTES = 1 << 18
const PONG = 10
/** Nothing is read from it any more when the next read begins. */
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES)

export interface Address {
  readonly port: number
  /** null: MQTT over TCP. */
  readonly path: string | null
}

export interface ConnectionOwner extends PacketSink {
  /** All of one read has been handled. */
  onReadEnd(): void
  onClosed(reason: string): void
}

export class Connection {
  readonly isWebSocket: boolean
  readonly opened: Promise<void>
  readonly #socket: Socket
  readonly #owner: ConnectionOwner
  readonly #packets: PacketStream
  readonly #frames: FrameStream | null
  /** The answer to the upgrade; null: it has come. */
  #answer: string | null = null
  #resolveOpened: () => void = () => {}

  constructor({ port, path }: Address, wire: Wire, owner: ConnectionOwner) {
    this.#owner = owner
    this.#packets = new PacketStream(wire, owner)
    this.isWebSocket = path !== null
    this.#frames =
      path === null
        ? null
        : new FrameStream({
            onMessageBytes: (data, start, end) => this.#packets.feed(data, start, end),
            onPing: () => this.#pong(),
            onClose: () => owner.onClosed('the broker sent a close frame'),
          })
    const onread = { buffer: readBuffer, callback: (bytes: number) => this.#read(bytes) }
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true, onread })
    this.opened = new Promise((resolve, reject) => {
      this.#resolveOpened = resolve
      this.#socket.once('error', (error) => {
        reject(error)
        owner.onClosed(error.message)
      })
      this.#socket.once('close', () => owner.onClosed('the broker closed the connection'))
      this.#socket.once('connect', () => {
        if (path === null) resolve()
        else this.#upgrade(port, path, wire.subprotocol)
      })
    })
  }

  /** @param onWritten when `bytes` may be used again. */
  write(bytes: Uint8Array, onWritten?: () => void): void {
    this.#socket.write(bytes, onWritten)
  }

  /** One packet or some, framed where that is needed. For what is not said often. */
  send(packets: Uint8Array): void {
    this.write(this.isWebSocket ? framed(packets) : packets)
  }

  get frames(): number {
    return this.#frames?.frames ?? 0
  }

  /** Bytes that the kernel has not taken yet. */
  get pendingBytes(): number {
    return this.#socket.writableLength
  }

  close(): void {
    this.#socket.removeAllListeners('close')
    this.#socket.destroy()
  }

  #upgrade(port: number, path: string, subprotocol: string): void {
    this.#answer = ''
    const protocol = subprotocol === '' ? [] : [`Sec-WebSocket-Protocol: ${subprotocol}`]
    const head = [
      `GET ${path} HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      'Sec-WebSocket-Version: 13',
      ...protocol,
    ]
    this.#socket.write(`${head.join('\r\n')}\r\n\r\n`)
  }

  #read(bytes: number): boolean {
    if (this.#answer !== null) this.#readAnswer(bytes)
    else if (this.#frames === null) this.#packets.feed(readBuffer, 0, bytes)
    else this.#frames.feed(readBuffer, 0, bytes)
    this.#owner.onReadEnd()
    return true
  }

  #readAnswer(bytes: number): void {
    const before = this.#answer?.length ?? 0
    const answer = (this.#answer ?? '') + readBuffer.toString('latin1', 0, bytes)
    const end = answer.indexOf('\r\n\r\n')
    this.#answer = answer
    if (end < 0) return
    if (!answer.startsWith('HTTP/1.1 101')) throw new Error(`the upgrade was refused: ${answer}`)
    this.#answer = null
    this.#resolveOpened()
    this.#frames?.feed(readBuffer, end + 4 - before, bytes)
  }

  /** Without its payload: good enough for brokers that only want to see life. */
  #pong(): void {
    const bytes = new Uint8Array(6)
    writeClientHead(bytes, 0, 0, PONG)
    this.write(bytes)
  }
}

function framed(packets: Uint8Array): Uint8Array {
  const head = clientHeadBytes(packets.length)
  const bytes = new Uint8Array(head + packets.length)
  writeClientHead(bytes, 0, packets.length)
  bytes.set(packets, head)
  maskInPlace(bytes, head, bytes.length)
  return bytes
}
