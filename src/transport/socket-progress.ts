/**
 * How many bytes the operating system has taken from a socket. Node tells only when a whole write is through; libuv
 * knows better, and the difference decides whether a slow peer with a megabyte under way is slow or dead. The handle is
 * private to Node, so its absence falls back to whole writes.
 */
import type { Socket } from 'node:net'

interface StreamHandle {
  /** Under TLS: the handle of the connection that carries it. */
  readonly _parent?: StreamHandle | null
  /** Given to libuv. */
  readonly bytesWritten?: number
  /** Given to libuv, not yet taken by the kernel. */
  readonly writeQueueSize?: number
}

export function takenBytes(socket: Socket): number {
  const own = (socket as unknown as { _handle?: StreamHandle | null })._handle
  const handle = own?._parent ?? own
  if (handle && typeof handle.bytesWritten === 'number' && typeof handle.writeQueueSize === 'number') {
    return handle.bytesWritten - handle.writeQueueSize
  }
  return socket.bytesWritten - socket.writableLength
}

const CLIENT_ADDRESS = Symbol('client address')
interface ForwardedSocket extends Socket {
  /** Under TLS: the connection that carries it. */
  readonly _parent?: ForwardedSocket | null
  [CLIENT_ADDRESS]?: string
}

/** The connection comes from a load balancer, which says for whom. */
export function setClientAddress(socket: Socket, address: string): void {
  ;(socket as ForwardedSocket)[CLIENT_ADDRESS] = address
}

/** undefined: nobody stands between, as far as we were told. */
export function forwardedAddress(socket: Socket): string | undefined {
  const forwarded = socket as ForwardedSocket
  return forwarded[CLIENT_ADDRESS] ?? forwarded._parent?.[CLIENT_ADDRESS]
}

/** `address:port` of the client, IPv6 in brackets, as it stands in logs. */
export function remoteAddress(socket: Socket): string {
  const forwarded = forwardedAddress(socket)
  if (forwarded !== undefined) return forwarded
  const address = socket.remoteAddress
  if (address === undefined) return 'unknown'
  return address.includes(':') ? `[${address}]:${socket.remotePort}` : `${address}:${socket.remotePort}`
}
