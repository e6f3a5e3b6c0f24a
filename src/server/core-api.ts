/**
 * What the shell uses of the core, as a type: `core/broker.ts` satisfies it, and so do the fakes of the shell's tests.
 */
import type { AuthenticationStep } from '../core/ports/access.js'
import type { Link } from '../core/ports/link.js'
import type { StoreOperation } from '../core/ports/store.js'
import type { Packet, ProtocolLevel } from '../protocol/packets.js'
import type { ProtocolError } from '../protocol/protocol-error.js'

export interface CoreConnection {
  readonly state: 'awaiting-connect' | 'authenticating' | 'connected' | 'closed'
  readonly clientId: string
  readonly keepAliveSec: number
  readonly protocolLevel: ProtocolLevel
  /** Connected, and in the middle of a conversation about who it is. */
  readonly isReauthenticating: boolean
}

export interface CoreApi<C extends CoreConnection = CoreConnection> {
  /** Bytes of the journal record that is being filled. */
  readonly openRecordBytes: number
  /** Rows are being folded out of the journal, commit by commit, even when no packets come. */
  readonly isCheckpointing: boolean
  open(link: Link, nowMs: number): C
  receive(connection: C, packet: Packet, nowMs: number): void
  protocolError(connection: C, error: ProtocolError, nowMs: number): void
  overdue(connection: C, nowMs: number): void
  /** What it has begun, CONNECT or an authentication, was not finished in time. */
  connectTimedOut(connection: C, nowMs: number): void
  drained(connection: C, nowMs: number): void
  closed(connection: C, detail: string, nowMs: number): void
  /** The answer that the access port promised. */
  authenticated(connection: C, step: AuthenticationStep, nowMs: number): void
  /** @returns whether there is more to do at once. */
  work(nowMs: number): boolean
  takeCommit(nowMs: number): readonly StoreOperation[] | null
  committed(nowMs: number): void
  handleTimeout(nowMs: number): void
  nextTimeoutMs(): number
  drain(nowMs: number, serverReference?: string): void
}
