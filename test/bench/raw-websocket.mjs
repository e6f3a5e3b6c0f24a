/**
 * The least WebSocket client that can load a broker: prebuilt frames out, frame payloads in, nothing per message. Masks
 * with zeros, which the standard allows and costs the server the same. Not for real use: no pings but answers, no close.
 */
import { randomBytes } from 'node:crypto'
import net from 'node:net'

export class RawWebSocket {
  /** @param onPayload called with (buffer, start, end) of each whole binary frame. */
  constructor({ port, path, subprotocol, onPayload }) {
    this.onPayload = onPayload
    this.rest = null
    this.socket = net.connect({ host: '127.0.0.1', port, noDelay: true })
    this.opened = new Promise((resolve, reject) => {
      this.socket.once('error', reject)
      this.socket.once('connect', () => {
        const key = randomBytes(16).toString('base64')
        const protocol = subprotocol ? `Sec-WebSocket-Protocol: ${subprotocol}\r\n` : ''
        this.socket.write(
          `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
            `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n${protocol}\r\n`,
        )
      })
      let head = Buffer.alloc(0)
      const onHead = (chunk) => {
        head = Buffer.concat([head, chunk])
        const end = head.indexOf('\r\n\r\n')
        if (end < 0) return
        if (!head.subarray(0, 12).toString('latin1').endsWith('101')) return reject(new Error(head.toString('latin1')))
        this.socket.off('data', onHead)
        this.socket.on('data', (data) => this.receive(data))
        const left = head.subarray(end + 4)
        if (left.length > 0) this.receive(left)
        resolve(this)
      }
      this.socket.on('data', onHead)
    })
  }

  receive(chunk) {
    const data = this.rest === null ? chunk : Buffer.concat([this.rest, chunk])
    this.rest = null
    let at = 0
    for (;;) {
      if (data.length - at < 2) break
      const opcode = data[at] & 15
      let length = data[at + 1] & 127
      let head = 2
      if (length === 126) {
        if (data.length - at < 4) break
        length = data.readUInt16BE(at + 2)
        head = 4
      } else if (length === 127) {
        if (data.length - at < 10) break
        length = Number(data.readBigUInt64BE(at + 2))
        head = 10
      }
      if (data.length - at < head + length) break
      const start = at + head
      at = start + length
      if (opcode === 2 || opcode === 0) this.onPayload(data, start, at)
      else if (opcode === 9) this.socket.write(frame(data.subarray(start, at), 10))
      else if (opcode === 8) this.closed = data.subarray(start, at)
    }
    if (at < data.length) this.rest = at === 0 ? data : data.subarray(at)
  }

  send(payload) {
    this.socket.write(frame(payload, 2))
  }
}

/** A masked frame whose mask is zero. */
export function frame(payload, opcode) {
  const length = payload.length
  const head = length < 126 ? 6 : length < 65_536 ? 8 : 14
  const bytes = Buffer.alloc(head + length)
  writeHead(bytes, length, opcode)
  bytes.set(payload, head)
  return bytes
}

export function frameHeadBytes(length) {
  return length < 126 ? 6 : length < 65_536 ? 8 : 14
}

export function writeHead(bytes, length, opcode = 2) {
  bytes[0] = 0x80 | opcode
  if (length < 126) bytes[1] = 0x80 | length
  else if (length < 65_536) {
    bytes[1] = 0xfe
    bytes.writeUInt16BE(length, 2)
  } else {
    bytes[1] = 0xff
    bytes.writeBigUInt64BE(BigInt(length), 2)
  }
}
