/**
 * Packets to the arrays that msgpackr packs, one function per packet. Canonical form: integers as short as they go,
 * properties ascending by identifier, trailing fields that are nil or default left out. PUBLISH, DELIVER and acks
 * without properties are written by `writer.ts`; their arrays are here too, because the test that holds the writer
 * byte-identical to msgpackr needs them.
 */
import { assert } from '../../base/assert.js'
import type {
  AckPacket,
  ConnackPacket,
  ConnectPacket,
  Packet,
  PublishPacket,
  SubscribePacket,
  WillMessage,
} from '../packets.js'
import { PacketType } from '../packets.js'
import { wireInteger } from './packer.js'
import { encodeProduceFields, encodeProducerFields } from './produce.js'
import { encodeProperties } from './properties.js'
import { CLEAN_START_FLAG, DELIVER, DUP_FLAG, PROTOCOL_VERSION, RETAIN_FLAG } from './wire.js'

type Fields = unknown[]

/** @returns the packet's array, ready for msgpackr. */
export function encodeFields(packet: Packet): Fields {
  switch (packet.type) {
    case PacketType.CONNECT:
      return encodeConnect(packet)
    case PacketType.CONNACK:
      return encodeConnack(packet)
    case PacketType.PUBLISH:
      return encodePublish(packet)
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      return encodeAck(packet)
    case PacketType.SUBSCRIBE:
      return encodeSubscribe(packet)
    case PacketType.UNSUBSCRIBE: {
      const properties = encodeProperties(packet.properties, 'UNSUBSCRIBE')
      return withoutTrailing([packet.type, packet.packetId, packet.topicFilters, properties], 3)
    }
    case PacketType.SUBACK:
    case PacketType.UNSUBACK: {
      const properties = encodeProperties(packet.properties, 'ACK')
      return withoutTrailing([packet.type, packet.packetId, packet.reasonCodes, properties], 3)
    }
    case PacketType.PINGREQ:
    case PacketType.PINGRESP:
      return packet.timestampMs === undefined ? [packet.type] : [packet.type, wireInteger(packet.timestampMs)]
    case PacketType.DISCONNECT: {
      const properties = encodeProperties(packet.properties, 'DISCONNECT')
      const isDefault = properties === null && packet.reasonCode === 0
      return isDefault ? [packet.type] : withoutTrailing([packet.type, packet.reasonCode, properties], 2)
    }
    case PacketType.AUTH:
      return withoutTrailing([packet.type, packet.reasonCode, encodeProperties(packet.properties, 'AUTH')], 2)
    case PacketType.PRODUCE:
      return encodeProduceFields(packet)
    case PacketType.PRODUCER_OPEN:
    case PacketType.PRODUCER_OPENED:
    case PacketType.PRODUCED: {
      const { fields, required } = encodeProducerFields(packet)
      return withoutTrailing(fields, required)
    }
  }
}

function encodeConnect(packet: ConnectPacket): Fields {
  const cursor = packet.deliveryCursor
  const fields = [
    PacketType.CONNECT,
    PROTOCOL_VERSION,
    packet.clientId,
    packet.cleanStart ? CLEAN_START_FLAG : 0,
    packet.keepAliveSec,
    packet.username ?? null,
    packet.password ?? null,
    packet.will === undefined ? null : encodeWill(packet.will),
    encodeProperties(packet.properties, 'CONNECT'),
    cursor === undefined ? null : [wireInteger(cursor.sessionNumber), wireInteger(cursor.deliverySequence)],
  ]
  return withoutTrailing(fields, 5)
}

function encodeWill(will: WillMessage): Fields {
  const flags = will.qos | (will.retain ? RETAIN_FLAG : 0)
  return withoutTrailing([will.topicName, will.payload, flags, encodeProperties(will.properties, 'WILL')], 3)
}

function encodeConnack(packet: ConnackPacket): Fields {
  const resume = packet.resume
  const fields = [
    PacketType.CONNACK,
    packet.sessionPresent ? 1 : 0,
    packet.reasonCode,
    encodeProperties(packet.properties, 'CONNACK'),
    packet.durability ?? null,
    resume === undefined
      ? null
      : [
          wireInteger(resume.queuedMessages),
          resume.lost.map(({ reason, messages }) => [reason, wireInteger(messages)]),
        ],
    packet.sessionNumber === undefined ? null : wireInteger(packet.sessionNumber),
    packet.incarnation ?? null,
  ]
  return withoutTrailing(fields, 3)
}

function encodePublish(packet: PublishPacket): Fields {
  const flags = publishFlags(packet.qos, packet.retain, packet.dup)
  const tail = [packet.topicName, packet.payload, encodeProperties(packet.properties, 'PUBLISH')]
  if (packet.deliverySequence === undefined) {
    return withoutTrailing([PacketType.PUBLISH, flags, packet.packetId, ...tail], 5)
  }
  assert(packet.messageId !== undefined, 'a delivery has a message id beside its delivery sequence')
  const own = [wireInteger(packet.deliverySequence), wireInteger(packet.messageId)]
  return withoutTrailing([DELIVER, flags, packet.packetId, ...own, ...tail], 7)
}

function encodeAck(packet: AckPacket): Fields {
  const { packetId, lastPacketId, reasonCode } = packet
  const properties = encodeProperties(packet.properties, 'ACK')
  const last = lastPacketId === undefined || lastPacketId === packetId ? null : lastPacketId
  if (properties !== null) return [packet.type, packetId, last, reasonCode, properties]
  if (reasonCode !== 0) return [packet.type, packetId, last, reasonCode]
  return last === null ? [packet.type, packetId] : [packet.type, packetId, last]
}

function encodeSubscribe(packet: SubscribePacket): Fields {
  const subscriptions = packet.subscriptions.map(({ topicFilter, qos, noLocal, retainAsPublished, retainHandling }) => [
    topicFilter,
    qos | (noLocal ? 0b100 : 0) | (retainAsPublished ? 0b1000 : 0) | (retainHandling << 4),
  ])
  const { subscriptionIdentifier, userProperties } = packet.properties
  const properties = encodeProperties(
    {
      subscriptionIdentifiers: subscriptionIdentifier === undefined ? undefined : [subscriptionIdentifier],
      userProperties,
    },
    'SUBSCRIBE',
  )
  return withoutTrailing([packet.type, packet.packetId, subscriptions, properties], 3)
}

export function publishFlags(qos: number, retain: boolean, dup: boolean): number {
  return qos | (retain ? RETAIN_FLAG : 0) | (dup ? DUP_FLAG : 0)
}

function withoutTrailing(fields: Fields, min: number): Fields {
  while (fields.length > min && fields[fields.length - 1] === null) fields.pop()
  return fields
}
