/**
 * The packets of producers. PRODUCE is read in place, as PUBLISH is: each message one object, and beside them one view
 * of their bytes on the wire, because the digest of a producer is made of exactly those bytes. The three others are
 * walked and unpacked like any control packet. What sequences and digests mean is the business of core and client.
 */
import { assert } from '../../base/assert.js'
import {
  type ProduceMessage,
  type ProducedPacket,
  type ProducePacket,
  type ProducerOpenedPacket,
  type ProducerOpenPacket,
  type ProducerRefusal,
  PacketType,
} from '../packets.js'
import { isProducerReasonLegal, type ProducerReasonPlace } from '../producer-reasons.js'
import { ByteSink, arrayHeaderSize, integerSize } from './byte-sink.js'
import type { Cursor } from './cursor.js'
import { array, binary, checkArity, count, type Fields, integer, isPresent, text } from './fields.js'
import { pack, wireInteger } from './packer.js'
import { encodeProperties } from './properties.js'
import { STRICT_WALK } from './strict-walk.js'
import { malformed, protocolError, QOS_MASK, RETAIN_FLAG, tooManyValues, VALUES_MAX } from './wire.js'

/** 1 to this: a client's names for its producers on one connection. */
export const PRODUCER_HANDLE_MAX = 65_535
export const PRODUCER_ID_BYTES = 16
export const DIGEST_BYTES = 32
/** Array header, flags, an empty topic, an empty payload. */
const MESSAGE_BYTES_MIN = 5
/** msgpack values of a message without properties: itself, flags, topic, payload. */
const MESSAGE_VALUES = 4
/** msgpack values of PRODUCE without its messages: itself, its six fields. */
const HEAD_VALUES = 7
/** What `messageValues` of the messages in one PRODUCE may sum up to. */
export const PRODUCE_VALUES_MAX = VALUES_MAX - HEAD_VALUES
/** Messages without properties in one PRODUCE, if nothing else bounds them before. */
export const PRODUCE_MESSAGES_MAX = Math.floor(PRODUCE_VALUES_MAX / MESSAGE_VALUES)

/** Reads the properties at the cursor, nil included. */
export interface PropertiesReader {
  /** msgpack values that the packet may still hold; `read` takes away what it has seen. */
  valuesLeft: number
  read(cursor: Cursor): ProduceMessage['properties']
}

/** @param arity of the packet's array; the cursor stands behind the packet type. */
export function decodeProduce(cursor: Cursor, arity: number, properties: PropertiesReader): ProducePacket {
  if (arity !== 6) throw malformed(`PRODUCE has 6 elements, not ${arity}`)
  const handle = checkHandle(cursor.integer())
  const firstSequence = cursor.integer()
  if (firstSequence === 0) throw protocolError('the first sequence of a producer is 1')
  const confirmedSequence = cursor.integer()
  const atomic = cursor.integer()
  if (atomic > 1) throw malformed('isAtomic is 0 or 1')
  const length = cursor.arrayLength('the list of messages')
  if (length === 0) throw protocolError('PRODUCE holds at least one message')
  if (length * MESSAGE_BYTES_MIN > cursor.end - cursor.position) {
    throw malformed('the list of messages claims more of them than there are bytes')
  }
  properties.valuesLeft = PRODUCE_VALUES_MAX - length * MESSAGE_VALUES
  if (properties.valuesLeft < 0) throw tooManyValues()
  if (firstSequence > Number.MAX_SAFE_INTEGER - (length - 1)) throw malformed('a sequence is at most 2^53 - 1')
  const messages: ProduceMessage[] = []
  const ends: number[] = []
  const start = cursor.position
  for (let index = 0; index < length; index += 1) {
    messages.push(decodeMessage(cursor, properties))
    ends.push(cursor.position - start)
  }
  return {
    type: PacketType.PRODUCE,
    handle,
    firstSequence,
    confirmedSequence,
    isAtomic: atomic === 1,
    messages,
    encoded: cursor.view(start, cursor.position),
    ends,
  }
}

function decodeMessage(cursor: Cursor, reader: PropertiesReader): ProduceMessage {
  const arity = cursor.arrayLength('a message of PRODUCE')
  if (arity < 3 || arity > 4) throw malformed(`a message of PRODUCE has 3 or 4 elements, not ${arity}`)
  const flags = cursor.integer()
  if (flags > (QOS_MASK | RETAIN_FLAG)) throw malformed('bits 3 and above of the flags of a message are 0')
  const qos = flags & QOS_MASK
  if (qos === 3) throw malformed('there is no QoS 3 [MQTT-3.3.1-4]')
  if (qos === 0) throw protocolError('a producer sends at QoS 1 and 2; QoS 0 goes in PUBLISH')
  const topicName = cursor.text()
  if (topicName.length === 0) throw protocolError('a message of PRODUCE has a topic; there are no aliases in it')
  const payload = cursor.binary()
  const properties = arity === 4 ? reader.read(cursor) : null
  return { topicName, payload, qos: qos as 1 | 2, retain: (flags & RETAIN_FLAG) !== 0, properties }
}

export function decodeProducerOpen(fields: Fields): ProducerOpenPacket {
  checkArity(fields, 4, 5, 'PRODUCER_OPEN')
  return {
    type: PacketType.PRODUCER_OPEN,
    handle: decodeHandle(fields[1]),
    producerId: sizedBinary(fields[2], PRODUCER_ID_BYTES, 'the producer id'),
    confirmedSequence: count(fields[3], 'the confirmed sequence'),
    digest: decodeDigest(fields[4]),
  }
}

export function decodeProducerOpened(fields: Fields): ProducerOpenedPacket {
  checkArity(fields, 7, 9, 'PRODUCER_OPENED')
  const packet: ProducerOpenedPacket = {
    type: PacketType.PRODUCER_OPENED,
    handle: decodeHandle(fields[1]),
    reasonCode: decodeReason(fields[2], 'PRODUCER_OPENED'),
    epoch: count(fields[3], 'the epoch'),
    sequence: count(fields[4], 'the sequence'),
    digest: decodeDigest(fields[5]),
    incarnation: text(fields[6], 'the incarnation'),
    refusals: decodeRefusals(fields[7]),
  }
  if (isPresent(fields[8])) packet.reasonString = text(fields[8], 'the reason string')
  return packet
}

export function decodeProduced(fields: Fields): ProducedPacket {
  checkArity(fields, 4, 7, 'PRODUCED')
  const packet: ProducedPacket = {
    type: PacketType.PRODUCED,
    handle: decodeHandle(fields[1]),
    reasonCode: decodeReason(fields[2], 'PRODUCED'),
    sequence: count(fields[3], 'the sequence'),
    digest: decodeDigest(fields[4]),
    refusals: decodeRefusals(fields[5]),
  }
  if (isPresent(fields[6])) packet.reasonString = text(fields[6], 'the reason string')
  return packet
}

function decodeRefusals(value: unknown): readonly ProducerRefusal[] {
  if (!isPresent(value)) return NONE
  const entries = array(value, 'the list of refusals')
  if (entries.length === 0) throw protocolError('a list of refusals is not empty; leave it out')
  let previous = 0
  return entries.map((entry) => {
    const fields = array(entry, 'a refusal')
    checkArity(fields, 2, 3, 'a refusal')
    const sequence = count(fields[0], 'the sequence of a refusal')
    if (sequence <= previous) throw protocolError('refusals are ascending by sequence, from 1')
    previous = sequence
    const refusal: ProducerRefusal = { sequence, reasonCode: decodeReason(fields[1], 'REFUSAL') }
    if (isPresent(fields[2])) refusal.reasonString = text(fields[2], 'the reason string of a refusal')
    return refusal
  })
}

function decodeReason(value: unknown, place: ProducerReasonPlace): number {
  const reasonCode = integer(value, 0xff, 'a reason code')
  if (!isProducerReasonLegal(place, reasonCode)) {
    throw protocolError(`reason code ${reasonCode} does not belong into ${place}`)
  }
  return reasonCode
}

function decodeDigest(value: unknown): Uint8Array | null {
  return isPresent(value) ? sizedBinary(value, DIGEST_BYTES, 'a digest') : null
}

function sizedBinary(value: unknown, bytes: number, what: string): Uint8Array {
  const found = binary(value, what)
  if (found.length !== bytes) throw malformed(`${what} has ${bytes} bytes, not ${found.length}`)
  return found
}

function decodeHandle(value: unknown): number {
  return checkHandle(integer(value, PRODUCER_HANDLE_MAX, 'a handle'))
}

function checkHandle(handle: number): number {
  if (handle > PRODUCER_HANDLE_MAX) throw malformed(`a handle is at most ${PRODUCER_HANDLE_MAX}`)
  if (handle === 0) throw protocolError('a handle is not 0')
  return handle
}

/** The packet without its messages, which stand last: they are encoded already. */
export function writeProduceHead(sink: ByteSink, packet: ProducePacket): void {
  const { length } = packet.ends
  assert(length > 0, 'PRODUCE holds at least one message')
  sink.reserve(PRODUCE_HEAD_MAX)
  sink.byte(0x96)
  sink.byte(PacketType.PRODUCE)
  sink.integer(packet.handle)
  sink.integer(packet.firstSequence)
  sink.integer(packet.confirmedSequence)
  sink.byte(packet.isAtomic ? 1 : 0)
  sink.arrayHeader(length)
}
const PRODUCE_HEAD_MAX = 32

export function producePacketSize(packet: ProducePacket): number {
  const numbers = integerSize(packet.handle) + integerSize(packet.firstSequence) + integerSize(packet.confirmedSequence)
  return 3 + numbers + arrayHeaderSize(packet.ends.length) + packet.encoded.length
}

/** What PRODUCE holds of messages that `encodeProduceMessage` made. */
export function joinMessages(messages: readonly Uint8Array[]): Pick<ProducePacket, 'encoded' | 'ends'> {
  const ends: number[] = []
  let length = 0
  for (const message of messages) {
    length += message.length
    ends.push(length)
  }
  const encoded = new Uint8Array(length)
  for (const [index, message] of messages.entries()) encoded.set(message, (ends[index] as number) - message.length)
  return { encoded, ends }
}

/**
 * One message as it stands in PRODUCE, in a buffer of its own: what an outbox keeps, what is sent, sent again, and
 * digested. Must stay the same for the same message in every version of the SDK only as far as a row outlives it.
 */
export function encodeProduceMessage(message: ProduceMessage): Uint8Array {
  const { topicName, payload } = message
  const map = encodeProperties(message.properties, 'PRODUCE')
  const properties = map === null ? NO_BYTES : pack(map)
  const sink = new ByteSink()
  sink.reserve(12 + topicName.length * 3 + payload.length + properties.length)
  sink.byte(map === null ? 0x93 : 0x94)
  sink.byte(message.qos | (message.retain ? RETAIN_FLAG : 0))
  sink.text(topicName)
  sink.binary(payload)
  sink.raw(properties)
  const { buffer, headroom } = sink.take() as { buffer: Uint8Array; headroom: number }
  return buffer.slice(headroom)
}

/** msgpack values of an encoded message: what it takes of those that one PRODUCE may hold. */
export function messageValues(encoded: Uint8Array): number {
  if (encoded[0] === 0x93) return MESSAGE_VALUES
  const userPropertiesMax = Number.POSITIVE_INFINITY
  STRICT_WALK.walk(encoded, 0, encoded.length, { depth: 3, valuesMax: VALUES_MAX, userPropertiesMax })
  return VALUES_MAX - STRICT_WALK.valuesLeft
}

/** The messages as fields, for sizes and for the test that holds `encodeProduceMessage` to msgpackr. */
export function encodeProduceFields(packet: ProducePacket): unknown[] {
  const messages = packet.messages.map(({ topicName, payload, qos, retain, properties }) => {
    const map = encodeProperties(properties, 'PRODUCE')
    const fields = [qos | (retain ? RETAIN_FLAG : 0), topicName, payload]
    return map === null ? fields : [...fields, map]
  })
  const sequences = [wireInteger(packet.firstSequence), wireInteger(packet.confirmedSequence)]
  return [packet.type, packet.handle, ...sequences, packet.isAtomic ? 1 : 0, messages]
}

export function encodeProducerFields(packet: ProducerOpenPacket | ProducerOpenedPacket | ProducedPacket): {
  fields: unknown[]
  required: number
} {
  if (packet.type === PacketType.PRODUCER_OPEN) {
    const { handle, producerId, digest } = packet
    return { fields: [packet.type, handle, producerId, wireInteger(packet.confirmedSequence), digest], required: 4 }
  }
  const { handle, reasonCode, digest } = packet
  const sequence = wireInteger(packet.sequence)
  const last = [encodeRefusals(packet.refusals), packet.reasonString ?? null]
  if (packet.type === PacketType.PRODUCED) {
    return { fields: [packet.type, handle, reasonCode, sequence, digest, ...last], required: 4 }
  }
  const { incarnation } = packet
  const epoch = wireInteger(packet.epoch)
  return { fields: [packet.type, handle, reasonCode, epoch, sequence, digest, incarnation, ...last], required: 7 }
}

function encodeRefusals(refusals: readonly ProducerRefusal[]): unknown[] | null {
  if (refusals.length === 0) return null
  return refusals.map(({ sequence, reasonCode, reasonString }) => {
    const fields = [wireInteger(sequence), reasonCode]
    return reasonString === undefined ? fields : [...fields, reasonString]
  })
}

const NONE: readonly ProducerRefusal[] = []
const NO_BYTES = new Uint8Array(0)
