/**
 * The moment that a publisher waits before it fills its window again. Without it all of them speak as fast as they can,
 * and the machine carries messages instead of restarting brokers: what is under way at a kill counts, not the traffic.
 */
import type { TimerHandle } from '../base/clock.js'
import type { Random } from '../base/random.js'
import { systemTimers } from '../client/clock.js'

const MOMENT_MS_MAX = 60

export class Breath {
  readonly #random: Random
  readonly #speak: () => void
  #timer: TimerHandle | null = null

  constructor(random: Random, speak: () => void) {
    this.#random = random
    this.#speak = speak
  }

  /** Speaks in a moment; asked again meanwhile, still once. */
  take(): void {
    this.#timer ??= systemTimers.schedule(this.#random.below(MOMENT_MS_MAX), () => {
      this.#timer = null
      this.#speak()
    })
  }

  end(): void {
    this.#timer?.cancel()
  }
}
