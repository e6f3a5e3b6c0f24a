/**
 * Frames that go out, with the private parts of `ws`, which only this module and `ws-intake.ts` touch. What it gains:
 * [frame header][packets] leave in one buffer and one write, without the option objects, the header buffer and the cork
 * of `ws.send` (several times the rate). The parts are tried once at start (`canWriteFrames`); where they are missing
 * or behave otherwise, `ws.send` does it.
 */
import type { IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { WrittenBytes } from '../protocol/codec.js'

interface PrivateParts {
  readonly _socket: { write(bytes: Uint8Array): boolean } | null
  readonly _sender: { readonly _state: number; readonly _firstFragment: boolean } | null
  readonly _receiver: { _maxPayload: number } | null
}

/** The final frame of a binary message, unmasked: what a server sends [RFC 6455 5.2]. */
const FINAL_BINARY = 0x82
const SENDER_IDLE = 0

/** Puts the frame header into the headroom, right before the packets. @returns undefined when there is no room. */
export function frameInPlace(written: WrittenBytes): Buffer | undefined {
  const { buffer, headroom } = written
  const length = buffer.length - headroom
  const headerLength = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const start = headroom - headerLength
  if (start < 0) return undefined
  buffer[start] = FINAL_BINARY
  if (headerLength === 2) {
    buffer[start + 1] = length
  } else if (headerLength === 4) {
    buffer[start + 1] = 126
    buffer[start + 2] = length >>> 8
    buffer[start + 3] = length & 0xff
  } else {
    buffer[start + 1] = 127
    writeLength64(buffer, start + 2, length)
  }
  return Buffer.from(buffer.buffer, buffer.byteOffset + start, buffer.length - start)
}

function writeLength64(buffer: Uint8Array, offset: number, length: number): void {
  let rest = length
  for (let index = offset + 7; index >= offset; index -= 1) {
    buffer[index] = rest % 256
    rest = Math.floor(rest / 256)
  }
}

/** One binary message. @param direct what `canWriteFrames` said. */
export function writeMessage(ws: WebSocket, written: WrittenBytes, direct: boolean): void {
  if (ws.readyState !== ws.OPEN) return
  const parts = ws as unknown as PrivateParts
  // A message that `ws` itself is still sending in pieces must not be cut in two by our frame.
  if (direct && parts._sender?._state === SENDER_IDLE && parts._sender._firstFragment) {
    const frame = frameInPlace(written)
    if (frame !== undefined && parts._socket !== null) {
      parts._socket.write(frame)
      return
    }
  }
  ws.send(written.headroom === 0 ? written.buffer : written.buffer.subarray(written.headroom))
}

/** Bounds one incoming message from now on; without the private part the bound given to `ws` at first stays. */
export function boundIncomingMessage(ws: WebSocket, bytesMax: number): void {
  const receiver = (ws as unknown as PrivateParts)._receiver
  if (receiver !== null && typeof receiver?._maxPayload === 'number') receiver._maxPayload = bytesMax
}

/** Sends the same messages both ways over a socket in memory and compares what came out. */
export function canWriteFrames(): boolean {
  try {
    return [0, 1, 125, 126, 65_535, 65_536].every((length) => {
      const packets = new Uint8Array(length).fill(0xa5)
      const buffer = new Uint8Array(10 + length)
      buffer.set(packets, 10)
      const direct = bytesSent((ws) => writeMessage(ws, { buffer, headroom: 10 }, true))
      return direct.writes === 1 && direct.bytes.equals(bytesSent((ws) => ws.send(packets)).bytes)
    })
  } catch {
    return false
  }
}

function bytesSent(send: (ws: WebSocket) => void): { bytes: Buffer; writes: number } {
  let [before, chunks]: [number, readonly Buffer[]] = [0, []]
  webSocketInMemory((ws, _socket, written) => {
    before = written.length
    chunks = written
    send(ws)
  })
  const sent = chunks.slice(before)
  return { bytes: Buffer.concat(sent), writes: sent.length }
}

/** A server's WebSocket on a socket that only remembers what was written to it. All over when this returns. */
export function webSocketInMemory(use: (ws: WebSocket, socket: Duplex, written: readonly Buffer[]) => void): void {
  const written: Buffer[] = []
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk)
      done()
    },
  })
  const server = new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false })
  const headers = {
    upgrade: 'websocket',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    'sec-websocket-version': '13',
  }
  server.handleUpgrade({ method: 'GET', headers } as unknown as IncomingMessage, socket, Buffer.alloc(0), (ws) => {
    use(ws, socket, written)
  })
  socket.destroy()
}
