/**
 * CONNECT: checks, authentication, takeover, session, CONNACK [v5 3.1.4]. Nothing is kept of a client that is refused,
 * and an unauthenticated CONNECT does not touch the session it names.
 */
import { utf8ByteLength } from '../base/utf8.js'
import {
  type ConnackPacket,
  type ConnackProperties,
  type ConnectPacket,
  PACKET_ID_MAX,
  PacketType,
  type ResumeResult,
  type WillMessage,
} from '../protocol/packets.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import { topicNameProblem } from '../protocol/topics.js'
import { endHandled } from './acknowledge.js'
import { durabilityWanted, explain, fits } from './answer.js'
import { authenticate } from './authenticate.js'
import type { Authentication, ClientConnection } from './connection.js'
import { pump } from './deliver.js'
import type { AuthenticationResult } from './ports/access.js'
import { publishPresence } from './presence.js'
import { startRetained } from './retained.js'
import type { Session } from './session.js'
import { attachConnection, dismiss, endSession, openSession } from './session-life.js'
import type { BrokerState } from './state.js'
import { OutboundTopicAliases } from './topic-aliases.js'

const NOTHING_TO_RESUME: ResumeResult = { queuedMessages: 0, lost: [] }

export function receiveConnect(
  state: BrokerState,
  connection: ClientConnection,
  packet: ConnectPacket,
  nowMs: number,
): void {
  connection.protocolLevel = packet.protocolLevel
  takeWishes(state, connection, packet)
  connection.become('authenticating')
  const problem = connectProblem(state, packet)
  if (problem !== null) return refuseConnect(state, connection, packet.clientId, problem.reasonCode, problem.detail)
  if (packet.clientId === '') {
    packet = { ...packet, clientId: `auto-${state.ports.ids.randomId()}` }
    connection.isClientIdAssigned = true
  }
  connection.clientId = packet.clientId
  authenticate(state, connection, packet, nowMs)
}

interface Problem {
  readonly reasonCode: number
  readonly detail: string
}

function connectProblem(state: BrokerState, packet: ConnectPacket): Problem | null {
  const { limits } = state
  if (packet.clientId === '' && packet.protocolLevel < 5 && !packet.cleanStart) {
    const detail = 'an empty client identifier needs clean session 1 [3.1.1 MQTT-3.1.3-8]'
    return { reasonCode: ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, detail }
  }
  if (utf8ByteLength(packet.clientId) > limits.clientIdBytesMax) {
    const detail = `a client identifier has at most ${limits.clientIdBytesMax} bytes here`
    return { reasonCode: ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, detail }
  }
  if (packet.will === undefined) return null
  const { topicName, qos, retain } = packet.will
  const { maximumQoS, retainAvailable } = state.features
  if (qos > maximumQoS) {
    const detail = `a Will has QoS ${maximumQoS} at most here` // [v5 MQTT-3.2.2-12]
    return { reasonCode: ReasonCode.QOS_NOT_SUPPORTED, detail }
  }
  if (retain && !retainAvailable) {
    const detail = 'retained messages are switched off here: a Will has Retain 0' // [v5 MQTT-3.2.2-13]
    return { reasonCode: ReasonCode.RETAIN_NOT_SUPPORTED, detail }
  }
  const { responseTopic } = packet.will.properties
  const responseProblem = responseTopic === undefined ? undefined : topicNameProblem(responseTopic, limits)
  if (responseProblem !== undefined) {
    const detail = `Response Topic of the Will: ${responseProblem}`
    return { reasonCode: ReasonCode.TOPIC_NAME_INVALID, detail }
  }
  const isReserved = topicName.startsWith('$SYS') || topicName.startsWith('$share')
  const topicProblem = topicNameProblem(topicName, limits) ?? (isReserved ? 'this one is the server’s' : undefined)
  if (topicProblem === undefined) return null
  return { reasonCode: ReasonCode.TOPIC_NAME_INVALID, detail: `Will Topic: ${topicProblem}` }
}

/** What holds for every answer, also for one that refuses. */
function takeWishes(state: BrokerState, connection: ClientConnection, packet: ConnectPacket): void {
  const { properties } = packet
  connection.maximumPacketSize = properties.maximumPacketSize ?? Number.POSITIVE_INFINITY
  connection.isProblemInformationWanted = properties.requestProblemInformation !== 0
  // Native clients have it in CONNACK, and ranges of acknowledgements that it would take apart.
  const isMqtt = connection.link.description.protocol === 'mqtt'
  connection.durability = isMqtt ? durabilityWanted(packet, state.ports.durability) : null
}

/** The client has been authenticated, or not. */
export function accept(
  state: BrokerState,
  connection: ClientConnection,
  packet: ConnectPacket,
  result: AuthenticationResult,
  nowMs: number,
): void {
  const { clientId } = packet
  if (!result.accepted) return refuseConnect(state, connection, clientId, result.reasonCode, result.detail)
  const { username } = result
  const existing = state.sessions.get(clientId)
  const problem = sessionProblem(state, packet, username, existing, nowMs)
  if (problem !== null) return refuseConnect(state, connection, clientId, problem.reasonCode, problem.detail)
  takeTerms(state, connection, packet)
  const expirySec = grantedExpirySec(state, packet)
  // Before the session is touched: a client that cannot be answered cannot be served [v5 MQTT-3.1.2-24].
  if (!connackFits(state, connection, packet, expirySec)) {
    const detail = 'the Maximum Packet Size leaves no room for CONNACK'
    return refuseConnect(state, connection, clientId, ReasonCode.PACKET_TOO_LARGE, detail)
  }
  if (existing !== undefined) takeOver(state, existing, packet, connection, nowMs)
  const kept = state.sessions.get(clientId)
  const terms = { sessionExpiryIntervalSec: expirySec, will: keptWill(packet) }
  const isDurable = terms.sessionExpiryIntervalSec > 0 || terms.will !== null
  const session = kept ?? openSession(state, clientId, username, isDurable)
  connection.become('connected')
  attachConnection(state, session, connection, terms)
  if (kept !== undefined) takeCursor(state, session, packet)
  const resume = resumeResult(session)
  const answer = connack(state, connection, packet, expirySec, kept !== undefined, resume, session.number)
  explain(state, connection, answer, null)
  connection.link.sendAfterCommit(answer)
  const { events } = state.ports
  events.emit({
    type: 'connected',
    clientId,
    username,
    link: connection.link.description,
    sessionPresent: kept !== undefined,
  })
  publishPresence(state, session, 'online', 0, '', nowMs)
  if (kept !== undefined) resumeSession(state, connection, session, nowMs)
}

/** Bytes of its own: a view would keep the network chunk it came in alive as long as the connection. */
function keptWill({ will }: ConnectPacket): WillMessage | null {
  if (will === undefined) return null
  const { correlationData } = will.properties
  const properties =
    correlationData === undefined ? will.properties : { ...will.properties, correlationData: correlationData.slice() }
  return { ...will, payload: will.payload.slice(), properties }
}

function sessionProblem(
  state: BrokerState,
  packet: ConnectPacket,
  username: string | null,
  existing: Session | undefined,
  nowMs: number,
): Problem | null {
  const { access } = state.ports
  const principal = { clientId: packet.clientId, username }
  if (
    packet.will !== undefined &&
    !access.allowsEverything &&
    !access.authorize(principal, 'publish', packet.will.topicName)
  ) {
    return {
      reasonCode: ReasonCode.NOT_AUTHORIZED,
      detail: 'publishing the Will Message is not allowed for this client',
    }
  }
  if (existing === undefined) {
    if (state.sessions.size < state.limits.sessionsMax) return null
    return { reasonCode: ReasonCode.QUOTA_EXCEEDED, detail: 'the limit of sessions is reached' }
  }
  if (existing.username !== username && !access.allowsEverything) {
    const detail = 'this client identifier belongs to another user'
    return { reasonCode: ReasonCode.NOT_AUTHORIZED, detail }
  }
  if (isCursorAhead(packet, existing)) {
    const detail =
      'the delivery cursor is ahead of all that this session was ever sent: the broker was restored, ' +
      'or the cursor belongs to other data'
    return { reasonCode: ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, detail }
  }
  if (existing.connection === null || !isTakeoverTooFast(state, packet.clientId, nowMs)) return null
  const detail = `more than ${state.limits.takeoversPerMinuteMax} takeovers a minute: two clients share this identifier`
  return { reasonCode: ReasonCode.CONNECTION_RATE_EXCEEDED, detail }
}

function isCursorAhead(
  { cleanStart, deliveryCursor }: ConnectPacket,
  { number, nextDeliverySequence }: Session,
): boolean {
  if (deliveryCursor === undefined || cleanStart || deliveryCursor.sessionNumber !== number) return false
  return deliveryCursor.deliverySequence >= nextDeliverySequence
}

/** A cursor of another session says nothing about this one; CONNACK names it, so the client finds out. */
function takeCursor(state: BrokerState, session: Session, { deliveryCursor }: ConnectPacket): void {
  if (deliveryCursor === undefined || deliveryCursor.sessionNumber !== session.number) return
  endHandled(state, session, deliveryCursor.deliverySequence)
}

/** Two clients with one id would throw each other out for ever; the newcomer is told to slow down. */
function isTakeoverTooFast(state: BrokerState, clientId: string, nowMs: number): boolean {
  const window = state.takeovers.get(clientId)
  if (window === undefined || nowMs - window.sinceMs >= 60_000) {
    if (state.takeovers.size >= 10_000) state.takeovers.clear()
    state.takeovers.set(clientId, { sinceMs: nowMs, count: 1 })
    return false
  }
  window.count += 1
  return window.count > state.limits.takeoversPerMinuteMax
}

/**
 * The old connection is told and closed; what it had not yet read is nobody's any more, because its state is 'closed'
 * [v5 MQTT-3.1.4-3]. A Will whose delay has not begun is not sent when the session goes on [v5 3.1.3.2.2].
 */
function takeOver(
  state: BrokerState,
  session: Session,
  packet: ConnectPacket,
  by: ClientConnection,
  nowMs: number,
): void {
  const { connection, clientId } = session
  if (connection !== null) {
    state.ports.events.emit({ type: 'session-taken-over', clientId, by: by.link.description })
    dismiss(state, connection, ReasonCode.SESSION_TAKEN_OVER, 'another connection uses this client identifier', nowMs)
  }
  if (packet.cleanStart && !session.hasEnded) endSession(state, session, 'clean-start', nowMs)
}

function grantedExpirySec(state: BrokerState, packet: ConnectPacket): number {
  const { mqtt311SessionExpiryIntervalSec, sessionExpiryIntervalMaxSec } = state.limits
  const wanted =
    packet.protocolLevel === 5
      ? (packet.properties.sessionExpiryIntervalSec ?? 0)
      : packet.cleanStart
        ? 0
        : mqtt311SessionExpiryIntervalSec
  return Math.min(wanted, sessionExpiryIntervalMaxSec)
}

function takeTerms(state: BrokerState, connection: ClientConnection, packet: ConnectPacket): void {
  const { limits } = state
  const { properties } = packet
  const bound = limits.keepAliveMaxSec
  const isKeepAliveBound =
    bound > 0 && packet.protocolLevel === 5 && (packet.keepAliveSec === 0 || packet.keepAliveSec > bound)
  connection.keepAliveSec = isKeepAliveBound ? bound : packet.keepAliveSec
  connection.receiveMaximum = properties.receiveMaximum ?? PACKET_ID_MAX
  const aliasMaximum = properties.topicAliasMaximum ?? 0
  if (aliasMaximum === 0) return
  const afterCommit = Math.min(Math.ceil(aliasMaximum / 2), 512)
  const now = Math.min(aliasMaximum - afterCommit, 512)
  connection.outboundAliasesAfterCommit = new OutboundTopicAliases(afterCommit)
  connection.outboundAliases = new OutboundTopicAliases(now, afterCommit + 1)
}

function connack(
  state: BrokerState,
  connection: ClientConnection,
  packet: ConnectPacket,
  sessionExpiryIntervalSec: number,
  sessionPresent: boolean,
  resume: ResumeResult,
  sessionNumber: number,
): ConnackPacket {
  const { limits } = state
  const properties: ConnackProperties = { maximumPacketSize: limits.maximumPacketSize }
  if (limits.receiveMaximum < PACKET_ID_MAX) properties.receiveMaximum = limits.receiveMaximum
  if (limits.topicAliasMaximum > 0) properties.topicAliasMaximum = limits.topicAliasMaximum
  announce(state, properties)
  if (connection.isClientIdAssigned) properties.assignedClientIdentifier = connection.clientId
  if (connection.keepAliveSec !== packet.keepAliveSec) properties.serverKeepAliveSec = connection.keepAliveSec
  const { authenticationMethod } = packet.properties
  if (authenticationMethod !== undefined) {
    properties.authenticationMethod = authenticationMethod // [v5 MQTT-4.12.0-5]
    const { finalData } = connection.authentication as Authentication
    if (finalData !== null && finalData.length > 0) properties.authenticationData = finalData
  }
  const wanted = packet.properties.sessionExpiryIntervalSec ?? 0
  if (sessionExpiryIntervalSec !== wanted) properties.sessionExpiryIntervalSec = sessionExpiryIntervalSec
  const { durability, incarnation } = state.ports
  const { SUCCESS } = ReasonCode
  const answer: ConnackPacket = {
    type: PacketType.CONNACK,
    sessionPresent,
    reasonCode: SUCCESS,
    properties,
    durability,
    resume,
    sessionNumber,
    incarnation,
  }
  if (packet.properties.requestResponseInformation === 1) addResponseInformation(state, connection, answer)
  return answer
}

/** What is switched off; what is not said is there [v5 3.2.2.3]. */
function announce(state: BrokerState, properties: ConnackProperties): void {
  const { features } = state
  if (features.maximumQoS !== 2) properties.maximumQoS = features.maximumQoS // [v5 MQTT-3.2.2-9]
  if (!features.retainAvailable) properties.retainAvailable = 0
  if (!features.wildcardSubscriptionAvailable) properties.wildcardSubscriptionAvailable = 0
  if (!features.subscriptionIdentifiersAvailable) properties.subscriptionIdentifiersAvailable = 0
  if (!features.sharedSubscriptionAvailable) properties.sharedSubscriptionAvailable = 0
}

/** Only for who asks [v5 MQTT-3.1.2-28], whose name can stand in a topic, and who has room for it. */
function addResponseInformation(state: BrokerState, connection: ClientConnection, answer: ConnackPacket): void {
  const prefix = state.features.responseInformationPrefix
  if (prefix === null || /[/+#]/.test(connection.clientId)) return
  answer.properties.responseInformation = `${prefix}/${connection.clientId}`
  if (!fits(connection, answer)) delete answer.properties.responseInformation
}

function connackFits(
  state: BrokerState,
  connection: ClientConnection,
  packet: ConnectPacket,
  sessionExpiryIntervalSec: number,
): boolean {
  if (connection.maximumPacketSize === Number.POSITIVE_INFINITY) return true
  const number = state.nextSessionNumber
  return fits(
    connection,
    connack(state, connection, packet, sessionExpiryIntervalSec, false, NOTHING_TO_RESUME, number),
  )
}

function resumeResult(session: Session): ResumeResult {
  const lost = [...(session.lost ?? [])].map(([reason, messages]) => ({ reason, messages }))
  session.lost = null
  return { queuedMessages: session.queue.count + session.inflight.size, lost }
}

function resumeSession(state: BrokerState, connection: ClientConnection, session: Session, nowMs: number): void {
  if (session.inflight.size > 0) connection.resend = session.inflight.inOrder()
  const pending = session.retainedPending
  if (pending !== null && pending.size > 0) {
    for (const subscription of session.subscriptions) {
      if (pending.has(subscription.subscriptionNumber)) startRetained(state, connection, subscription)
    }
  }
  pump(state, session, nowMs)
}

/** CONNACK with the reason, then the close; MQTT 3.1.1 has fewer reasons [v5 MQTT-3.1.4-1, 3.1.4-2]. */
export function refuseConnect(
  state: BrokerState,
  connection: ClientConnection,
  clientId: string,
  reasonCode: number,
  detail: string,
): void {
  const { link } = connection
  state.ports.events.emit({ type: 'connect-refused', clientId, link: link.description, reasonCode, detail })
  connection.become('closed')
  state.connections.delete(connection)
  const packet: ConnackPacket = { type: PacketType.CONNACK, sessionPresent: false, reasonCode, properties: {} }
  if (fits(connection, packet)) {
    explain(state, connection, packet, detail) // [v5 MQTT-3.1.2-24]
    link.send(packet)
  }
  link.close(reasonCode, detail)
}
