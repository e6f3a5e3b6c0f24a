/** SUBSCRIBE and UNSUBSCRIBE: each filter is judged alone, granted or refused with its own code [v5 3.8, 3.10]. */
import { assert } from '../base/assert.js'
import type {
  QoS,
  SubackPacket,
  SubscribePacket,
  SubscriptionRequest,
  UnsubackPacket,
  UnsubscribePacket,
} from '../protocol/packets.js'
import { PacketType } from '../protocol/packets.js'
import { ProtocolError } from '../protocol/protocol-error.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import { parseFilter, type ParsedFilter, topicFilterProblem } from '../protocol/topics.js'
import { explain, fits } from './answer.js'
import type { ClientConnection } from './connection.js'
import { changeRetained, startRetained } from './retained.js'
import type { Session, SessionSubscription } from './session.js'
import type { BrokerState } from './state.js'

/** Why a topic filter is not granted, or not taken off. */
interface Refused {
  readonly reasonCode: number
  readonly detail: string
}
const INVALID_SHARE: Refused = {
  reasonCode: ReasonCode.TOPIC_FILTER_INVALID,
  detail: 'a shared subscription is $share/, a name without wildcards, / and a topic filter',
}
const NOT_SUBSCRIBED: Refused = {
  reasonCode: ReasonCode.NO_SUBSCRIPTION_EXISTED,
  detail: 'there is no subscription to it',
}

export function receiveSubscribe(
  state: BrokerState,
  connection: ClientConnection,
  session: Session,
  packet: SubscribePacket,
): void {
  checkFilterCount(state, packet.subscriptions.length)
  // Before anything is granted: what closes the connection leaves nothing behind.
  for (const request of packet.subscriptions) checkNoLocal(request)
  const reasonCodes: number[] = []
  const withRetained: SessionSubscription[] = []
  let problem: string | null = null
  for (const request of packet.subscriptions) {
    const granted = subscribe(state, connection, session, request, packet.properties.subscriptionIdentifier ?? 0)
    if ('detail' in granted) {
      reasonCodes.push(granted.reasonCode)
      problem ??= `topic filter ${reasonCodes.length}: ${granted.detail}`
      continue
    }
    reasonCodes.push(granted.subscription.qos)
    if (granted.isRetainedWanted) withRetained.push(granted.subscription)
    else changeRetained(connection, granted.subscription)
  }
  const suback: SubackPacket = { type: PacketType.SUBACK, packetId: packet.packetId, reasonCodes, properties: null }
  answer(state, connection, suback, problem)
  // After the SUBACK: either order is legal, but simple clients break on the other one.
  for (const subscription of withRetained) startRetained(state, connection, subscription)
}

function checkFilterCount(state: BrokerState, count: number): void {
  const { filtersPerPacketMax } = state.limits
  if (count <= filtersPerPacketMax) return
  throw new ProtocolError(ReasonCode.QUOTA_EXCEEDED, `at most ${filtersPerPacketMax} topic filters fit one packet here`)
}

/** [v5 MQTT-3.8.3-4] */
function checkNoLocal(request: SubscriptionRequest): void {
  if (!request.noLocal || !request.topicFilter.startsWith('$share/')) return
  throw new ProtocolError(ReasonCode.PROTOCOL_ERROR, 'No Local may not be set on a shared subscription')
}

interface Granted {
  readonly subscription: SessionSubscription
  readonly isRetainedWanted: boolean
}

function subscribe(
  state: BrokerState,
  connection: ClientConnection,
  session: Session,
  request: SubscriptionRequest,
  subscriptionIdentifier: number,
): Granted | Refused {
  const parsed = parseFilter(request.topicFilter, state.limits)
  if (parsed === undefined) return INVALID_SHARE
  const problem = topicFilterProblem(parsed.topicFilter, state.limits)
  if (problem !== undefined) return { reasonCode: ReasonCode.TOPIC_FILTER_INVALID, detail: problem }
  const unsupported = unsupportedIn(state, parsed, subscriptionIdentifier)
  if (unsupported !== null) return unsupported
  const access = state.ports.access
  if (!access.allowsEverything && !access.authorize(session, 'subscribe', parsed.topicFilter)) {
    const detail = 'subscribing to it is not allowed for this client'
    return { reasonCode: ReasonCode.NOT_AUTHORIZED, detail }
  }
  const existing = session.findSubscription(parsed.shareName, parsed.topicFilter)
  const { subscriptionsPerSessionMax } = state.limits
  if (existing === undefined && session.subscriptionCount >= subscriptionsPerSessionMax) {
    const detail = `a session has at most ${subscriptionsPerSessionMax} subscriptions here`
    return { reasonCode: ReasonCode.QUOTA_EXCEEDED, detail }
  }
  const { maximumQoS, retainAvailable } = state.features
  const isRetainedWanted = retainAvailable && wantsRetained(connection, request, parsed, existing !== undefined)
  const subscription: SessionSubscription = {
    session,
    topicFilter: parsed.topicFilter,
    shareName: parsed.shareName,
    qos: Math.min(request.qos, maximumQoS) as QoS, // [v5 MQTT-3.2.2-10]
    noLocal: request.noLocal,
    // A 3.1.1 client cannot ask for it, and gets RETAIN 0 on live messages [3.1.1 MQTT-3.3.1-9].
    retainAsPublished: request.retainAsPublished && connection.protocolLevel === 5,
    retainHandling: request.retainHandling,
    subscriptionIdentifier,
    subscriptionNumber: existing?.subscriptionNumber ?? session.nextSubscriptionNumber,
    alone: null,
  }
  addSubscription(state, session, subscription, isRetainedWanted)
  if (session.isDurable) {
    state.touch(session)
    state.record.subscribed(session.number, { ...subscription, isRetainedPending: isRetainedWanted })
  }
  return { subscription, isRetainedWanted }
}

/** What is switched off is refused filter by filter, so that the rest of the SUBSCRIBE is granted [v5 3.9.3]. */
function unsupportedIn(state: BrokerState, parsed: ParsedFilter, subscriptionIdentifier: number): Refused | null {
  const { features } = state
  if (!features.sharedSubscriptionAvailable && parsed.shareName !== null) {
    const detail = 'shared subscriptions are switched off here'
    return { reasonCode: ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED, detail }
  }
  if (!features.subscriptionIdentifiersAvailable && subscriptionIdentifier !== 0) {
    const detail = 'subscription identifiers are switched off here'
    return { reasonCode: ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED, detail }
  }
  if (features.wildcardSubscriptionAvailable || !/[+#]/.test(parsed.topicFilter)) return null
  const detail = 'wildcards (+ and #) are switched off here'
  return { reasonCode: ReasonCode.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED, detail }
}

/** No retained messages on shared subscriptions [v5 4.8.2]; else as Retain Handling says [v5 MQTT-3.3.1-9..11]. */
function wantsRetained(
  connection: ClientConnection,
  request: SubscriptionRequest,
  parsed: ParsedFilter,
  exists: boolean,
): boolean {
  if (parsed.shareName !== null) return false
  const retainHandling = connection.protocolLevel === 5 ? request.retainHandling : 0
  return retainHandling === 0 || (retainHandling === 1 && !exists)
}

/** Changes memory only: for `subscribe`, recovery and replay. */
export function addSubscription(
  state: BrokerState,
  session: Session,
  subscription: SessionSubscription,
  isRetainedPending: boolean,
): void {
  session.setSubscription(subscription)
  state.tree.add(subscription)
  if (!isRetainedPending) return
  session.retainedPending ??= new Set()
  session.retainedPending.add(subscription.subscriptionNumber)
}

export function removeSubscription(
  state: BrokerState,
  session: Session,
  shareName: string | null,
  topicFilter: string,
): boolean {
  if (session.findSubscription(shareName, topicFilter) === undefined) return false
  // What it still holds for the group is the group's if the session ends before it is delivered.
  if (shareName !== null) session.rememberShare(shareName, topicFilter, state.limits.subscriptionsPerSessionMax)
  const removed = session.removeSubscription(shareName, topicFilter)
  assert(removed !== undefined, 'the subscription was just found')
  state.tree.remove(session, shareName, topicFilter)
  session.retainedPending?.delete(removed.subscriptionNumber)
  return true
}

export function receiveUnsubscribe(
  state: BrokerState,
  connection: ClientConnection,
  session: Session,
  packet: UnsubscribePacket,
): void {
  checkFilterCount(state, packet.topicFilters.length)
  const reasonCodes: number[] = []
  let problem: string | null = null
  for (const requested of packet.topicFilters) {
    const refused = unsubscribe(state, connection, session, requested)
    reasonCodes.push(refused?.reasonCode ?? ReasonCode.SUCCESS)
    if (refused !== null) problem ??= `topic filter ${reasonCodes.length}: ${refused.detail}`
  }
  const unsuback: UnsubackPacket = {
    type: PacketType.UNSUBACK,
    packetId: packet.packetId,
    reasonCodes,
    properties: null,
  }
  answer(state, connection, unsuback, problem)
}

/** The codes cannot be left out; where the client has no room for them nothing is sent [v5 MQTT-3.1.2-24]. */
function answer(
  state: BrokerState,
  connection: ClientConnection,
  packet: SubackPacket | UnsubackPacket,
  problem: string | null,
): void {
  if (!fits(connection, packet)) return
  explain(state, connection, packet, problem)
  connection.link.sendAfterCommit(packet)
}

/** @returns null: it is done. */
function unsubscribe(
  state: BrokerState,
  connection: ClientConnection,
  session: Session,
  requested: string,
): Refused | null {
  const parsed = parseFilter(requested, state.limits)
  if (parsed === undefined) return INVALID_SHARE
  const problem = topicFilterProblem(parsed.topicFilter, state.limits)
  if (problem !== undefined) return { reasonCode: ReasonCode.TOPIC_FILTER_INVALID, detail: problem }
  if (!removeSubscription(state, session, parsed.shareName, parsed.topicFilter)) return NOT_SUBSCRIBED
  const { retainedJobs } = connection
  if (retainedJobs !== null) {
    const kept = retainedJobs.filter(({ subscription }) => !isSame(subscription, parsed))
    connection.retainedJobs = kept.length === 0 ? null : kept
  }
  if (session.isDurable) {
    state.touch(session)
    state.record.unsubscribed(session.number, parsed.shareName, parsed.topicFilter)
  }
  return null
}

function isSame(subscription: SessionSubscription, parsed: ParsedFilter): boolean {
  return subscription.shareName === parsed.shareName && subscription.topicFilter === parsed.topicFilter
}
