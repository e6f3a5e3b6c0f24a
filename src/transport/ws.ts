/**
 * WebSocket: HTTP upgrades in, `TransportSocket`s out. `ws` checks frames, with every limit of it set here; whole
 * messages go around it in `ws-intake.ts`, what leaves is framed in `ws-frames.ts`. Which upgrade is let in is decided
 * in `ws-upgrade.ts`.
 *
 * A socket is a subclass of ws' WebSocket that overrides `emit`: no listener and no closure exists per connection,
 * which is what keeps an idle session in a few KiB.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type ServerOptions, WebSocket, WebSocketServer } from 'ws'
import type { LinkDescription } from '../core/ports/link.js'
import type { TransportAcceptor, TransportPeer, TransportSocket } from '../core/ports/transport.js'
import type { Codec, WrittenBytes } from '../protocol/codec.js'
import { forwardedAddress, remoteAddress, takenBytes } from './socket-progress.js'
import { boundIncomingMessage, canWriteFrames, writeMessage } from './ws-frames.js'
import { canReadFrames, type MessageReader, readAround } from './ws-intake.js'
import { chooseEndpoint, type UpgradeEndpoint, type UpgradeRefusal } from './ws-upgrade.js'

export interface WsOptions {
  readonly allowedOrigins: readonly string[]
  /** Bytes of one WebSocket message; it may hold several packets. */
  readonly messageBytesMax: number
  /** The same, before CONNECT has been accepted. */
  readonly connectMessageBytesMax: number
  /** How long the peer may take to answer a close frame. */
  readonly closeTimeoutMs: number
  /** Absent: what the feature test says. */
  readonly writeFrames?: boolean
  /** The same, for frames that come in. */
  readonly readFrames?: boolean
  /** MQTT 3.1 too, whose clients offer a subprotocol of their own. Absent: no. */
  readonly acceptMqtt31?: boolean
}

const FRAGMENTS_MAX = 1_024
const BUFFERED_CHUNKS_MAX = 16_384
const PENDING_PONGS_MAX = 60
/** RFC 6455 5.5: a control frame holds 125 bytes, two of them the close code. */
const CLOSE_REASON_BYTES_MAX = 123
const CLOSE_UNSUPPORTED_DATA = 1003
const NO_BYTES = Buffer.alloc(0)
const PEER = Symbol('peer')
const NOT_ATTACHED: LinkDescription = { transport: 'ws', protocol: 'mqtt', remoteAddress: 'unknown' }

interface Endpoint extends UpgradeEndpoint {
  readonly codec: Codec
  readonly server: WebSocketServer
}

export class WsTransport {
  readonly #acceptor: TransportAcceptor
  readonly #options: WsOptions
  readonly #endpoints: readonly Endpoint[]
  /** False: every message goes through `ws.send`. */
  readonly writesFrames: boolean
  /** False: every message comes through `ws`'s stream. */
  readonly readsFrames: boolean

  constructor(acceptor: TransportAcceptor, codecs: { native: Codec; mqtt: Codec }, options: WsOptions) {
    this.#acceptor = acceptor
    this.#options = options
    this.writesFrames = options.writeFrames ?? canWriteFrames()
    this.readsFrames = options.readFrames ?? canReadFrames()
    this.#endpoints = [
      endpoint(['/tally'], ['tally.v1'], codecs.native, options),
      endpoint(['/mqtt', '/'], options.acceptMqtt31 ? ['mqtt', 'mqttv3.1'] : ['mqtt'], codecs.mqtt, options),
    ]
  }

  /** True for a path that answers a plain GET with 426: try again as a WebSocket. */
  servesPath(path: string): boolean {
    return this.#endpoints.some((endpoint) => endpoint.paths.includes(path))
  }

  /** For `http.Server`'s 'upgrade' event. */
  readonly upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const { method, url, headers } = request
    // Only a browser names an origin. Behind a load balancer on this machine everybody would seem to come from here.
    // Asked for in vain it would stay with the socket for as long as that lives.
    const mayBeLocal = headers.origin !== undefined && forwardedAddress(request.socket) === undefined
    const localAddress = mayBeLocal ? request.socket.localAddress : undefined
    const chosen = chooseEndpoint({ method, url, headers, localAddress }, this.#endpoints, this.#options.allowedOrigins)
    if ('status' in chosen) {
      refuse(socket, chosen)
      return
    }
    const description = describe(request, chosen.codec)
    const refusal = this.#acceptor.refusal(description)
    if (refusal !== null) {
      refuse(socket, { status: 503, detail: refusal, headers: { 'Retry-After': '5' } })
      return
    }
    chosen.server.handleUpgrade(request, socket, head, (ws) => {
      if (this.readsFrames) readAround(ws, ws as WsSocket, chosen.codec.isStream)
      ;(ws as WsSocket).attach(this.#acceptor, chosen.codec, description, this.#options, this.writesFrames)
    })
  }
}

function endpoint(
  paths: readonly string[],
  subprotocols: readonly string[],
  codec: Codec,
  options: WsOptions,
): Endpoint {
  return { paths, subprotocols, codec, server: webSocketServer(subprotocols, options) }
}

function webSocketServer(subprotocols: readonly string[], options: WsOptions): WebSocketServer {
  // The published types lag behind: closeTimeout and maxPendingAutoPongs are missing there.
  const serverOptions: ServerOptions & { closeTimeout: number; maxPendingAutoPongs: number } = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: options.messageBytesMax,
    maxFragments: FRAGMENTS_MAX,
    maxBufferedChunks: BUFFERED_CHUNKS_MAX,
    allowSynchronousEvents: true,
    autoPong: true,
    maxPendingAutoPongs: PENDING_PONGS_MAX,
    closeTimeout: options.closeTimeoutMs,
    skipUTF8Validation: false,
    // Whoever offers none of them does not come this far.
    handleProtocols: (offered) => subprotocols.find((name) => offered.has(name)) ?? false,
    WebSocket: WsSocket as unknown as typeof WebSocket,
  }
  const server = new WebSocketServer(serverOptions)
  server.on('wsClientError', (_error, socket) => refuse(socket, { status: 400, detail: 'invalid WebSocket handshake' }))
  return server
}

function describe(request: IncomingMessage, codec: Codec): LinkDescription {
  const transport = 'encrypted' in request.socket ? 'wss' : 'ws'
  return { transport, protocol: codec.name, remoteAddress: remoteAddress(request.socket) }
}

function refuse(socket: Duplex, refusal: UpgradeRefusal): void {
  const body = `${refusal.detail}\n`
  const lines = [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...Object.entries(refusal.headers ?? {}).map(([name, value]) => `${name}: ${value}`),
  ]
  socket.on('error', () => socket.destroy())
  // `end` alone would wait for a peer that never closes its side.
  socket.once('finish', () => socket.destroy())
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
}

class WsSocket extends WebSocket implements TransportSocket, MessageReader {
  #peer: TransportPeer | null = null
  #options: WsOptions | null = null
  #writesFrames = false
  description: LinkDescription = NOT_ATTACHED
  isNew = true
  /** Told once that it is over; what still arrives during the closing handshake is dropped. */
  #isOver = false

  attach(
    acceptor: TransportAcceptor,
    codec: Codec,
    description: LinkDescription,
    options: WsOptions,
    writesFrames: boolean,
  ): void {
    this.description = description
    this.#options = options
    this.#writesFrames = writesFrames
    boundIncomingMessage(this, options.connectMessageBytesMax)
    this.#peer = acceptor.opened(this, codec)
    const socket = socketOf(this)
    if (socket === null) return
    socket[PEER] = this.#peer
    socket.on('drain', onDrain)
  }

  override emit(event: string | symbol, first?: unknown, second?: unknown): boolean {
    switch (event) {
      case 'message':
        this.#message(first as Buffer, second === true)
        break
      case 'pong':
        if (!this.#isOver) this.#peer?.ponged()
        break
      case 'error':
        this.#over(first instanceof Error ? `invalid WebSocket frame: ${first.message}` : 'WebSocket error')
        break
      case 'close':
        this.#over(closeDetail(first as number, second as Buffer))
        break
      default:
        break
    }
    return true
  }

  get pendingBytes(): number {
    return this.bufferedAmount
  }

  get takenBytes(): number {
    const socket = socketOf(this)
    return socket === null ? 0 : takenBytes(socket)
  }

  write(written: WrittenBytes): void {
    writeMessage(this, written, this.#writesFrames)
  }

  pauseReading(): void {
    this.pause()
  }

  resumeReading(): void {
    this.resume()
  }

  received(bytes: Uint8Array): void {
    if (!this.#isOver) this.#peer?.received(bytes)
  }

  connectAccepted(): void {
    this.isNew = false
    if (this.#options !== null) boundIncomingMessage(this, this.#options.messageBytesMax)
  }

  sendPing(): boolean {
    if (this.readyState === this.OPEN) this.ping(NO_BYTES)
    return true
  }

  end(closeCode: number, detail: string): void {
    // A paused socket would never see the peer's close frame.
    this.resume()
    if (this.readyState === this.OPEN) this.close(closeCode, shortened(detail))
  }

  destroy(): void {
    this.terminate()
  }

  #message(data: Buffer, isBinary: boolean): void {
    if (isBinary) {
      this.received(data)
      return
    }
    if (this.#isOver) return
    // [v5 MQTT-6.0.0-1] and conformance/native-protocol.md: binary messages only.
    this.close(CLOSE_UNSUPPORTED_DATA, 'send binary messages, not text')
    this.#over('a text message came where only binary ones are allowed')
  }

  #over(detail: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#peer?.closed(detail)
  }
}

interface OwnedSocket extends Socket {
  [PEER]?: TransportPeer | null
}

function socketOf(ws: WebSocket): OwnedSocket | null {
  return (ws as unknown as { _socket: OwnedSocket | null })._socket
}

function onDrain(this: OwnedSocket): void {
  this[PEER]?.drained()
}

function closeDetail(code: number, reason: Buffer): string {
  if (code === 1006) return 'the connection broke without a close frame'
  const text = reason.length > 0 ? ` (${JSON.stringify(reason.toString('utf8').slice(0, 64))})` : ''
  return `the peer closed the WebSocket with code ${code}${text}`
}

/** At most 123 bytes, cut between characters. */
function shortened(detail: string): string {
  if (Buffer.byteLength(detail) <= CLOSE_REASON_BYTES_MAX) return detail
  let end = CLOSE_REASON_BYTES_MAX - 3
  while (Buffer.byteLength(detail.slice(0, end)) > CLOSE_REASON_BYTES_MAX - 3) end -= 1
  return `${detail.slice(0, end)}…`
}
