/**
 * `$SYS/clients/{clientId}/online` and `offline`: JSON at QoS 0, for dashboards; percent-encoded where a topic needs
 * it.
 */
import { utf8Encode } from '../base/utf8.js'
import { describeReasonCode } from '../protocol/reason-codes.js'
import { publish } from './publish.js'
import type { Session } from './session.js'
import type { BrokerState } from './state.js'

export function publishPresence(
  state: BrokerState,
  session: Session,
  what: 'online' | 'offline',
  reasonCode: number,
  detail: string,
  nowMs: number,
): void {
  if (!state.ports.presence) return
  const topicName = `$SYS/clients/${encodeURIComponent(session.clientId)}/${what}`
  const { clientId, username } = session
  const event =
    what === 'online'
      ? { clientId, username, atMs: nowMs, remoteAddress: session.connection?.link.description.remoteAddress ?? null }
      : { clientId, username, atMs: nowMs, reason: describeReasonCode(reasonCode), detail }
  publish(
    state,
    { topicName, payload: utf8Encode(JSON.stringify(event)), qos: 0, retain: false, properties: null },
    null,
    nowMs,
  )
}
