/**
 * Decoded msgpack arrays to packets, one function per packet: arity, types and ranges of the fields, flags, and the
 * rules that need nothing but the packet itself. The arrays have passed `strict-walk.ts`. PUBLISH, DELIVER,
 * PRODUCE and the four acks are not here: `decoder.ts` reads them in place; `produce.ts` has all packets of producers.
 */
import {
  type AckProperties,
  type AuthPacket,
  type ConnackPacket,
  type ConnackProperties,
  type ConnectPacket,
  type ConnectProperties,
  type DeliveryCursor,
  type DisconnectPacket,
  type DisconnectProperties,
  type DropReason,
  type Durability,
  PACKET_ID_MAX,
  type Packet,
  PacketType,
  type PingreqPacket,
  type PingrespPacket,
  type QoS,
  type ResumeResult,
  type SubackPacket,
  type SubscribePacket,
  type SubscriptionRequest,
  type UnsubackPacket,
  type UnsubscribePacket,
  type UserProperties,
  type WillMessage,
  type WillProperties,
} from '../packets.js'
import { ProtocolError } from '../protocol-error.js'
import { isFailure, isReasonCodeLegal, ReasonCode } from '../reason-codes.js'
import { array, binary, checkArity, count, type Fields, integer, isPresent, text } from './fields.js'
import { decodeProduced, decodeProducerOpen, decodeProducerOpened } from './produce.js'
import { decodeProperties } from './properties.js'
import { CLEAN_START_FLAG, malformed, PROTOCOL_VERSION, protocolError, QOS_MASK, RETAIN_FLAG } from './wire.js'

const DURABILITIES: readonly string[] = ['flush', 'os', 'memory'] satisfies Durability[]
const DROP_REASONS: readonly string[] = [
  'expired',
  'queue-full',
  'not-authorized',
  'too-large',
  'slow-consumer',
  'session-ended',
  'offline',
] satisfies DropReason[]

export function decodeControlPacket(type: number, fields: Fields): Packet {
  switch (type) {
    case PacketType.CONNECT:
      return decodeConnect(fields)
    case PacketType.CONNACK:
      return decodeConnack(fields)
    case PacketType.SUBSCRIBE:
      return decodeSubscribe(fields)
    case PacketType.SUBACK:
      return decodeFilterAck(fields, PacketType.SUBACK)
    case PacketType.UNSUBSCRIBE:
      return decodeUnsubscribe(fields)
    case PacketType.UNSUBACK:
      return decodeFilterAck(fields, PacketType.UNSUBACK)
    case PacketType.PINGREQ:
      return decodePing(fields, PacketType.PINGREQ)
    case PacketType.PINGRESP:
      return decodePing(fields, PacketType.PINGRESP)
    case PacketType.DISCONNECT:
      return decodeDisconnect(fields)
    case PacketType.AUTH:
      return decodeAuth(fields)
    case PacketType.PRODUCER_OPEN:
      return decodeProducerOpen(fields)
    case PacketType.PRODUCER_OPENED:
      return decodeProducerOpened(fields)
    case PacketType.PRODUCED:
      return decodeProduced(fields)
    default:
      throw malformed(`there is no packet type ${type}`)
  }
}

function decodeConnect(fields: Fields): ConnectPacket {
  // Before everything else: a later version may have other fields [v5 MQTT-3.1.2-2].
  if (typeof fields[1] === 'number' && fields[1] !== PROTOCOL_VERSION) {
    throw new ProtocolError(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, `this server speaks version ${PROTOCOL_VERSION}`)
  }
  checkArity(fields, 5, 10, 'CONNECT')
  integer(fields[1], PROTOCOL_VERSION, 'the protocol version')
  const clientId = text(fields[2], 'the client identifier')
  const flags = integer(fields[3], 0xff, 'the CONNECT flags')
  if ((flags & ~CLEAN_START_FLAG) !== 0) throw malformed('bits 1 and above of the CONNECT flags are 0 [MQTT-3.1.2-3]')
  const properties = decodeProperties<ConnectProperties>(fields[8], 'CONNECT') ?? {}
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw protocolError('authentication data needs an authentication method')
  }
  const packet: ConnectPacket = {
    type: PacketType.CONNECT,
    protocolLevel: 5,
    clientId,
    cleanStart: (flags & CLEAN_START_FLAG) !== 0,
    keepAliveSec: integer(fields[4], 0xffff, 'Keep Alive'),
    properties,
  }
  if (isPresent(fields[5])) packet.username = text(fields[5], 'the user name')
  if (isPresent(fields[6])) packet.password = binary(fields[6], 'the password')
  if (isPresent(fields[7])) packet.will = decodeWill(fields[7])
  if (isPresent(fields[9])) packet.deliveryCursor = decodeDeliveryCursor(fields[9])
  return packet
}

function decodeDeliveryCursor(value: unknown): DeliveryCursor {
  const fields = array(value, 'the delivery cursor')
  checkArity(fields, 2, 2, 'the delivery cursor')
  const sessionNumber = decodeSessionNumber(fields[0])
  return { sessionNumber, deliverySequence: count(fields[1], 'the delivery sequence') }
}

function decodeWill(value: unknown): WillMessage {
  const fields = array(value, 'the Will')
  checkArity(fields, 3, 4, 'the Will')
  const flags = integer(fields[2], 0xff, 'the Will flags')
  if ((flags & ~(QOS_MASK | RETAIN_FLAG)) !== 0) throw malformed('bits 3 and above of the Will flags are 0')
  return {
    topicName: text(fields[0], 'the Will topic'),
    payload: binary(fields[1], 'the Will payload'),
    qos: decodeQoS(flags & QOS_MASK, ReasonCode.MALFORMED_PACKET),
    retain: (flags & RETAIN_FLAG) !== 0,
    properties: decodeProperties<WillProperties>(fields[3], 'WILL') ?? {},
  }
}

function decodeConnack(fields: Fields): ConnackPacket {
  checkArity(fields, 3, 8, 'CONNACK')
  const sessionPresent = integer(fields[1], 1, 'sessionPresent') === 1
  const reasonCode = decodeReasonCode(fields[2], PacketType.CONNACK)
  if (sessionPresent && isFailure(reasonCode)) {
    throw protocolError('sessionPresent is 0 in a CONNACK that refuses [MQTT-3.2.2-6]')
  }
  const packet: ConnackPacket = {
    type: PacketType.CONNACK,
    sessionPresent,
    reasonCode,
    properties: decodeProperties<ConnackProperties>(fields[3], 'CONNACK') ?? {},
  }
  if (isPresent(fields[4])) {
    const durability = text(fields[4], 'durability')
    if (!DURABILITIES.includes(durability)) throw malformed('durability is flush, os or memory')
    packet.durability = durability as Durability
  }
  if (isPresent(fields[5])) packet.resume = decodeResume(fields[5])
  if (isPresent(fields[6])) packet.sessionNumber = decodeSessionNumber(fields[6])
  if (isPresent(fields[7])) packet.incarnation = text(fields[7], 'the incarnation')
  return packet
}

function decodeResume(value: unknown): ResumeResult {
  const fields = array(value, 'the resume result')
  checkArity(fields, 2, 2, 'the resume result')
  const lost = array(fields[1], 'the list of lost messages').map((entry) => {
    const pair = array(entry, 'an entry of lost messages')
    checkArity(pair, 2, 2, 'an entry of lost messages')
    const reason = text(pair[0], 'the reason of a loss')
    if (!DROP_REASONS.includes(reason)) throw malformed('the reason of a loss is one of the table in the specification')
    return { reason: reason as DropReason, messages: count(pair[1], 'the number of lost messages') }
  })
  return { queuedMessages: count(fields[0], 'the number of queued messages'), lost }
}

function decodeSubscribe(fields: Fields): SubscribePacket {
  checkArity(fields, 3, 4, 'SUBSCRIBE')
  const packetId = decodePacketId(fields[1])
  const entries = array(fields[2], 'the list of subscriptions')
  if (entries.length === 0) throw protocolError('SUBSCRIBE has at least one topic filter [MQTT-3.8.3-2]')
  const decoded = decodeProperties<{ subscriptionIdentifiers?: number[]; userProperties?: UserProperties }>(
    fields[3],
    'SUBSCRIBE',
  )
  const properties: SubscribePacket['properties'] = {}
  const identifiers = decoded?.subscriptionIdentifiers
  if (identifiers !== undefined) {
    if (identifiers.length !== 1) throw protocolError('SUBSCRIBE has at most one subscription identifier')
    properties.subscriptionIdentifier = identifiers[0] as number
  }
  if (decoded?.userProperties !== undefined) properties.userProperties = decoded.userProperties
  return { type: PacketType.SUBSCRIBE, packetId, subscriptions: entries.map(decodeSubscription), properties }
}

function decodeSubscription(value: unknown): SubscriptionRequest {
  const fields = array(value, 'a subscription')
  checkArity(fields, 2, 2, 'a subscription')
  const options = integer(fields[1], 0xff, 'the subscription options')
  if ((options & 0b1100_0000) !== 0) {
    throw malformed('bits 6 and 7 of the subscription options are 0 [MQTT-3.8.3-5]')
  }
  const retainHandling = (options >> 4) & 0b11
  if (retainHandling === 3) throw protocolError('Retain Handling is 0, 1 or 2')
  return {
    topicFilter: text(fields[0], 'a topic filter'),
    qos: decodeQoS(options & QOS_MASK, ReasonCode.PROTOCOL_ERROR),
    noLocal: (options & 0b100) !== 0,
    retainAsPublished: (options & 0b1000) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  }
}

function decodeUnsubscribe(fields: Fields): UnsubscribePacket {
  checkArity(fields, 3, 4, 'UNSUBSCRIBE')
  const packetId = decodePacketId(fields[1])
  const topicFilters = array(fields[2], 'the list of topic filters')
  if (topicFilters.length === 0) throw protocolError('UNSUBSCRIBE has at least one topic filter [MQTT-3.10.3-2]')
  return {
    type: PacketType.UNSUBSCRIBE,
    packetId,
    topicFilters: topicFilters.map((filter) => text(filter, 'a topic filter')),
    properties: decodeProperties<UnsubscribePacket['properties']>(fields[3], 'UNSUBSCRIBE') ?? {},
  }
}

function decodeFilterAck(
  fields: Fields,
  type: SubackPacket['type'] | UnsubackPacket['type'],
): SubackPacket | UnsubackPacket {
  checkArity(fields, 3, 4, type === PacketType.SUBACK ? 'SUBACK' : 'UNSUBACK')
  const packetId = decodePacketId(fields[1])
  const codes = array(fields[2], 'the list of reason codes')
  if (codes.length === 0) throw protocolError('there is a reason code for every topic filter, so at least one')
  const reasonCodes = codes.map((code) => decodeReasonCode(code, type))
  return { type, packetId, reasonCodes, properties: decodeProperties<AckProperties>(fields[3], 'ACK') }
}

function decodePing(
  fields: Fields,
  type: PingreqPacket['type'] | PingrespPacket['type'],
): PingreqPacket | PingrespPacket {
  checkArity(fields, 1, 2, type === PacketType.PINGREQ ? 'PINGREQ' : 'PINGRESP')
  if (!isPresent(fields[1])) return { type }
  return { type, timestampMs: count(fields[1], 'the timestamp') }
}

function decodeDisconnect(fields: Fields): DisconnectPacket {
  checkArity(fields, 1, 3, 'DISCONNECT')
  return {
    type: PacketType.DISCONNECT,
    reasonCode: isPresent(fields[1]) ? decodeReasonCode(fields[1], PacketType.DISCONNECT) : ReasonCode.SUCCESS,
    properties: decodeProperties<DisconnectProperties>(fields[2], 'DISCONNECT'),
  }
}

function decodeAuth(fields: Fields): AuthPacket {
  checkArity(fields, 2, 3, 'AUTH')
  return {
    type: PacketType.AUTH,
    reasonCode: decodeReasonCode(fields[1], PacketType.AUTH),
    properties: decodeProperties<AuthPacket['properties']>(fields[2], 'AUTH') ?? {},
  }
}

function decodeSessionNumber(value: unknown): number {
  const sessionNumber = count(value, 'the session number')
  if (sessionNumber === 0) throw protocolError('a session number is not 0')
  return sessionNumber
}

function decodePacketId(value: unknown): number {
  const packetId = integer(value, PACKET_ID_MAX, 'a packet identifier')
  if (packetId === 0) throw protocolError('a packet identifier is not 0 [MQTT-2.2.1-3]')
  return packetId
}

function decodeReasonCode(value: unknown, type: PacketType): number {
  const reasonCode = integer(value, 0xff, 'a reason code')
  if (!isReasonCodeLegal(type, reasonCode)) {
    throw protocolError(`reason code ${reasonCode} does not belong into this packet`)
  }
  return reasonCode
}

function decodeQoS(qos: number, reasonCode: number): QoS {
  if (qos === 3) throw new ProtocolError(reasonCode, 'there is no QoS 3')
  return qos as QoS
}
