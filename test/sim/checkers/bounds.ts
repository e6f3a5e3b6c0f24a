/** Whatever a client can grow stays within its limit, at any moment somebody looks. */
import type { BrokerLimits } from '../../../src/core/limits.js'

export interface BoundedSession {
  readonly clientId: string
  readonly queue: { readonly count: number; readonly byteLength: number }
  readonly inflight: { readonly size: number }
  readonly receipts: { readonly size: number }
  readonly subscriptionCount: number
}
export interface BoundedBroker {
  /** Those in memory. */
  readonly sessions: { values(): Iterable<BoundedSession> }
  readonly connections: Iterable<{ readonly link: { readonly bufferedBytes: number }; readonly outstanding: number }>
  readonly retained: { readonly size: number }
  readonly retainedBytes: number
}

/** A packet may be begun while there is room, and acknowledgements are never held back. */
const LAST_PACKETS_BYTES = 65_536

export function boundsHold(broker: BoundedBroker, limits: BrokerLimits): string[] {
  const found: string[] = []
  const hold = (what: string, value: number, bound: number) => {
    if (value > bound) found.push(`${what}: ${value} is above ${bound}`)
  }
  for (const { clientId, queue, inflight, receipts, subscriptionCount } of broker.sessions.values()) {
    hold(`messages queued for ${clientId}`, queue.count, limits.queueMessagesMax)
    hold(`bytes queued for ${clientId}`, queue.byteLength, limits.queueBytesMax)
    hold(`copies in flight to ${clientId}`, inflight.size, limits.inflightMax)
    hold(`QoS 2 receipts of ${clientId}`, receipts.size, limits.receiveMaximum)
    hold(`subscriptions of ${clientId}`, subscriptionCount, limits.subscriptionsPerSessionMax)
  }
  for (const { link, outstanding } of broker.connections) {
    hold('bytes buffered for one connection', link.bufferedBytes, limits.outputBufferBytesMax + LAST_PACKETS_BYTES)
    hold('copies outstanding on one connection', outstanding, limits.inflightMax)
  }
  hold('retained messages', broker.retained.size, limits.retainedMessagesMax)
  hold('bytes of retained messages', broker.retainedBytes, limits.retainedBytesMax)
  return found
}
