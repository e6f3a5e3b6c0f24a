/**
 * SUBSCRIBE [v5 3.8] [v311 3.8]. Whether a filter is valid, allowed or shared is the core's question.
 */
import { PacketType, type ProtocolLevel, type QoS, type SubscribePacket, type SubscriptionRequest } from '../packets.js'
import type { PacketBuffer } from './packet-buffer.js'
import { malformed, type PacketReader, violation } from './packet-reader.js'
import { decodeProperties, encodeProperties, SUBSCRIBE_PROPERTIES } from './properties.js'

const QOS = 0x03
const NO_LOCAL = 0x04
const RETAIN_AS_PUBLISHED = 0x08
const RETAIN_HANDLING_SHIFT = 4

export function decodeSubscribe(reader: PacketReader, protocolLevel: ProtocolLevel): SubscribePacket {
  const packetId = reader.packetId()
  const properties = protocolLevel === 5 ? (decodeProperties(reader, SUBSCRIBE_PROPERTIES) ?? {}) : {}
  if (reader.position === reader.end) violation('SUBSCRIBE has at least one topic filter') // [v5 MQTT-3.8.3-2]
  const subscriptions: SubscriptionRequest[] = []
  while (reader.position < reader.end) {
    const topicFilter = reader.string('topic filter') // [v5 MQTT-3.8.3-1]
    const options = reader.byte()
    subscriptions.push(protocolLevel === 5 ? withOptions(topicFilter, options) : withQoS(topicFilter, options))
  }
  return { type: PacketType.SUBSCRIBE, packetId, subscriptions, properties }
}

function withOptions(topicFilter: string, options: number): SubscriptionRequest {
  if (options > 0x3f) malformed('the reserved subscription options are 0') // [v5 MQTT-3.8.3-5]
  const retainHandling = options >>> RETAIN_HANDLING_SHIFT
  if (retainHandling === 3) violation('Retain Handling is 0, 1 or 2')
  if ((options & QOS) === 3) violation('the QoS of a subscription is 0, 1 or 2')
  return {
    topicFilter,
    qos: (options & QOS) as QoS,
    noLocal: (options & NO_LOCAL) !== 0,
    retainAsPublished: (options & RETAIN_AS_PUBLISHED) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  }
}

function withQoS(topicFilter: string, options: number): SubscriptionRequest {
  if (options > 2) malformed('the QoS of a subscription is 0, 1 or 2') // [v311 MQTT-3.8.3-4]
  return { topicFilter, qos: options as QoS, noLocal: false, retainAsPublished: false, retainHandling: 0 }
}

export function encodeSubscribe(out: PacketBuffer, packet: SubscribePacket, protocolLevel: ProtocolLevel): void {
  out.byte((PacketType.SUBSCRIBE << 4) | 2)
  const start = out.beginSection(0)
  out.twoByteInteger(packet.packetId)
  if (protocolLevel === 5) encodeProperties(out, SUBSCRIBE_PROPERTIES, packet.properties)
  for (const subscription of packet.subscriptions) {
    out.string(subscription.topicFilter)
    let options: number = subscription.qos
    if (protocolLevel === 5) {
      if (subscription.noLocal) options |= NO_LOCAL
      if (subscription.retainAsPublished) options |= RETAIN_AS_PUBLISHED
      options |= subscription.retainHandling << RETAIN_HANDLING_SHIFT
    }
    out.byte(options)
  }
  out.endSection(start, 0)
}
