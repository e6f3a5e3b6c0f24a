/**
 * `$SYS/broker/…`: what the broker says about itself. A new subscriber finds the last values like retained messages,
 * those who are there get every change at QoS 0, and nothing of it is ever written: a broker that only refreshes these
 * topics leaves its disk alone. They count towards no limit; after a restart they are simply published again.
 */
import { utf8Encode } from '../base/utf8.js'
import { fanOutTransient } from './publish.js'
import { retainedMessage } from './retained.js'
import type { BrokerState } from './state.js'

export function publishSystemTopic(state: BrokerState, topicName: string, text: string): void {
  const payload = utf8Encode(text)
  const terms = { topicName, payload, qos: 0, properties: null } as const
  state.systemTopics.set(retainedMessage({ ...terms, expiresAtMs: 0 }, 0))
  fanOutTransient(state, { ...terms, retain: true }, state.tree.match(topicName), null, -1)
}
