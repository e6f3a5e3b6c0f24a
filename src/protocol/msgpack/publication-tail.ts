/**
 * What the copies of one publication share. Topic, payload and properties stand last in PUBLISH and DELIVER, so their
 * bytes are the same for every subscriber that has nothing of its own to say; they are encoded once and kept on the
 * publication. Copies with subscription identifiers, a topic alias or a counted-down expiry get their own.
 */
import { type Delivery, type Publication, SEEN_ONCE } from '../codec.js'
import type { PublishProperties } from '../packets.js'
import { ByteSink, binarySize, integerSize, textSize } from './byte-sink.js'
import { pack } from './packer.js'
import { encodeProperties } from './properties.js'

const LAYOUT = 'tally.v1'

/** True when this copy's topic, payload and properties are the publisher's own. */
export function isSharedLayout(publication: Publication, delivery: Delivery): boolean {
  if (delivery.subscriptionIdentifiers !== null || delivery.topicAlias !== 0) return false
  const expiry = publication.properties === null ? undefined : publication.properties.messageExpiryIntervalSec
  return (expiry ?? -1) === delivery.messageExpiryIntervalSec
}

/** @returns null for the first copy, which is cheaper to write in place. */
export function sharedTail(publication: Publication): Uint8Array | null {
  const wire = publication.wire
  if (wire === null) {
    publication.wire = SEEN_ONCE
    return null
  }
  const known = wire[LAYOUT]
  if (known !== undefined) return known
  const tail = encodeTail(publication)
  if (wire === SEEN_ONCE) publication.wire = { [LAYOUT]: tail }
  else wire[LAYOUT] = tail
  return tail
}

/** The properties of a copy that shares nothing. null: none. */
export function tailProperties(publication: Publication, delivery: Delivery): PublishProperties | null {
  const properties: PublishProperties = { ...publication.properties }
  delete properties.messageExpiryIntervalSec
  if (delivery.messageExpiryIntervalSec >= 0) properties.messageExpiryIntervalSec = delivery.messageExpiryIntervalSec
  if (delivery.subscriptionIdentifiers !== null) properties.subscriptionIdentifiers = delivery.subscriptionIdentifiers
  if (delivery.topicAlias !== 0) properties.topicAlias = delivery.topicAlias
  return properties
}

/** Bytes of this copy on the wire; nothing is written and nothing is cached. */
export function publicationSize(publication: Publication, delivery: Delivery): number {
  const head =
    delivery.qos === 0
      ? 4
      : 3 + integerSize(delivery.packetId) + integerSize(delivery.deliverySequence) + integerSize(publication.messageId)
  const isShared = isSharedLayout(publication, delivery)
  const known = isShared ? publication.wire?.[LAYOUT] : undefined
  if (known !== undefined) return head + known.length
  const properties = isShared ? publication.properties : tailProperties(publication, delivery)
  const map = properties === null ? null : encodeProperties(properties, 'PUBLISH')
  const topicName = delivery.omitTopicName ? '' : publication.topicName
  return head + textSize(topicName) + binarySize(publication.payload) + (map === null ? 0 : pack(map).length)
}

function encodeTail(publication: Publication): Uint8Array {
  const { topicName, payload, properties } = publication
  const map = properties === null ? null : encodeProperties(properties, 'PUBLISH')
  const packed = map === null ? null : pack(map)
  const sink = new ByteSink()
  sink.reserve(10 + topicName.length * 3 + payload.length + (packed === null ? 0 : packed.length))
  sink.text(topicName)
  sink.binary(payload)
  if (packed !== null) sink.raw(packed)
  const { buffer, headroom } = sink.take() as { buffer: Uint8Array; headroom: number }
  // Exactly as long as it is, because it lives as long as the message.
  return buffer.slice(headroom)
}
