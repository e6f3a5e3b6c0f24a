/**
 * Who may connect, and who may do what. Authentication may take its time (a password hash, a token service);
 * authorisation is asked on every publish, subscribe, will and delivery and answers at once.
 */
import type { ConnectPacket } from '../../protocol/packets.js'
import type { LinkDescription } from './link.js'

export interface Principal {
  /** What rules and the log call this client; null: anonymous. Never contains '/', '+', '#' or U+0000. */
  readonly username: string | null
  readonly clientId: string
}

export type AuthenticationResult =
  | { readonly accepted: true; readonly username: string | null }
  | { readonly accepted: false; readonly reasonCode: number; readonly detail: string }

export interface AuthenticationRequest {
  readonly connect: ConnectPacket
  readonly link: LinkDescription
}

/**
 * 'publish' a topic name, also for a Will at CONNECT and again when it fires · 'subscribe' a topic filter (without
 * `$share/…/`)
 * · 'receive' a topic name, asked for every delivery, live, retained or queued.
 */
export type AccessAction = 'publish' | 'subscribe' | 'receive'

export interface Access {
  /** True: everybody may do everything; the core then asks nothing and the listeners refuse a public address. */
  readonly allowsEverything: boolean
  /** Answers at once, or later by a promise that never rejects. */
  authenticate(request: AuthenticationRequest): AuthenticationResult | Promise<AuthenticationResult>
  /** Synchronous, pure in its arguments between two reloads of the rules. */
  authorize(principal: Principal, action: AccessAction, topic: string): boolean
}
