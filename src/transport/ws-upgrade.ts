/**
 * Which HTTP upgrade becomes a WebSocket, decided before any session, codec or buffer exists. Pure: a request's facts
 * in, an endpoint or a refusal with its HTTP status out. The order of the checks is the order a client author would
 * want to fix them in.
 */
import type { IncomingHttpHeaders } from 'node:http'

export interface UpgradeEndpoint {
  readonly paths: readonly string[]
  /** The best one first. */
  readonly subprotocols: readonly string[]
}
export interface UpgradeRequest {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingHttpHeaders
  /** The address the connection came in on: decides what counts as the same machine. */
  readonly localAddress: string | undefined
}
export interface UpgradeRefusal {
  readonly status: 400 | 403 | 404 | 426 | 503
  readonly detail: string
  readonly headers?: Readonly<Record<string, string>>
}

/** RFC 6455 4.2.1: sixteen bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/
const LOOPBACK_NAME = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

export function pathOf(url: string | undefined): string {
  const query = url?.indexOf('?') ?? -1
  return (query < 0 ? url : url?.slice(0, query)) ?? ''
}

/** @returns the endpoint, or why not. `allowedOrigins` holds exact origins, or `*`. */
export function chooseEndpoint<Endpoint extends UpgradeEndpoint>(
  request: UpgradeRequest,
  endpoints: readonly Endpoint[],
  allowedOrigins: readonly string[],
): Endpoint | UpgradeRefusal {
  const path = pathOf(request.url)
  const endpoint = endpoints.find((candidate) => candidate.paths.includes(path))
  if (endpoint === undefined) {
    const paths = endpoints.flatMap((candidate) => candidate.paths).join(', ')
    return { status: 404, detail: `nothing is served at this path; WebSocket paths are ${paths}` }
  }
  const malformed = handshakeProblem(request)
  if (malformed !== undefined) return malformed
  const offered = request.headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? []
  if (!endpoint.subprotocols.some((name) => offered.includes(name))) {
    return { status: 400, detail: `offer the subprotocol ${endpoint.subprotocols[0]} in Sec-WebSocket-Protocol` }
  }
  const origin = request.headers.origin
  if (origin !== undefined && !isOriginAllowed(origin, request.localAddress, allowedOrigins)) {
    return { status: 403, detail: 'web pages of this origin may not connect; see the option http.allowedOrigins' }
  }
  return endpoint
}

function handshakeProblem(request: UpgradeRequest): UpgradeRefusal | undefined {
  const { headers } = request
  if (request.method !== 'GET') return { status: 400, detail: 'a WebSocket is opened with GET' }
  if (headers.upgrade?.toLowerCase() !== 'websocket') {
    return { status: 426, detail: 'this path speaks WebSocket only', headers: { Upgrade: 'websocket' } }
  }
  if (headers['sec-websocket-version'] !== '13') {
    return { status: 426, detail: 'WebSocket version 13 is needed', headers: { 'Sec-WebSocket-Version': '13' } }
  }
  if (!KEY.test(headers['sec-websocket-key'] ?? '')) {
    return { status: 400, detail: 'Sec-WebSocket-Key must be 16 bytes in base64' }
  }
  return undefined
}

/**
 * A browser tells where the page came from, and only a browser does: pages of strangers must not drive the broker of
 * whoever happens to look at them. Pages served by this very machine to itself are let in.
 */
function isOriginAllowed(origin: string, localAddress: string | undefined, allowed: readonly string[]): boolean {
  if (allowed.includes('*') || allowed.includes(origin)) return true
  if (!isLoopbackAddress(localAddress ?? '')) return false
  try {
    return LOOPBACK_NAME.test(new URL(origin).hostname)
  } catch {
    return false
  }
}

export function isLoopbackAddress(address: string): boolean {
  const plain = address.startsWith('::ffff:') ? address.slice(7) : address
  return plain === '::1' || /^127(\.\d{1,3}){3}$/.test(plain)
}
