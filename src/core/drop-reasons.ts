/** Why copies end undelivered, in the order in which journal, rows and ledger number them: append, never insert. */
import type { DropReason } from '../protocol/packets.js'

export const DROP_REASONS: readonly DropReason[] = [
  'expired',
  'queue-full',
  'not-authorized',
  'too-large',
  'slow-consumer',
  'session-ended',
  'offline',
]
