/** MQTT over TCP and TLS on Node, as a transport. */
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { OpenTransport, Transport, TransportHandler, TransportTarget } from './transport.js'

const PORT = 1883
const TLS_PORT = 8883

export const nodeTcp: OpenTransport = (target, handler) => new NodeTcpTransport(target, handler)

class NodeTcpTransport implements Transport {
  readonly #socket: Socket
  readonly #handler: TransportHandler
  #detail = ''

  constructor(target: TransportTarget, handler: TransportHandler) {
    this.#handler = handler
    const url = new URL(target.url)
    const isTls = url.protocol === 'mqtts:'
    // WHATWG URLs keep the brackets of an IPv6 address.
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const port = url.port === '' ? (isTls ? TLS_PORT : PORT) : Number(url.port)
    const from = target.localAddress === undefined ? {} : { localAddress: target.localAddress }
    this.#socket = isTls
      ? connectTls({ ...target.tls, ...from, host, port, ...(isIP(host) ? {} : { servername: host }) })
      : connectTcp({ ...from, host, port })
    this.#socket.setNoDelay(true)
    this.#socket.on(isTls ? 'secureConnect' : 'connect', () => handler.opened())
    this.#socket.on('data', (chunk: Uint8Array) => handler.received(chunk))
    this.#socket.on('error', (error) => {
      this.#detail = error.message
    })
    this.#socket.on('close', () => handler.closed(1006, this.#detail))
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength
  }

  write(bytes: Uint8Array): void {
    if (this.#socket.writable) this.#socket.write(bytes, this.#written)
  }

  close(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  readonly #written = (): void => this.#handler.drained()
}
