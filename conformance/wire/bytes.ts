/**
 * Packets from parts, written so that wrong ones are as easy as right ones. Nothing is checked: a case says byte for
 * byte what goes out. A number is one byte, a string a length-prefixed UTF-8 string, bytes are bytes.
 */

export type Part = number | string | Uint8Array | readonly Part[]
/** 3.1.1 is protocol level 4. */
export type Version = 4 | 5

export function bytes(...parts: readonly Part[]): Buffer {
  return Buffer.concat(parts.map(partBytes))
}

function partBytes(part: Part): Uint8Array {
  if (typeof part === 'number') return Uint8Array.of(part)
  if (typeof part === 'string') return binary(Buffer.from(part))
  return part instanceof Uint8Array ? part : bytes(...part)
}

export function u16(value: number): Uint8Array {
  return Uint8Array.of((value >> 8) & 255, value & 255)
}

export function u32(value: number): Uint8Array {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32BE(value)
  return buffer
}

export function varint(value: number): Uint8Array {
  const digits: number[] = []
  let rest = value
  do {
    const digit = rest % 128
    rest = Math.floor(rest / 128)
    digits.push(rest > 0 ? digit | 128 : digit)
  } while (rest > 0)
  return Uint8Array.from(digits)
}

/** Two bytes of length, then the bytes. */
export function binary(data: Uint8Array): Uint8Array {
  return Buffer.concat([u16(data.length), data])
}

export const hex = (digits: string): Buffer => Buffer.from(digits.replaceAll(' ', ''), 'hex')

/** A first byte, the Remaining Length of what follows, and what follows. */
export function packet(first: number, ...parts: readonly Part[]): Buffer {
  const body = bytes(...parts)
  return bytes(first, varint(body.length), body)
}

export type PropertyValue = number | string | Uint8Array | readonly [Part, Part]
export type Properties = readonly (readonly [number, PropertyValue])[]

export const P = {
  payloadFormat: 0x01,
  messageExpiry: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlationData: 0x09,
  subscriptionId: 0x0b,
  sessionExpiry: 0x11,
  assignedClientId: 0x12,
  serverKeepAlive: 0x13,
  authMethod: 0x15,
  authData: 0x16,
  requestProblem: 0x17,
  willDelay: 0x18,
  requestResponse: 0x19,
  responseInformation: 0x1a,
  serverReference: 0x1c,
  reasonString: 0x1f,
  receiveMaximum: 0x21,
  topicAliasMaximum: 0x22,
  topicAlias: 0x23,
  maximumQos: 0x24,
  retainAvailable: 0x25,
  userProperty: 0x26,
  maximumPacketSize: 0x27,
  wildcardAvailable: 0x28,
  subscriptionIdAvailable: 0x29,
  sharedAvailable: 0x2a,
} as const

export type PropertyType = 'byte' | 'u16' | 'u32' | 'varint' | 'utf8' | 'binary' | 'pair'

export const PROPERTY_TYPE: Readonly<Record<number, PropertyType>> = {
  [P.payloadFormat]: 'byte',
  [P.messageExpiry]: 'u32',
  [P.contentType]: 'utf8',
  [P.responseTopic]: 'utf8',
  [P.correlationData]: 'binary',
  [P.subscriptionId]: 'varint',
  [P.sessionExpiry]: 'u32',
  [P.assignedClientId]: 'utf8',
  [P.serverKeepAlive]: 'u16',
  [P.authMethod]: 'utf8',
  [P.authData]: 'binary',
  [P.requestProblem]: 'byte',
  [P.willDelay]: 'u32',
  [P.requestResponse]: 'byte',
  [P.responseInformation]: 'utf8',
  [P.serverReference]: 'utf8',
  [P.reasonString]: 'utf8',
  [P.receiveMaximum]: 'u16',
  [P.topicAliasMaximum]: 'u16',
  [P.topicAlias]: 'u16',
  [P.maximumQos]: 'byte',
  [P.retainAvailable]: 'byte',
  [P.userProperty]: 'pair',
  [P.maximumPacketSize]: 'u32',
  [P.wildcardAvailable]: 'byte',
  [P.subscriptionIdAvailable]: 'byte',
  [P.sharedAvailable]: 'byte',
}

function property([id, value]: readonly [number, PropertyValue]): Uint8Array {
  const type = PROPERTY_TYPE[id]
  if (Array.isArray(value)) {
    const [name, text] = value as readonly [Part, Part]
    return bytes(id, field(name), field(text))
  }
  if (typeof value === 'number') {
    if (type === 'u16') return bytes(id, u16(value))
    if (type === 'u32') return bytes(id, u32(value))
    return bytes(id, type === 'varint' ? varint(value) : value)
  }
  return bytes(id, field(value as string | Uint8Array))
}

/** Text or bytes behind a length: bytes stand for text that may be wrong. */
export const field = (value: Part): Uint8Array => (value instanceof Uint8Array ? binary(value) : bytes(value))

/** The property section with its length; nothing at all in 3.1.1. */
export function properties(version: Version, list: Properties = []): Uint8Array {
  if (version === 4) return new Uint8Array(0)
  const body = bytes(...list.map(property))
  return bytes(varint(body.length), body)
}

export interface WillFields {
  readonly topic: string | Uint8Array
  readonly payload?: string
  readonly qos?: number
  readonly retain?: boolean
  readonly properties?: Properties
}

export interface ConnectFields {
  readonly clientId?: string | Uint8Array
  /** Clean Start, Clean Session. Default: true, or false with `keep`. */
  readonly clean?: boolean
  /** Keep the Session: seconds of Session Expiry Interval in 5.0, clean session 0 in 3.1.1. */
  readonly keep?: number
  readonly keepAlive?: number
  readonly will?: WillFields
  readonly username?: string | Uint8Array
  readonly password?: string | Uint8Array
  readonly properties?: Properties
  /** Instead of what the fields say. */
  readonly flags?: number
  readonly protocolName?: string
  readonly level?: number
  readonly payload?: readonly Part[]
}

export function connect(version: Version, fields: ConnectFields): Buffer {
  const { will, username, password, keep } = fields
  const clean = fields.clean ?? keep === undefined
  let flags = clean ? 2 : 0
  if (will !== undefined) flags |= 4 | ((will.qos ?? 0) << 3) | (will.retain ? 32 : 0)
  if (username !== undefined) flags |= 128
  if (password !== undefined) flags |= 64
  const expiry: Properties = keep === undefined ? [] : [[P.sessionExpiry, keep]]
  const payload: Part[] = [field(fields.clientId ?? '')]
  if (will !== undefined) {
    payload.push(properties(version, will.properties), field(will.topic), binary(Buffer.from(will.payload ?? 'will')))
  }
  if (username !== undefined) payload.push(field(username))
  if (password !== undefined) payload.push(field(password))
  return packet(
    0x10,
    fields.protocolName ?? 'MQTT',
    fields.level ?? version,
    fields.flags ?? flags,
    u16(fields.keepAlive ?? 0),
    properties(version, [...expiry, ...(fields.properties ?? [])]),
    ...(fields.payload ?? payload),
  )
}

export interface PublishFields {
  readonly qos?: number
  readonly retain?: boolean
  readonly dup?: boolean
  readonly id?: number
  readonly properties?: Properties
}

export function publish(
  version: Version,
  topic: string | Uint8Array,
  payload: string | Uint8Array,
  fields: PublishFields = {},
): Buffer {
  const qos = fields.qos ?? 0
  const first = 0x30 | (fields.dup ? 8 : 0) | (qos << 1) | (fields.retain ? 1 : 0)
  const id = qos > 0 ? u16(fields.id ?? 1) : []
  return packet(first, field(topic), id, properties(version, fields.properties), Buffer.from(payload))
}

/** A filter with its options byte (the QoS in 3.1.1). */
export type FilterOptions = readonly [filter: string | Uint8Array, options: number]

export function subscribe(version: Version, id: number, filters: readonly FilterOptions[], list?: Properties): Buffer {
  const parts = filters.map(([filter, options]) => [field(filter), options] as const)
  return packet(0x82, u16(id), properties(version, list), ...parts)
}

export function unsubscribe(version: Version, id: number, filters: readonly (string | Uint8Array)[]): Buffer {
  return packet(0xa2, u16(id), properties(version), ...filters.map(field))
}

export const puback = (id: number, code?: number): Buffer => acknowledgement(0x40, id, code)
export const pubrec = (id: number, code?: number): Buffer => acknowledgement(0x50, id, code)
export const pubrel = (id: number, code?: number): Buffer => acknowledgement(0x62, id, code)
export const pubcomp = (id: number, code?: number): Buffer => acknowledgement(0x70, id, code)

function acknowledgement(first: number, id: number, code: number | undefined): Buffer {
  return packet(first, u16(id), code === undefined ? [] : [code, 0])
}

export const PINGREQ = hex('C000')

export function disconnect(code?: number, list?: Properties): Buffer {
  if (code === undefined) return hex('E000')
  return list === undefined ? packet(0xe0, code) : packet(0xe0, code, properties(5, list))
}

export function auth(code: number, list: Properties): Buffer {
  return packet(0xf0, code, properties(5, list))
}

/** Text that is none: a lone continuation, an encoded surrogate, an overlong form, a truncated sequence. */
export const NOT_UTF8: readonly Uint8Array[] = [hex('61FF'), hex('EDA080'), hex('C328'), hex('C0AF'), hex('E282')]
