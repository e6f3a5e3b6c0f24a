/** From the row of a session to the session: at the start, or when one that has slept since then wakes up. */
import type { SubscribedFact } from './fact-fields.js'
import { Copy, PLAIN_TERMS } from './message.js'
import { StoreError } from './ports/store.js'
import type { Session, SessionSubscription } from './session.js'
import { applyDisconnected, registerSession } from './session-life.js'
import { readSessionRow } from './session-rows.js'
import type { SessionWaking } from './sleeping-sessions.js'
import type { BrokerState } from './state.js'
import { numberKey } from './store-keys.js'
import { addSubscription } from './subscribe.js'

/** Memory only. */
export function restoreSession(state: BrokerState, number: number, row: Uint8Array): Session {
  const { session, subscriptions } = readSessionRow(number, row, state.limits.queueWindowMessages, state.ledger)
  registerSession(state, session)
  for (const fact of subscriptions) {
    addSubscription(state, session, subscriptionOf(session, fact), fact.isRetainedPending)
  }
  if (session.hasEnded || session.isConnected) return session
  const { disconnectedAtMs, sessionExpiryIntervalSec, willDueAtMs } = session
  applyDisconnected(state, session, disconnectedAtMs, sessionExpiryIntervalSec, willDueAtMs)
  return session
}

/** Field by field: a hundred thousand times at a start, spreading costs more than reading the row. */
export function subscriptionOf(session: Session, fact: SubscribedFact): SessionSubscription {
  const { topicFilter, shareName, qos, noLocal, retainAsPublished, retainHandling } = fact
  const { subscriptionIdentifier, subscriptionNumber } = fact
  return {
    session,
    topicFilter,
    shareName,
    qos,
    noLocal,
    retainAsPublished,
    retainHandling,
    subscriptionIdentifier,
    subscriptionNumber,
    alone: null,
  }
}

export function sessionWaking(state: BrokerState): SessionWaking {
  return {
    restore: (number) => {
      const row = state.ports.store.get('sessions', numberKey(number))
      if (row !== undefined) return restoreSession(state, number, row)
      throw new StoreError('STORE_CORRUPT', `the row of session ${number}, which was there at the start, is missing`)
    },
    apply: (session, { messageId, qos, byteLength, account }) => {
      const message = state.messages.young(messageId)
      session.queue.push(new Copy(messageId, message, PLAIN_TERMS[qos], byteLength, state.ledger.ofStoredCopy(account)))
    },
    isBehind: (session, record) => {
      session.dirtySince = record
      state.staleSessions.add(session)
    },
  }
}
