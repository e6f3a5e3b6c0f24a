/**
 * The facts of the journal that are about one message, by session. Most name it; two do not: a queue's head that goes
 * into flight, told by the packet id of the fact that ends it, and a copy that never got into the queue, which stands
 * directly behind its message.
 */
import type { FactHandler } from '../core/facts.js'
import type { CopyTerms } from '../core/message.js'
import type { StoredBody } from '../core/stored-body.js'
import type { DropReason } from '../protocol/packets.js'

export interface MessageEvent {
  readonly record: number
  readonly what: 'queued' | 'sent' | 'acknowledged' | 'released' | 'completed' | 'dropped' | 'moved' | 'abandoned'
  /** 0: none. */
  readonly packetId: number
  readonly reason: DropReason | null
}

export class MessageTrail implements FactHandler {
  readonly #messageId: number
  /** Number of the record that is being read. */
  record = 0
  /** The message that the last MESSAGE fact named. */
  #current = 0
  /** PUBREC came in this session: under which packet id, until PUBCOMP. */
  readonly #released = new Map<number, number>()
  readonly events = new Map<number, MessageEvent[]>()
  readonly clientIds = new Map<number, string>()
  readonly accounts = new Map<number, { readonly clientId: string; readonly topicClass: string }>()
  acceptedIn = 0
  publisher = 0
  body: StoredBody | null = null

  constructor(messageId: number) {
    this.#messageId = messageId
  }

  #note(session: number, what: MessageEvent['what'], packetId = 0, reason: DropReason | null = null): void {
    const events = this.events.get(session)
    const event = { record: this.record, what, packetId, reason }
    if (events === undefined) this.events.set(session, [event])
    else events.push(event)
  }

  message(messageId: number, body: StoredBody, account: number): void {
    this.#current = messageId
    if (messageId !== this.#messageId || this.acceptedIn !== 0) return
    this.acceptedIn = this.record
    this.publisher = account
    // A view of the record would keep it in memory.
    this.body = { ...body, payload: body.payload.slice() }
  }

  enqueued(session: number, messageId: number, _terms: CopyTerms, _byteLength: number, packetId: number): void {
    if (messageId === this.#messageId) this.#note(session, packetId === 0 ? 'queued' : 'sent', packetId)
  }
  lost(session: number, reason: DropReason): void {
    if (this.#current === this.#messageId) this.#note(session, 'dropped', 0, reason)
  }
  acknowledged(session: number, packetId: number, messageId: number): void {
    if (messageId === this.#messageId) this.#note(session, 'acknowledged', packetId)
  }
  released(session: number, packetId: number, messageId: number): void {
    if (messageId !== this.#messageId) return
    this.#released.set(session, packetId)
    this.#note(session, 'released', packetId)
  }
  completed(session: number, packetId: number): void {
    if (this.#released.get(session) !== packetId) return
    this.#released.delete(session)
    this.#note(session, 'completed', packetId)
  }
  dropped(session: number, messageId: number, reason: DropReason): void {
    if (messageId === this.#messageId) this.#note(session, 'dropped', 0, reason)
  }
  droppedInflight(session: number, packetId: number, messageId: number, reason: DropReason): void {
    if (messageId === this.#messageId) this.#note(session, 'dropped', packetId, reason)
  }
  moved(session: number, messageId: number): void {
    if (messageId === this.#messageId) this.#note(session, 'moved')
  }
  movedInflight(session: number, packetId: number, messageId: number): void {
    if (messageId === this.#messageId) this.#note(session, 'moved', packetId)
  }
  sessionEnded(session: number, messageIds: readonly number[]): void {
    if (messageIds.includes(this.#messageId)) this.#note(session, 'abandoned', 0, 'session-ended')
  }
  sessionOpened(session: number, clientId: string): void {
    this.clientIds.set(session, clientId)
  }
  ledgerAccount(account: number, clientId: string, topicClass: string): void {
    this.accounts.set(account, { clientId, topicClass })
  }

  assigned(): void {}
  receiptAdded(): void {}
  receiptRemoved(): void {}
  sessionConnected(): void {}
  sessionDisconnected(): void {}
  subscribed(): void {}
  unsubscribed(): void {}
  willCleared(): void {}
  retainedSet(): void {}
  retainedCleared(): void {}
  retainedSent(): void {}
  producerOpened(): void {}
  produced(): void {}
  producerRefused(): void {}
  producerConfirmed(): void {}
  keyUsed(): void {}
  ledger(): void {}
  hourClosed(): void {}
}
