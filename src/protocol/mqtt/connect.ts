/**
 * CONNECT [v5 3.1] [v311 3.1]: the packet that says which version the connection speaks. What depends on this
 * broker (empty client ids, limits, credentials) is the core's; what any broker must refuse is refused here.
 */
import {
  type ConnectPacket,
  type ConnectProperties,
  PacketType,
  type ProtocolLevel,
  type QoS,
  type WillMessage,
} from '../packets.js'
import { ProtocolError } from '../protocol-error.js'
import { ReasonCode } from '../reason-codes.js'
import type { PacketBuffer } from './packet-buffer.js'
import { malformed, type PacketReader, violation } from './packet-reader.js'
import { CONNECT_PROPERTIES, decodeProperties, encodeProperties, WILL_PROPERTIES } from './properties.js'

const RESERVED = 0x01
const CLEAN_START = 0x02
const WILL = 0x04
const WILL_QOS_SHIFT = 3
const WILL_RETAIN = 0x20
const PASSWORD = 0x40
const USERNAME = 0x80

/**
 * Protocol name and level come first, so that whoever answers a bad CONNECT knows in which version.
 * @throws ProtocolError 0x84 [v5 MQTT-3.1.2-1, 3.1.2-2] [v311 MQTT-3.1.2-2]
 */
export function decodeProtocolLevel(reader: PacketReader, acceptMqtt31: boolean): ProtocolLevel {
  const name = reader.binary()
  const level = reader.byte()
  if (isText(name, 'MQTT') && (level === 4 || level === 5)) return level
  if (isText(name, 'MQIsdp') && level === 3) {
    if (acceptMqtt31) return level
    throw new ProtocolError(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, 'MQTT 3.1 is switched off here; use 3.1.1 or 5')
  }
  throw new ProtocolError(
    ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
    'CONNECT names the protocol MQTT with level 4 (3.1.1) or 5',
  )
}

/** What follows the level. */
export function decodeConnect(reader: PacketReader, protocolLevel: ProtocolLevel): ConnectPacket {
  const flags = reader.byte()
  checkFlags(flags, protocolLevel)
  const keepAliveSec = reader.twoByteInteger()
  const properties: ConnectProperties = protocolLevel === 5 ? (decodeProperties(reader, CONNECT_PROPERTIES) ?? {}) : {}
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    violation('authentication data needs an authentication method')
  }
  const packet: ConnectPacket = {
    type: PacketType.CONNECT,
    protocolLevel,
    clientId: reader.string('client identifier'), // [v5 MQTT-3.1.3-4]
    cleanStart: (flags & CLEAN_START) !== 0,
    keepAliveSec,
    properties,
  }
  if ((flags & WILL) !== 0) packet.will = decodeWill(reader, flags, protocolLevel)
  if ((flags & USERNAME) !== 0) packet.username = reader.string('user name') // [v5 MQTT-3.1.3-12]
  if ((flags & PASSWORD) !== 0) packet.password = reader.binary()
  reader.finish()
  return packet
}

function checkFlags(flags: number, protocolLevel: ProtocolLevel): void {
  if ((flags & RESERVED) !== 0) malformed('the reserved connect flag is 0') // [v5 MQTT-3.1.2-3]
  const willQoS = (flags >>> WILL_QOS_SHIFT) & 3
  if ((flags & WILL) === 0) {
    if (willQoS !== 0) malformed('without a Will the Will QoS is 0') // [v5 MQTT-3.1.2-11]
    if ((flags & WILL_RETAIN) !== 0) malformed('without a Will the Will Retain flag is 0') // [v5 MQTT-3.1.2-13]
  } else if (willQoS === 3) {
    malformed('the Will QoS is 0, 1 or 2') // [v5 MQTT-3.1.2-12] [v311 MQTT-3.1.2-14]
  }
  if (protocolLevel < 5 && (flags & (USERNAME | PASSWORD)) === PASSWORD) {
    malformed('before MQTT 5 a password needs a user name') // [v311 MQTT-3.1.2-22]
  }
}

function decodeWill(reader: PacketReader, flags: number, protocolLevel: ProtocolLevel): WillMessage {
  const properties = protocolLevel === 5 ? (decodeProperties(reader, WILL_PROPERTIES) ?? {}) : {}
  return {
    topicName: reader.string('Will topic'), // [v5 MQTT-3.1.3-11]
    payload: reader.binary(),
    qos: ((flags >>> WILL_QOS_SHIFT) & 3) as QoS,
    retain: (flags & WILL_RETAIN) !== 0,
    properties,
  }
}

export function encodeConnect(out: PacketBuffer, packet: ConnectPacket): void {
  const { will } = packet
  out.byte(PacketType.CONNECT << 4)
  const start = out.beginSection(0)
  out.string(packet.protocolLevel === 3 ? 'MQIsdp' : 'MQTT')
  out.byte(packet.protocolLevel)
  let flags = packet.cleanStart ? CLEAN_START : 0
  if (will !== undefined) flags |= WILL | (will.qos << WILL_QOS_SHIFT) | (will.retain ? WILL_RETAIN : 0)
  if (packet.username !== undefined) flags |= USERNAME
  if (packet.password !== undefined) flags |= PASSWORD
  out.byte(flags)
  out.twoByteInteger(packet.keepAliveSec)
  if (packet.protocolLevel === 5) encodeProperties(out, CONNECT_PROPERTIES, packet.properties)
  out.string(packet.clientId)
  if (will !== undefined) {
    if (packet.protocolLevel === 5) encodeProperties(out, WILL_PROPERTIES, will.properties)
    out.string(will.topicName)
    out.binary(will.payload)
  }
  if (packet.username !== undefined) out.string(packet.username)
  if (packet.password !== undefined) out.binary(packet.password)
  out.endSection(start, 0)
}

function isText(bytes: Uint8Array, ascii: string): boolean {
  if (bytes.length !== ascii.length) return false
  return bytes.every((byte, index) => byte === ascii.charCodeAt(index))
}
