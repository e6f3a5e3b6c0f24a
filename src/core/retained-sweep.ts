/**
 * Retained messages that have expired leave by themselves, not only when somebody asks for them. No deadline is kept
 * for each of a million topics: only the earliest is known, and when it has passed, a slow walk over the whole tree
 * removes what is over and finds the next one. At most one walk begins in a minute, and it takes a bounded slice of
 * each turn.
 */
import { clearRetained, type RetainedMessage } from './retained.js'
import type { RetainedWalk } from './retained-tree.js'
import type { BrokerState } from './state.js'

const PAUSE_MS = 60_000
/** Nodes of the tree looked at for one message. */
const NODES_PER_STEP = 16

export class RetainedSweep {
  #walk: RetainedWalk<RetainedMessage> | null = null
  /** Of the messages that the present or last walk left behind, and of those that came since it began. */
  #earliestExpiryMs = Number.POSITIVE_INFINITY
  #notBeforeMs = 0

  /** A retained message was set. @param expiresAtMs 0: never. */
  note(expiresAtMs: number): void {
    if (expiresAtMs !== 0 && expiresAtMs < this.#earliestExpiryMs) this.#earliestExpiryMs = expiresAtMs
  }

  /** When `begin` has something to do; Infinity: never. */
  nextMs(): number {
    if (this.#walk !== null) return Number.POSITIVE_INFINITY
    return Math.max(this.#earliestExpiryMs, this.#notBeforeMs)
  }

  begin(state: BrokerState, nowMs: number): void {
    if (this.nextMs() > nowMs) return
    this.#earliestExpiryMs = Number.POSITIVE_INFINITY
    this.#walk = state.retained.iterateAll()
  }

  /** A bounded slice. @returns whether more is left. */
  run(state: BrokerState, nowMs: number): boolean {
    const walk = this.#walk
    if (walk === null) return false
    for (let step = 0; step < state.pace.retainedSweptPerTurn; step += 1) {
      const message = walk.advance(NODES_PER_STEP)
      if (message === undefined) {
        if (!walk.done) continue
        this.#walk = null
        this.#notBeforeMs = nowMs + PAUSE_MS
        return false
      }
      const { expiresAtMs, topicName } = message
      if (expiresAtMs !== 0 && expiresAtMs <= nowMs) clearRetained(state, topicName)
      else this.note(expiresAtMs)
    }
    return true
  }
}
