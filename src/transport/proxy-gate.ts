/**
 * A door in front of a server for connections that come through a load balancer: takes the PROXY protocol header off,
 * remembers the client's address, and hands the connection on as if it had just come. Whoever does not begin with a
 * header, in time, does not come in: the header is what the address in logs and rules rests on.
 */
import { createServer, type Server, type Socket } from 'node:net'
import type { TimerHandle, Timers } from '../base/clock.js'
import { parseProxyHeader } from './proxy-header.js'
import { remoteAddress, setClientAddress } from './socket-progress.js'

export interface ProxyGateOptions {
  readonly timers: Timers
  readonly headerTimeoutMs: number
  readonly connectionsMax: number
  /** The balancer's own address, and what was wrong. */
  readonly refused: (address: string, detail: string) => void
}

/** @param inner never listens itself. @returns the server that listens in its place. */
export function proxyGate(inner: Server, options: ProxyGateOptions): Server {
  const { allowHalfOpen } = inner as unknown as { allowHalfOpen?: boolean }
  const front = createServer({ noDelay: true, allowHalfOpen: allowHalfOpen === true }, (socket) => {
    new Arrival(socket, inner, options).read()
  })
  front.maxConnections = options.connectionsMax
  // An HTTP server begins and ends to watch over slow requests with these.
  front.on('listening', () => inner.emit('listening'))
  const close = front.close.bind(front)
  front.close = (done) => {
    inner.close(() => {})
    return close(done)
  }
  return front
}

class Arrival {
  readonly #socket: Socket
  readonly #inner: Server
  readonly #options: ProxyGateOptions
  readonly #deadline: TimerHandle
  #bytes: Buffer = Buffer.alloc(0)

  constructor(socket: Socket, inner: Server, options: ProxyGateOptions) {
    this.#socket = socket
    this.#inner = inner
    this.#options = options
    this.#deadline = options.timers.schedule(options.headerTimeoutMs, () => this.#refuse('no header came in time'))
    socket.on('error', onError)
    socket.on('readable', this.read)
    socket.on('end', this.#ended)
    socket.on('close', this.#ended)
  }

  /** Paused mode, not 'data': what is left over can be put back for whoever reads next. */
  readonly read = (): void => {
    const chunk = this.#socket.read() as Buffer | null
    if (chunk === null) return
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    const header = parseProxyHeader(this.#bytes)
    if (header.state === 'invalid') this.#refuse(header.detail)
    else if (header.state === 'complete') this.#handOn(header.length, header.source)
  }

  #handOn(length: number, source: string | null): void {
    const socket = this.#socket
    this.#leave()
    if (source !== null) setClientAddress(socket, source)
    if (this.#bytes.length > length) socket.unshift(this.#bytes.subarray(length))
    this.#inner.emit('connection', socket)
  }

  #refuse(detail: string): void {
    this.#options.refused(remoteAddress(this.#socket), `PROXY protocol: ${detail}`)
    this.#ended()
  }

  readonly #ended = (): void => {
    this.#leave()
    this.#socket.destroy()
  }

  #leave(): void {
    this.#deadline.cancel()
    this.#socket.removeListener('readable', this.read)
    this.#socket.removeListener('end', this.#ended)
    this.#socket.removeListener('close', this.#ended)
  }
}

/** 'close' follows. */
function onError(): void {}
