/**
 * The numbers of `tally.v1` that MQTT does not have, and the two ways to refuse: malformed (0x81, the bytes are wrong)
 * and protocol error (0x82, the bytes are right and may not be here). `conformance/native-protocol.md` is the
 * specification.
 */
import { ProtocolError } from '../protocol-error.js'
import { ReasonCode } from '../reason-codes.js'

/** Third element of CONNECT. */
export const PROTOCOL_VERSION = 1
/** PUBLISH with the fields of one subscriber, from server to client at QoS 1 and 2. */
export const DELIVER = 19

export const QOS_MASK = 0b0011
export const RETAIN_FLAG = 0b0100
export const DUP_FLAG = 0b1000
export const CLEAN_START_FLAG = 0b0001

/** Arrays and maps inside each other, the packet itself included. */
export const DEPTH_MAX = 8
/** msgpack values in one packet: bounds what a packet of tiny values can make a receiver allocate. */
export const VALUES_MAX = 32_768

export function malformed(detail: string): ProtocolError {
  return new ProtocolError(ReasonCode.MALFORMED_PACKET, detail)
}

export function tooManyValues(): ProtocolError {
  return new ProtocolError(ReasonCode.QUOTA_EXCEEDED, `a packet holds at most ${VALUES_MAX} values; split it`)
}

export function protocolError(detail: string): ProtocolError {
  return new ProtocolError(ReasonCode.PROTOCOL_ERROR, detail)
}
