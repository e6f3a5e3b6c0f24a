/** Time that stands still until a test moves it. */
import type { Timers, TimerHandle } from '../../src/base/clock.js'

export class FakeClock implements Timers {
  #nowMs: number
  readonly #timers = new Set<{ atMs: number; run: () => void }>()

  constructor(nowMs = 1_700_000_000_000) {
    this.#nowMs = nowMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  schedule(delayMs: number, run: () => void): TimerHandle {
    const timer = { atMs: this.#nowMs + delayMs, run }
    this.#timers.add(timer)
    return { cancel: () => this.#timers.delete(timer) }
  }

  /** As when somebody sets the wall clock, backwards too. Nothing runs. */
  set(nowMs: number): void {
    this.#nowMs = nowMs
  }

  /** Moves on, running what falls due in order. */
  advance(ms: number): void {
    const end = this.#nowMs + ms
    for (;;) {
      const due = [...this.#timers].filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs)[0]
      if (due === undefined) break
      this.#timers.delete(due)
      this.#nowMs = Math.max(this.#nowMs, due.atMs)
      due.run()
    }
    this.#nowMs = end
  }

  get pendingTimers(): number {
    return this.#timers.size
  }
}
