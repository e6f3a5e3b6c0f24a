/**
 * CONNACK [v5 3.2] [v311 3.2]. Before MQTT 5 it holds one of six return codes; here they are translated to and from
 * MQTT 5's reason codes. A refusal that no return code fits is not written at all: the server just closes.
 */
import { type ConnackPacket, PacketType, type ProtocolLevel } from '../packets.js'
import { ReasonCode } from '../reason-codes.js'
import { checkReasonCode } from './fixed-header.js'
import type { PacketBuffer } from './packet-buffer.js'
import { malformed, type PacketReader, violation } from './packet-reader.js'
import { CONNACK_PROPERTIES, decodeProperties, encodeProperties } from './properties.js'

const REASON_CODE_BY_RETURN_CODE: readonly number[] = [
  ReasonCode.SUCCESS,
  ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
  ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
  ReasonCode.SERVER_UNAVAILABLE,
  ReasonCode.BAD_USER_NAME_OR_PASSWORD,
  ReasonCode.NOT_AUTHORIZED,
]

const RETURN_CODE_BY_REASON_CODE = new Map<number, number>([
  [ReasonCode.SUCCESS, 0],
  [ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, 1],
  [ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, 2],
  [ReasonCode.UNSPECIFIED_ERROR, 3],
  [ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, 3],
  [ReasonCode.SERVER_UNAVAILABLE, 3],
  [ReasonCode.SERVER_BUSY, 3],
  [ReasonCode.SERVER_SHUTTING_DOWN, 3],
  [ReasonCode.QUOTA_EXCEEDED, 3],
  [ReasonCode.USE_ANOTHER_SERVER, 3],
  [ReasonCode.SERVER_MOVED, 3],
  [ReasonCode.CONNECTION_RATE_EXCEEDED, 3],
  [ReasonCode.BAD_USER_NAME_OR_PASSWORD, 4],
  [ReasonCode.NOT_AUTHORIZED, 5],
  [ReasonCode.BANNED, 5],
  [ReasonCode.BAD_AUTHENTICATION_METHOD, 5],
])

export function decodeConnack(reader: PacketReader, protocolLevel: ProtocolLevel): ConnackPacket {
  const flags = reader.byte()
  if (protocolLevel !== 3 && flags > 1) malformed('of the CONNACK flags only bit 0 may be 1') // [v5 MQTT-3.2.2-1]
  const sessionPresent = protocolLevel !== 3 && flags === 1
  const code = reader.byte()
  const reasonCode = protocolLevel === 5 ? checkReasonCode(PacketType.CONNACK, code) : REASON_CODE_BY_RETURN_CODE[code]
  if (reasonCode === undefined) return violation('a CONNACK return code is 0 to 5')
  if (reasonCode !== 0 && sessionPresent) violation('a refusing CONNACK has no session') // [v5 MQTT-3.2.2-6]
  const properties = protocolLevel === 5 ? (decodeProperties(reader, CONNACK_PROPERTIES) ?? {}) : {}
  reader.finish()
  return { type: PacketType.CONNACK, sessionPresent, reasonCode, properties }
}

export function encodeConnack(out: PacketBuffer, packet: ConnackPacket, protocolLevel: ProtocolLevel): void {
  const code = protocolLevel === 5 ? packet.reasonCode : RETURN_CODE_BY_REASON_CODE.get(packet.reasonCode)
  if (code === undefined) return // [v311 MQTT-3.2.2-6, 3.1.4-1]
  out.byte(PacketType.CONNACK << 4)
  const start = out.beginSection(0)
  out.byte(packet.sessionPresent && code === 0 && protocolLevel !== 3 ? 1 : 0) // [v5 MQTT-3.2.2-6]
  out.byte(code)
  if (protocolLevel === 5) encodeProperties(out, CONNACK_PROPERTIES, packet.properties)
  out.endSection(start, 0)
}
