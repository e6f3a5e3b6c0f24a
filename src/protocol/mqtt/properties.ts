/**
 * The properties of MQTT 5 as one table [v5 2.2.2.2, table 2-4]: identifier, name in our packet model, type on the
 * wire, packets that may carry it. Decoding and encoding both follow the table; what a row does not allow is refused.
 */
import type {
  AuthPacket,
  ConnackProperties,
  ConnectProperties,
  DisconnectProperties,
  PublishProperties,
  SubscribePacket,
  UserProperties,
  UserProperty,
  WillProperties,
} from '../packets.js'
import { ProtocolError } from '../protocol-error.js'
import { ReasonCode } from '../reason-codes.js'
import type { PacketBuffer } from './packet-buffer.js'
import { malformed, type PacketReader, violation } from './packet-reader.js'

/** Every property there is; the types of the packets are parts of it. */
export type AnyProperties = ConnectProperties &
  WillProperties &
  ConnackProperties &
  PublishProperties &
  SubscribePacket['properties'] &
  DisconnectProperties &
  AuthPacket['properties']

type Kind = 'flag' | 'two-byte' | 'four-byte' | 'variable' | 'variables' | 'string' | 'binary' | 'pairs'

interface PropertyRow {
  readonly id: number
  readonly name: keyof AnyProperties
  readonly kind: Kind
  readonly packets: number
  /** The reason code that a value of 0 gets; absent: 0 is fine. */
  readonly zero?: number
}

// One bit for each place that has properties. ACK: PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
const [CONNECT, WILL, CONNACK, PUBLISH, ACK, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH] = [
  1, 2, 4, 8, 16, 32, 64, 128, 256,
]
const EVERYWHERE = 511
const { PROTOCOL_ERROR, TOPIC_ALIAS_INVALID } = ReasonCode

// Message Expiry Interval stands first, because it changes from copy to copy.
const ROWS: readonly PropertyRow[] = [
  { id: 0x02, name: 'messageExpiryIntervalSec', kind: 'four-byte', packets: PUBLISH | WILL },
  { id: 0x23, name: 'topicAlias', kind: 'two-byte', packets: PUBLISH, zero: TOPIC_ALIAS_INVALID },
  { id: 0x0b, name: 'subscriptionIdentifiers', kind: 'variables', packets: PUBLISH, zero: PROTOCOL_ERROR },
  { id: 0x0b, name: 'subscriptionIdentifier', kind: 'variable', packets: SUBSCRIBE, zero: PROTOCOL_ERROR },
  { id: 0x01, name: 'payloadFormatIndicator', kind: 'flag', packets: PUBLISH | WILL },
  { id: 0x03, name: 'contentType', kind: 'string', packets: PUBLISH | WILL },
  { id: 0x08, name: 'responseTopic', kind: 'string', packets: PUBLISH | WILL },
  { id: 0x09, name: 'correlationData', kind: 'binary', packets: PUBLISH | WILL },
  { id: 0x18, name: 'willDelayIntervalSec', kind: 'four-byte', packets: WILL },
  { id: 0x11, name: 'sessionExpiryIntervalSec', kind: 'four-byte', packets: CONNECT | CONNACK | DISCONNECT },
  { id: 0x21, name: 'receiveMaximum', kind: 'two-byte', packets: CONNECT | CONNACK, zero: PROTOCOL_ERROR },
  { id: 0x27, name: 'maximumPacketSize', kind: 'four-byte', packets: CONNECT | CONNACK, zero: PROTOCOL_ERROR },
  { id: 0x22, name: 'topicAliasMaximum', kind: 'two-byte', packets: CONNECT | CONNACK },
  { id: 0x19, name: 'requestResponseInformation', kind: 'flag', packets: CONNECT },
  { id: 0x17, name: 'requestProblemInformation', kind: 'flag', packets: CONNECT },
  { id: 0x24, name: 'maximumQoS', kind: 'flag', packets: CONNACK },
  { id: 0x25, name: 'retainAvailable', kind: 'flag', packets: CONNACK },
  { id: 0x12, name: 'assignedClientIdentifier', kind: 'string', packets: CONNACK },
  { id: 0x28, name: 'wildcardSubscriptionAvailable', kind: 'flag', packets: CONNACK },
  { id: 0x29, name: 'subscriptionIdentifiersAvailable', kind: 'flag', packets: CONNACK },
  { id: 0x2a, name: 'sharedSubscriptionAvailable', kind: 'flag', packets: CONNACK },
  { id: 0x13, name: 'serverKeepAliveSec', kind: 'two-byte', packets: CONNACK },
  { id: 0x1a, name: 'responseInformation', kind: 'string', packets: CONNACK },
  { id: 0x1c, name: 'serverReference', kind: 'string', packets: CONNACK | DISCONNECT },
  { id: 0x15, name: 'authenticationMethod', kind: 'string', packets: CONNECT | CONNACK | AUTH },
  { id: 0x16, name: 'authenticationData', kind: 'binary', packets: CONNECT | CONNACK | AUTH },
  { id: 0x1f, name: 'reasonString', kind: 'string', packets: CONNACK | ACK | DISCONNECT | AUTH },
  { id: 0x26, name: 'userProperties', kind: 'pairs', packets: EVERYWHERE },
]

/** The properties one place may have. */
export class PropertySet {
  readonly place: string
  readonly rows: readonly PropertyRow[]
  readonly rowById: readonly (PropertyRow | undefined)[]

  constructor(place: string, bit: number, leftOut: readonly string[] = []) {
    this.place = place
    this.rows = ROWS.filter((row) => (row.packets & bit) !== 0 && !leftOut.includes(row.name))
    const rowById = new Array<PropertyRow | undefined>(256).fill(undefined)
    for (const row of this.rows) rowById[row.id] = row
    this.rowById = rowById
  }
}

export const CONNECT_PROPERTIES = new PropertySet('CONNECT', CONNECT)
export const WILL_PROPERTIES = new PropertySet('a Will', WILL)
export const CONNACK_PROPERTIES = new PropertySet('CONNACK', CONNACK)
export const PUBLISH_PROPERTIES = new PropertySet('PUBLISH', PUBLISH)
/** What all copies of a message have in common. */
export const PUBLICATION_PROPERTIES = new PropertySet('PUBLISH', PUBLISH, [
  'messageExpiryIntervalSec',
  'topicAlias',
  'subscriptionIdentifiers',
])
export const ACK_PROPERTIES = new PropertySet('an acknowledgement', ACK)
export const SUBSCRIBE_PROPERTIES = new PropertySet('SUBSCRIBE', SUBSCRIBE)
export const UNSUBSCRIBE_PROPERTIES = new PropertySet('UNSUBSCRIBE', UNSUBSCRIBE)
export const DISCONNECT_PROPERTIES = new PropertySet('DISCONNECT', DISCONNECT)
export const AUTH_PROPERTIES = new PropertySet('AUTH', AUTH)

/** Reads a property section with its length. @returns null when it is empty. */
export function decodeProperties(reader: PacketReader, set: PropertySet): AnyProperties | null {
  const length = reader.variableByteInteger()
  if (length === 0) return null
  const packetEnd = reader.end
  if (reader.position + length > packetEnd) malformed('the properties are longer than the packet')
  reader.end = reader.position + length
  const properties: Record<string, unknown> = {}
  while (reader.position < reader.end) {
    const id = reader.byte()
    const row = set.rowById[id]
    if (row === undefined) return malformed(`property 0x${id.toString(16).padStart(2, '0')} is not for ${set.place}`)
    if (row.kind === 'pairs') {
      properties.userProperties = appendPair(reader, properties.userProperties as UserProperty[] | undefined)
    } else if (row.kind === 'variables') {
      const known = properties.subscriptionIdentifiers as number[] | undefined
      const identifier = decodeValue(reader, row) as number
      if (known === undefined) properties.subscriptionIdentifiers = [identifier]
      else known.push(identifier)
    } else {
      if (properties[row.name] !== undefined) violation(`${row.name} stands twice in ${set.place}`)
      properties[row.name] = decodeValue(reader, row)
    }
  }
  reader.end = packetEnd
  return properties as AnyProperties
}

/** In the order they came [v5 MQTT-3.3.2-18]; how many there may be is a guard against needless work. */
function appendPair(reader: PacketReader, known: UserProperty[] | undefined): UserProperty[] {
  reader.userProperties += 1
  if (reader.userProperties > reader.userPropertiesMax) {
    throw new ProtocolError(
      ReasonCode.QUOTA_EXCEEDED,
      `a packet has at most ${reader.userPropertiesMax} user properties here`,
    )
  }
  const pair = [reader.string('user property name'), reader.string('user property value')] as const
  if (known === undefined) return [pair]
  known.push(pair)
  return known
}

function decodeValue(reader: PacketReader, row: PropertyRow): number | string | Uint8Array {
  if (row.kind === 'string') return reader.string(row.name)
  if (row.kind === 'binary') return reader.binary()
  const value = decodeNumber(reader, row.kind)
  if (row.kind === 'flag' && value > 1) violation(`${row.name} is 0 or 1`)
  if (value === 0 && row.zero !== undefined) throw new ProtocolError(row.zero, `${row.name} is not 0`)
  return value
}

function decodeNumber(reader: PacketReader, kind: Kind): number {
  if (kind === 'flag') return reader.byte()
  if (kind === 'two-byte') return reader.twoByteInteger()
  if (kind === 'four-byte') return reader.fourByteInteger()
  return reader.variableByteInteger()
}

/** Writes a property section with its length; an empty one is a single 0 [v5 MQTT-2.2.2-1]. */
export function encodeProperties(out: PacketBuffer, set: PropertySet, properties: Partial<AnyProperties> | null): void {
  const start = out.beginSection(0)
  if (properties !== null) encodePropertyRows(out, set, properties)
  out.endSection(start, 0)
}

export function encodePropertyRows(out: PacketBuffer, set: PropertySet, properties: Partial<AnyProperties>): void {
  for (const row of set.rows) {
    const value = properties[row.name]
    if (value === undefined) continue
    if (row.kind === 'pairs') {
      for (const [name, text] of value as UserProperties) {
        out.byte(row.id)
        out.string(name)
        out.string(text)
      }
    } else if (row.kind === 'variables') {
      for (const identifier of value as readonly number[]) {
        out.byte(row.id)
        out.variableByteInteger(identifier)
      }
    } else {
      out.byte(row.id)
      encodeValue(out, row.kind, value as number | string | Uint8Array)
    }
  }
}

function encodeValue(out: PacketBuffer, kind: Kind, value: number | string | Uint8Array): void {
  if (typeof value === 'string') out.string(value)
  else if (typeof value !== 'number') out.binary(value)
  else if (kind === 'flag') out.byte(value)
  else if (kind === 'two-byte') out.twoByteInteger(value)
  else if (kind === 'four-byte') out.fourByteInteger(value)
  else out.variableByteInteger(value)
}
