/**
 * The byte stream below MQTT: TCP, TLS, or a WebSocket written out by hand, so that a case can choose its own frames.
 * Knows no MQTT. `closed` means that the end of the stream, or a WebSocket close frame, was read.
 */
import { createHash, randomBytes } from 'node:crypto'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface Stream {
  write(bytes: Uint8Array): void
  /** No more bytes from us; the other direction stays open. */
  finish(): void
  /** The network fails. */
  cut(): void
}

export interface StreamEvents {
  bytes(chunk: Buffer): void
  closed(): void
}

const OPEN_MS_MAX = 10_000

function openSocket(url: URL, deadlineMs = OPEN_MS_MAX): Promise<Socket> {
  const isTls = url.protocol === 'mqtts:' || url.protocol === 'wss:'
  const fallback = { 'mqtt:': 1883, 'mqtts:': 8883, 'ws:': 80, 'wss:': 443 }[url.protocol] ?? 1883
  const address = { host: url.hostname, port: Number(url.port || fallback), allowHalfOpen: true }
  return new Promise((resolve, reject) => {
    const socket = isTls ? connectTls({ ...address, rejectUnauthorized: false }) : connectTcp(address)
    socket.setNoDelay(true)
    socket.setTimeout(deadlineMs, () => socket.destroy(new Error(`no connection to ${url.href}`)))
    socket.once('error', reject)
    socket.once(isTls ? 'secureConnect' : 'connect', () => {
      socket.setTimeout(0)
      socket.off('error', reject)
      socket.on('error', () => {})
      resolve(socket)
    })
  })
}

export async function openStream(url: URL, events: StreamEvents): Promise<Stream> {
  if (url.protocol.startsWith('ws')) return openWebSocket(url, events, ['mqtt'])
  const socket = await openSocket(url)
  socket.on('data', (chunk) => events.bytes(chunk))
  socket.on('end', () => {
    socket.end()
    events.closed()
  })
  socket.on('close', () => events.closed())
  return {
    write: (data) => void socket.write(data),
    finish: () => void socket.end(),
    cut: () => void socket.destroy(),
  }
}

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

export interface WebSocketStream extends Stream {
  /** Status line and headers of the answer to the upgrade, in lower case. */
  readonly answer: string
  readonly subprotocol: string | null
  /** Opcodes of data frames that came, in order. */
  readonly opcodes: number[]
  /** 1005 when the close frame had none; null before. */
  closeCode: number | null
  frame(opcode: number, data: Uint8Array, isLast?: boolean): void
}

export async function openWebSocket(
  url: URL,
  events: StreamEvents,
  subprotocols: readonly string[],
): Promise<WebSocketStream> {
  const socket = await openSocket(url)
  const key = randomBytes(16).toString('base64')
  const offer = subprotocols.length === 0 ? '' : `Sec-WebSocket-Protocol: ${subprotocols.join(', ')}\r\n`
  socket.write(
    `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n${offer}\r\n`,
  )
  const { head, rest } = await readHead(socket)
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  if (!head.startsWith('HTTP/1.1 101') || !head.includes(accept)) {
    socket.destroy()
    throw new Error(`the upgrade was refused: ${head.split('\r\n')[0]}`)
  }
  const subprotocol = /^sec-websocket-protocol:\s*(.*?)\s*$/im.exec(head)?.[1] ?? null
  const frame = (opcode: number, data: Uint8Array, isLast = true) => void socket.write(frameOf(opcode, data, isLast))
  const stream: WebSocketStream = {
    answer: head.toLowerCase(),
    subprotocol,
    opcodes: [],
    closeCode: null,
    frame,
    write: (data) => frame(OPCODE.binary, data),
    finish: () => frame(OPCODE.close, Uint8Array.of(3, 232)),
    cut: () => void socket.destroy(),
  }
  let pending = rest
  const read = () => {
    for (let next = takeFrame(pending); next !== null; next = takeFrame(pending)) {
      pending = pending.subarray(next.size)
      if (next.opcode <= 2) {
        stream.opcodes.push(next.opcode)
        events.bytes(next.data)
      } else if (next.opcode === OPCODE.ping) frame(OPCODE.pong, next.data)
      else if (next.opcode === OPCODE.close) {
        stream.closeCode = next.data.length >= 2 ? next.data.readUInt16BE() : 1005
        frame(OPCODE.close, next.data.subarray(0, 2))
        socket.end()
        events.closed()
      }
    }
  }
  socket.on('data', (chunk) => {
    pending = Buffer.concat([pending, chunk])
    read()
  })
  socket.on('end', () => {
    socket.end()
    events.closed()
  })
  socket.on('close', () => events.closed())
  // What came with the answer is handed over once the caller holds the stream.
  queueMicrotask(read)
  return stream
}

function readHead(socket: Socket): Promise<{ head: string; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0)
    const stop = (error: Error) => {
      socket.destroy()
      reject(error)
    }
    const timer = setTimeout(() => stop(new Error('no answer to the upgrade')), OPEN_MS_MAX)
    const ended = () => stop(new Error('closed instead of an answer to the upgrade'))
    const data = (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      const end = received.indexOf('\r\n\r\n')
      if (end < 0) return
      clearTimeout(timer)
      socket.off('data', data)
      socket.off('end', ended)
      resolve({ head: received.subarray(0, end).toString(), rest: received.subarray(end + 4) })
    }
    socket.on('data', data)
    socket.on('end', ended)
  })
}

function frameOf(opcode: number, data: Uint8Array, isLast: boolean): Buffer {
  const mask = randomBytes(4)
  const size = data.length
  const head =
    size < 126 ? [128 | size] : size < 65_536 ? [254, size >> 8, size & 255] : [255, 0, 0, 0, 0, ...bigEndian(size)]
  const masked = Buffer.from(data)
  for (let index = 0; index < size; index += 1) masked[index] = (masked[index] as number) ^ (mask[index & 3] as number)
  return Buffer.concat([Uint8Array.of((isLast ? 128 : 0) | opcode, ...head), mask, masked])
}

const bigEndian = (value: number) => [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]

function takeFrame(buffer: Buffer): { opcode: number; data: Buffer; size: number } | null {
  if (buffer.length < 2) return null
  let size = (buffer[1] as number) & 127
  let at = 2
  if (size === 126) {
    if (buffer.length < 4) return null
    size = buffer.readUInt16BE(2)
    at = 4
  } else if (size === 127) {
    if (buffer.length < 10) return null
    size = Number(buffer.readBigUInt64BE(2))
    at = 10
  }
  if (buffer.length < at + size) return null
  return { opcode: (buffer[0] as number) & 15, data: buffer.subarray(at, at + size), size: at + size }
}
