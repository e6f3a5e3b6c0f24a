/** How a message's content is written into journal records and rows: topic, payload, QoS, expiry, properties. */
import { assert } from '../base/assert.js'
import type { ByteReader } from '../base/byte-reader.js'
import type { ByteWriter } from '../base/byte-writer.js'
import type { PublishProperties, QoS, UserProperty } from '../protocol/packets.js'

export interface StoredBody {
  readonly topicName: string
  readonly payload: Uint8Array
  readonly qos: QoS
  /** 0: never. */
  readonly expiresAtMs: number
  /** Without topic alias, message expiry and subscription identifiers, which belong to one hop or one copy. */
  readonly properties: PublishProperties | null
}

const PRESENT = { FORMAT: 1, RESPONSE_TOPIC: 2, CORRELATION: 4, USER: 8, CONTENT_TYPE: 16, EXPIRY: 32 } as const

export function writeBody(writer: ByteWriter, body: StoredBody): void {
  writer.text(body.topicName)
  writer.bytes(body.payload)
  writer.u8(body.qos)
  writer.varint(body.expiresAtMs)
  writeProperties(writer, body.properties)
}

export function readBody(reader: ByteReader): StoredBody {
  const topicName = reader.text()
  const payload = reader.bytes()
  const qos = readQoS(reader.u8())
  const expiresAtMs = reader.varint()
  return { topicName, payload, qos, expiresAtMs, properties: readProperties(reader) }
}

/** What a body has that is not known from elsewhere already. */
export type StoredContent = Pick<StoredBody, 'payload' | 'properties'>

export function readContent(reader: ByteReader): StoredContent {
  reader.skip()
  const payload = reader.bytes()
  reader.u8()
  reader.varint()
  return { payload, properties: readProperties(reader) }
}

export function readQoS(value: number): QoS {
  assert(value === 0 || value === 1 || value === 2, 'stored QoS is 0, 1 or 2')
  return value
}

export function writeProperties(writer: ByteWriter, properties: PublishProperties | null): void {
  if (properties === null) {
    writer.u8(0)
    return
  }
  const { payloadFormatIndicator, responseTopic, correlationData, userProperties, contentType } = properties
  const expiry = properties.messageExpiryIntervalSec
  let present = payloadFormatIndicator === undefined ? 0 : PRESENT.FORMAT
  if (responseTopic !== undefined) present |= PRESENT.RESPONSE_TOPIC
  if (correlationData !== undefined) present |= PRESENT.CORRELATION
  if (userProperties !== undefined) present |= PRESENT.USER
  if (contentType !== undefined) present |= PRESENT.CONTENT_TYPE
  if (expiry !== undefined) present |= PRESENT.EXPIRY
  writer.u8(present)
  if (payloadFormatIndicator !== undefined) writer.u8(payloadFormatIndicator)
  if (responseTopic !== undefined) writer.text(responseTopic)
  if (correlationData !== undefined) writer.bytes(correlationData)
  if (userProperties !== undefined) {
    writer.varint(userProperties.length)
    for (const [name, value] of userProperties) {
      writer.text(name)
      writer.text(value)
    }
  }
  if (contentType !== undefined) writer.text(contentType)
  if (expiry !== undefined) writer.varint(expiry)
}

export function readProperties(reader: ByteReader): PublishProperties | null {
  const present = reader.u8()
  if (present === 0) return null
  const properties: PublishProperties = {}
  if (present & PRESENT.FORMAT) properties.payloadFormatIndicator = reader.u8() === 1 ? 1 : 0
  if (present & PRESENT.RESPONSE_TOPIC) properties.responseTopic = reader.text()
  if (present & PRESENT.CORRELATION) properties.correlationData = reader.bytes()
  if (present & PRESENT.USER) {
    const count = reader.varint()
    const userProperties: UserProperty[] = []
    for (let index = 0; index < count; index += 1) userProperties.push([reader.text(), reader.text()])
    properties.userProperties = userProperties
  }
  if (present & PRESENT.CONTENT_TYPE) properties.contentType = reader.text()
  if (present & PRESENT.EXPIRY) properties.messageExpiryIntervalSec = reader.varint()
  return properties
}

/** The properties that travel on with the message: alias and subscription identifiers stay behind [v5 MQTT-3.3.2-7]. */
export function forwardedProperties(properties: PublishProperties | null): PublishProperties | null {
  if (properties === null) return null
  if (properties.topicAlias === undefined && properties.subscriptionIdentifiers === undefined) return properties
  const { topicAlias: _alias, subscriptionIdentifiers: _identifiers, ...kept } = properties
  for (const _name in kept) return kept
  return null
}
