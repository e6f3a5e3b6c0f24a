/**
 * SUBACK [v5 3.9] [v311 3.9]. Before MQTT 5 a refused filter is 0x80, whatever the reason.
 */
import { PacketType, type ProtocolLevel, type SubackPacket } from '../packets.js'
import { isFailure, ReasonCode } from '../reason-codes.js'
import { checkReasonCode } from './fixed-header.js'
import type { PacketBuffer } from './packet-buffer.js'
import { type PacketReader, violation } from './packet-reader.js'
import { ACK_PROPERTIES, decodeProperties, encodeProperties } from './properties.js'

export function decodeSuback(reader: PacketReader, protocolLevel: ProtocolLevel): SubackPacket {
  const packetId = reader.packetId()
  const properties = protocolLevel === 5 ? decodeProperties(reader, ACK_PROPERTIES) : null
  if (reader.position === reader.end) violation('SUBACK has one reason code for each topic filter')
  const reasonCodes: number[] = []
  while (reader.position < reader.end) {
    const reasonCode = checkReasonCode(PacketType.SUBACK, reader.byte())
    if (protocolLevel < 5 && reasonCode > ReasonCode.UNSPECIFIED_ERROR) {
      violation('a SUBACK return code is 0, 1, 2 or 0x80') // [v311 MQTT-3.9.3-2]
    }
    reasonCodes.push(reasonCode)
  }
  return { type: PacketType.SUBACK, packetId, reasonCodes, properties }
}

export function encodeSuback(out: PacketBuffer, packet: SubackPacket, protocolLevel: ProtocolLevel): void {
  out.byte(PacketType.SUBACK << 4)
  const start = out.beginSection(0)
  out.twoByteInteger(packet.packetId)
  if (protocolLevel === 5) encodeProperties(out, ACK_PROPERTIES, packet.properties)
  for (const reasonCode of packet.reasonCodes) {
    out.byte(protocolLevel < 5 && isFailure(reasonCode) ? ReasonCode.UNSPECIFIED_ERROR : reasonCode)
  }
  out.endSection(start, 0)
}
