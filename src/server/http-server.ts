/**
 * The HTTP port: health answers, and upgrades handed to the WebSocket transport. Every limit Node has for a request
 * that has not become a WebSocket yet is set here.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as HttpsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import type { TlsOptions } from 'node:tls'

export interface HttpServerOptions {
  readonly connectionsMax: number
  /** null: ready; else why not. */
  readonly unreadiness: () => string | null
  /** Acknowledged messages that a power cut would take now. */
  readonly unflushed: () => number
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** True for a path that wants an upgrade. */
  readonly isUpgradePath: (path: string) => boolean
  /** Present: HTTPS. */
  readonly tls?: TlsOptions
}

const REQUEST_TIMEOUT_MS = 5_000
const HEADER_BYTES_MAX = 8_192
const HEADERS_MAX = 64

/** Listening is left to `listeners.ts`. */
export function httpServer(options: HttpServerOptions): Server | HttpsServer {
  const serverOptions = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: REQUEST_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: 1_000,
    noDelay: true,
    insecureHTTPParser: false,
  }
  const onRequest = (request: IncomingMessage, response: ServerResponse) => answer(request, response, options)
  const server: Server | HttpsServer =
    options.tls === undefined
      ? createServer(serverOptions, onRequest)
      : createTlsServer({ ...serverOptions, ...options.tls, handshakeTimeout: REQUEST_TIMEOUT_MS }, onRequest)
  server.maxHeadersCount = HEADERS_MAX
  server.maxConnections = options.connectionsMax
  server.on('upgrade', options.upgrade)
  server.on('clientError', onClientError)
  return server
}

function answer(request: IncomingMessage, response: ServerResponse, options: HttpServerOptions): void {
  const path = request.url?.split('?', 1)[0] ?? ''
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    sendJson(response, 405, { error: 'only GET and HEAD are served here' }, { Allow: 'GET, HEAD' })
  } else if (path === '/healthz') {
    sendJson(response, 200, { status: 'ok' })
  } else if (path === '/readyz') {
    const unreadiness = options.unreadiness()
    const unflushed = options.unflushed()
    if (unreadiness === null) sendJson(response, 200, { status: 'ready', unflushed })
    else sendJson(response, 503, { status: 'not ready', reason: unreadiness, unflushed })
  } else if (options.isUpgradePath(path)) {
    sendJson(response, 426, { error: 'this path speaks WebSocket only' }, { Upgrade: 'websocket', Connection: 'close' })
  } else {
    sendJson(response, 404, { error: 'nothing is served at this path' })
  }
}

function sendJson(
  response: ServerResponse,
  status: number,
  value: Readonly<Record<string, string | number>>,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = `${JSON.stringify(value)}\n`
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    ...headers,
  })
  response.end(body)
}

/** A request that is none, or too much of one. */
function onClientError(error: Error & { code?: string }, socket: Duplex): void {
  // A failed handshake, plain HTTP on an HTTPS port: there is no channel to answer on.
  const isWithoutChannel = error.code === 'ECONNRESET' || /^ERR_(SSL|TLS)/.test(error.code ?? '')
  if (isWithoutChannel || !socket.writable) {
    socket.destroy()
    return
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request'
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
