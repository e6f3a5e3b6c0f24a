/**
 * The browser's WebSocket as a transport. It has no event for an emptied buffer, so while something waits its
 * `bufferedAmount` is looked at every few milliseconds; an idle connection costs nothing.
 */
import type { Timers } from '../base/clock.js'
import type { OpenTransport, Transport, TransportHandler, TransportTarget } from './transport.js'

const LOOK_EVERY_MS = 8

export function browserWebSocket(timers: Timers): OpenTransport {
  return (target, handler) => new BrowserWebSocketTransport(target, handler, timers)
}

class BrowserWebSocketTransport implements Transport {
  readonly #socket: WebSocket
  readonly #handler: TransportHandler
  readonly #timers: Timers
  #isLooking = false
  #isClosed = false

  constructor(target: TransportTarget, handler: TransportHandler, timers: Timers) {
    this.#handler = handler
    this.#timers = timers
    this.#socket = new WebSocket(target.url, target.subprotocol)
    this.#socket.binaryType = 'arraybuffer'
    this.#socket.onopen = () => handler.opened()
    this.#socket.onmessage = (event: MessageEvent<unknown>) => {
      if (event.data instanceof ArrayBuffer) handler.received(new Uint8Array(event.data))
    }
    // `error` tells nothing and in a browser `close` follows it at once; not every other implementation does that.
    this.#socket.onerror = () => timers.schedule(0, () => this.#closed(1006, 'the WebSocket failed'))
    this.#socket.onclose = (event) => this.#closed(event.code, event.reason)
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount
  }

  write(bytes: Uint8Array): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return
    this.#socket.send(bytes as Uint8Array<ArrayBuffer>)
    if (!this.#isLooking && this.#socket.bufferedAmount > 0) this.#look()
  }

  close(code = 1000): void {
    // A browser lets a page send only 1000 and 3000..4999.
    this.#socket.close(code)
  }

  destroy(): void {
    this.#socket.onopen = null
    this.#socket.onmessage = null
    this.#socket.onclose = null
    this.#socket.onerror = null
    this.#socket.close()
    // Nobody waits for the network here: a dead peer would keep `onclose` away for a minute.
    queueMicrotask(() => this.#closed(1006, 'dropped'))
  }

  #look(): void {
    this.#isLooking = true
    this.#timers.schedule(LOOK_EVERY_MS, () => {
      this.#isLooking = false
      if (this.#isClosed) return
      this.#handler.drained()
      if (this.#socket.bufferedAmount > 0) this.#look()
    })
  }

  #closed(code: number, reason: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#handler.closed(code, reason)
  }
}
