/**
 * `ws` as a transport on Node: one binary message per write, no compression, a refused upgrade told apart from a
 * dead host.
 */
import { WebSocket } from 'ws'
import type { OpenTransport, Transport, TransportHandler, TransportTarget } from './transport.js'

/** Not an answer to what was asked but to when: the same request may be fine later. */
const PASSING_HTTP_STATUS = new Set([408, 425, 429])

export const nodeWebSocket: OpenTransport = (target, handler) => new NodeWebSocketTransport(target, handler)

class NodeWebSocketTransport implements Transport {
  readonly #socket: WebSocket
  readonly #handler: TransportHandler
  #detail = ''
  #isRefused = false

  constructor(target: TransportTarget, handler: TransportHandler) {
    this.#handler = handler
    const { url, subprotocol, headers, tls, localAddress } = target
    this.#socket = new WebSocket(url, subprotocol, {
      perMessageDeflate: false,
      skipUTF8Validation: true,
      ...(headers === undefined ? {} : { headers }),
      ...(localAddress === undefined ? {} : { localAddress }),
      ...tls,
    })
    this.#socket.binaryType = 'nodebuffer'
    this.#socket.on('open', () => handler.opened())
    this.#socket.on('message', (data, isBinary) => {
      if (isBinary) handler.received(data as Uint8Array)
    })
    this.#socket.on('error', (error) => {
      if (this.#detail === '') this.#detail = error.message
    })
    this.#socket.on('unexpected-response', (request, response) => {
      const status = response.statusCode ?? 0
      this.#isRefused = status >= 400 && status < 500 && !PASSING_HTTP_STATUS.has(status)
      this.#detail = `the server answered the upgrade with HTTP ${status}`
      response.resume()
      request.destroy()
      this.#socket.terminate()
    })
    this.#socket.on('close', (code, reason) => handler.closed(code, reason.toString() || this.#detail, this.#isRefused))
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount
  }

  write(bytes: Uint8Array): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return
    this.#socket.send(bytes, this.#written)
  }

  close(code = 1000): void {
    this.#socket.close(code)
  }

  destroy(): void {
    this.#socket.terminate()
  }

  /** An error here is followed by `close`. */
  readonly #written = (): void => this.#handler.drained()
}
