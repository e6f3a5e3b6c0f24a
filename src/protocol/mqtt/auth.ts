/**
 * AUTH [v5 3.15], which only MQTT 5 has. The standard lets a success be sent with length 0, but then the
 * Authentication Method is missing, which it forbids elsewhere: a method is asked for, and the long form is written.
 */
import { type AuthPacket, PacketType } from '../packets.js'
import { checkReasonCode } from './fixed-header.js'
import type { PacketBuffer } from './packet-buffer.js'
import { type PacketReader, violation } from './packet-reader.js'
import { AUTH_PROPERTIES, decodeProperties, encodeProperties } from './properties.js'

export function decodeAuth(reader: PacketReader): AuthPacket {
  const reasonCode = reader.position === reader.end ? 0 : checkReasonCode(PacketType.AUTH, reader.byte())
  const properties = reader.position === reader.end ? null : decodeProperties(reader, AUTH_PROPERTIES)
  reader.finish()
  if (properties?.authenticationMethod === undefined) return violation('AUTH names its authentication method')
  return { type: PacketType.AUTH, reasonCode, properties }
}

export function encodeAuth(out: PacketBuffer, packet: AuthPacket): void {
  out.byte(PacketType.AUTH << 4)
  const start = out.beginSection(0)
  out.byte(packet.reasonCode)
  encodeProperties(out, AUTH_PROPERTIES, packet.properties)
  out.endSection(start, 0)
}
