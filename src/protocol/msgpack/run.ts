/**
 * Runs: PUBLISH or DELIVER with an array of payloads, which stands for as many packets that differ in nothing else but
 * their numbers, and those count up. The core never sees one: decoder and writer take them apart and put them together.
 */
import { PACKET_ID_MAX, PacketType, type PublishPacket } from '../packets.js'
import { type ByteSink, binarySize } from './byte-sink.js'
import { malformed, VALUES_MAX } from './wire.js'

/** Beside them DELIVER is eight values: packet, type, flags, three numbers, topic, and the array of payloads. */
export const RUN_PAYLOADS_MAX = VALUES_MAX - 8
/** Longer ones leave singly: there is nothing to be gained, and the first of a run is moved when the second comes. */
const PAYLOAD_BYTES_MAX = 1_024
/** More in one packet would gain nothing either, and who reads packet by packet would have to wait for it. */
const WRITTEN_PAYLOADS_MAX = 64
const ARRAY_HEAD_BYTES = 3

/** @returns the packet `index` behind the first of a run. */
export function packetOfRun(first: PublishPacket, index: number, payload: Uint8Array): PublishPacket {
  const { topicName, qos, retain, dup, deliverySequence, messageId } = first
  const packetId = qos === 0 ? 0 : ((first.packetId + index - 1) % PACKET_ID_MAX) + 1
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
    deliverySequence: deliverySequence + index,
    messageId: messageId + index,
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

  /** Some other packet is written next, or none. */
  end(): void {
    if (this.#payloads > 1) this.#sink.setArrayLength(this.#lengthAt, this.#payloads)
    this.#payloads = 0
    this.#packetAt = this.#sink.byteLength
  }

  /** This is the packet that has been written since `end`; it has no properties. */
  begin(message: Message, flags: number, packetId: number, deliverySequence: number, messageId: number): void {
    if (message.payload.length > PAYLOAD_BYTES_MAX) return
    this.#payloads = 1
    this.#firstPayloadBytes = binarySize(message.payload)
    this.#topicName = message.topicName
    this.#flags = flags
    this.#packetId = packetId
    this.#deliverySequence = deliverySequence
    this.#messageId = messageId
    this.#countUp()
  }

  /** False when nothing is open. */
  isNext(flags: number, packetId: number, deliverySequence: number, messageId: number): boolean {
    return (
      packetId === this.#packetId &&
      deliverySequence === this.#deliverySequence &&
      messageId === this.#messageId &&
      flags === this.#flags &&
      this.#payloads > 0
    )
  }

  /** For what `isNext`, and has no properties. @returns false: it needs a packet of its own. */
  append({ topicName, payload }: Message, maximumPacketSize: number): boolean {
    const sink = this.#sink
    const moreBytes = (this.#payloads === 1 ? ARRAY_HEAD_BYTES : 0) + binarySize(payload)
    if (
      topicName !== this.#topicName ||
      payload.length > PAYLOAD_BYTES_MAX ||
      this.#payloads === WRITTEN_PAYLOADS_MAX ||
      sink.byteLength - this.#packetAt + moreBytes > maximumPacketSize
    ) {
      return false
    }
    sink.reserve(moreBytes)
    if (this.#payloads === 1) this.#lengthAt = sink.wrapInArray(this.#firstPayloadBytes)
    sink.binary(payload)
    this.#payloads += 1
    this.#countUp()
    return true
  }

  #countUp(): void {
    if (this.#packetId !== 0) this.#packetId = (this.#packetId % PACKET_ID_MAX) + 1
    if (this.#deliverySequence === 0) return
    this.#deliverySequence += 1
    this.#messageId += 1
  }
}
