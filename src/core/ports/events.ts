/**
 * What happens in the core, as data, for `telemetry/` to turn into log lines, counters and `$SYS`.
 * Rare events are objects of one discriminated union; what happens per message is only counted.
 */
import type { DropReason } from '../../protocol/packets.js'
import type { LinkDescription } from './link.js'

export type BrokerEvent =
  | { type: 'connected'; clientId: string; username: string | null; link: LinkDescription; sessionPresent: boolean }
  | { type: 'connect-refused'; clientId: string; link: LinkDescription; reasonCode: number; detail: string }
  | { type: 'disconnected'; clientId: string; link: LinkDescription; reasonCode: number; detail: string }
  | { type: 'protocol-error'; clientId: string | null; link: LinkDescription; reasonCode: number; detail: string }
  | { type: 'session-taken-over'; clientId: string; by: LinkDescription }
  | {
      type: 'session-ended'
      clientId: string
      reason: 'clean-start' | 'expired' | 'disconnected'
      purgedMessages: number
    }
  | { type: 'producer-refused'; clientId: string; producer: string; reasonCode: number; detail: string }
  | { type: 'producer-fenced'; clientId: string; producer: string; by: string }
  /** It knows of more than is stored here: the data is older than the producer, or another broker's. */
  | { type: 'producer-behind'; clientId: string; producer: string; sequence: number; confirmedSequence: number }
  | { type: 'will-fired'; clientId: string; topicName: string }
  | { type: 'will-refused'; clientId: string; topicName: string; detail: string }
  | { type: 'queue-full'; clientId: string; queuedMessages: number }
  | { type: 'slow-consumer'; clientId: string; bufferedBytes: number }
  | { type: 'recovered'; journalRecords: number; sessions: number; retained: number; quarantined: readonly string[] }

export interface EventSink {
  emit(event: BrokerEvent): void
}

/** Plain counters, read by telemetry when somebody asks. Monotonic since the process started. */
export class BrokerCounters {
  publishesReceived = 0
  publishBytesReceived = 0
  publishesSent = 0
  publishBytesSent = 0
  publishesRefused = 0
  duplicatesRefused = 0
  messagesStored = 0
  deliveriesAcknowledged = 0
  readonly dropped: Record<DropReason, number> = {
    expired: 0,
    'queue-full': 0,
    'not-authorized': 0,
    'too-large': 0,
    'slow-consumer': 0,
    'session-ended': 0,
    offline: 0,
  }
}
