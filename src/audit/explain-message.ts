/**
 * Everything a store knows about one message: from whom it came and when it was durable, and what has become of each
 * copy. The journal tells what happened lately, the tables what is so now. A message whose copies have all ended leaves
 * the tables, and then the journal; after that only the hours know in which of them it was accepted.
 *
 * Sessions that end with their connection leave nothing in the store, so nothing is said about their copies.
 */
import { readHourRow } from '../core/ledger/account.js'
import { type HourRow, readHoursRow } from '../core/ledger/hours.js'
import { readMessageRow } from '../core/message-table.js'
import type { Store } from '../core/ports/store.js'
import { readRecord } from '../core/record-reader.js'
import type { Session } from '../core/session.js'
import type { BrokerState } from '../core/state.js'
import type { StoredBody } from '../core/stored-body.js'
import { accountOfKey, keyNumber, numberKey } from '../core/store-keys.js'
import type { QoS } from '../protocol/packets.js'
import { type MessageEvent, MessageTrail } from './message-trail.js'
import { queuedCopies } from './queued-copies.js'
import { recoveredOrThrow } from './recovered-state.js'

export interface MessageExplanation {
  readonly messageId: number
  /**
   * 'waiting': at least one copy is owed · 'ended': no copy is owed any more, the journal still knows it · 'past': gone
   * from tables and journal · 'unknown': no message has had this number yet.
   */
  readonly state: 'waiting' | 'ended' | 'past' | 'unknown'
  readonly nextMessageId: number
  readonly content: MessageContent | null
  readonly accepted: Acceptance | null
  /** The hour in which it was accepted, from the chain of hours; null: before the ledger was switched on. */
  readonly hour: { readonly hour: number; readonly isClosed: boolean } | null
  readonly copies: readonly CopyExplanation[]
}

export interface MessageContent {
  readonly topicName: string
  readonly payloadBytes: number
  readonly qos: QoS
  /** 0: never. */
  readonly expiresAtMs: number
}

export interface Acceptance {
  /** Journal record that holds it. */
  readonly record: number
  readonly atMs: number
  /** When the commit was done; null: the record behind it, which says so, is not there. Durable it is all the same. */
  readonly durableAtMs: number | null
  /** null: nobody is named, as for copies of retained messages. Empty: the broker itself. */
  readonly clientId: string | null
  readonly topicClass: string | null
}

export interface CopyExplanation {
  readonly session: number
  /** null: the session is gone. */
  readonly clientId: string | null
  /** null: no copy is owed to it any more, see `events`. */
  readonly now: CopyNow | null
  /** What the journal still tells, in order. */
  readonly events: readonly MessageEvent[]
}

export type CopyNow =
  | { readonly state: 'queued'; readonly position: number; readonly waiting: number }
  | {
      /** 'sent': PUBLISH may be on the wire · 'released': PUBREC came, so it was delivered; PUBCOMP is due. */
      readonly state: 'sent' | 'released'
      readonly packetId: number
      readonly deliverySequence: number
    }

/** @throws Error when a broker could not start on the store. */
export function explainMessage(store: Store, messageId: number): MessageExplanation {
  const state = recoveredOrThrow(store)
  const trail = new MessageTrail(messageId)
  let acceptedAtMs = 0
  let durableAtMs: number | null = null
  for (const { key, value } of store.entries({ table: 'journal' })) {
    trail.record = keyNumber(key)
    const header = readRecord(value, trail)
    if (trail.acceptedIn === trail.record) acceptedAtMs = header.atMs
    if (trail.acceptedIn !== 0 && trail.record === trail.acceptedIn + 1 && header.durableAtMs > 0) {
      durableAtMs = header.durableAtMs
    }
  }
  const copies = copiesOf(state, trail, messageId)
  const row = store.get('messages', numberKey(messageId))
  const body = trail.body ?? (row === undefined ? null : readMessageRow(row).body)
  const isOwed = copies.some(({ now }) => now !== null)
  const isKnown = body !== null || copies.length > 0
  const isGiven = messageId < state.nextMessageId
  const accepted = trail.acceptedIn === 0 ? null : { record: trail.acceptedIn, atMs: acceptedAtMs, durableAtMs }
  return {
    messageId,
    state: !isGiven ? 'unknown' : isOwed ? 'waiting' : isKnown ? 'ended' : 'past',
    nextMessageId: state.nextMessageId,
    content: body === null ? null : contentOf(body),
    accepted: accepted === null ? null : { ...accepted, ...publisherOf(store, state, trail) },
    hour: isGiven ? hourOf(store, messageId) : null,
    copies,
  }
}

function contentOf({ topicName, payload, qos, expiresAtMs }: StoredBody): MessageContent {
  return { topicName, payloadBytes: payload.length, qos, expiresAtMs }
}

function copiesOf(state: BrokerState, trail: MessageTrail, messageId: number): CopyExplanation[] {
  const now = new Map<number, CopyNow>()
  for (const session of state.sessionsByNumber.values()) {
    const found = session.isDurable ? copyIn(state, session, messageId) : null
    if (found !== null) now.set(session.number, found)
  }
  const numbers = [...new Set([...trail.events.keys(), ...now.keys()])].sort((one, other) => one - other)
  return numbers.map((session) => ({
    session,
    clientId: state.sessionsByNumber.get(session)?.clientId ?? trail.clientIds.get(session) ?? null,
    now: now.get(session) ?? null,
    events: trail.events.get(session) ?? [],
  }))
}

function copyIn(state: BrokerState, session: Session, messageId: number): CopyNow | null {
  for (const copy of session.inflight.inOrder()) {
    if (copy.messageId !== messageId || copy.state === 'queued') continue
    const { packetId, deliverySequence } = copy
    return { state: copy.state, packetId, deliverySequence }
  }
  const waiting = queuedCopies(state, session)
  const position = waiting.findIndex((copy) => copy.messageId === messageId)
  return position < 0 ? null : { state: 'queued', position: position + 1, waiting: waiting.length }
}

function publisherOf(
  store: Store,
  state: BrokerState,
  trail: MessageTrail,
): Pick<Acceptance, 'clientId' | 'topicClass'> {
  const { publisher } = trail
  if (publisher === 0) return { clientId: null, topicClass: null }
  const account = state.ledger.accounts.get(publisher)
  if (account !== undefined) return { clientId: account.clientId, topicClass: account.topicClass?.name ?? null }
  const named = trail.accounts.get(publisher)
  if (named !== undefined) return named
  for (const { key, value } of store.entries({ table: 'ledger' })) {
    if (accountOfKey(key) !== publisher) continue
    const { clientId, topicClass } = readHourRow(value)
    return { clientId, topicClass }
  }
  return { clientId: null, topicClass: null }
}

/** Hours follow each other: the last one that does not begin behind it. */
function hourOf(store: Store, messageId: number): MessageExplanation['hour'] {
  let found: HourRow | null = null
  for (const { key, value } of store.entries({ table: 'hours' })) {
    const row = readHoursRow(keyNumber(key), value)
    if (row.firstMessageId > messageId) break
    found = row
  }
  if (found === null || (found.digest !== null && messageId > found.lastMessageId)) return null
  return { hour: found.hour, isClosed: found.digest !== null }
}
