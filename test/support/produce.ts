/** Packets of a producer without an outbox: what a test sends, and what the digest over it must be. */
import { StreamDigest } from '../../src/base/stream-digest.js'
import { utf8Encode } from '../../src/base/utf8.js'
import { joinMessages } from '../../src/protocol/msgpack/produce.js'
import { type PublishProperties, PacketType, type ProduceMessage } from '../../src/protocol/packets.js'
import type { TestClient } from './test-broker.js'

export function producerId(number: number): Uint8Array {
  return new Uint8Array(16).fill(number)
}

export interface MessageOptions {
  qos?: 1 | 2
  retain?: boolean
  properties?: PublishProperties
}

export function message(topicName: string, payload: string, options: MessageOptions = {}): ProduceMessage {
  const { qos = 1, retain = false, properties = null } = options
  return { topicName, payload: utf8Encode(payload), qos, retain, properties }
}

/** So many messages to one topic, with the payloads m1, m2 … */
export function numbered(topicName: string, first: number, last: number): ProduceMessage[] {
  return Array.from({ length: last - first + 1 }, (_, index) => message(topicName, `m${first + index}`))
}

/** Stands for the bytes on the wire: another message has others. */
export function encodedOf({ topicName, payload, qos, retain }: ProduceMessage): Uint8Array {
  return utf8Encode(`${qos}${retain} ${topicName} ${new TextDecoder().decode(payload)}`)
}

export function digestOf(messages: readonly ProduceMessage[]): Uint8Array {
  const hash = new StreamDigest()
  for (const each of messages) hash.update(encodedOf(each))
  return hash.digest()
}

export function openProducer(
  client: TestClient,
  options: { handle?: number; id?: number; confirmedSequence?: number; digest?: Uint8Array } = {},
): void {
  const { handle = 1, id = 1, confirmedSequence = 0, digest = null } = options
  client.send({ type: PacketType.PRODUCER_OPEN, handle, producerId: producerId(id), confirmedSequence, digest })
}

export function produce(
  client: TestClient,
  firstSequence: number,
  messages: readonly ProduceMessage[],
  options: { handle?: number; confirmedSequence?: number; isAtomic?: boolean } = {},
): void {
  const { handle = 1, confirmedSequence = 0, isAtomic = false } = options
  const numbers = { handle, firstSequence, confirmedSequence }
  client.send({ type: PacketType.PRODUCE, ...numbers, isAtomic, messages, ...joinMessages(messages.map(encodedOf)) })
}
