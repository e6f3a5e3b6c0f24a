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
import type { ClientConnection } from './connection.js'
import { changeRetained, startRetained } from './retained.js'
import type { Session, SessionSubscription } from './session.js'
import type { BrokerState } from './state.js'

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
  for (const request of packet.subscriptions) {
    const granted = subscribe(state, connection, session, request, packet.properties.subscriptionIdentifier ?? 0)
    if (typeof granted === 'number') {
      reasonCodes.push(granted)
      continue
    }
    reasonCodes.push(granted.subscription.qos)
    if (granted.isRetainedWanted) withRetained.push(granted.subscription)
    else changeRetained(connection, granted.subscription)
  }
  const suback: SubackPacket = { type: PacketType.SUBACK, packetId: packet.packetId, reasonCodes, properties: null }
  answer(connection, suback)
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

/** @returns the reason code of the refusal, or what was granted. */
function subscribe(
  state: BrokerState,
  connection: ClientConnection,
  session: Session,
  request: SubscriptionRequest,
  subscriptionIdentifier: number,
): number | Granted {
  const parsed = parseFilter(request.topicFilter, state.limits)
  if (parsed === undefined || topicFilterProblem(parsed.topicFilter, state.limits) !== undefined) {
    return ReasonCode.TOPIC_FILTER_INVALID
  }
  const unsupported = unsupportedIn(state, parsed, subscriptionIdentifier)
  if (unsupported !== null) return unsupported
  const access = state.ports.access
  if (!access.allowsEverything && !access.authorize(session, 'subscribe', parsed.topicFilter)) {
    return ReasonCode.NOT_AUTHORIZED
  }
  const existing = session.findSubscription(parsed.shareName, parsed.topicFilter)
  if (existing === undefined && session.subscriptions.size >= state.limits.subscriptionsPerSessionMax) {
    return ReasonCode.QUOTA_EXCEEDED
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
  }
  addSubscription(state, session, subscription, isRetainedWanted)
  if (session.isDurable) {
    state.touch(session)
    state.record.subscribed(session.number, { ...subscription, isRetainedPending: isRetainedWanted })
  }
  return { subscription, isRetainedWanted }
}

/** What is switched off is refused filter by filter, so that the rest of the SUBSCRIBE is granted [v5 3.9.3]. */
function unsupportedIn(state: BrokerState, parsed: ParsedFilter, subscriptionIdentifier: number): number | null {
  const { features } = state
  if (!features.sharedSubscriptionAvailable && parsed.shareName !== null) {
    return ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
  }
  if (!features.subscriptionIdentifiersAvailable && subscriptionIdentifier !== 0) {
    return ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED
  }
  if (features.wildcardSubscriptionAvailable || !/[+#]/.test(parsed.topicFilter)) return null
  return ReasonCode.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED
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
  const reasonCodes = packet.topicFilters.map((requested) => unsubscribe(state, connection, session, requested))
  const unsuback: UnsubackPacket = {
    type: PacketType.UNSUBACK,
    packetId: packet.packetId,
    reasonCodes,
    properties: null,
  }
  answer(connection, unsuback)
}

/** Nothing in it can be left out; one that the client has no room for is not sent [v5 MQTT-3.1.2-24]. */
function answer({ link, maximumPacketSize }: ClientConnection, packet: SubackPacket | UnsubackPacket): void {
  const fits = maximumPacketSize === Number.POSITIVE_INFINITY || link.packetSize(packet) <= maximumPacketSize
  if (fits) link.sendAfterCommit(packet)
}

function unsubscribe(state: BrokerState, connection: ClientConnection, session: Session, requested: string): number {
  const parsed = parseFilter(requested, state.limits)
  if (parsed === undefined || topicFilterProblem(parsed.topicFilter, state.limits) !== undefined) {
    return ReasonCode.TOPIC_FILTER_INVALID
  }
  if (!removeSubscription(state, session, parsed.shareName, parsed.topicFilter))
    return ReasonCode.NO_SUBSCRIPTION_EXISTED
  const { retainedJobs } = connection
  if (retainedJobs !== null) {
    const kept = retainedJobs.filter(({ subscription }) => !isSame(subscription, parsed))
    connection.retainedJobs = kept.length === 0 ? null : kept
  }
  if (session.isDurable) {
    state.touch(session)
    state.record.unsubscribed(session.number, parsed.shareName, parsed.topicFilter)
  }
  return ReasonCode.SUCCESS
}

function isSame(subscription: SessionSubscription, parsed: ParsedFilter): boolean {
  return subscription.shareName === parsed.shareName && subscription.topicFilter === parsed.topicFilter
}
