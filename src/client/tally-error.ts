/**
 * The one error class of the SDK. `code` is stable and made to be compared; the message is for people and may change.
 * `retryable` answers the only question most callers have: may the same call succeed later without a change?
 */
import { describeReasonCode } from '../protocol/reason-codes.js'

export const TALLY_ERROR_CODES = {
  CONNECT_REFUSED: 'The broker answered CONNECT with a refusal; `reasonCode` says which.',
  CONNECT_FAILED: 'No connection could be opened: network, TLS, or the HTTP upgrade was refused.',
  CONNECTION_LOST: 'The connection ended and is not tried again (`reconnect: false`, or the attempts are used up).',
  DISCONNECTED: 'The broker closed the connection and said not to come back; `reasonCode` says why.',
  NOT_CONNECTED: 'A QoS 0 publish or a ping needs a connection and there is none at the moment.',
  PUBLISH_REFUSED: 'The broker answered PUBACK or PUBREC with a failure; the message was not taken.',
  SUBSCRIBE_REFUSED: 'The broker refused every topic filter of the request.',
  UNSUBSCRIBE_REFUSED: 'The broker refused to remove a topic filter.',
  TIMEOUT: 'The peer did not answer in time.',
  ABORTED: 'The AbortSignal of the call fired.',
  CLOSED: 'The client or the subscription has been closed.',
  PROTOCOL_ERROR: 'The peer broke the protocol.',
  SESSION_LOST: 'The broker no longer had our session: QoS 2 publishes were sent anew and may be there twice.',
  OUTBOX_FULL: 'More unfinished QoS 1 and 2 publishes than `publishQueueMessagesMax`.',
  OUTBOX_FAILED: 'The outbox store could not write or read.',
  LISTENER_FAILED: 'A callback threw; its message stays unacknowledged and comes again on the next connection.',
  UNCLAIMED_MESSAGE: 'A message came that no subscription and no listener wanted; it was acknowledged and dropped.',
  PRODUCER_REFUSED: 'The broker does not open this producer, or takes nothing from it; `reasonCode` says why.',
  UNKNOWN_PRODUCER: 'The broker knows nothing of a producer that has sent before: it is another one, or lost its data.',
  FENCED: 'The producer was opened again somewhere else; only the last one may go on.',
  DIVERGED: 'The broker has other messages under these sequences: the outbox was restored, or is used twice.',
  BROKER_LOST_DATA: 'The broker has less than it acknowledged: it was restored or lost its disk.',
  DELIVERY_GAP: 'A delivery is missing between the cursor and what came; nothing is handed over any more.',
  SESSION_REPLACED: 'The broker has another session than the one of the cursor; what the old one held is gone.',
  INVALID_ARGUMENT: 'An argument or option is not usable as given.',
} as const
export type TallyErrorCode = keyof typeof TALLY_ERROR_CODES

export interface TallyErrorDetails {
  readonly retryable?: boolean
  readonly reasonCode?: number
  readonly cause?: unknown
}

export class TallyError extends Error {
  override readonly name = 'TallyError'
  readonly code: TallyErrorCode
  readonly retryable: boolean
  /** The MQTT reason code behind it, where there is one. */
  readonly reasonCode: number | undefined

  constructor(code: TallyErrorCode, message: string, details: TallyErrorDetails = {}) {
    const { reasonCode, cause, retryable = false } = details
    const text = reasonCode === undefined ? message : `${message} (${describeReasonCode(reasonCode)})`
    super(text, cause === undefined ? undefined : { cause })
    this.code = code
    this.retryable = retryable
    this.reasonCode = reasonCode
  }
}
