/**
 * Runs: PUBLISH or DELIVER with an array of payloads, which stands for as many packets that differ in nothing else but
 * their numbers, and those count up. The core never sees one: decoder and writer take them apart and put them together.
 */
import { nextPacketId, PacketType, type PublishPacket } from '../packets.js'
import { type ByteSink, binarySize } from './byte-sink.js'
import { malformed, VALUES_MAX } from './wire.js'

/** Beside them DELIVER is eight values: packet, type, flags, three numbers, topic, and the array of payloads. */
export const RUN_PAYLOADS_MAX = VALUES_MAX - 8
/** Longer ones leave singly: there is nothing to be gained, and the first of a run is moved when the second comes. */
const PAYLOAD_BYTES_MAX = 1_024
/** More in one packet would gain nothing either, and who reads packet by packet would have to wait for it. */
const WRITTEN_PAYLOADS_MAX = 64
const ARRAY_HEAD_BYTES = 3

/** @returns the packet behind `previous` in its run. Written out, because spreading `previous` costs twice as much. */
export function nextOfRun(previous: PublishPacket, payload: Uint8Array): PublishPacket {
  const { topicName, qos, retain, dup, deliverySequence, messageId } = previous
  const packetId = qos === 0 ? 0 : nextPacketId(previous.packetId)
  if (deliverySequence === undefined || messageId === undefined) {
    return { type: PacketType.PUBLISH, topicName, payload, qos, retain, dup, packetId, properties: null }
  }
  return {
    type: PacketType.PUBLISH,
    topicName,
    payload,
    qos,
    retain,
    dup,
    packetId,
    properties: null,
    deliverySequence: deliverySequence + 1,
    messageId: messageId + 1,
  }
}

/** @param highest of the first packet's numbers. */
export function checkRunNumbers(highest: number, packetsBehind: number): void {
  if (highest + packetsBehind > Number.MAX_SAFE_INTEGER)
    throw malformed('an integer is at least 0 and at most 2^53 - 1')
}

type Message = Pick<PublishPacket, 'topicName' | 'payload'>

/**
 * What a writer wrote last, for as long as it is a publication whose packet the next one may share. The first of a run
 * is a packet like any other; the array is put in front of its payload when the second comes.
 */
export class OpenRun {
  readonly #sink: ByteSink
  /** 0: nothing to go on with. */
  #payloads = 0
  #packetAt = 0
  #lengthAt = 0
  #firstPayloadBytes = 0
  #topicName = ''
  #flags = 0
  /** Of the next one. 0: QoS 0. */
  #packetId = 0
  /** Of the next one, both. 0: it is PUBLISH. */
  #deliverySequence = 0
  #messageId = 0

  constructor(sink: ByteSink) {
    this.#sink = sink
  }

  /** What is written next is no publication, or one that shares nothing; or nothing is. */
  end(): void {
    if (this.#payloads > 1) this.#sink.setArrayLength(this.#lengthAt, this.#payloads)
    this.#payloads = 0
  }

  /**
   * A publication without properties is next. @param deliverySequence 0, and `messageId` too, for PUBLISH.
   * @returns true: it has been written; false: it needs a packet of its own, with which a run may begin.
   */
  add(
    message: Message,
    flags: number,
    packetId: number,
    deliverySequence: number,
    messageId: number,
    maximumPacketSize: number,
  ): boolean {
    const isNext =
      packetId === this.#packetId &&
      deliverySequence === this.#deliverySequence &&
      messageId === this.#messageId &&
      flags === this.#flags
    if (isNext && this.#hasRoom(message, maximumPacketSize)) {
      this.#append(message.payload)
      return true
    }
    this.end()
    if (message.payload.length > PAYLOAD_BYTES_MAX) return false
    this.#payloads = 1
    this.#packetAt = this.#sink.byteLength
    this.#firstPayloadBytes = binarySize(message.payload)
    this.#topicName = message.topicName
    this.#flags = flags
    this.#packetId = packetId
    this.#deliverySequence = deliverySequence
    this.#messageId = messageId
    this.#countUp()
    return false
  }

  #hasRoom({ topicName, payload }: Message, maximumPacketSize: number): boolean {
    return (
      this.#payloads > 0 &&
      this.#payloads < WRITTEN_PAYLOADS_MAX &&
      topicName === this.#topicName &&
      payload.length <= PAYLOAD_BYTES_MAX &&
      this.#sink.byteLength - this.#packetAt + this.#bytesOf(payload) <= maximumPacketSize
    )
  }

  #bytesOf(payload: Uint8Array): number {
    return (this.#payloads === 1 ? ARRAY_HEAD_BYTES : 0) + binarySize(payload)
  }

  #append(payload: Uint8Array): void {
    const sink = this.#sink
    sink.reserve(this.#bytesOf(payload))
    if (this.#payloads === 1) this.#lengthAt = sink.wrapInArray(this.#firstPayloadBytes)
    sink.binary(payload)
    this.#payloads += 1
    this.#countUp()
  }

  #countUp(): void {
    if (this.#packetId !== 0) this.#packetId = nextPacketId(this.#packetId)
    if (this.#deliverySequence === 0) return
    this.#deliverySequence += 1
    this.#messageId += 1
  }
}
