/** Time is passed in. The real clock lives in `server/system-clock.ts`, the fake one in `test/support`. */
export interface Clock {
  /** Milliseconds since 1970, never going back within one process: used for expiry, keep alive and timestamps. */
  nowMs(): number
}

/** One-shot timers, so that nothing outside `server/system-clock.ts` calls setTimeout. */
export interface Timers extends Clock {
  /** @returns a handle for `cancel`. Delays above 2^31-1 ms are capped, the caller re-arms. */
  schedule(delayMs: number, run: () => void): TimerHandle
}
export interface TimerHandle {
  cancel(): void
}
