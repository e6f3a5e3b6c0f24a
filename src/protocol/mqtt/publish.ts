/**
 * PUBLISH [v5 3.3] [v311 3.3], the hot path both ways. A publication that goes to many subscribers keeps on itself
 * its encoded properties; each copy is put together from pieces, with its own flags, packet identifier, expiry, alias
 * and subscription identifiers between them, and only the pieces that differ are encoded.
 */
import { utf8ByteLength } from '../../base/utf8.js'
import { type Delivery, type Publication, SEEN_ONCE } from '../codec.js'
import { PacketType, type ProtocolLevel, type PublishPacket, type QoS } from '../packets.js'
import {
  checkLength,
  PacketBuffer,
  putBytes,
  putVariableByteInteger,
  variableByteIntegerWidth,
} from './packet-buffer.js'
import { malformed, type PacketReader, violation } from './packet-reader.js'
import {
  decodeProperties,
  encodeProperties,
  encodePropertyRows,
  PUBLICATION_PROPERTIES,
  PUBLISH_PROPERTIES,
} from './properties.js'

const MESSAGE_EXPIRY_INTERVAL = 0x02
const SUBSCRIPTION_IDENTIFIER = 0x0b
const TOPIC_ALIAS = 0x23
const NO_BYTES = new Uint8Array(0)

export function decodePublish(reader: PacketReader, firstByte: number, protocolLevel: ProtocolLevel): PublishPacket {
  const qos = ((firstByte >>> 1) & 3) as QoS
  const topicName = reader.topicName() // [v5 MQTT-3.3.2-1]
  const packetId = qos === 0 ? 0 : reader.packetId() // [v5 MQTT-2.2.1-2]
  const properties = protocolLevel === 5 ? decodeProperties(reader, PUBLISH_PROPERTIES) : null
  if (topicName.length === 0 && properties?.topicAlias === undefined) {
    if (protocolLevel === 5) violation('an empty topic name needs a topic alias')
    malformed('a topic name has at least one character') // [v311 MQTT-4.7.3-1]
  }
  return {
    type: PacketType.PUBLISH,
    topicName,
    payload: reader.rest(),
    qos,
    retain: (firstByte & 1) !== 0,
    dup: (firstByte & 8) !== 0,
    packetId,
    properties,
  }
}

export function encodePublish(out: PacketBuffer, packet: PublishPacket, protocolLevel: ProtocolLevel): void {
  const { qos, topicName, payload } = packet
  const expectedLength = topicName.length + payload.length + (qos === 0 ? 2 : 4) + (protocolLevel === 5 ? 1 : 0)
  out.byte(firstByteOf(qos, packet.dup, packet.retain))
  const start = out.beginSection(expectedLength)
  encodeTopicName(out, topicName)
  if (qos !== 0) out.twoByteInteger(packet.packetId)
  if (protocolLevel === 5) encodeProperties(out, PUBLISH_PROPERTIES, packet.properties)
  out.raw(payload)
  out.endSection(start, expectedLength)
}

/** One subscriber's copy; of the publisher's own properties only what belongs to the message is forwarded. */
export function encodePublication(
  out: PacketBuffer,
  publication: Publication,
  delivery: Delivery,
  protocolLevel: ProtocolLevel,
): void {
  const { payload } = publication
  const { qos } = delivery
  const topicName = topicNameOf(publication, delivery, protocolLevel)
  const shared = protocolLevel === 5 ? sharedProperties(publication) : NO_BYTES
  const propertiesLength = protocolLevel === 5 ? ownPropertiesLength(delivery) + shared.length : 0
  const expectedLength = remainingLength(2 + topicName.length, qos, propertiesLength, payload.length, protocolLevel)
  out.reserve(1 + 4 + expectedLength + 2 * topicName.length)
  out.bytes[out.position++] = firstByteOf(qos, delivery.dup, delivery.retain)
  const section = out.beginSection(expectedLength)
  encodeTopicName(out, topicName)
  const { bytes } = out
  let at = out.position
  if (qos !== 0) {
    bytes[at++] = delivery.packetId >>> 8
    bytes[at++] = delivery.packetId
  }
  if (protocolLevel === 5) {
    at = putVariableByteInteger(bytes, at, propertiesLength)
    if (propertiesLength > 0) at = putBytes(bytes, putOwnProperties(bytes, at, delivery), shared)
  }
  out.position = putBytes(bytes, at, payload)
  out.endSection(section, expectedLength)
}

/** Exactly what `encodePublication` would append. */
export function publicationSize(publication: Publication, delivery: Delivery, protocolLevel: ProtocolLevel): number {
  const topicLength = encodedTopicLength(topicNameOf(publication, delivery, protocolLevel))
  const propertiesLength =
    protocolLevel === 5 ? ownPropertiesLength(delivery) + sharedProperties(publication).length : 0
  const { length } = publication.payload
  const remaining = remainingLength(topicLength, delivery.qos, propertiesLength, length, protocolLevel)
  return 1 + variableByteIntegerWidth(remaining) + remaining
}

function remainingLength(
  topicLength: number,
  qos: QoS,
  propertiesLength: number,
  payloadLength: number,
  protocolLevel: ProtocolLevel,
): number {
  let length = topicLength + payloadLength
  if (qos !== 0) length += 2
  if (protocolLevel === 5) length += variableByteIntegerWidth(propertiesLength) + propertiesLength
  return checkLength(length)
}

/** DUP says whether this very copy was sent before, and QoS 0 copies never were [v5 MQTT-3.3.1-2, 3.3.1-3]. */
function firstByteOf(qos: QoS, dup: boolean, retain: boolean): number {
  return 0x30 | (qos << 1) | (retain ? 1 : 0) | (dup && qos !== 0 ? 8 : 0)
}

function topicNameOf(publication: Publication, delivery: Delivery, protocolLevel: ProtocolLevel): string {
  return protocolLevel === 5 && delivery.omitTopicName && delivery.topicAlias > 0 ? '' : publication.topicName
}

// A topic name that comes twice in a row comes again: a fan-out repeats it, and so do most publishers. From the third
// time on its bytes are copied, which takes a third of the time of encoding them.
let lastTopicName = ''
let lastTopic: Uint8Array | null = null

function encodeTopicName(out: PacketBuffer, topicName: string): void {
  if (topicName !== lastTopicName) {
    out.string(topicName)
    lastTopicName = topicName
    lastTopic = null
  } else if (lastTopic !== null) {
    out.raw(lastTopic)
  } else {
    const length = out.string(topicName)
    lastTopic = out.bytes.slice(out.position - length, out.position)
  }
}

function encodedTopicLength(topicName: string): number {
  return topicName === lastTopicName && lastTopic !== null ? lastTopic.length : 2 + utf8ByteLength(topicName)
}

/** The message's own properties, encoded: the same in every copy, in the publisher's order [v5 MQTT-3.3.2-18]. */
function sharedProperties(publication: Publication): Uint8Array {
  if (publication.properties === null) return NO_BYTES
  const known = publication.wire?.mqttProperties
  if (known !== undefined) return known
  const section = new PacketBuffer()
  encodePropertyRows(section, PUBLICATION_PROPERTIES, publication.properties)
  const written = section.take()
  const encoded = written === null ? NO_BYTES : written.buffer.slice(written.headroom)
  if (publication.wire === null || publication.wire === SEEN_ONCE) publication.wire = {}
  publication.wire.mqttProperties = encoded
  return encoded
}

function ownPropertiesLength(delivery: Delivery): number {
  let length = 0
  if (delivery.messageExpiryIntervalSec >= 0) length += 5
  if (delivery.topicAlias > 0) length += 3
  if (delivery.subscriptionIdentifiers !== null) {
    for (const identifier of delivery.subscriptionIdentifiers) length += 1 + variableByteIntegerWidth(identifier)
  }
  return length
}

function putOwnProperties(bytes: Uint8Array, position: number, delivery: Delivery): number {
  let at = position
  const { messageExpiryIntervalSec, topicAlias, subscriptionIdentifiers } = delivery
  if (messageExpiryIntervalSec >= 0) {
    bytes[at++] = MESSAGE_EXPIRY_INTERVAL // [v5 MQTT-3.3.2-6]
    bytes[at++] = messageExpiryIntervalSec >>> 24
    bytes[at++] = messageExpiryIntervalSec >>> 16
    bytes[at++] = messageExpiryIntervalSec >>> 8
    bytes[at++] = messageExpiryIntervalSec
  }
  if (topicAlias > 0) {
    bytes[at++] = TOPIC_ALIAS // [v5 MQTT-3.3.2-8]
    bytes[at++] = topicAlias >>> 8
    bytes[at++] = topicAlias
  }
  if (subscriptionIdentifiers === null) return at
  for (const identifier of subscriptionIdentifiers) {
    bytes[at++] = SUBSCRIPTION_IDENTIFIER // [v5 MQTT-3.3.4-3]
    at = putVariableByteInteger(bytes, at, identifier)
  }
  return at
}
