/**
 * UNSUBACK [v5 3.11] [v311 3.11]. Before MQTT 5 it has no reason codes; it decodes to an empty list.
 */
import { PacketType, type ProtocolLevel, type UnsubackPacket } from '../packets.js'
import { checkReasonCode } from './fixed-header.js'
import type { PacketBuffer } from './packet-buffer.js'
import { type PacketReader, violation } from './packet-reader.js'
import { ACK_PROPERTIES, decodeProperties, encodeProperties } from './properties.js'

export function decodeUnsuback(reader: PacketReader, protocolLevel: ProtocolLevel): UnsubackPacket {
  const packetId = reader.packetId()
  const reasonCodes: number[] = []
  let properties: UnsubackPacket['properties'] = null
  if (protocolLevel === 5) {
    properties = decodeProperties(reader, ACK_PROPERTIES)
    if (reader.position === reader.end) violation('UNSUBACK has one reason code for each topic filter')
    while (reader.position < reader.end) reasonCodes.push(checkReasonCode(PacketType.UNSUBACK, reader.byte()))
  }
  reader.finish()
  return { type: PacketType.UNSUBACK, packetId, reasonCodes, properties }
}

export function encodeUnsuback(out: PacketBuffer, packet: UnsubackPacket, protocolLevel: ProtocolLevel): void {
  out.byte(PacketType.UNSUBACK << 4)
  const start = out.beginSection(0)
  out.twoByteInteger(packet.packetId)
  if (protocolLevel === 5) {
    encodeProperties(out, ACK_PROPERTIES, packet.properties)
    for (const reasonCode of packet.reasonCodes) out.byte(reasonCode)
  }
  out.endSection(start, 0)
}
