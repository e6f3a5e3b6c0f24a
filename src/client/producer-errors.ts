/** What the broker says about a producer or one of its messages, as errors of the SDK. */
import { ProducerReason, type ProducerRefusal } from '../protocol/packets.js'
import { describeProducerReason } from '../protocol/producer-reasons.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import { TallyError, type TallyErrorCode } from './tally-error.js'

const CODES: ReadonlyMap<number, TallyErrorCode> = new Map([
  [ProducerReason.UNKNOWN_PRODUCER, 'UNKNOWN_PRODUCER'],
  [ProducerReason.FENCED, 'FENCED'],
  [ProducerReason.DIVERGED, 'DIVERGED'],
])

/** The producer cannot go on. */
export function producerRefused(reasonCode: number, reasonString: string | undefined): TallyError {
  const why = reasonString ?? describeProducerReason(reasonCode)
  const text = `the broker does not go on with this producer: ${why}`
  return new TallyError(CODES.get(reasonCode) ?? 'PRODUCER_REFUSED', text, { reasonCode })
}

/** One message was not taken. Its sequence is used up, so sending it again is a new publish. */
export function refusalError({ sequence, reasonCode, reasonString }: ProducerRefusal): TallyError {
  const why = reasonString ?? describeProducerReason(reasonCode)
  const text = `the broker did not take message ${sequence} of the producer: ${why}`
  return new TallyError('PUBLISH_REFUSED', text, { reasonCode, retryable: reasonCode === ReasonCode.QUOTA_EXCEEDED })
}
