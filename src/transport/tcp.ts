/**
 * MQTT over TCP and TLS: a server in, `TransportSocket`s out. The stream is handed on as it comes; packets are the
 * decoder's business. A connection that may not come in is closed at once, because TCP has no way to say why before
 * CONNECT has been read. A TLS connection comes in when its handshake is done.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { createServer as createTlsServer, type Server as TlsServer, type TlsOptions } from 'node:tls'
import type { LinkDescription } from '../core/ports/link.js'
import type { TransportAcceptor, TransportPeer, TransportSocket } from '../core/ports/transport.js'
import type { Codec, WrittenBytes } from '../protocol/codec.js'
import { remoteAddress, takenBytes } from './socket-progress.js'

const ENDPOINT = Symbol('endpoint')
interface OwnedSocket extends Socket {
  [ENDPOINT]?: TcpSocket
}

export interface TlsListenerOptions {
  /** Certificate, key and what is asked of clients. */
  readonly tls: TlsOptions
  readonly handshakeTimeoutMs: number
  /** Connections still in their handshake included. */
  readonly connectionsMax: number
}

/** Listening is left to `server/listeners.ts`. */
export function tcpServer(acceptor: TransportAcceptor, codec: Codec): Server {
  return createServer({ noDelay: true, allowHalfOpen: false }, (socket) => accept(acceptor, codec, socket, 'tcp'))
}

/** The same. A handshake that fails costs the connection, and nobody hears of it. */
export function tlsServer(acceptor: TransportAcceptor, codec: Codec, options: TlsListenerOptions): TlsServer {
  const { tls, handshakeTimeoutMs, connectionsMax } = options
  const serverOptions = { ...tls, noDelay: true, handshakeTimeout: handshakeTimeoutMs }
  const server = createTlsServer(serverOptions, (socket) => accept(acceptor, codec, socket, 'tls'))
  server.maxConnections = connectionsMax
  server.on('tlsClientError', onHandshakeError)
  return server
}

function accept(acceptor: TransportAcceptor, codec: Codec, socket: Socket, transport: 'tcp' | 'tls'): void {
  const description: LinkDescription = { transport, protocol: codec.name, remoteAddress: remoteAddress(socket) }
  if (acceptor.refusal(description) !== null) {
    socket.on('error', onRefusedError)
    socket.destroy()
    return
  }
  const endpoint = new TcpSocket(socket, description)
  ;(socket as OwnedSocket)[ENDPOINT] = endpoint
  socket.on('data', onData)
  socket.push = pushAround
  socket.on('drain', onDrain)
  socket.on('error', onError)
  socket.on('close', onClose)
  endpoint.peer = acceptor.opened(endpoint, codec)
}

class TcpSocket implements TransportSocket {
  readonly #socket: Socket
  readonly description: LinkDescription
  peer: TransportPeer | null = null
  lastError: string | null = null

  constructor(socket: Socket, description: LinkDescription) {
    this.#socket = socket
    this.description = description
  }

  get pendingBytes(): number {
    return this.#socket.writableLength
  }

  get takenBytes(): number {
    return takenBytes(this.#socket)
  }

  write(written: WrittenBytes): void {
    if (!this.#socket.writable) return
    const { buffer, headroom } = written
    this.#socket.write(Buffer.from(buffer.buffer, buffer.byteOffset + headroom, buffer.length - headroom))
  }

  pauseReading(): void {
    this.#socket.pause()
  }

  resumeReading(): void {
    this.#socket.resume()
  }

  connectAccepted(): void {}

  sendPing(): boolean {
    return false
  }

  end(_closeCode: number, _detail: string): void {
    // Reading goes on, unread bytes would turn the FIN into a reset and lose what we have just written.
    this.#socket.resume()
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

function onData(this: OwnedSocket, bytes: Buffer): void {
  this[ENDPOINT]?.peer?.received(bytes)
}

const readablePush = Readable.prototype.push

/**
 * What Node calls with everything it reads, in place of the stream's own, which costs a microsecond and an entry in the
 * queue of ticks for each chunk. The stream keeps what comes while it is paused, and the end. Should Node read by some
 * other road, there is 'data' still.
 */
function pushAround(this: OwnedSocket, bytes: unknown, encoding?: BufferEncoding): boolean {
  const peer = this[ENDPOINT]?.peer
  if (!peer || !(bytes instanceof Uint8Array) || this.isPaused() || this.readableLength > 0) {
    return readablePush.call(this, bytes, encoding)
  }
  peer.received(bytes)
  return true
}

function onDrain(this: OwnedSocket): void {
  this[ENDPOINT]?.peer?.drained()
}

function onError(this: OwnedSocket, error: Error): void {
  const endpoint = this[ENDPOINT]
  if (endpoint !== undefined) endpoint.lastError = error.message
}

function onClose(this: OwnedSocket): void {
  const endpoint = this[ENDPOINT]
  endpoint?.peer?.closed(endpoint.lastError ?? 'the peer closed the connection')
}

function onRefusedError(this: Socket): void {
  this.destroy()
}

function onHandshakeError(_error: Error, socket: Socket): void {
  socket.destroy()
}
