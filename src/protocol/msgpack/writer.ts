/**
 * Outgoing packets of one connection, collected until the turn ends. PUBLISH, DELIVER and acks are written by hand; all
 * else, and every property map, goes through msgpackr. Acks of one kind for neighbouring packet identifiers wait in
 * four numbers and leave as one range; neighbouring publications to one topic share a packet (`run.ts`).
 */
import { assert } from '../../base/assert.js'
import type { Delivery, PacketWriter, Publication, WrittenBytes } from '../codec.js'
import {
  type AckPacket,
  type AckPacketType,
  nextPacketId,
  type Packet,
  PacketType,
  type ProducedPacket,
  type ProducePacket,
  type PublishPacket,
} from '../packets.js'
import { ByteSink } from './byte-sink.js'
import { encodeFields, publishFlags } from './encode-packet.js'
import { pack } from './packer.js'
import { writeProduceHead } from './produce.js'
import { encodeProperties, hasProperties } from './properties.js'
import { isSharedLayout, sharedTail, tailProperties } from './publication-tail.js'
import { OpenRun } from './run.js'
import { DELIVER } from './wire.js'

/** Most bytes of what stands before the topic: array, type, flags, packet id, delivery sequence, message id. */
const PUBLISH_HEAD_MAX = 24
/** Most bytes of an ack: array, type, two packet identifiers, a reason code. */
const ACK_MAX = 10
/** Most bytes of PRODUCED before its digest: array, type, handle, reason code, sequence, header of the digest. */
const PRODUCED_HEAD_MAX = 24

export class NativeWriter implements PacketWriter {
  readonly #sink = new ByteSink()
  readonly #run = new OpenRun(this.#sink)
  /** The range that is still growing; type 0: none. */
  #ackType: AckPacketType | 0 = 0
  #ackFirst = 0
  #ackLast = 0
  #ackReasonCode = 0

  get byteLength(): number {
    return this.#sink.byteLength + (this.#ackType === 0 ? 0 : ACK_MAX)
  }

  write(packet: Packet): void {
    this.#flushAck()
    if (packet.type !== PacketType.PUBLISH) this.#run.end()
    switch (packet.type) {
      case PacketType.PUBLISH:
        this.#writePublish(packet)
        break
      case PacketType.PUBACK:
      case PacketType.PUBREC:
      case PacketType.PUBREL:
      case PacketType.PUBCOMP:
        this.#writeAckPacket(packet)
        break
      case PacketType.PRODUCE:
        this.#writeProduce(packet)
        break
      case PacketType.PRODUCED:
        this.#writeProduced(packet)
        break
      default:
        this.#pack(encodeFields(packet))
    }
  }

  writePublication(publication: Publication, delivery: Delivery): void {
    if (this.#ackType !== 0) this.#flushAck()
    const shared = isSharedLayout(publication, delivery)
    // What many are sent alike at QoS 0 is cut where one publication ends (`SharedRun`), so none may share its packet.
    if (shared && publication.properties === null && delivery.qos !== 0) {
      const { packetId, deliverySequence, maximumPacketSize } = delivery
      const flags = publishFlags(delivery.qos, delivery.retain, delivery.dup)
      const { messageId } = publication
      if (this.#run.add(publication, flags, packetId, deliverySequence, messageId, maximumPacketSize)) return
    } else this.#run.end()
    const sink = this.#sink
    const tail = shared ? sharedTail(publication) : null
    if (tail !== null) {
      sink.reserve(PUBLISH_HEAD_MAX + tail.length)
      this.#putHead(publication, delivery, hasProperties(publication.properties))
      sink.raw(tail)
      return
    }
    const properties = shared ? publication.properties : tailProperties(publication, delivery)
    const map = properties === null ? null : encodeProperties(properties, 'PUBLISH')
    const topicName = delivery.omitTopicName ? '' : publication.topicName
    const payload = publication.payload
    sink.reserve(PUBLISH_HEAD_MAX + 10 + topicName.length * 3 + payload.length)
    this.#putHead(publication, delivery, map !== null)
    sink.text(topicName)
    sink.binary(payload)
    if (map !== null) this.#pack(map)
  }

  writeAck(type: AckPacketType, packetId: number, reasonCode: number): void {
    if (type === this.#ackType && reasonCode === this.#ackReasonCode) {
      const next = nextPacketId(this.#ackLast)
      if (packetId === next && packetId !== this.#ackFirst) {
        this.#ackLast = packetId
        return
      }
    }
    this.#flushAck()
    this.#run.end()
    this.#ackType = type
    this.#ackFirst = packetId
    this.#ackLast = packetId
    this.#ackReasonCode = reasonCode
  }

  take(): WrittenBytes | null {
    this.#flushAck()
    this.#run.end()
    return this.#sink.take()
  }

  #writeAckPacket(packet: AckPacket): void {
    if (packet.properties !== null) this.#pack(encodeFields(packet))
    else this.#putAck(packet.type, packet.packetId, packet.lastPacketId ?? packet.packetId, packet.reasonCode)
  }

  #writePublish(packet: PublishPacket): void {
    const sink = this.#sink
    const { topicName, payload, properties, packetId, deliverySequence, messageId } = packet
    const flags = publishFlags(packet.qos, packet.retain, packet.dup)
    if (properties === null) {
      // The server counts each of a run for itself.
      const maximumPacketSize = Number.POSITIVE_INFINITY
      if (this.#run.add(packet, flags, packetId, deliverySequence ?? 0, messageId ?? 0, maximumPacketSize)) return
    } else this.#run.end()
    const map = properties === null ? null : encodeProperties(properties, 'PUBLISH')
    const extra = map === null ? 0 : 1
    sink.reserve(PUBLISH_HEAD_MAX + 10 + topicName.length * 3 + payload.length)
    const isDelivery = deliverySequence !== undefined
    sink.byte((isDelivery ? 0x97 : 0x95) + extra)
    sink.byte(isDelivery ? DELIVER : PacketType.PUBLISH)
    sink.byte(flags)
    sink.integer(packetId)
    if (isDelivery) {
      assert(messageId !== undefined, 'a delivery has a message id beside its delivery sequence')
      sink.integer(deliverySequence)
      sink.integer(messageId)
    }
    sink.text(topicName)
    sink.binary(payload)
    if (map !== null) this.#pack(map)
  }

  #writeProduce(packet: ProducePacket): void {
    const sink = this.#sink
    writeProduceHead(sink, packet)
    sink.reserve(packet.encoded.length)
    sink.raw(packet.encoded)
  }

  /** The answer to a PRODUCE of which nothing was refused is written by hand. */
  #writeProduced(packet: ProducedPacket): void {
    const { digest } = packet
    if (digest === null || packet.refusals.length > 0 || packet.reasonString !== undefined) {
      this.#pack(encodeFields(packet))
      return
    }
    const sink = this.#sink
    sink.reserve(PRODUCED_HEAD_MAX + digest.length)
    sink.byte(0x95)
    sink.byte(PacketType.PRODUCED)
    sink.integer(packet.handle)
    sink.integer(packet.reasonCode)
    sink.integer(packet.sequence)
    sink.binary(digest)
  }

  #putHead(publication: Publication, delivery: Delivery, withProperties: boolean): void {
    const sink = this.#sink
    const extra = withProperties ? 1 : 0
    if (delivery.qos === 0) {
      sink.byte(0x95 + extra)
      sink.byte(PacketType.PUBLISH)
      sink.byte(publishFlags(0, delivery.retain, false))
      sink.byte(0)
      return
    }
    sink.byte(0x97 + extra)
    sink.byte(DELIVER)
    sink.byte(publishFlags(delivery.qos, delivery.retain, delivery.dup))
    sink.integer(delivery.packetId)
    sink.integer(delivery.deliverySequence)
    sink.integer(publication.messageId)
  }

  #flushAck(): void {
    const type = this.#ackType
    if (type === 0) return
    this.#ackType = 0
    this.#putAck(type, this.#ackFirst, this.#ackLast, this.#ackReasonCode)
  }

  #putAck(type: AckPacketType, first: number, last: number, reasonCode: number): void {
    const sink = this.#sink
    sink.reserve(ACK_MAX)
    const arity = reasonCode !== 0 ? 4 : last !== first ? 3 : 2
    sink.byte(0x90 + arity)
    sink.byte(type)
    sink.integer(first)
    if (arity === 2) return
    if (last === first) sink.byte(0xc0)
    else sink.integer(last)
    if (arity === 4) sink.integer(reasonCode)
  }

  #pack(value: unknown): void {
    const bytes = pack(value)
    this.#sink.reserve(bytes.length)
    this.#sink.raw(bytes)
  }
}
