/**
 * PINGREQ and PINGRESP [v5 3.12, 3.13] [v311 3.12, 3.13]: two bytes each. The native protocol's timestamp is left out.
 */
import { PacketType, type PingreqPacket, type PingrespPacket } from '../packets.js'
import type { PacketBuffer } from './packet-buffer.js'
import type { PacketReader } from './packet-reader.js'

export function decodePing(reader: PacketReader, type: 12 | 13): PingreqPacket | PingrespPacket {
  reader.finish()
  return type === PacketType.PINGREQ ? { type: PacketType.PINGREQ } : { type: PacketType.PINGRESP }
}

export function encodePing(out: PacketBuffer, packet: PingreqPacket | PingrespPacket): void {
  out.twoByteInteger(packet.type << 12)
}
