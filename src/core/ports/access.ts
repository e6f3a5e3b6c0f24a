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
  | {
      readonly accepted: true
      readonly username: string | null
      /** Enhanced authentication: the last word, which goes with CONNACK or AUTH. */
      readonly authenticationData?: Uint8Array
    }
  | { readonly accepted: false; readonly reasonCode: number; readonly detail: string }

/** The outcome, or the next challenge. */
export type AuthenticationStep =
  | AuthenticationResult
  | { readonly accepted: 'continue'; readonly authenticationData: Uint8Array }

/** One conversation of AUTH packets [v5 4.12]; over with the first answer that is not 'continue'. */
export interface AuthenticationExchange {
  /**
   * @param data what CONNECT or AUTH carried; empty: nothing. A view: keep a copy of what is needed later.
   * @returns the answer, or a promise of it that never rejects.
   */
  step(data: Uint8Array): AuthenticationStep | Promise<AuthenticationStep>
}

export interface AuthenticationRequest {
  readonly connect: ConnectPacket
  readonly link: LinkDescription
}

export interface ExchangeRequest {
  readonly clientId: string
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
  /**
   * Enhanced authentication, at CONNECT and again for a client that re-authenticates. Absent: there is none.
   * @returns null for a method that is not known here.
   */
  beginExchange?(method: string, request: ExchangeRequest): AuthenticationExchange | null
  /** Synchronous, pure in its arguments between two reloads of the rules. */
  authorize(principal: Principal, action: AccessAction, topic: string): boolean
}
