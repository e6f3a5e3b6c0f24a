/**
 * UNSUBSCRIBE [v5 3.10] [v311 3.10].
 */
import { PacketType, type ProtocolLevel, type UnsubscribePacket } from '../packets.js'
import type { PacketBuffer } from './packet-buffer.js'
import { type PacketReader, violation } from './packet-reader.js'
import { decodeProperties, encodeProperties, UNSUBSCRIBE_PROPERTIES } from './properties.js'

export function decodeUnsubscribe(reader: PacketReader, protocolLevel: ProtocolLevel): UnsubscribePacket {
  const packetId = reader.packetId()
  const properties = protocolLevel === 5 ? (decodeProperties(reader, UNSUBSCRIBE_PROPERTIES) ?? {}) : {}
  if (reader.position === reader.end) violation('UNSUBSCRIBE has at least one topic filter') // [v5 MQTT-3.10.3-2]
  const topicFilters: string[] = []
  while (reader.position < reader.end) topicFilters.push(reader.string('topic filter')) // [v5 MQTT-3.10.3-1]
  return { type: PacketType.UNSUBSCRIBE, packetId, topicFilters, properties }
}

export function encodeUnsubscribe(out: PacketBuffer, packet: UnsubscribePacket, protocolLevel: ProtocolLevel): void {
  out.byte((PacketType.UNSUBSCRIBE << 4) | 2)
  const start = out.beginSection(0)
  out.twoByteInteger(packet.packetId)
  if (protocolLevel === 5) encodeProperties(out, UNSUBSCRIBE_PROPERTIES, packet.properties)
  for (const topicFilter of packet.topicFilters) out.string(topicFilter)
  out.endSection(start, 0)
}
