/**
 * When a silent client counts as gone (MQTT Keep Alive). Functions over numbers only: the broker keeps one last-packet
 * time per connection and one scan for all, so there is no object here to hold. The server's own pings are another
 * thing.
 */

/**
 * How long a client may be silent: one and a half times Keep Alive [v5 MQTT-3.1.2-22].
 * @returns ms, Infinity for a Keep Alive of 0, which switches it off.
 */
export function keepAliveWindowMs(keepAliveSec: number): number {
  return keepAliveSec === 0 ? Number.POSITIVE_INFINITY : keepAliveSec * 1_500
}

/** The moment from which the client is overdue, ms; Infinity when Keep Alive is off. */
export function keepAliveDeadlineMs(lastPacketMs: number, keepAliveSec: number): number {
  return lastPacketMs + keepAliveWindowMs(keepAliveSec)
}

export function isKeepAliveOverdue(lastPacketMs: number, keepAliveSec: number, nowMs: number): boolean {
  return nowMs >= keepAliveDeadlineMs(lastPacketMs, keepAliveSec)
}

/**
 * The Keep Alive in force. Where it differs from what was asked for, MQTT 5 clients must be told by Server Keep Alive
 * [v5 MQTT-3.2.2-21]; 3.1.1 has no way to say it, so there the client's own value counts.
 * @param keepAliveMaxSec the longest the broker grants; one who asks for more, or for none, gets this. 0: no bound.
 */
export function grantedKeepAliveSec(requestedSec: number, keepAliveMaxSec: number): number {
  if (keepAliveMaxSec === 0) return requestedSec
  return requestedSec === 0 || requestedSec > keepAliveMaxSec ? keepAliveMaxSec : requestedSec
}
