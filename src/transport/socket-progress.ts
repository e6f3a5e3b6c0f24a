/**
 * How many bytes the operating system has taken from a socket. Node tells only when a whole write is through; libuv
 * knows better, and the difference decides whether a slow peer with a megabyte under way is slow or dead. The handle is
 * private to Node, so its absence falls back to whole writes.
 */
import type { Socket } from 'node:net'

interface StreamHandle {
  /** Given to libuv. */
  readonly bytesWritten?: number
  /** Given to libuv, not yet taken by the kernel. */
  readonly writeQueueSize?: number
}

export function takenBytes(socket: Socket): number {
  const handle = (socket as unknown as { _handle?: StreamHandle | null })._handle
  if (handle && typeof handle.bytesWritten === 'number' && typeof handle.writeQueueSize === 'number') {
    return handle.bytesWritten - handle.writeQueueSize
  }
  return socket.bytesWritten - socket.writableLength
}

/** `address:port`, IPv6 in brackets, as it stands in logs. */
export function remoteAddress(socket: Socket): string {
  const address = socket.remoteAddress
  if (address === undefined) return 'unknown'
  return address.includes(':') ? `[${address}]:${socket.remotePort}` : `${address}:${socket.remotePort}`
}
