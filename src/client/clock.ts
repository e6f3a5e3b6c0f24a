/** The SDK's only contact with real time and chance; everything else gets them passed in. */
import type { Timers } from '../base/clock.js'

const DELAY_MS_MAX = 2_147_483_647

export const systemTimers: Timers = {
  nowMs: () => performance.timeOrigin + performance.now(),
  schedule(delayMs, run) {
    const handle = setTimeout(run, Math.min(delayMs, DELAY_MS_MAX))
    return { cancel: () => clearTimeout(handle) }
  },
}

export const systemRandom = (): number => Math.random()
