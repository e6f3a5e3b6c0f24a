/**
 * A message as the application gets it, and the count of those who still work on it. It is acknowledged when the last
 * one is done (or by hand with `manualAck`), never earlier.
 */
import { utf8Decode } from '../base/utf8.js'
import type { PublishPacket, PublishProperties, QoS } from '../protocol/packets.js'
import type { Message } from './api.js'

export interface Acknowledger {
  readonly isManual: boolean
  acknowledge(message: ReceivedMessage): void
}

const NO_PROPERTIES: Readonly<PublishProperties> = Object.freeze({})
const NO_IDENTIFIERS: readonly number[] = Object.freeze([])

export class ReceivedMessage implements Message {
  readonly topicName: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  readonly properties: Readonly<PublishProperties>
  readonly deliverySequence: number | undefined
  readonly messageId: number | undefined
  readonly subscriptionIdentifiers: readonly number[]
  readonly #packetId: number
  readonly #acknowledger: Acknowledger | null
  /** The connection on which its ack is due: an object to compare, nothing else. */
  ackDueOn: object | null = null
  #takers = 0
  #state: 'open' | 'acknowledged' | 'failed' = 'open'

  /** @param acknowledger null at QoS 0 */
  constructor(packet: PublishPacket, topicName: string, acknowledger: Acknowledger | null) {
    this.topicName = topicName
    this.payload = packet.payload
    this.qos = packet.qos
    this.retain = packet.retain
    this.dup = packet.dup
    this.properties = packet.properties ?? NO_PROPERTIES
    this.deliverySequence = packet.deliverySequence
    this.messageId = packet.messageId
    this.subscriptionIdentifiers = this.properties.subscriptionIdentifiers ?? NO_IDENTIFIERS
    this.#packetId = packet.packetId
    this.#acknowledger = acknowledger
  }

  text(): string {
    const text = utf8Decode(this.payload, 0, this.payload.byteLength)
    if (text === undefined) throw new TypeError('the payload is not well-formed UTF-8; read `payload` instead')
    return text
  }

  acknowledge(): void {
    if (this.#acknowledger === null || this.#state === 'acknowledged') return
    this.#state = 'acknowledged'
    this.#acknowledger.acknowledge(this)
  }

  /** The SDK's own side from here on. */
  get packetId(): number {
    return this.#packetId
  }

  get state(): 'open' | 'acknowledged' | 'failed' {
    return this.#state
  }

  addTaker(): void {
    this.#takers += 1
  }

  /** With `manualAck` only the application says when it is done. */
  takerDone(): void {
    if (!this.#acknowledger?.isManual) this.takerDropped()
  }

  /** It never got to the application through this taker. */
  takerDropped(): void {
    this.#takers -= 1
    if (this.#takers === 0) this.acknowledge()
  }

  /** No acknowledgement by itself; when the broker sends it again it is handed over again. */
  takerFailed(): void {
    if (this.#state === 'open') this.#state = 'failed'
  }
}
