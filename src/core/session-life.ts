/**
 * How sessions begin, lose their connection, and end; and the Will, which fires exactly once: the fact that it is
 * cleared and the message it becomes are in one journal record [v5 3.1.2.5, 3.1.3.2.2].
 */
import { assert } from '../base/assert.js'
import type { DisconnectPacket, WillMessage } from '../protocol/packets.js'
import { PacketType, SESSION_NEVER_EXPIRES_SEC } from '../protocol/packets.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import { explain, fits } from './answer.js'
import type { ClientConnection } from './connection.js'
import { deliverStored, dropCopy } from './deliver.js'
import type { Copy } from './message.js'
import { publishPresence } from './presence.js'
import { closeProducers } from './producers.js'
import { openMessage, publish } from './publish.js'
import { isRetainedFull } from './retained.js'
import { Session } from './session.js'
import { queueLoader } from './session-rows.js'
import { chooseMember } from './shared-subscriptions.js'
import type { BrokerState } from './state.js'

/** A session for a client that has none. */
export function openSession(
  state: BrokerState,
  clientId: string,
  username: string | null,
  isDurable: boolean,
): Session {
  const number = state.nextSessionNumber
  state.nextSessionNumber += 1
  const session = new Session(number, clientId, username, isDurable, state.limits.queueWindowMessages)
  registerSession(state, session)
  if (isDurable) {
    state.touch(session)
    state.record.sessionOpened(number, clientId, username)
  }
  return session
}

/** Memory only: for `openSession`, recovery and replay. */
export function registerSession(state: BrokerState, session: Session): void {
  state.sessionsByNumber.set(session.number, session)
  if (session.hasEnded) {
    state.endedSessions.add(session)
    return
  }
  // A replayed journal may open a session again that ended long ago; the client's present one is the newest.
  const known = state.sessions.get(session.clientId)
  if (known === undefined || known.number < session.number) state.sessions.set(session.clientId, session)
}

/** The session has a connection again: deadlines stop, the new Will waits. */
export function attachConnection(
  state: BrokerState,
  session: Session,
  connection: ClientConnection,
  terms: { sessionExpiryIntervalSec: number; will: WillMessage | null },
): void {
  assert(session.connection === null, 'the old connection was taken down first')
  session.connection = connection
  connection.session = session
  applyConnected(state, session, terms.sessionExpiryIntervalSec, terms.will)
  if (!session.isDurable) return
  state.touch(session)
  state.record.sessionConnected(session.number, terms.sessionExpiryIntervalSec, terms.will)
}

/** Memory only. */
export function applyConnected(
  state: BrokerState,
  session: Session,
  sessionExpiryIntervalSec: number,
  will: WillMessage | null,
): void {
  session.isConnected = true
  session.isResumed = session.disconnectedAtMs > 0
  session.sessionExpiryIntervalSec = sessionExpiryIntervalSec
  session.disconnectedAtMs = 0
  session.will = will
  session.willDueAtMs = 0
  state.sessionDeadlines.delete(session)
  state.willDeadlines.delete(session)
}

/** How a connection ended. */
export interface ConnectionEnd {
  readonly reasonCode: number
  readonly detail: string
  /** False after DISCONNECT 0x00: the Will is discarded [v5 MQTT-3.14.4-3]. */
  readonly isWillDue: boolean
  /** From DISCONNECT, else what CONNECT said [v5 3.14.2.2.2]. */
  readonly sessionExpiryIntervalSec: number
}

/** The connection is gone, whoever ended it. The session waits, or ends with it. */
export function detachConnection(
  state: BrokerState,
  connection: ClientConnection,
  end: ConnectionEnd,
  nowMs: number,
): void {
  const { session } = connection
  assert(session !== null && session.connection === connection, 'a connection is detached once')
  session.connection = null
  connection.session = null
  closeProducers(state, connection)
  connection.retainedJobs = null
  state.retainedJobConnections.delete(connection)
  for (const copy of session.inflight.inOrder()) copy.isOnWire = false
  const { will } = session
  const expirySec = end.sessionExpiryIntervalSec
  const delaySec = Math.min(will?.properties.willDelayIntervalSec ?? 0, expirySec)
  const isWillPending = end.isWillDue && will !== null
  const willDueAtMs = isWillPending ? nowMs + delaySec * 1_000 : 0
  if (session.isDurable) {
    state.touch(session)
    state.record.sessionDisconnected(session.number, nowMs, expirySec, willDueAtMs)
  }
  applyDisconnected(state, session, nowMs, expirySec, willDueAtMs)
  publishPresence(state, session, 'offline', end.reasonCode, end.detail, nowMs)
  const { link } = connection
  const { clientId } = session
  state.ports.events.emit({
    type: 'disconnected',
    clientId,
    link: link.description,
    reasonCode: end.reasonCode,
    detail: end.detail,
  })
  if (isWillPending && delaySec === 0) fireWill(state, session, nowMs)
  if (expirySec === 0) endSession(state, session, 'disconnected', nowMs)
}

/** Memory only. `willDueAtMs` 0: there is no Will any more. */
export function applyDisconnected(
  state: BrokerState,
  session: Session,
  atMs: number,
  sessionExpiryIntervalSec: number,
  willDueAtMs: number,
): void {
  session.isConnected = false
  session.disconnectedAtMs = atMs
  session.sessionExpiryIntervalSec = sessionExpiryIntervalSec
  session.willDueAtMs = willDueAtMs
  if (willDueAtMs === 0) session.will = null
  else state.willDeadlines.set(session, willDueAtMs)
  if (sessionExpiryIntervalSec !== SESSION_NEVER_EXPIRES_SEC) state.sessionDeadlines.set(session, session.expiresAtMs())
}

/** Publishes the Will if there still is one, and clears it in the same record. */
export function fireWill(state: BrokerState, session: Session, nowMs: number): void {
  const { will } = session
  if (will === null) return
  clearWill(state, session)
  if (session.isDurable) {
    state.touch(session)
    state.record.willCleared(session.number)
  }
  const { topicName, retain } = will
  const { access, events } = state.ports
  if (!access.allowsEverything && !access.authorize(session, 'publish', topicName)) {
    events.emit({
      type: 'will-refused',
      clientId: session.clientId,
      topicName,
      detail: 'publishing there is not allowed',
    })
    if (will.qos > 0) state.ledger.refused(session, topicName, ReasonCode.NOT_AUTHORIZED)
    return
  }
  const { willDelayIntervalSec: _delay, ...rest } = will.properties
  const hasProperties = Object.keys(rest).length > 0
  const isRetained = retain && (will.payload.length === 0 || !isRetainedFull(state, will))
  if (retain && !isRetained) {
    const detail = 'it is sent but not retained: the limit of retained messages is reached'
    events.emit({ type: 'will-refused', clientId: session.clientId, topicName, detail })
  }
  publish(state, { ...will, retain: isRetained, properties: hasProperties ? rest : null }, session, nowMs)
  events.emit({ type: 'will-fired', clientId: session.clientId, topicName })
}

/** Memory only. */
export function clearWill(state: BrokerState, session: Session): void {
  session.will = null
  session.willDueAtMs = 0
  state.willDeadlines.delete(session)
}

/** The Session State is discarded. A Will that still waits fires now [v5 3.1.3.2.2]. */
export function endSession(
  state: BrokerState,
  session: Session,
  reason: 'clean-start' | 'expired' | 'disconnected',
  nowMs: number,
): void {
  assert(session.connection === null, 'a session with a connection does not end')
  if (session.willDueAtMs !== 0) fireWill(state, session, nowMs)
  const inflight = session.inflight.inOrder()
  const purgedMessages = inflight.length + session.queue.count
  applyEnded(state, session)
  const moved = new Set(inflight.filter((copy) => redispatchInflight(state, session, copy, nowMs)))
  if (session.isDurable) {
    state.touch(session)
    const held = inflight.filter((copy) => copy.state === 'sent' && !moved.has(copy)).map((copy) => copy.messageId)
    state.record.sessionEnded(session.number, held)
    for (const messageId of held) state.messages.release(messageId, state.recordNumber)
    // Now and not with the next slice: what is published next must not overtake it in the group [v5 4.6.0-5].
    if (session.formerShares !== null) purgeQueue(state, session, state.pace.purgedPerTurn, nowMs)
  } else {
    purgeQueue(state, session, Number.POSITIVE_INFINITY, nowMs)
    state.endedSessions.delete(session)
    state.sessionsByNumber.delete(session.number)
  }
  state.ports.events.emit({ type: 'session-ended', clientId: session.clientId, reason, purgedMessages })
}

/** Memory only: nothing finds the session any more; what it holds is purged by `purgeEnded`. */
export function applyEnded(state: BrokerState, session: Session): void {
  session.hasEnded = true
  session.isConnected = false
  clearWill(state, session)
  for (const { packetId } of session.inflight.inOrder()) session.removeInflight(packetId)
  for (const packetId of [...session.receipts]) session.removeReceipt(packetId)
  for (const { shareName, topicFilter } of [...session.subscriptions]) {
    if (shareName !== null) session.rememberShare(shareName, topicFilter, Number.POSITIVE_INFINITY)
    session.removeSubscription(shareName, topicFilter)
    state.tree.remove(session, shareName, topicFilter)
  }
  state.sessionDeadlines.delete(session)
  if (state.sessions.get(session.clientId) === session) state.sessions.delete(session.clientId)
  state.endedSessions.add(session)
}

/**
 * QoS 1 in flight through a shared subscription goes to another member; QoS 2 must not: the first member may have it
 * already [v5 MQTT-4.8.2-5].
 * @returns whether it did.
 */
function redispatchInflight(state: BrokerState, session: Session, copy: Copy, nowMs: number): boolean {
  if (copy.state === 'released') return false // PUBREC said that it arrived.
  if (copy.qos === 2 || !moveToGroup(state, session, copy, nowMs)) {
    state.counters.dropped['session-ended'] += 1
    state.ledger.abandoned(copy)
    return false
  }
  if (session.isDurable) {
    state.touch(session)
    state.record.movedInflight(session.number, copy.packetId, copy.messageId)
    state.messages.release(copy.messageId, state.recordNumber)
  }
  return true
}

/** @returns false when it came through no group, or nobody else is in the group. */
function moveToGroup(state: BrokerState, session: Session, copy: Copy, nowMs: number): boolean {
  if (copy.sharedSubscriptionNumber === 0) return false
  const share = session.formerShares?.get(copy.sharedSubscriptionNumber)
  const group = share === undefined ? undefined : state.tree.group(share.shareName, share.topicFilter)
  const member = group === undefined ? null : chooseMember(group, state, session)
  if (share === undefined || member === null) return false
  let { message } = copy
  if (message === null || message.isEvicted) message = state.messages.load(copy.messageId)
  const held = member.session.findSubscription(share.shareName, share.topicFilter)
  const subscriptionIdentifiers = member.subscriptionIdentifier === 0 ? null : [member.subscriptionIdentifier]
  const sharedSubscriptionNumber = held?.subscriptionNumber ?? 0
  // A session that ends with its connection held it: what durable sessions had of it may be gone, row and journal too.
  const isNew = !session.isDurable && !state.messages.isYoung(message)
  if (isNew) message = openMessage(state, message, message.qos as 1 | 2, message.expiresAtMs, null)
  const { qos, retain } = copy
  deliverStored(
    state,
    member.session,
    message,
    { qos, retain, subscriptionIdentifiers, sharedSubscriptionNumber },
    nowMs,
  )
  if (isNew && message.references > 0) state.messages.add(message, state.recordNumber)
  state.ledger.moved(copy)
  return true
}

/** Up to `copiesMax` waiting copies of an ended session end too, or move on within their share group, in order. */
function purgeQueue(state: BrokerState, session: Session, copiesMax: number, nowMs: number): number {
  const loader = queueLoader(state, session)
  let purged = 0
  for (; purged < copiesMax; purged += 1) {
    const copy = session.queue.shift(loader)
    if (copy === undefined) break
    if (!moveToGroup(state, session, copy, nowMs)) dropCopy(state, session, copy, 'session-ended')
    else if (session.isDurable) {
      state.touch(session)
      state.record.moved(session.number, copy.messageId)
      state.messages.release(copy.messageId, state.recordNumber)
    }
  }
  return purged
}

/** A bounded slice of what ended sessions still hold. @returns whether more is left. */
export function purgeEnded(state: BrokerState, nowMs: number): boolean {
  let left = state.pace.purgedPerTurn
  for (const session of state.endedSessions) {
    left -= purgeQueue(state, session, left, nowMs)
    if (!session.queue.isEmpty) return true
    if (session.dirtySince === 0) state.touch(session)
    state.endedSessions.delete(session)
    state.sessionsByNumber.delete(session.number)
  }
  return false
}

/** Answers with DISCONNECT where the protocol has it, closes, and takes the session off the connection. */
export function dismiss(
  state: BrokerState,
  connection: ClientConnection,
  reasonCode: number,
  detail: string,
  nowMs: number,
  serverReference?: string,
): void {
  if (connection.state === 'closed') return
  const wasConnected = connection.state === 'connected'
  const { session } = connection
  connection.become('closed')
  state.connections.delete(connection)
  if (wasConnected && connection.protocolLevel === 5) {
    const packet: DisconnectPacket = { type: PacketType.DISCONNECT, reasonCode, properties: null }
    if (serverReference !== undefined) packet.properties = { serverReference }
    if (!fits(connection, packet)) packet.properties = null
    if (fits(connection, packet)) {
      explain(state, connection, packet, detail) // [v5 MQTT-3.1.2-24]
      connection.link.send(packet)
    }
  }
  connection.link.close(reasonCode, detail)
  if (session === null || !wasConnected) return
  const sessionExpiryIntervalSec = session.sessionExpiryIntervalSec
  const isWillDue = reasonCode !== ReasonCode.NORMAL_DISCONNECTION
  detachConnection(state, connection, { reasonCode, detail, isWillDue, sessionExpiryIntervalSec }, nowMs)
}
