/**
 * MQTT 5's properties as a msgpack map from identifier to value: one row per identifier, with its type, its range and
 * the packets that may carry it [v5 2.2.2.2]. Both directions derive from the rows, and so does the table in
 * `conformance/native-protocol.md`. Duplicates and the number of user properties are checked by `strict-walk.ts`.
 */
import type { UserProperty } from '../packets.js'
import { ProtocolError } from '../protocol-error.js'
import { ReasonCode } from '../reason-codes.js'
import { malformed, protocolError } from './wire.js'

export type PropertyKind = 'bit' | 'uint16' | 'uint32' | 'str' | 'bin' | 'pairs' | 'identifiers'
/** ACK: PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK. WILL: the Will inside CONNECT.
 * PRODUCE: each of its messages. */
export type PropertyOwner =
  | 'CONNECT'
  | 'WILL'
  | 'CONNACK'
  | 'PUBLISH'
  | 'ACK'
  | 'SUBSCRIBE'
  | 'UNSUBSCRIBE'
  | 'DISCONNECT'
  | 'AUTH'
  | 'PRODUCE'

export interface PropertyRow {
  readonly identifier: number
  readonly name: string
  readonly kind: PropertyKind
  readonly owners: readonly PropertyOwner[]
  /** What a zero is answered with; absent: zero is fine. */
  readonly zeroReasonCode?: number
}

const ALL: readonly PropertyOwner[] = [
  'CONNECT',
  'WILL',
  'CONNACK',
  'PUBLISH',
  'ACK',
  'SUBSCRIBE',
  'UNSUBSCRIBE',
  'DISCONNECT',
  'AUTH',
  'PRODUCE',
]
const MESSAGE: readonly PropertyOwner[] = ['PUBLISH', 'WILL', 'PRODUCE']
const LOGIN: readonly PropertyOwner[] = ['CONNECT', 'CONNACK', 'AUTH']
const HANDSHAKE: readonly PropertyOwner[] = ['CONNECT', 'CONNACK']
const ANSWER: readonly PropertyOwner[] = ['CONNACK', 'ACK', 'DISCONNECT', 'AUTH']
const ZERO_IS_ERROR = { zeroReasonCode: ReasonCode.PROTOCOL_ERROR } as const

/** Ascending by identifier: the order in which we write them. */
export const PROPERTIES: readonly PropertyRow[] = [
  { identifier: 1, name: 'payloadFormatIndicator', kind: 'bit', owners: MESSAGE },
  { identifier: 2, name: 'messageExpiryIntervalSec', kind: 'uint32', owners: MESSAGE },
  { identifier: 3, name: 'contentType', kind: 'str', owners: MESSAGE },
  { identifier: 8, name: 'responseTopic', kind: 'str', owners: MESSAGE },
  { identifier: 9, name: 'correlationData', kind: 'bin', owners: MESSAGE },
  { identifier: 11, name: 'subscriptionIdentifiers', kind: 'identifiers', owners: ['PUBLISH', 'SUBSCRIBE'] },
  {
    identifier: 17,
    name: 'sessionExpiryIntervalSec',
    kind: 'uint32',
    owners: ['CONNECT', 'CONNACK', 'DISCONNECT'],
  },
  { identifier: 18, name: 'assignedClientIdentifier', kind: 'str', owners: ['CONNACK'] },
  { identifier: 19, name: 'serverKeepAliveSec', kind: 'uint16', owners: ['CONNACK'] },
  { identifier: 21, name: 'authenticationMethod', kind: 'str', owners: LOGIN },
  { identifier: 22, name: 'authenticationData', kind: 'bin', owners: LOGIN },
  { identifier: 23, name: 'requestProblemInformation', kind: 'bit', owners: ['CONNECT'] },
  { identifier: 24, name: 'willDelayIntervalSec', kind: 'uint32', owners: ['WILL'] },
  { identifier: 25, name: 'requestResponseInformation', kind: 'bit', owners: ['CONNECT'] },
  { identifier: 26, name: 'responseInformation', kind: 'str', owners: ['CONNACK'] },
  { identifier: 28, name: 'serverReference', kind: 'str', owners: ['CONNACK', 'DISCONNECT'] },
  { identifier: 31, name: 'reasonString', kind: 'str', owners: ANSWER },
  { identifier: 33, name: 'receiveMaximum', kind: 'uint16', owners: HANDSHAKE, ...ZERO_IS_ERROR },
  { identifier: 34, name: 'topicAliasMaximum', kind: 'uint16', owners: HANDSHAKE },
  {
    identifier: 35,
    name: 'topicAlias',
    kind: 'uint16',
    owners: ['PUBLISH'],
    zeroReasonCode: ReasonCode.TOPIC_ALIAS_INVALID,
  },
  { identifier: 36, name: 'maximumQoS', kind: 'bit', owners: ['CONNACK'] },
  { identifier: 37, name: 'retainAvailable', kind: 'bit', owners: ['CONNACK'] },
  { identifier: 38, name: 'userProperties', kind: 'pairs', owners: ALL },
  { identifier: 39, name: 'maximumPacketSize', kind: 'uint32', owners: HANDSHAKE, ...ZERO_IS_ERROR },
  { identifier: 40, name: 'wildcardSubscriptionAvailable', kind: 'bit', owners: ['CONNACK'] },
  { identifier: 41, name: 'subscriptionIdentifiersAvailable', kind: 'bit', owners: ['CONNACK'] },
  { identifier: 42, name: 'sharedSubscriptionAvailable', kind: 'bit', owners: ['CONNACK'] },
]

/** Largest Subscription Identifier: MQTT's variable byte integer [v5 3.8.2.1.2]. */
const SUBSCRIPTION_IDENTIFIER_MAX = 268_435_455
const ROWS_BY_OWNER = new Map(ALL.map((owner) => [owner, PROPERTIES.filter((row) => row.owners.includes(owner))]))
const ROW_BY_IDENTIFIER = new Map(PROPERTIES.map((row) => [row.identifier, row]))

/**
 * @param value what stood in the place of the properties: a Map, or nothing.
 * @returns null when there are none.
 */
export function decodeProperties<T extends object>(value: unknown, owner: PropertyOwner): T | null {
  if (value === undefined || value === null) return null
  if (!(value instanceof Map)) throw malformed('properties are a map from identifier to value')
  if (value.size === 0) return null
  const properties: Record<string, unknown> = {}
  for (const [identifier, item] of value as Map<number, unknown>) {
    const row = ROW_BY_IDENTIFIER.get(identifier)
    if (row === undefined) throw malformed(`there is no property ${identifier}`)
    if (!row.owners.includes(owner)) throw malformed(`${row.name} (${identifier}) does not belong into this packet`)
    properties[row.name] = decodeValue(item, row)
  }
  return properties as T
}

/** @returns null when there are none. */
export function encodeProperties(properties: object | null, owner: PropertyOwner): Map<number, unknown> | null {
  if (properties === null) return null
  let map: Map<number, unknown> | null = null
  for (const row of ROWS_BY_OWNER.get(owner) as readonly PropertyRow[]) {
    const value = (properties as Record<string, unknown>)[row.name]
    if (isAbsent(value)) continue
    map ??= new Map()
    map.set(row.identifier, value)
  }
  return map
}

/** Whether `encodeProperties` would give a map, without making it. */
export function hasProperties(properties: object | null): boolean {
  if (properties === null) return false
  for (const value of Object.values(properties)) if (!isAbsent(value)) return true
  return false
}

/** An empty list is the same as none on this wire. */
function isAbsent(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.length === 0)
}

function decodeValue(value: unknown, row: PropertyRow): unknown {
  switch (row.kind) {
    case 'bit':
      return decodeInteger(value, row, 1, ReasonCode.PROTOCOL_ERROR)
    case 'uint16':
      return decodeInteger(value, row, 0xffff, ReasonCode.MALFORMED_PACKET)
    case 'uint32':
      return decodeInteger(value, row, 0xffff_ffff, ReasonCode.MALFORMED_PACKET)
    case 'str':
      if (typeof value !== 'string') throw malformed(`${row.name} is a str`)
      return value
    case 'bin':
      if (!(value instanceof Uint8Array)) throw malformed(`${row.name} is a bin`)
      return value
    case 'pairs':
      return decodePairs(value, row)
    case 'identifiers':
      return decodeIdentifiers(value, row)
  }
}

function decodeInteger(value: unknown, row: PropertyRow, max: number, tooLarge: number): number {
  if (typeof value !== 'number') throw malformed(`${row.name} is an integer`)
  if (value > max) throw new ProtocolError(tooLarge, `${row.name} is at most ${max}`)
  if (value === 0 && row.zeroReasonCode !== undefined) {
    throw new ProtocolError(row.zeroReasonCode, `${row.name} is not 0`)
  }
  return value
}

function decodePairs(value: unknown, row: PropertyRow): UserProperty[] {
  const pairs = decodeList(value, row)
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== 'string' || typeof pair[1] !== 'string') {
      throw malformed(`each of ${row.name} is [name, value], both str`)
    }
  }
  return pairs as UserProperty[]
}

function decodeIdentifiers(value: unknown, row: PropertyRow): number[] {
  const identifiers = decodeList(value, row)
  for (const identifier of identifiers) {
    if (typeof identifier !== 'number' || identifier > SUBSCRIPTION_IDENTIFIER_MAX) {
      throw malformed(`a subscription identifier is an integer of at most ${SUBSCRIPTION_IDENTIFIER_MAX}`)
    }
    if (identifier === 0) throw protocolError('a subscription identifier is not 0')
  }
  return identifiers as number[]
}

function decodeList(value: unknown, row: PropertyRow): unknown[] {
  if (!Array.isArray(value)) throw malformed(`${row.name} is an array`)
  if (value.length === 0) throw protocolError(`${row.name} holds at least one element; leave the property out`)
  return value
}
