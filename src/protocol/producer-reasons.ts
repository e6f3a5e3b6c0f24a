/**
 * Reason codes in the answers to a producer, one row each: where it may stand and what it means. The first ones are
 * MQTT's; those from 0xc0 on are ours (`ProducerReason` in `packets.ts`). Codec, SDK and the table in
 * `conformance/native-protocol.md` derive from these rows.
 */
import { ProducerReason } from './packets.js'
import { ReasonCode } from './reason-codes.js'

/** REFUSAL is an entry of the refusals in either packet. */
export type ProducerReasonPlace = 'PRODUCER_OPENED' | 'PRODUCED' | 'REFUSAL'

export interface ProducerReasonRow {
  readonly name: string
  readonly value: number
  readonly places: readonly ProducerReasonPlace[]
  readonly meaning: string
}

const ANSWERS: readonly ProducerReasonPlace[] = ['PRODUCER_OPENED', 'PRODUCED']
const EVERYWHERE: readonly ProducerReasonPlace[] = [...ANSWERS, 'REFUSAL']
const OPENED: readonly ProducerReasonPlace[] = ['PRODUCER_OPENED']
const PRODUCED: readonly ProducerReasonPlace[] = ['PRODUCED']
const REFUSAL: readonly ProducerReasonPlace[] = ['REFUSAL']

/** Ascending by value. */
export const PRODUCER_REASONS: readonly ProducerReasonRow[] = [
  row('SUCCESS', ReasonCode.SUCCESS, ANSWERS, 'opened; everything up to the sequence is stored or refused'),
  row('UNSPECIFIED_ERROR', ReasonCode.UNSPECIFIED_ERROR, EVERYWHERE, 'no other code fits'),
  row('IMPLEMENTATION_SPECIFIC_ERROR', ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, EVERYWHERE, 'not taken here'),
  row(
    'NOT_AUTHORIZED',
    ReasonCode.NOT_AUTHORIZED,
    EVERYWHERE,
    'another user has this producer, or may not publish this',
  ),
  row('TOPIC_NAME_INVALID', ReasonCode.TOPIC_NAME_INVALID, REFUSAL, 'the topic is not accepted'),
  row('QUOTA_EXCEEDED', ReasonCode.QUOTA_EXCEEDED, EVERYWHERE, 'a limit of the server is reached'),
  row('PAYLOAD_FORMAT_INVALID', ReasonCode.PAYLOAD_FORMAT_INVALID, REFUSAL, 'the payload is not the text it claims'),
  row('RETAIN_NOT_SUPPORTED', ReasonCode.RETAIN_NOT_SUPPORTED, REFUSAL, 'retained messages are switched off'),
  row('QOS_NOT_SUPPORTED', ReasonCode.QOS_NOT_SUPPORTED, REFUSAL, 'the QoS is above the Maximum QoS'),
  row(
    'UNKNOWN_PRODUCER',
    ProducerReason.UNKNOWN_PRODUCER,
    OPENED,
    'has sent before, and the server knows nothing of it',
  ),
  row('FENCED', ProducerReason.FENCED, PRODUCED, 'this producer was opened again somewhere else'),
  row('SEQUENCE_GAP', ProducerReason.SEQUENCE_GAP, PRODUCED, 'messages in between are missing; nothing was stored'),
  row('DIVERGED', ProducerReason.DIVERGED, ANSWERS, 'the same sequence was sent with other content'),
  row('BATCH_REFUSED', ProducerReason.BATCH_REFUSED, REFUSAL, 'another message of the atomic batch was refused'),
  row(
    'UNCONFIRMED_REFUSALS',
    ProducerReason.UNCONFIRMED_REFUSALS,
    PRODUCED,
    'confirm refusals first; nothing was stored',
  ),
]

const ROW_BY_VALUE = new Map(PRODUCER_REASONS.map((reason) => [reason.value, reason]))

export function isProducerReasonLegal(place: ProducerReasonPlace, reasonCode: number): boolean {
  return ROW_BY_VALUE.get(reasonCode)?.places.includes(place) ?? false
}

/** `0xc1 FENCED (this producer was opened again somewhere else)`; unknown values give only the number. */
export function describeProducerReason(reasonCode: number): string {
  const reason = ROW_BY_VALUE.get(reasonCode)
  const hex = `0x${reasonCode.toString(16).padStart(2, '0')}`
  return reason === undefined ? hex : `${hex} ${reason.name} (${reason.meaning})`
}

function row(name: string, value: number, places: readonly ProducerReasonPlace[], meaning: string): ProducerReasonRow {
  return { name, value, places, meaning }
}
