/**
 * PUBACK, PUBREC, PUBREL and PUBCOMP [v5 3.4 to 3.7] [v311 3.4 to 3.7]: one layout under four names. Before MQTT 5
 * they hold the packet identifier and nothing else; in MQTT 5 the same short form means success without properties.
 */
import { assert } from '../../base/assert.js'
import { type AckPacket, type AckPacketType, nextPacketId, PACKET_ID_MAX, type ProtocolLevel } from '../packets.js'
import { ReasonCode } from '../reason-codes.js'
import { checkReasonCode, requiredFlags } from './fixed-header.js'
import type { PacketBuffer } from './packet-buffer.js'
import type { PacketReader } from './packet-reader.js'
import { ACK_PROPERTIES, decodeProperties, encodeProperties } from './properties.js'

export function decodeAck(reader: PacketReader, type: AckPacketType, protocolLevel: ProtocolLevel): AckPacket {
  const packetId = reader.packetId()
  let reasonCode: number = ReasonCode.SUCCESS
  let properties: AckPacket['properties'] = null
  if (protocolLevel === 5 && reader.position < reader.end) {
    reasonCode = checkReasonCode(type, reader.byte())
    if (reader.position < reader.end) properties = decodeProperties(reader, ACK_PROPERTIES)
  }
  reader.finish()
  return { type, packetId, reasonCode, properties }
}

/** The native protocol's range of ids has no MQTT form, so it becomes one packet for each id. */
export function encodeAck(out: PacketBuffer, packet: AckPacket, protocolLevel: ProtocolLevel): void {
  const last = packet.lastPacketId ?? packet.packetId
  assert(last >= 1 && last <= PACKET_ID_MAX, 'a range of acknowledgements ends at a packet identifier')
  for (let packetId = packet.packetId; ; packetId = nextPacketId(packetId)) {
    if (protocolLevel === 5 && packet.properties !== null) encodeLongAck(out, packet, packetId)
    else encodeShortAck(out, packet.type, packetId, packet.reasonCode, protocolLevel)
    if (packetId === last) return
  }
}

/** Hot path: no properties. */
export function encodeShortAck(
  out: PacketBuffer,
  type: AckPacketType,
  packetId: number,
  reasonCode: number,
  protocolLevel: ProtocolLevel,
): void {
  out.reserve(5)
  const withReason = protocolLevel === 5 && reasonCode !== ReasonCode.SUCCESS
  const { bytes, position } = out
  bytes[position] = (type << 4) | requiredFlags(type)
  bytes[position + 1] = withReason ? 3 : 2
  bytes[position + 2] = packetId >>> 8
  bytes[position + 3] = packetId
  if (withReason) bytes[position + 4] = reasonCode
  out.position = position + (withReason ? 5 : 4)
}

function encodeLongAck(out: PacketBuffer, packet: AckPacket, packetId: number): void {
  out.byte((packet.type << 4) | requiredFlags(packet.type))
  const start = out.beginSection(0)
  out.twoByteInteger(packetId)
  out.byte(packet.reasonCode)
  encodeProperties(out, ACK_PROPERTIES, packet.properties)
  out.endSection(start, 0)
}
