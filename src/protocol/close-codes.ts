/**
 * WebSocket close codes of the native protocol, and which MQTT reason code closes with which of them. Below 3500 the
 * client may reconnect, from 3500 on it must stop and tell its user. `conformance/native-protocol.md` prints the same
 * table; a test holds the two together.
 */
import { ReasonCode } from './reason-codes.js'

export const CloseCode = {
  /** Somebody was done: DISCONNECT with 0x00 or 0x04. */
  NORMAL: 1000,
  /** A text message came; only binary ones are read. */
  UNSUPPORTED_DATA: 1003,
  /** A message or packet is larger than the Maximum Packet Size. */
  TOO_BIG: 1009,
  SHUTDOWN: 3001,
  INTERNAL_ERROR: 3004,
  /** The peer does not read what it is sent. No reason code maps here: the shell decides it. */
  SLOW_CONSUMER: 3008,
  /** Server Reference of the DISCONNECT or CONNACK says where to go. */
  MOVED: 3011,
  NO_PONG: 3012,
  SERVER_BUSY: 3013,
  /**
   * No CONNECT in time. No reason code maps here: there is no session yet that could have one. A client may come back:
   * its CONNECT was on its way through a slow or half-open network.
   */
  NO_CONNECT: 3014,
  BAD_CREDENTIALS: 3500,
  BAD_REQUEST: 3501,
  KICKED: 3503,
  QUOTA_EXCEEDED: 3504,
  WRONG_PROTOCOL: 3506,
  NOT_AUTHORIZED: 3507,
  SESSION_TAKEN_OVER: 3510,
} as const
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode]

/** Reason codes that may close a connection; all others close with INTERNAL_ERROR (failures) or NORMAL. */
export const CLOSE_CODE_BY_REASON: ReadonlyMap<number, CloseCode> = new Map<number, CloseCode>([
  [ReasonCode.SUCCESS, CloseCode.NORMAL],
  [ReasonCode.DISCONNECT_WITH_WILL_MESSAGE, CloseCode.NORMAL],
  [ReasonCode.UNSPECIFIED_ERROR, CloseCode.INTERNAL_ERROR],
  [ReasonCode.MALFORMED_PACKET, CloseCode.BAD_REQUEST],
  [ReasonCode.PROTOCOL_ERROR, CloseCode.BAD_REQUEST],
  [ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, CloseCode.INTERNAL_ERROR],
  [ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, CloseCode.WRONG_PROTOCOL],
  [ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, CloseCode.BAD_REQUEST],
  [ReasonCode.BAD_USER_NAME_OR_PASSWORD, CloseCode.BAD_CREDENTIALS],
  [ReasonCode.NOT_AUTHORIZED, CloseCode.NOT_AUTHORIZED],
  [ReasonCode.SERVER_UNAVAILABLE, CloseCode.SERVER_BUSY],
  [ReasonCode.SERVER_BUSY, CloseCode.SERVER_BUSY],
  [ReasonCode.BANNED, CloseCode.KICKED],
  [ReasonCode.SERVER_SHUTTING_DOWN, CloseCode.SHUTDOWN],
  [ReasonCode.BAD_AUTHENTICATION_METHOD, CloseCode.BAD_CREDENTIALS],
  [ReasonCode.KEEP_ALIVE_TIMEOUT, CloseCode.NO_PONG],
  [ReasonCode.SESSION_TAKEN_OVER, CloseCode.SESSION_TAKEN_OVER],
  [ReasonCode.TOPIC_FILTER_INVALID, CloseCode.BAD_REQUEST],
  [ReasonCode.TOPIC_NAME_INVALID, CloseCode.BAD_REQUEST],
  [ReasonCode.RECEIVE_MAXIMUM_EXCEEDED, CloseCode.BAD_REQUEST],
  [ReasonCode.TOPIC_ALIAS_INVALID, CloseCode.BAD_REQUEST],
  [ReasonCode.PACKET_TOO_LARGE, CloseCode.TOO_BIG],
  [ReasonCode.MESSAGE_RATE_TOO_HIGH, CloseCode.SERVER_BUSY],
  [ReasonCode.QUOTA_EXCEEDED, CloseCode.QUOTA_EXCEEDED],
  [ReasonCode.ADMINISTRATIVE_ACTION, CloseCode.KICKED],
  [ReasonCode.PAYLOAD_FORMAT_INVALID, CloseCode.BAD_REQUEST],
  [ReasonCode.RETAIN_NOT_SUPPORTED, CloseCode.BAD_REQUEST],
  [ReasonCode.QOS_NOT_SUPPORTED, CloseCode.BAD_REQUEST],
  [ReasonCode.USE_ANOTHER_SERVER, CloseCode.MOVED],
  [ReasonCode.SERVER_MOVED, CloseCode.MOVED],
  [ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED, CloseCode.BAD_REQUEST],
  [ReasonCode.CONNECTION_RATE_EXCEEDED, CloseCode.SERVER_BUSY],
  [ReasonCode.MAXIMUM_CONNECT_TIME, CloseCode.SHUTDOWN],
  [ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED, CloseCode.BAD_REQUEST],
  [ReasonCode.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED, CloseCode.BAD_REQUEST],
])

export function closeCodeFor(reasonCode: number): number {
  return CLOSE_CODE_BY_REASON.get(reasonCode) ?? (reasonCode < 0x80 ? CloseCode.NORMAL : CloseCode.INTERNAL_ERROR)
}

/**
 * True when a client should come back by itself. 1003 and 1009 are the exceptions below 3500: what was refused would
 * be sent again, and refused again, for ever.
 */
export function isReconnectAllowed(closeCode: number): boolean {
  return closeCode < 3500 && closeCode !== CloseCode.UNSUPPORTED_DATA && closeCode !== CloseCode.TOO_BIG
}
