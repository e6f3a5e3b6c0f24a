/**
 * Copies to subscribers: into flight when there is quota and room, into the queue otherwise, out of the queue when
 * acknowledgements come. Every copy that leaves has its packet id in the journal record that must be durable first,
 * so a crash never sends a message under two ids [v5 4.4.0-1, reliability: outgoing QoS 2].
 */
import type { Delivery, Publication } from '../protocol/codec.js'
import { type DropReason, PacketType, type QoS } from '../protocol/packets.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import { acknowledge } from './answer.js'
import type { ClientConnection } from './connection.js'
import { Copy, type CopyTerms, type Message } from './message.js'
import type { Session } from './session.js'
import { queueLoader } from './session-rows.js'
import type { BrokerState } from './state.js'
import type { OutboundTopicAliases } from './topic-aliases.js'

/** One object for all: links read it before they return. */
const delivery: Delivery = {
  qos: 0,
  retain: false,
  dup: false,
  packetId: 0,
  deliverySequence: 0,
  subscriptionIdentifiers: null,
  messageExpiryIntervalSec: -1,
  topicAlias: 0,
  omitTopicName: false,
  maximumPacketSize: Number.POSITIVE_INFINITY,
}

function fillDelivery(qos: QoS, retain: boolean, identifiers: readonly number[] | null, expirySec: number): void {
  delivery.qos = qos
  delivery.retain = retain
  delivery.dup = false
  delivery.packetId = 0
  delivery.deliverySequence = 0
  delivery.subscriptionIdentifiers = identifiers
  delivery.messageExpiryIntervalSec = expirySec
  delivery.topicAlias = 0
  delivery.omitTopicName = false
  delivery.maximumPacketSize = Number.POSITIVE_INFINITY
}

/** What is left of a Message Expiry Interval, at least 1 unless it was 0 [v5 MQTT-3.3.2-6]; -1: none. */
export function remainingExpirySec(expiresAtMs: number, nowMs: number): number {
  if (expiresAtMs === 0) return -1
  const leftMs = expiresAtMs - nowMs
  return leftMs === 1 ? 0 : Math.max(1, Math.ceil(leftMs / 1_000))
}

/** A copy at QoS 0: now or never. `isStored`: the message came at QoS 1 or 2, so it waits for its commit. */
export function deliverQoS0(
  state: BrokerState,
  session: Session,
  publication: Publication,
  retain: boolean,
  identifiers: readonly number[] | null,
  expirySec: number,
  isStored: boolean,
): void {
  const connection = session.connection
  if (connection === null) {
    state.counters.dropped.offline += 1
    return
  }
  if (!mayReceive(state, session, publication.topicName)) {
    state.counters.dropped['not-authorized'] += 1
    return
  }
  const link = connection.link
  if (link.bufferedBytes > state.limits.outputBufferBytesMax) {
    noteCongestion(state, session, connection)
    state.counters.dropped['slow-consumer'] += 1
    return
  }
  fillDelivery(0, retain, identifiers, expirySec)
  if (isTooLarge(connection, publication)) {
    state.counters.dropped['too-large'] += 1
    return
  }
  const aliases = isStored ? connection.outboundAliasesAfterCommit : connection.outboundAliases
  if (aliases !== null) useAlias(aliases, connection, publication)
  if (isStored) link.deliverAfterCommit(publication, delivery)
  else link.deliver(publication, delivery)
  state.counters.publishesSent += 1
  state.counters.publishBytesSent += publication.payload.length
}

/** A copy at QoS 1 or 2 of a message whose fact is in the open record. */
export function deliverStored(
  state: BrokerState,
  session: Session,
  message: Message,
  terms: CopyTerms,
  nowMs: number,
): void {
  const account = state.ledger.accountOf(session, message.topicName)
  const copy = new Copy(message.messageId, message, terms, message.byteLength, account)
  const connection = session.connection
  if (
    connection !== null &&
    session.queue.isEmpty &&
    connection.resend === null &&
    hasRoom(state, session, connection)
  ) {
    const obstacle = obstacleTo(state, session, connection, message, copy, nowMs)
    if (obstacle !== null) return lose(state, session, copy, obstacle)
    const packetId = session.allocatePacketId()
    noteEnqueued(state, session, message, copy, packetId)
    session.assign(copy, packetId)
    send(state, session, connection, copy, message, nowMs)
    return
  }
  const { queueMessagesMax, queueBytesMax } = state.limits
  if (session.queue.count >= queueMessagesMax || session.queue.byteLength + copy.byteLength > queueBytesMax) {
    state.ports.events.emit({ type: 'queue-full', clientId: session.clientId, queuedMessages: session.queue.count })
    return lose(state, session, copy, 'queue-full')
  }
  noteEnqueued(state, session, message, copy, 0)
  if (!session.isDurable) message.compact()
  session.queue.push(copy)
}

function noteEnqueued(state: BrokerState, session: Session, message: Message, copy: Copy, packetId: number): void {
  state.ledger.enqueued(copy)
  if (!session.isDurable) {
    message.isKept = true
    return
  }
  state.touch(session)
  if (message.row === 'stored') state.messages.hold(message.messageId, state.recordNumber)
  else message.references += 1
  state.record.enqueued(session.number, message.messageId, copy, copy.byteLength, packetId, copy.account?.number ?? 0)
}

/** A copy that gets no further: the books say that it came, and that it was dropped. */
function lose(state: BrokerState, session: Session, copy: Copy, reason: DropReason): void {
  state.counters.dropped[reason] += 1
  session.addLost(reason, 1)
  state.ledger.enqueued(copy)
  state.ledger.dropped(copy, reason)
  if (!session.isDurable) return
  state.touch(session)
  state.record.lost(session.number, reason, copy.account?.number ?? 0, copy.byteLength)
}

/**
 * Would the queue of this session refuse another copy? For `queueFull: 'refuse-publish'`.
 * @param ahead copies that go before it, whose bytes are counted in `byteLength`.
 */
export function isQueueFull(state: BrokerState, session: Session, byteLength: number, ahead = 0): boolean {
  const { queueMessagesMax, queueBytesMax } = state.limits
  return session.queue.count + ahead >= queueMessagesMax || session.queue.byteLength + byteLength > queueBytesMax
}

/** Sends again what was in flight, then what waits, as far as quota and buffer allow. Call it whenever either grew. */
export function pump(state: BrokerState, session: Session, nowMs: number): void {
  const connection = session.connection
  if (connection === null || connection.state !== 'connected') return
  if (connection.resend !== null && !pumpResend(state, session, connection, nowMs)) return
  if (session.queue.isEmpty) return
  const loader = queueLoader(state, session)
  while (!session.queue.isEmpty && hasRoom(state, session, connection)) {
    const copy = session.queue.peek(loader)
    if (copy === undefined) return
    let message = copy.message
    if (message === null || message.isEvicted) message = state.messages.load(copy.messageId)
    const obstacle = obstacleTo(state, session, connection, message, copy, nowMs)
    session.queue.shift(loader)
    if (obstacle !== null) {
      dropCopy(state, session, copy, obstacle)
      continue
    }
    const packetId = session.allocatePacketId()
    if (session.isDurable) {
      state.touch(session)
      state.record.assigned(session.number, packetId)
    }
    copy.message = message
    session.assign(copy, packetId)
    send(state, session, connection, copy, message, nowMs)
  }
}

/** In flight at the last connection: PUBLISH with DUP, or PUBREL, in their old order [v5 MQTT-4.4.0-1, 4.6.0-1]. */
function pumpResend(state: BrokerState, session: Session, connection: ClientConnection, nowMs: number): boolean {
  const resend = connection.resend
  for (; resend !== null && connection.resendNext < resend.length; connection.resendNext += 1) {
    if (!hasRoom(state, session, connection)) return false
    const copy = resend[connection.resendNext] as Copy
    if (session.inflight.get(copy.packetId) !== copy) continue
    if (copy.state === 'released') {
      copy.isOnWire = true
      connection.outstanding += 1
      acknowledge(state, connection, PacketType.PUBREL, copy.packetId, ReasonCode.SUCCESS)
      continue
    }
    let message = copy.message
    if (message === null || message.isEvicted) message = state.messages.load(copy.messageId)
    copy.message = message
    if (isResendTooLarge(connection, copy, message, nowMs)) dropInflight(state, session, copy)
    else send(state, session, connection, copy, message, nowMs, true)
  }
  connection.resend = null
  return true
}

/** The head of the queue, already shifted, ends undelivered. */
export function dropCopy(state: BrokerState, session: Session, copy: Copy, reason: DropReason): void {
  state.counters.dropped[reason] += 1
  session.addLost(reason, 1)
  if (reason === 'session-ended') state.ledger.purged(copy)
  else state.ledger.dropped(copy, reason)
  if (!session.isDurable) return
  state.touch(session)
  state.record.dropped(session.number, copy.messageId, reason)
  state.messages.release(copy.messageId, state.recordNumber)
}

/** The client takes less on this connection than on the one before [v5 MQTT-3.1.2-24, 3.1.2-25]. */
function isResendTooLarge(connection: ClientConnection, copy: Copy, message: Message, nowMs: number): boolean {
  if (connection.maximumPacketSize === Number.POSITIVE_INFINITY) return false
  fillDelivery(copy.qos, copy.retain, copy.subscriptionIdentifiers, remainingExpirySec(message.expiresAtMs, nowMs))
  delivery.packetId = copy.packetId
  delivery.deliverySequence = copy.deliverySequence
  return isTooLarge(connection, message)
}

function dropInflight(state: BrokerState, session: Session, copy: Copy): void {
  session.removeInflight(copy.packetId)
  state.counters.dropped['too-large'] += 1
  session.addLost('too-large', 1)
  state.ledger.dropped(copy, 'too-large')
  if (!session.isDurable) return
  state.touch(session)
  state.record.droppedInflight(session.number, copy.packetId, copy.messageId, 'too-large')
  state.messages.release(copy.messageId, state.recordNumber)
}

function send(
  state: BrokerState,
  session: Session,
  connection: ClientConnection,
  copy: Copy,
  message: Message,
  nowMs: number,
  dup = false,
): void {
  fillDelivery(copy.qos, copy.retain, copy.subscriptionIdentifiers, remainingExpirySec(message.expiresAtMs, nowMs))
  delivery.dup = dup
  delivery.packetId = copy.packetId
  delivery.deliverySequence = copy.deliverySequence
  delivery.maximumPacketSize = connection.maximumPacketSize
  const aliases = connection.outboundAliasesAfterCommit
  if (aliases !== null) useAlias(aliases, connection, message)
  copy.isOnWire = true
  connection.outstanding += 1
  connection.link.deliverAfterCommit(message, delivery)
  state.counters.publishesSent += 1
  state.counters.publishBytesSent += message.payload.length
  if (!session.isDurable) return
  if (message.row === 'stored') copy.message = null
}

/** Why this copy cannot be sent at all, or null. */
function obstacleTo(
  state: BrokerState,
  session: Session,
  connection: ClientConnection,
  message: Message,
  copy: Copy,
  nowMs: number,
): DropReason | null {
  if (message.isExpired(nowMs)) return 'expired'
  if (!mayReceive(state, session, message.topicName)) return 'not-authorized'
  if (connection.maximumPacketSize === Number.POSITIVE_INFINITY) return null
  fillDelivery(copy.qos, copy.retain, copy.subscriptionIdentifiers, remainingExpirySec(message.expiresAtMs, nowMs))
  delivery.packetId = 65_535
  delivery.deliverySequence = session.nextDeliverySequence
  return isTooLarge(connection, message) ? 'too-large' : null
}

function isTooLarge(connection: ClientConnection, publication: Publication): boolean {
  if (connection.maximumPacketSize === Number.POSITIVE_INFINITY) return false
  return connection.link.publicationSize(publication, delivery) > connection.maximumPacketSize
}

function hasRoom(state: BrokerState, session: Session, connection: ClientConnection): boolean {
  const inflightMax = Math.min(connection.receiveMaximum, state.limits.inflightMax)
  if (connection.outstanding >= inflightMax || session.inflight.size >= 65_535) return false
  if (connection.link.bufferedBytes <= state.limits.outputBufferBytesMax) return true
  noteCongestion(state, session, connection)
  return false
}

function noteCongestion(state: BrokerState, session: Session, connection: ClientConnection): void {
  if (connection.isCongested) return
  connection.isCongested = true
  const bufferedBytes = connection.link.bufferedBytes
  state.ports.events.emit({ type: 'slow-consumer', clientId: session.clientId, bufferedBytes })
}

function mayReceive(state: BrokerState, session: Session, topicName: string): boolean {
  const access = state.ports.access
  return access.allowsEverything || access.authorize(session, 'receive', topicName)
}

function useAlias(aliases: OutboundTopicAliases, connection: ClientConnection, publication: Publication): void {
  if (connection.maximumPacketSize !== Number.POSITIVE_INFINITY) {
    // Naming an alias for the first time makes the packet larger: what just fits goes without [v5 MQTT-3.1.2-24].
    delivery.topicAlias = 65_535
    const isTight = isTooLarge(connection, publication)
    delivery.topicAlias = 0
    if (isTight) return
  }
  const assigned = aliases.assign(publication.topicName)
  if (assigned === undefined) return
  delivery.topicAlias = assigned.alias
  delivery.omitTopicName = !assigned.isNew
}
