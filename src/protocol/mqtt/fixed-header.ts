/**
 * The first byte of a packet and the reason codes each type may carry: what can be judged before, or without, the body.
 */
import { type PacketType as AnyPacketType, PacketType, type ProtocolLevel } from '../packets.js'
import { isReasonCodeLegal } from '../reason-codes.js'
import { malformed, violation } from './packet-reader.js'

/** By type: the table of types is in their order. */
const NAMES = Object.keys(PacketType)

/** The low four bits that a type must have; PUBLISH uses them for itself [v5 MQTT-2.1.3-1] [v311 MQTT-2.2.2-1]. */
export function requiredFlags(type: number): number {
  return type === PacketType.PUBREL || type === PacketType.SUBSCRIBE || type === PacketType.UNSUBSCRIBE ? 2 : 0
}

/** Checks everything that the first byte says. @param level 0: CONNECT has not come yet. */
export function checkFirstByte(firstByte: number, level: ProtocolLevel | 0): void {
  const type = firstByte >>> 4
  if (type === PacketType.PUBLISH && level !== 0) {
    const qosBits = firstByte & 0x06
    if (qosBits === 0x06) malformed('the QoS of a PUBLISH is 0, 1 or 2') // [v5 MQTT-3.3.1-4]
    if (qosBits === 0 && (firstByte & 0x08) !== 0) malformed('a QoS 0 PUBLISH has DUP 0') // [v5 MQTT-3.3.1-2]
    return
  }
  if (type === PacketType.RESERVED) malformed('packet type 0 does not exist')
  if (type === PacketType.AUTH && level !== 5 && level !== 0) malformed('AUTH exists only in MQTT 5')
  if (level === 0 && type !== PacketType.CONNECT) violation('the first packet is CONNECT') // [v5 MQTT-3.1.0-1]
  const required = requiredFlags(type)
  // MQTT 3.1 repeats PUBREL, SUBSCRIBE and UNSUBSCRIBE with DUP set; later versions have no such bit.
  const flags = level === 3 && required === 2 ? firstByte & 0x07 : firstByte & 0x0f
  if (flags !== required) malformed(`the flags of ${NAMES[type]} are ${required}`)
}

const LEGAL = new Uint8Array(16 * 256)
for (const type of Object.values(PacketType)) {
  for (let reasonCode = 0; reasonCode < 256; reasonCode += 1) {
    LEGAL[type * 256 + reasonCode] = isReasonCodeLegal(type, reasonCode) ? 1 : 0
  }
}

/** [v5 MQTT-3.2.2-8, 3.4.2-1, 3.5.2-1, 3.6.2-1, 3.7.2-1, 3.9.3-2, 3.11.3-2, 3.14.2-1, 3.15.2-1] */
export function checkReasonCode(type: AnyPacketType, reasonCode: number): number {
  if (LEGAL[type * 256 + reasonCode] === 0) {
    violation(`${NAMES[type]} has no reason code 0x${reasonCode.toString(16).padStart(2, '0')}`)
  }
  return reasonCode
}
