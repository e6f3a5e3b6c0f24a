/**
 * DISCONNECT [v5 3.14] [v311 3.14]. Before MQTT 5 only clients send it, without a reason, and it always discards the
 * Will; any other meaning has no packet there, so nothing is written and the close itself has to say it.
 */
import { type DisconnectPacket, PacketType, type ProtocolLevel } from '../packets.js'
import { ReasonCode } from '../reason-codes.js'
import { checkReasonCode } from './fixed-header.js'
import type { PacketBuffer } from './packet-buffer.js'
import type { PacketReader } from './packet-reader.js'
import { DISCONNECT_PROPERTIES, decodeProperties, encodeProperties } from './properties.js'

export function decodeDisconnect(reader: PacketReader, protocolLevel: ProtocolLevel): DisconnectPacket {
  let reasonCode: number = ReasonCode.NORMAL_DISCONNECTION
  let properties: DisconnectPacket['properties'] = null
  if (protocolLevel === 5 && reader.position < reader.end) {
    reasonCode = checkReasonCode(PacketType.DISCONNECT, reader.byte())
    if (reader.position < reader.end) properties = decodeProperties(reader, DISCONNECT_PROPERTIES)
  }
  reader.finish()
  return { type: PacketType.DISCONNECT, reasonCode, properties }
}

export function encodeDisconnect(out: PacketBuffer, packet: DisconnectPacket, protocolLevel: ProtocolLevel): void {
  const { reasonCode, properties } = packet
  if (protocolLevel < 5 && reasonCode !== ReasonCode.NORMAL_DISCONNECTION) return
  out.byte(PacketType.DISCONNECT << 4)
  const start = out.beginSection(0)
  if (protocolLevel === 5 && (reasonCode !== ReasonCode.NORMAL_DISCONNECTION || properties !== null)) {
    out.byte(reasonCode)
    if (properties !== null) encodeProperties(out, DISCONNECT_PROPERTIES, properties)
  }
  out.endSection(start, 0)
}
