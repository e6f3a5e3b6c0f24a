/**
 * The real clock and the real timers: the only file of the broker that asks the operating system for time. Wall-clock
 * milliseconds that never go back, because an NTP step must not expire sessions or let a Keep Alive run twice.
 */
import { performance } from 'node:perf_hooks'
import type { TimerHandle, Timers } from '../base/clock.js'

/** setTimeout fires at once above this. */
const DELAY_MS_MAX = 2_147_483_647

class SystemTimer implements TimerHandle {
  readonly #timeout: NodeJS.Timeout

  constructor(delayMs: number, run: () => void) {
    this.#timeout = setTimeout(run, Math.min(Math.max(0, delayMs), DELAY_MS_MAX))
  }

  cancel(): void {
    clearTimeout(this.#timeout)
  }
}

export const systemTimers: Timers = {
  /** Whole milliseconds: they go into journal records. */
  nowMs: () => Math.floor(performance.timeOrigin + performance.now()),
  schedule: (delayMs, run) => new SystemTimer(delayMs, run),
}
