/**
 * Every MQTT 5 reason code in one table: value, name, the packets in which it is legal, what it means.
 * Types, texts and checks derive from it [v5 2.4, table 2-6]. Codes of 0x80 and above are failures.
 */
import { PacketType } from './packets.js'

type AckName = 'CONNACK' | 'PUBACK' | 'PUBREC' | 'PUBREL' | 'PUBCOMP' | 'SUBACK' | 'UNSUBACK' | 'DISCONNECT' | 'AUTH'

export interface ReasonCodeRow {
  readonly value: number
  readonly packets: readonly AckName[]
  readonly meaning: string
}

export const REASON_CODES = {
  SUCCESS: {
    value: 0x00,
    packets: ['CONNACK', 'PUBACK', 'PUBREC', 'PUBREL', 'PUBCOMP', 'UNSUBACK', 'AUTH', 'DISCONNECT', 'SUBACK'],
    meaning: 'Accepted. In DISCONNECT: normal disconnection, the Will is discarded. In SUBACK: granted QoS 0.',
  },
  GRANTED_QOS_1: { value: 0x01, packets: ['SUBACK'], meaning: 'The subscription is accepted; QoS 1 at most.' },
  GRANTED_QOS_2: { value: 0x02, packets: ['SUBACK'], meaning: 'The subscription is accepted; QoS 2 at most.' },
  DISCONNECT_WITH_WILL_MESSAGE: {
    value: 0x04,
    packets: ['DISCONNECT'],
    meaning: 'The client leaves and wants its Will published.',
  },
  NO_MATCHING_SUBSCRIBERS: {
    value: 0x10,
    packets: ['PUBACK', 'PUBREC'],
    meaning: 'Accepted, but nobody is subscribed.',
  },
  NO_SUBSCRIPTION_EXISTED: { value: 0x11, packets: ['UNSUBACK'], meaning: 'There was no such subscription.' },
  CONTINUE_AUTHENTICATION: { value: 0x18, packets: ['AUTH'], meaning: 'Send the next step of the authentication.' },
  REAUTHENTICATE: { value: 0x19, packets: ['AUTH'], meaning: 'Start a re-authentication.' },
  UNSPECIFIED_ERROR: {
    value: 0x80,
    packets: ['CONNACK', 'PUBACK', 'PUBREC', 'SUBACK', 'UNSUBACK', 'DISCONNECT'],
    meaning: 'The sender does not say why, or no other code fits.',
  },
  MALFORMED_PACKET: { value: 0x81, packets: ['CONNACK', 'DISCONNECT'], meaning: 'The bytes could not be parsed.' },
  PROTOCOL_ERROR: {
    value: 0x82,
    packets: ['CONNACK', 'DISCONNECT'],
    meaning: 'The packet is well-formed but not allowed here.',
  },
  IMPLEMENTATION_SPECIFIC_ERROR: {
    value: 0x83,
    packets: ['CONNACK', 'PUBACK', 'PUBREC', 'SUBACK', 'UNSUBACK', 'DISCONNECT'],
    meaning: 'Valid, but this server does not accept it.',
  },
  UNSUPPORTED_PROTOCOL_VERSION: {
    value: 0x84,
    packets: ['CONNACK'],
    meaning: 'The server does not speak this protocol version.',
  },
  CLIENT_IDENTIFIER_NOT_VALID: { value: 0x85, packets: ['CONNACK'], meaning: 'The client identifier is not allowed.' },
  BAD_USER_NAME_OR_PASSWORD: { value: 0x86, packets: ['CONNACK'], meaning: 'The user name or password is wrong.' },
  NOT_AUTHORIZED: {
    value: 0x87,
    packets: ['CONNACK', 'PUBACK', 'PUBREC', 'SUBACK', 'UNSUBACK', 'DISCONNECT'],
    meaning: 'The client may not do this.',
  },
  SERVER_UNAVAILABLE: { value: 0x88, packets: ['CONNACK'], meaning: 'The server cannot serve now.' },
  SERVER_BUSY: {
    value: 0x89,
    packets: ['CONNACK', 'DISCONNECT'],
    meaning: 'The server has too much to do; try again later.',
  },
  BANNED: { value: 0x8a, packets: ['CONNACK'], meaning: 'This client has been banned.' },
  SERVER_SHUTTING_DOWN: { value: 0x8b, packets: ['DISCONNECT'], meaning: 'The server is going down; reconnect later.' },
  BAD_AUTHENTICATION_METHOD: {
    value: 0x8c,
    packets: ['CONNACK', 'DISCONNECT'],
    meaning: 'The authentication method is not supported.',
  },
  KEEP_ALIVE_TIMEOUT: {
    value: 0x8d,
    packets: ['DISCONNECT'],
    meaning: 'Nothing came for one and a half times the Keep Alive.',
  },
  SESSION_TAKEN_OVER: {
    value: 0x8e,
    packets: ['DISCONNECT'],
    meaning: 'Another connection uses the same client identifier.',
  },
  TOPIC_FILTER_INVALID: {
    value: 0x8f,
    packets: ['SUBACK', 'UNSUBACK', 'DISCONNECT'],
    meaning: 'The topic filter is well-formed but not accepted.',
  },
  TOPIC_NAME_INVALID: {
    value: 0x90,
    packets: ['CONNACK', 'PUBACK', 'PUBREC', 'DISCONNECT'],
    meaning: 'The topic name is well-formed but not accepted.',
  },
  PACKET_IDENTIFIER_IN_USE: {
    value: 0x91,
    packets: ['PUBACK', 'PUBREC', 'SUBACK', 'UNSUBACK'],
    meaning: 'The packet identifier is still in use.',
  },
  PACKET_IDENTIFIER_NOT_FOUND: {
    value: 0x92,
    packets: ['PUBREL', 'PUBCOMP'],
    meaning: 'The packet identifier is not known; no error during recovery.',
  },
  RECEIVE_MAXIMUM_EXCEEDED: {
    value: 0x93,
    packets: ['DISCONNECT'],
    meaning: 'More unacknowledged publications than the Receive Maximum.',
  },
  TOPIC_ALIAS_INVALID: {
    value: 0x94,
    packets: ['DISCONNECT'],
    meaning: 'The topic alias is zero or above the maximum.',
  },
  PACKET_TOO_LARGE: {
    value: 0x95,
    packets: ['CONNACK', 'DISCONNECT'],
    meaning: 'The packet is larger than the Maximum Packet Size.',
  },
  MESSAGE_RATE_TOO_HIGH: { value: 0x96, packets: ['DISCONNECT'], meaning: 'Data comes in faster than it may.' },
  QUOTA_EXCEEDED: {
    value: 0x97,
    packets: ['CONNACK', 'PUBACK', 'PUBREC', 'SUBACK', 'DISCONNECT'],
    meaning: 'A limit of the server or of an administrator is reached.',
  },
  ADMINISTRATIVE_ACTION: { value: 0x98, packets: ['DISCONNECT'], meaning: 'Closed by an administrator.' },
  PAYLOAD_FORMAT_INVALID: {
    value: 0x99,
    packets: ['CONNACK', 'PUBACK', 'PUBREC', 'DISCONNECT'],
    meaning: 'The payload is not of the format it claims.',
  },
  RETAIN_NOT_SUPPORTED: {
    value: 0x9a,
    packets: ['CONNACK', 'DISCONNECT'],
    meaning: 'Retained messages are switched off.',
  },
  QOS_NOT_SUPPORTED: { value: 0x9b, packets: ['CONNACK', 'DISCONNECT'], meaning: 'The QoS is above the Maximum QoS.' },
  USE_ANOTHER_SERVER: {
    value: 0x9c,
    packets: ['CONNACK', 'DISCONNECT'],
    meaning: 'Use the server named in Server Reference for now.',
  },
  SERVER_MOVED: {
    value: 0x9d,
    packets: ['CONNACK', 'DISCONNECT'],
    meaning: 'Use the server named in Server Reference from now on.',
  },
  SHARED_SUBSCRIPTIONS_NOT_SUPPORTED: {
    value: 0x9e,
    packets: ['SUBACK', 'DISCONNECT'],
    meaning: 'Shared subscriptions are switched off.',
  },
  CONNECTION_RATE_EXCEEDED: {
    value: 0x9f,
    packets: ['CONNACK', 'DISCONNECT'],
    meaning: 'Too many connections in too short a time.',
  },
  MAXIMUM_CONNECT_TIME: {
    value: 0xa0,
    packets: ['DISCONNECT'],
    meaning: 'The connection has lasted as long as it may.',
  },
  SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED: {
    value: 0xa1,
    packets: ['SUBACK', 'DISCONNECT'],
    meaning: 'Subscription identifiers are switched off.',
  },
  WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED: {
    value: 0xa2,
    packets: ['SUBACK', 'DISCONNECT'],
    meaning: 'Wildcard subscriptions are switched off.',
  },
} as const satisfies Record<string, ReasonCodeRow>

export type ReasonCodeName = keyof typeof REASON_CODES
export type ReasonCodeValue = (typeof REASON_CODES)[ReasonCodeName]['value']

export const ReasonCode = {
  SUCCESS: 0x00,
  GRANTED_QOS_1: 0x01,
  GRANTED_QOS_2: 0x02,
  DISCONNECT_WITH_WILL_MESSAGE: 0x04,
  NO_MATCHING_SUBSCRIBERS: 0x10,
  NO_SUBSCRIPTION_EXISTED: 0x11,
  CONTINUE_AUTHENTICATION: 0x18,
  REAUTHENTICATE: 0x19,
  UNSPECIFIED_ERROR: 0x80,
  MALFORMED_PACKET: 0x81,
  PROTOCOL_ERROR: 0x82,
  IMPLEMENTATION_SPECIFIC_ERROR: 0x83,
  UNSUPPORTED_PROTOCOL_VERSION: 0x84,
  CLIENT_IDENTIFIER_NOT_VALID: 0x85,
  BAD_USER_NAME_OR_PASSWORD: 0x86,
  NOT_AUTHORIZED: 0x87,
  SERVER_UNAVAILABLE: 0x88,
  SERVER_BUSY: 0x89,
  BANNED: 0x8a,
  SERVER_SHUTTING_DOWN: 0x8b,
  BAD_AUTHENTICATION_METHOD: 0x8c,
  KEEP_ALIVE_TIMEOUT: 0x8d,
  SESSION_TAKEN_OVER: 0x8e,
  TOPIC_FILTER_INVALID: 0x8f,
  TOPIC_NAME_INVALID: 0x90,
  PACKET_IDENTIFIER_IN_USE: 0x91,
  PACKET_IDENTIFIER_NOT_FOUND: 0x92,
  RECEIVE_MAXIMUM_EXCEEDED: 0x93,
  TOPIC_ALIAS_INVALID: 0x94,
  PACKET_TOO_LARGE: 0x95,
  MESSAGE_RATE_TOO_HIGH: 0x96,
  QUOTA_EXCEEDED: 0x97,
  ADMINISTRATIVE_ACTION: 0x98,
  PAYLOAD_FORMAT_INVALID: 0x99,
  RETAIN_NOT_SUPPORTED: 0x9a,
  QOS_NOT_SUPPORTED: 0x9b,
  USE_ANOTHER_SERVER: 0x9c,
  SERVER_MOVED: 0x9d,
  SHARED_SUBSCRIPTIONS_NOT_SUPPORTED: 0x9e,
  CONNECTION_RATE_EXCEEDED: 0x9f,
  MAXIMUM_CONNECT_TIME: 0xa0,
  SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED: 0xa1,
  WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED: 0xa2,
  /** The same value as SUCCESS, by its name in DISCONNECT. */
  NORMAL_DISCONNECTION: 0x00,
  /** The same value as SUCCESS, by its name in SUBACK. */
  GRANTED_QOS_0: 0x00,
} as const

const NAME_BY_VALUE = new Map<number, ReasonCodeName>(
  (Object.keys(REASON_CODES) as ReasonCodeName[]).map((name) => [REASON_CODES[name].value, name]),
)
const PACKET_NAME = new Map<number, string>(Object.entries(PacketType).map(([name, value]) => [value, name]))

/** `0x97 QUOTA_EXCEEDED`; unknown values give only the number. */
export function describeReasonCode(reasonCode: number): string {
  const name = NAME_BY_VALUE.get(reasonCode)
  const hex = `0x${reasonCode.toString(16).padStart(2, '0')}`
  return name === undefined ? hex : `${hex} ${name}`
}

/** One sentence for people, or undefined for a value the table does not have. */
export function reasonCodeMeaning(reasonCode: number): string | undefined {
  const name = NAME_BY_VALUE.get(reasonCode)
  return name === undefined ? undefined : REASON_CODES[name].meaning
}

export function isReasonCodeLegal(packetType: PacketType, reasonCode: number): boolean {
  const name = NAME_BY_VALUE.get(reasonCode)
  if (name === undefined) return false
  const packets: readonly string[] = REASON_CODES[name].packets
  return packets.includes(PACKET_NAME.get(packetType) ?? '')
}

export function isFailure(reasonCode: number): boolean {
  return reasonCode >= 0x80
}
