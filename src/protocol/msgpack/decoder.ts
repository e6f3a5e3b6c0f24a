/**
 * One WebSocket message in, its packets out. PUBLISH, DELIVER, PRODUCE and the four acks are read in place; every other
 * packet is walked by `strict-walk.ts`, decoded by msgpackr and checked by `decode-packet.ts`. Which side may send
 * what, and when, is the business of core and client: one decoder serves both.
 */
import type { CodecLimits, PacketDecoder } from '../codec.js'
import {
  type AckPacket,
  type AckPacketType,
  type AckProperties,
  PACKET_ID_MAX,
  type Packet,
  PacketType,
  type ProtocolLevel,
  type PublishPacket,
  type PublishProperties,
  type QoS,
} from '../packets.js'
import { ProtocolError } from '../protocol-error.js'
import { isReasonCodeLegal, ReasonCode } from '../reason-codes.js'
import { Cursor } from './cursor.js'
import { decodeControlPacket } from './decode-packet.js'
import { unpackRange } from './packer.js'
import { decodeProduce, type PropertiesReader } from './produce.js'
import { decodeProperties, type PropertyOwner } from './properties.js'
import { checkRunNumbers, nextOfRun, RUN_PAYLOADS_MAX } from './run.js'
import { STRICT_WALK } from './strict-walk.js'
import {
  DELIVER,
  DUP_FLAG,
  malformed,
  protocolError,
  QOS_MASK,
  RETAIN_FLAG,
  tooManyValues,
  VALUES_MAX,
} from './wire.js'

export class NativeDecoder implements PacketDecoder {
  readonly #limits: CodecLimits
  readonly #cursor = new Cursor()
  #packetSizeMax: number
  /** Payloads at the cursor, behind the first of a run. */
  #runLeft = 0
  /** What stands before the payloads of the run. */
  #runHeadBytes = 0

  constructor(limits: CodecLimits) {
    this.#limits = limits
    this.#packetSizeMax = Math.min(limits.connectPacketSizeMax, limits.maximumPacketSize)
  }

  connectAccepted(_protocolLevel: ProtocolLevel): void {
    this.#packetSizeMax = this.#limits.maximumPacketSize
  }

  decode(chunk: Uint8Array, receive: (packet: Packet) => void): void {
    const cursor = this.#cursor
    if (chunk.length === 0) throw malformed('a message holds at least one packet')
    cursor.start(chunk)
    while (cursor.position < cursor.end) {
      const packet = this.#packet(cursor)
      receive(packet)
      if (this.#runLeft > 0 && packet.type === PacketType.PUBLISH) this.#restOfRun(cursor, packet, receive)
    }
    cursor.finish()
  }

  /** Each is handed on before the next is looked at, as if they had come one by one. */
  #restOfRun(cursor: Cursor, first: PublishPacket, receive: (packet: Packet) => void): void {
    let packet = first
    for (; this.#runLeft > 0; this.#runLeft -= 1) {
      const start = cursor.position
      const payload = cursor.binary()
      this.#checkSize(this.#runHeadBytes + cursor.position - start)
      packet = nextOfRun(packet, payload)
      receive(packet)
    }
  }

  #packet(cursor: Cursor): Packet {
    const start = cursor.position
    const arity = cursor.arrayLength()
    if (arity === 0) throw malformed('a packet is an array that begins with its type')
    const type = cursor.integer()
    let packet: Packet
    if (type === PacketType.PUBLISH) packet = this.#publish(cursor, start, arity)
    else if (type === DELIVER) packet = this.#deliver(cursor, start, arity)
    else if (type >= PacketType.PUBACK && type <= PacketType.PUBCOMP) {
      packet = this.#ack(cursor, arity, type as AckPacketType)
    } else if (type === PacketType.PRODUCE) {
      packet = decodeProduce(cursor, arity, this.#propertiesReader())
    } else return this.#control(cursor, start, type)
    this.#checkSize(cursor.position - start)
    return packet
  }

  #publish(cursor: Cursor, start: number, arity: number): PublishPacket {
    if (arity < 5 || arity > 6) throw malformed('PUBLISH has 5 or 6 elements')
    const flags = this.#publishFlags(cursor)
    const qos = (flags & QOS_MASK) as QoS
    const packetId = cursor.integer()
    if (packetId > PACKET_ID_MAX) throw malformed(`a packet identifier is at most ${PACKET_ID_MAX}`)
    if ((qos === 0) !== (packetId === 0)) {
      throw protocolError('the packet identifier of PUBLISH is 0 at QoS 0, and only there [MQTT-2.2.1-2]')
    }
    const topicName = cursor.text()
    if (cursor.isAtArray) this.#beginRun(cursor, start, arity === 6)
    const payload = cursor.binary()
    const properties = arity === 6 ? this.#properties<PublishProperties>(cursor, 'PUBLISH') : null
    checkTopic(topicName, properties)
    return {
      type: PacketType.PUBLISH,
      topicName,
      payload,
      qos,
      retain: (flags & RETAIN_FLAG) !== 0,
      dup: (flags & DUP_FLAG) !== 0,
      packetId,
      properties,
    }
  }

  #deliver(cursor: Cursor, start: number, arity: number): PublishPacket {
    if (arity < 7 || arity > 8) throw malformed('DELIVER has 7 or 8 elements')
    const flags = this.#publishFlags(cursor)
    const qos = (flags & QOS_MASK) as QoS
    if (qos === 0) throw protocolError('DELIVER is for QoS 1 and 2; QoS 0 goes in PUBLISH')
    const packetId = decodePacketId(cursor)
    const deliverySequence = cursor.integer()
    const messageId = cursor.integer()
    if (deliverySequence === 0 || messageId === 0) {
      throw protocolError('delivery sequence and message id of DELIVER begin at 1')
    }
    const topicName = cursor.text()
    if (cursor.isAtArray) {
      this.#beginRun(cursor, start, arity === 8)
      checkRunNumbers(Math.max(deliverySequence, messageId), this.#runLeft)
    }
    const payload = cursor.binary()
    const properties = arity === 8 ? this.#properties<PublishProperties>(cursor, 'PUBLISH') : null
    checkTopic(topicName, properties)
    return {
      type: PacketType.PUBLISH,
      topicName,
      payload,
      qos,
      retain: (flags & RETAIN_FLAG) !== 0,
      dup: (flags & DUP_FLAG) !== 0,
      packetId,
      properties,
      deliverySequence,
      messageId,
    }
  }

  /** An array in place of the payload: the cursor stands in front of the first payload afterwards. */
  #beginRun(cursor: Cursor, start: number, hasProperties: boolean): void {
    const count = cursor.arrayLength()
    if (count === 0) throw protocolError('a run has at least one payload')
    if (hasProperties) throw malformed('a run has no properties')
    if (count > RUN_PAYLOADS_MAX) throw tooManyValues()
    this.#runLeft = count - 1
    this.#runHeadBytes = cursor.position - start
  }

  #publishFlags(cursor: Cursor): number {
    const flags = cursor.integer()
    if (flags > 15) throw malformed('bits 4 and above of the PUBLISH flags are 0')
    const qos = flags & QOS_MASK
    if (qos === 3) throw malformed('there is no QoS 3 [MQTT-3.3.1-4]')
    if (qos === 0 && (flags & DUP_FLAG) !== 0) throw malformed('DUP is 0 at QoS 0 [MQTT-3.3.1-2]')
    return flags
  }

  #ack(cursor: Cursor, arity: number, type: AckPacketType): AckPacket {
    if (arity < 2 || arity > 5) throw malformed('an acknowledgement has 2 to 5 elements')
    const packetId = decodePacketId(cursor)
    let lastPacketId = packetId
    if (arity >= 3 && !cursor.skipNil()) lastPacketId = decodePacketId(cursor)
    const reasonCode = arity >= 4 ? Math.max(cursor.integerOrNil(), ReasonCode.SUCCESS) : ReasonCode.SUCCESS
    if (reasonCode > 0xff) throw malformed('a reason code is at most 255')
    if (reasonCode !== ReasonCode.SUCCESS && !isReasonCodeLegal(type, reasonCode)) {
      throw protocolError(`reason code ${reasonCode} does not belong into this acknowledgement`)
    }
    const properties = arity === 5 ? this.#properties<AckProperties>(cursor, 'ACK') : null
    if (lastPacketId === packetId) return { type, packetId, reasonCode, properties }
    return { type, packetId, lastPacketId, reasonCode, properties }
  }

  /** The properties at the cursor; it stands behind them afterwards. */
  #properties<T extends object>(cursor: Cursor, owner: PropertyOwner): T | null {
    if (cursor.skipNil()) return null
    const value = this.#value(cursor, cursor.position, 2)
    return decodeProperties<T>(value, owner)
  }

  /** Messages of PRODUCE share the values of one packet. Made for each: an idle connection has no use for it. */
  #propertiesReader(): PropertiesReader {
    const reader: PropertiesReader = {
      valuesLeft: 0,
      read: (cursor) => {
        reader.valuesLeft -= 1
        if (cursor.skipNil()) return null
        const value = this.#value(cursor, cursor.position, 4, reader.valuesLeft + 1)
        reader.valuesLeft = STRICT_WALK.valuesLeft
        return decodeProperties<PublishProperties>(value, 'PRODUCE')
      },
    }
    return reader
  }

  #control(cursor: Cursor, start: number, type: number): Packet {
    const fields = this.#value(cursor, start, 1)
    return decodeControlPacket(type, fields as readonly unknown[])
  }

  #value(cursor: Cursor, start: number, depth: number, valuesMax = VALUES_MAX): unknown {
    const { userPropertiesMax } = this.#limits
    const end = STRICT_WALK.walk(cursor.bytes, start, cursor.end, { depth, valuesMax, userPropertiesMax })
    this.#checkSize(end - start)
    cursor.position = end
    return STRICT_WALK.restoreMarks(unpackRange(cursor.bytes, start, end))
  }

  #checkSize(size: number): void {
    if (size <= this.#packetSizeMax) return
    throw new ProtocolError(
      ReasonCode.PACKET_TOO_LARGE,
      `a packet has at most ${this.#packetSizeMax} bytes here, this one has ${size}`,
    )
  }
}

function decodePacketId(cursor: Cursor): number {
  const packetId = cursor.integer()
  if (packetId > PACKET_ID_MAX) throw malformed(`a packet identifier is at most ${PACKET_ID_MAX}`)
  if (packetId === 0) throw protocolError('a packet identifier is not 0 [MQTT-2.2.1-3]')
  return packetId
}

function checkTopic(topicName: string, properties: PublishProperties | null): void {
  if (topicName.length === 0 && properties?.topicAlias === undefined) {
    throw protocolError('an empty topic needs a topic alias [MQTT-3.3.2-8]')
  }
}
