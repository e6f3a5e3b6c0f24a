/**
 * What a caller asks for, checked before it costs a round trip: topics, filters, properties, and the broker's own
 * limits.
 */
import type { Codec } from '../protocol/codec.js'
import type { ConnectPacket, PublishPacket, PublishProperties, SubscriptionRequest } from '../protocol/packets.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import { parseFilter, topicFilterProblem, topicNameProblem } from '../protocol/topics.js'
import type { ConnackInformation, SubscribeOptions, SubscriptionRequestOptions } from './api.js'
import { invalid } from './connect-options.js'
import { TallyError } from './tally-error.js'

/** Only what the encoding allows; the broker has its own limits and says so. */
const TOPIC_LIMITS = { topicBytesMax: 65_535, topicLevelsMax: 65_536 }
/** More than any header, packet id and length prefix take. */
const OVERHEAD_BYTES = 32

export function checkTopicName(topicName: string): void {
  const problem = topicNameProblem(topicName, TOPIC_LIMITS)
  if (problem !== undefined) throw invalid(`topicName is not usable: ${problem}`)
}

export function checkPublishProperties(properties: PublishProperties): void {
  if (properties.topicAlias !== undefined)
    throw invalid('topicAlias cannot be given: an alias ends with its connection')
  if (properties.subscriptionIdentifiers !== undefined) {
    throw invalid('subscriptionIdentifiers come from the broker only [v5 MQTT-3.3.4-6]')
  }
}

export function subscriptionRequests(
  filters: string | SubscriptionRequestOptions | readonly (string | SubscriptionRequestOptions)[],
  options: SubscribeOptions,
): readonly SubscriptionRequest[] {
  const list = Array.isArray(filters) ? filters : [filters]
  if (list.length === 0) throw invalid('subscribe needs at least one topic filter [v5 MQTT-3.8.3-2]')
  return list.map((each) => subscriptionRequest(typeof each === 'string' ? { topicFilter: each } : each, options))
}

function subscriptionRequest(request: SubscriptionRequestOptions, options: SubscribeOptions): SubscriptionRequest {
  const { topicFilter } = request
  const parsed = parseFilter(topicFilter)
  const problem =
    parsed === undefined
      ? 'a shared subscription is $share/{name}/{filter}'
      : topicFilterProblem(parsed.topicFilter, TOPIC_LIMITS)
  if (problem !== undefined) throw invalid(`topic filter ${JSON.stringify(topicFilter)} is not usable: ${problem}`)
  const noLocal = request.noLocal ?? options.noLocal ?? false
  if (noLocal && parsed?.shareName !== null) {
    throw invalid('noLocal cannot be used with a shared subscription [v5 MQTT-3.8.3-4]')
  }
  return {
    topicFilter,
    qos: request.qos ?? options.qos ?? 0,
    noLocal,
    retainAsPublished: request.retainAsPublished ?? options.retainAsPublished ?? false,
    retainHandling: request.retainHandling ?? options.retainHandling ?? 0,
  }
}

/** What the broker said in CONNACK that it will not take [v5 MQTT-3.2.2-11, 3.2.2-14, 3.2.2-15]. */
export function publishRefusal(
  packet: PublishPacket,
  connack: ConnackInformation,
  settings: { readonly codec: Codec; readonly connect: ConnectPacket },
): TallyError | undefined {
  const { maximumQoS, retainAvailable, maximumPacketSize } = connack.properties
  if (maximumQoS !== undefined && packet.qos > maximumQoS) {
    return refusedHere(`the broker takes QoS ${maximumQoS} at most`, ReasonCode.QOS_NOT_SUPPORTED)
  }
  if (packet.retain && retainAvailable === 0) {
    return refusedHere('the broker takes no retained messages', ReasonCode.RETAIN_NOT_SUPPORTED)
  }
  if (maximumPacketSize === undefined) return undefined
  const { payload, topicName, properties } = packet
  const bytesAtMost = payload.byteLength + topicName.length * 3 + OVERHEAD_BYTES
  if (properties === null && bytesAtMost <= maximumPacketSize) return undefined
  const bytes = settings.codec.packetSize(packet, settings.connect.protocolLevel)
  if (bytes <= maximumPacketSize) return undefined
  return refusedHere(
    `the packet has ${bytes} bytes, the broker takes ${maximumPacketSize}`,
    ReasonCode.PACKET_TOO_LARGE,
  )
}

function refusedHere(what: string, reasonCode: number): TallyError {
  return new TallyError('PUBLISH_REFUSED', `the message was not sent: ${what}`, { reasonCode })
}
