/**
 * Binds servers to addresses, says in plain words why it cannot, and refuses what would put an open broker on a
 * network.
 */
import type { AddressInfo, Server } from 'node:net'

export class ListenError extends Error {
  override readonly name = 'ListenError'
  readonly code: 'EADDRINUSE' | 'ADDRESS_REFUSED' | 'PUBLIC_WITHOUT_ACCESS_RULES' | 'TLS_FILES'
  readonly port: number | undefined

  constructor(code: ListenError['code'], message: string, options: { cause?: unknown; port?: number } = {}) {
    super(message, options)
    this.code = code
    this.port = options.port
  }
}

/** Connections the kernel keeps while we are busy; Node's 511 is too few when a fleet reconnects. */
const BACKLOG = 4_096

/** @throws ListenError when everybody on the network could do everything and nobody has said that this is wanted. */
export function checkExposure(
  access: { allowsEverything: boolean },
  host: string,
  allowPublicAnonymous: boolean,
): void {
  if (!access.allowsEverything || allowPublicAnonymous || isLoopback(host)) return
  throw new ListenError(
    'PUBLIC_WITHOUT_ACCESS_RULES',
    `refusing to listen on ${host} while access.mode is allow-all: anybody who reaches it could read and publish ` +
      'everything. Set access.mode to rules, listen on 127.0.0.1, or permit it with --allow-public-anonymous ' +
      '(config: access.allowPublicAnonymous: true).',
  )
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)
}

/** @returns the address once connections are taken. @throws ListenError */
export function listen(server: Server, host: string, port: number, what: string): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => reject(listenError(error, host, port, what))
    server.once('error', onError)
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.removeListener('error', onError)
      // Too many open files, a connection gone before it was accepted: the next one is taken when there is room.
      server.on('error', () => {})
      resolve(server.address() as AddressInfo)
    })
  })
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number, what: string): ListenError {
  if (error.code === 'EADDRINUSE') {
    return new ListenError(
      'EADDRINUSE',
      `${what}: port ${port} on ${host} is already in use. Stop the other program or choose another port.`,
      { cause: error, port },
    )
  }
  return new ListenError('ADDRESS_REFUSED', `${what}: cannot listen on ${host} port ${port}: ${error.message}`, {
    cause: error,
    port,
  })
}

/** `http://127.0.0.1:8083`, with IPv6 in brackets. */
export function urlOf(scheme: string, address: AddressInfo): string {
  const host = address.address.includes(':') ? `[${address.address}]` : address.address
  return `${scheme}://${host}:${address.port}`
}

/** No new connections. Open ones go on; this does not wait for them. */
export function stopListening(server: Server): void {
  if (server.listening) server.close()
}
