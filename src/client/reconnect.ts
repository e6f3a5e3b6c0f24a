/** Whether and when to come back: the rules of the close codes, and full jitter over a doubling bound. */
import { closeCodeFor, isReconnectAllowed } from '../protocol/close-codes.js'

export interface ReconnectPolicy {
  readonly minDelayMs: number
  readonly maxDelayMs: number
  readonly attemptsMax: number
}

/**
 * A random delay between 0 and the bound, not the bound plus a little: after a broker restart that spreads ten thousand
 * clients evenly, where equal jitter leaves them in waves.
 * @param attempt from 1
 */
export function reconnectDelayMs(attempt: number, policy: ReconnectPolicy, random: () => number): number {
  const boundMs = Math.min(policy.maxDelayMs, policy.minDelayMs * 2 ** (attempt - 1))
  return Math.floor(random() * boundMs)
}

/** A CONNACK or DISCONNECT with this reason code will not get better by trying again. */
export function isFinalReason(reasonCode: number): boolean {
  return !isReconnectAllowed(closeCodeFor(reasonCode))
}

export function isFinalCloseCode(closeCode: number): boolean {
  return !isReconnectAllowed(closeCode)
}
