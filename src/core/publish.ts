/**
 * A PUBLISH from a client, and everything that is published on behalf of one (Wills, presence): checks, retained
 * message, fan-out. QoS 2 is the receiver's method B: packet id, message and every copy are facts of one record, and
 * PUBREC leaves after it is durable [v5 4.3.3, figure 4.3].
 */
import { PacketType, type PublishPacket, type PublishProperties, type QoS } from '../protocol/packets.js'
import { ProtocolError } from '../protocol/protocol-error.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import { topicNameProblem } from '../protocol/topics.js'
import { acknowledge } from './answer.js'
import type { ClientConnection } from './connection.js'
import type { KeyUse } from './idempotency-keys.js'
import { deliverQoS0, deliverStored, isQueueFull } from './deliver.js'
import type { Account } from './ledger/account.js'
import { Message, PLAIN_TERMS, TransientPublication } from './message.js'
import { clearRetained, isRetainedFull, setRetained } from './retained.js'
import type { Session } from './session.js'
import { chooseMember } from './shared-subscriptions.js'
import type { BrokerState } from './state.js'
import { forwardedProperties } from './stored-body.js'
import { InboundTopicAliases } from './topic-aliases.js'
import { type Match, type Matches, matchForPublisher } from './topic-tree.js'

/** What is published, whoever publishes it. */
export interface Publishing {
  readonly topicName: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: PublishProperties | null
}

export function receivePublish(
  state: BrokerState,
  connection: ClientConnection,
  session: Session,
  packet: PublishPacket,
  nowMs: number,
): void {
  state.counters.publishesReceived += 1
  state.counters.publishBytesReceived += packet.payload.length
  const { maximumQoS, retainAvailable } = state.features
  if (packet.qos > maximumQoS || (packet.retain && !retainAvailable)) throw notSupported(maximumQoS, packet)
  if (packet.properties !== null) checkProperties(state, packet.properties)
  packet.topicName = resolveTopicName(state, connection, packet)
  if (packet.qos === 2 && session.receipts.has(packet.packetId)) {
    state.counters.duplicatesRefused += 1
    state.ledger.duplicate(session, packet.topicName)
    acknowledge(state, connection, PacketType.PUBREC, packet.packetId, ReasonCode.SUCCESS)
    return
  }
  if (packet.qos > 0) takeReceiveQuota(state, connection, packet.qos)
  const use = packet.qos === 0 ? undefined : state.keys.useOf(session, packet)
  if (use && state.keys.look(use, nowMs) === 'known') return acknowledgeAgain(state, connection, session, packet)
  const refusal = refusalOf(state, session, packet) ?? (use === undefined ? null : keyRefusal(state, use, nowMs))
  if (refusal?.isBreach === true) throw new ProtocolError(refusal.reasonCode, refusal.detail)
  if (refusal !== null) return refuse(state, connection, session, packet, refusal)
  if (use) noteKey(state, use, nowMs)
  if (packet.qos === 2) addReceipt(state, connection, session, packet.packetId)
  packet.properties = forwardedProperties(packet.properties)
  const isMatched = publish(state, packet, session, nowMs)
  if (packet.qos === 0) return
  const type = packet.qos === 1 ? PacketType.PUBACK : PacketType.PUBREC
  const reasonCode = isMatched ? ReasonCode.SUCCESS : ReasonCode.NO_MATCHING_SUBSCRIBERS
  acknowledge(state, connection, type, packet.packetId, reasonCode)
}

function addReceipt(state: BrokerState, connection: ClientConnection, session: Session, packetId: number): void {
  session.addReceipt(packetId)
  connection.unreleased += 1
  if (!session.isDurable) return
  state.touch(session)
  state.record.receiptAdded(session.number, packetId)
}

/** In the record of the message itself: both are durable, or neither. */
function noteKey(state: BrokerState, use: KeyUse, nowMs: number): void {
  const atMs = Math.trunc(nowMs)
  state.record.keyUsed(use.key, use.content, atMs)
  state.keys.used(use.key, use.content, atMs, state.recordNumber)
}

/** Like the first time: it was accepted then, whatever would be said of it now. */
function acknowledgeAgain(
  state: BrokerState,
  connection: ClientConnection,
  session: Session,
  { qos, packetId, topicName }: PublishPacket,
): void {
  state.counters.duplicatesRefused += 1
  state.ledger.duplicate(session, topicName)
  if (qos === 2) addReceipt(state, connection, session, packetId)
  const type = qos === 1 ? PacketType.PUBACK : PacketType.PUBREC
  acknowledge(state, connection, type, packetId, ReasonCode.SUCCESS)
}

function keyRefusal(state: BrokerState, use: KeyUse | null, nowMs: number): Refusal | null {
  if (use === null) {
    return { reasonCode: ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, detail: 'an idempotency key has 1 to 256 bytes' }
  }
  const found = state.keys.look(use, nowMs)
  if (found === 'full') {
    return { reasonCode: ReasonCode.QUOTA_EXCEEDED, detail: 'the limit of idempotency keys is reached' }
  }
  if (found !== 'other') return null
  const detail = 'this idempotency key was used for another message; each message needs a key of its own'
  return { reasonCode: ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, detail }
}

/** CONNACK said so. Before MQTT 5 it could not; the close is all there is then [v5 MQTT-3.2.2-11, 3.2.2-14]. */
function notSupported(maximumQoS: QoS, { qos }: PublishPacket): ProtocolError {
  return qos > maximumQoS
    ? new ProtocolError(ReasonCode.QOS_NOT_SUPPORTED, `publications have QoS ${maximumQoS} at most here`)
    : new ProtocolError(ReasonCode.RETAIN_NOT_SUPPORTED, 'retained messages are switched off here')
}

function checkProperties(state: BrokerState, properties: PublishProperties): void {
  if (properties.subscriptionIdentifiers !== undefined) {
    const detail = 'a subscription identifier goes from the server to the client only' // [v5 MQTT-3.3.4-6]
    throw new ProtocolError(ReasonCode.PROTOCOL_ERROR, detail)
  }
  if (properties.responseTopic === undefined) return
  const problem = topicNameProblem(properties.responseTopic, state.limits) // [v5 MQTT-3.3.2-14]
  if (problem !== undefined) throw new ProtocolError(ReasonCode.TOPIC_NAME_INVALID, `Response Topic: ${problem}`)
}

function resolveTopicName(state: BrokerState, connection: ClientConnection, packet: PublishPacket): string {
  const alias = packet.properties?.topicAlias
  if (alias === undefined && packet.topicName.length > 0) return packet.topicName
  connection.inboundAliases ??= new InboundTopicAliases(state.limits.topicAliasMaximum)
  return connection.inboundAliases.resolve(packet.topicName, alias)
}

/** More unacknowledged publications than we allowed: the client counts wrongly [v5 MQTT-3.3.4-7]. */
function takeReceiveQuota(state: BrokerState, connection: ClientConnection, qos: QoS): void {
  const unacknowledged = connection.unacknowledgedOpen + connection.unacknowledgedSealed + connection.unreleased
  if (unacknowledged >= state.limits.receiveMaximum) {
    throw new ProtocolError(
      ReasonCode.RECEIVE_MAXIMUM_EXCEEDED,
      `at most ${state.limits.receiveMaximum} publications may be unacknowledged at a time`,
    )
  }
  if (qos !== 1) return
  if (connection.unacknowledgedOpen === 0) state.acknowledgingOpen.push(connection)
  connection.unacknowledgedOpen += 1
}

export interface Refusal {
  readonly reasonCode: number
  readonly detail: string
  /** The client broke the protocol: a PUBLISH like this ends its connection. */
  readonly isBreach?: boolean
}

/** What is to be published with it, all or nothing, and before it. */
export interface Ahead {
  messages: number
  bytes: number
  retainedMessages: number
  retainedBytes: number
}

/** Why this cannot be taken, or null. @param ahead null: nothing else is on its way. */
export function refusalOf(
  state: BrokerState,
  session: Session,
  what: Publishing,
  ahead: Ahead | null = null,
): Refusal | null {
  if (what.topicName !== state.acceptedTopicName) {
    const refusal = topicRefusal(state, what.topicName)
    if (refusal !== null) return refusal
    state.acceptedTopicName = what.topicName
  }
  const access = state.ports.access
  if (!access.allowsEverything && !access.authorize(session, 'publish', what.topicName)) {
    return { reasonCode: ReasonCode.NOT_AUTHORIZED, detail: 'publishing to this topic is not allowed for this client' }
  }
  if (what.retain && what.payload.length > 0 && isRetainedFull(state, what, ahead)) {
    return { reasonCode: ReasonCode.QUOTA_EXCEEDED, detail: 'the limit of retained messages is reached' }
  }
  if (state.limits.queueFull === 'refuse-publish' && what.qos > 0 && isAnyQueueFull(state, session, what, ahead)) {
    return { reasonCode: ReasonCode.QUOTA_EXCEEDED, detail: 'the queue of a subscriber is full' }
  }
  return null
}

function topicRefusal(state: BrokerState, topicName: string): Refusal | null {
  const problem = topicNameProblem(topicName, state.limits)
  if (problem !== undefined) {
    // A wildcard is a Protocol Error in the standard's words, but an ack tells a client more than a close
    // [v5 MQTT-3.3.2-2].
    const isBreach = topicName.includes('+') || topicName.includes('#')
    return { reasonCode: ReasonCode.TOPIC_NAME_INVALID, detail: problem, isBreach }
  }
  if (!topicName.startsWith('$SYS') && !topicName.startsWith('$share')) return null
  return { reasonCode: ReasonCode.NOT_AUTHORIZED, detail: 'this topic is written by the server only' }
}

/** Of somebody who would get a copy at QoS 1 or 2; in a share group: of all members. */
function isAnyQueueFull(state: BrokerState, publisher: Session, what: Publishing, ahead: Ahead | null): boolean {
  const byteLength = what.topicName.length + what.payload.length + (ahead?.bytes ?? 0)
  const messages = ahead?.messages ?? 0
  const { plain, groups } = state.tree.match(what.topicName)
  for (const each of plain) {
    const match = each.session === publisher ? matchForPublisher(each) : each
    if (match !== null && match.qos > 0 && isQueueFull(state, match.session, byteLength, messages)) return true
  }
  for (const { members } of groups) {
    if (members.every(({ qos, session }) => qos > 0 && isQueueFull(state, session, byteLength, messages))) return true
  }
  return false
}

/** QoS 0 has no answer to carry the code; MQTT 3.1.1 has none at all and gets a plain ack [v5 3.3.5, 3.1.1 3.3.5-2]. */
function refuse(
  state: BrokerState,
  connection: ClientConnection,
  session: Session,
  packet: PublishPacket,
  refusal: Refusal,
): void {
  state.counters.publishesRefused += 1
  if (packet.qos === 0) return
  state.ledger.refused(session, packet.topicName, refusal.reasonCode)
  const type = packet.qos === 1 ? PacketType.PUBACK : PacketType.PUBREC
  acknowledge(state, connection, type, packet.packetId, refusal.reasonCode, refusal.detail)
}

/**
 * Retained message and fan-out. Authorisation, topic and quota have been checked.
 * @param publisher null: the broker itself.
 * @returns whether anybody is subscribed.
 */
export function publish(state: BrokerState, what: Publishing, publisher: Session | null, nowMs: number): boolean {
  const expirySec = messageExpirySec(state, what.properties)
  // An interval of 0 is over at once, but who is there now gets it.
  const expiresAtMs = expirySec < 0 ? 0 : nowMs + Math.max(expirySec * 1_000, 1)
  if (what.retain) {
    if (what.payload.length === 0) clearRetained(state, what.topicName)
    else setRetained(state, what, expiresAtMs)
  }
  const matches = state.tree.match(what.topicName)
  const isRouted = matches.plain.length > 0 || matches.groups.length > 0
  const account =
    what.qos === 0
      ? null
      : state.ledger.accepted(publisher, what.topicName, what.topicName.length + what.payload.length, isRouted)
  if (!isRouted) return false
  if (what.qos === 0) fanOutTransient(state, what, matches, publisher, expirySec)
  else fanOutStored(state, what, what.qos, matches, publisher, account, expiresAtMs, nowMs)
  return true
}

function messageExpirySec(state: BrokerState, properties: PublishProperties | null): number {
  const bound = state.limits.messageExpiryIntervalMaxSec
  const wanted = properties?.messageExpiryIntervalSec
  if (wanted === undefined) return bound === 0 ? -1 : bound
  return bound === 0 ? wanted : Math.min(wanted, bound)
}

/** QoS 0 to everybody who is there; nothing is retained and nothing is written. */
export function fanOutTransient(
  state: BrokerState,
  what: Publishing,
  matches: Matches<Session>,
  publisher: Session | null,
  expirySec: number,
): void {
  const publication = new TransientPublication(what.topicName, what.payload, what.properties)
  const { plain, groups } = matches
  for (let index = 0; index < plain.length; index += 1) {
    let match: Match<Session> | null = plain[index] as Match<Session>
    if (match.session === publisher) match = matchForPublisher(match)
    if (match === null) continue
    const retain = match.retainAsPublished && what.retain
    deliverQoS0(state, match.session, publication, retain, match.subscriptionIdentifiers, expirySec, false)
  }
  for (let index = 0; index < groups.length; index += 1) {
    const group = groups[index] as (typeof groups)[number]
    const member = chooseMember(group, state)
    if (member === null) continue
    const retain = member.retainAsPublished && what.retain
    const identifiers = member.subscriptionIdentifier === 0 ? null : [member.subscriptionIdentifier]
    deliverQoS0(state, member.session, publication, retain, identifiers, expirySec, false)
  }
}

function fanOutStored(
  state: BrokerState,
  what: Publishing,
  qos: 1 | 2,
  matches: Matches<Session>,
  publisher: Session | null,
  account: Account | null,
  expiresAtMs: number,
  nowMs: number,
): void {
  const message = openMessage(state, what, qos, expiresAtMs, account)
  const expirySec = expiresAtMs === 0 ? -1 : Math.max(0, Math.round((expiresAtMs - nowMs) / 1_000))
  const { plain, groups } = matches
  for (let index = 0; index < plain.length; index += 1) {
    let match: Match<Session> | null = plain[index] as Match<Session>
    if (match.session === publisher) match = matchForPublisher(match)
    if (match === null) continue
    const granted = Math.min(qos, match.qos)
    const retain = match.retainAsPublished && what.retain
    const subscriptionIdentifiers = match.subscriptionIdentifiers
    if (granted === 0) {
      deliverQoS0(state, match.session, message, retain, subscriptionIdentifiers, expirySec, true)
      continue
    }
    const isPlain = !retain && subscriptionIdentifiers === null
    const terms = isPlain
      ? PLAIN_TERMS[granted as 1 | 2]
      : { qos: granted as 1 | 2, retain, subscriptionIdentifiers, sharedSubscriptionNumber: 0 }
    deliverStored(state, match.session, message, terms, nowMs)
  }
  for (let index = 0; index < groups.length; index += 1) {
    const group = groups[index] as (typeof groups)[number]
    const member = chooseMember(group, state)
    if (member === null) continue
    const granted = Math.min(qos, member.qos)
    const retain = member.retainAsPublished && what.retain
    const identifiers = member.subscriptionIdentifier === 0 ? null : [member.subscriptionIdentifier]
    if (granted === 0) {
      deliverQoS0(state, member.session, message, retain, identifiers, expirySec, true)
      continue
    }
    const held = member.session.findSubscription(group.shareName, group.topicFilter)
    const sharedSubscriptionNumber = held?.subscriptionNumber ?? 0
    const terms = { qos: granted as 1 | 2, retain, subscriptionIdentifiers: identifiers, sharedSubscriptionNumber }
    deliverStored(state, member.session, message, terms, nowMs)
  }
  if (message.references > 0) state.messages.add(message, state.recordNumber)
}

/**
 * A stored message gets its id and its fact in the open record; copies follow.
 * @param account of its publisher; null: nobody publishes it now.
 */
export function openMessage(
  state: BrokerState,
  what: { topicName: string; payload: Uint8Array; properties: PublishProperties | null },
  qos: 1 | 2,
  expiresAtMs: number,
  account: Account | null,
): Message {
  const messageId = state.nextMessageId
  state.nextMessageId += 1
  const message = new Message(messageId, what.topicName, what.payload, what.properties, qos, expiresAtMs)
  state.record.message(messageId, message, account === null ? 0 : account.number)
  state.counters.messagesStored += 1
  return message
}
