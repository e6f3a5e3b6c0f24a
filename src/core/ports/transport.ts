/**
 * Between the shell and the sockets: what a transport (`transport/ws.ts`, `transport/tcp.ts`) gives to `server/` and
 * what it is given. Types only. A transport frames and moves bytes; it knows no packet, no session and no timer.
 */
import type { Codec, WrittenBytes } from '../../protocol/codec.js'
import type { LinkDescription } from './link.js'

/** One open socket. Nothing here throws or waits; a dead socket swallows, and `TransportPeer.closed` tells. */
export interface TransportSocket {
  readonly description: LinkDescription
  /** Bytes written and not yet taken by the operating system. */
  readonly pendingBytes: number
  /** Bytes the operating system has taken so far. Only grows: how a slow peer is told from one that stopped reading. */
  readonly takenBytes: number
  /**
   * One write to the operating system. The packets stay as they are: others may be sent the same buffer. In the
   * headroom the transport may put what depends on nothing but the length of the packets.
   */
  write(written: WrittenBytes): void
  pauseReading(): void
  resumeReading(): void
  /** CONNECT has been accepted: lifts the tighter bound on what an unknown peer may make us buffer. */
  connectAccepted(): void
  /** @returns false when this transport has no ping of its own. */
  sendPing(): boolean
  /** Everything written goes out, then the socket closes, with a close code where the transport has one. */
  end(closeCode: number, detail: string): void
  /** At once, pending bytes are lost. */
  destroy(): void
}

/** What the shell attaches to a socket. */
export interface TransportPeer {
  /** The bytes are not touched again by the transport. WebSocket: a message; for a stream codec, maybe several. */
  received(bytes: Uint8Array): void
  ponged(): void
  /** Everything written has been taken by the operating system, after some of it had to wait. */
  drained(): void
  /** Exactly once, for whatever reason; also after `end` and `destroy`. */
  closed(detail: string): void
}

export interface TransportAcceptor {
  /** Why this connection may not open now, for the peer to read; null: come in. */
  refusal(link: LinkDescription): string | null
  opened(socket: TransportSocket, codec: Codec): TransportPeer
}
