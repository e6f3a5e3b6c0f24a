/**
 * Messages as a producer's outbox keeps them: encoded once, in the bytes that go over the wire and into the digest.
 * Pure, so that an application may call it inside its own transaction.
 */
import { encodeProduceMessage, messageValues, PRODUCE_VALUES_MAX } from '../protocol/msgpack/produce.js'
import type { ProduceMessage } from '../protocol/packets.js'
import type { ProducerMessage, ProducerMessageOptions } from './api.js'
import { bytesOf, invalid } from './connect-options.js'
import type { PreparedMessage } from './producer-outbox.js'
import { checkPublishProperties, checkTopicName } from './request-checks.js'

/** @throws TallyError INVALID_ARGUMENT when no broker could take it. */
export function prepareMessage(
  topicName: string,
  payload: Uint8Array | string,
  options: ProducerMessageOptions = {},
): PreparedMessage {
  return prepared({ topicName, payload, ...options }, 0)
}

/** Messages that are taken all together or not at all; append them behind each other in one transaction. */
export function prepareBatch(messages: readonly ProducerMessage[]): readonly PreparedMessage[] {
  if (messages.length === 0) throw invalid('a batch holds at least one message')
  const batch = messages.map((message, index) => prepared(message, messages.length - 1 - index))
  const values = batch.reduce((sum, { bytes }) => sum + messageValues(bytes), 0)
  if (values > PRODUCE_VALUES_MAX) throw invalid('a batch is one packet, and this one has too many messages for it')
  return batch
}

function prepared(message: ProducerMessage, batchRest: number): PreparedMessage {
  const { topicName, payload, qos = 1, retain = false, properties = null } = message
  checkTopicName(topicName)
  if (properties !== null) checkPublishProperties(properties)
  if (qos !== 1 && qos !== 2) throw invalid('a producer publishes at QoS 1 or 2; QoS 0 promises nothing')
  const encodable: ProduceMessage = { topicName, payload: bytesOf(payload), qos, retain, properties }
  return { batchRest, bytes: encodeProduceMessage(encodable) }
}
