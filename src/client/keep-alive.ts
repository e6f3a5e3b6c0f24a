/**
 * Decides when to ping and when the broker is dead. Pure: the caller supplies `nowMs` and owns the timer. A ping goes
 * out before Keep Alive has passed in silence in either direction: silence of ours is a promise to the broker
 * [v5 MQTT-3.1.2-20], silence of the broker is how a half-open connection looks while we publish.
 */
const ANSWER_MS_MIN = 1_000
const ANSWER_MS_MAX = 30_000

export class KeepAlive {
  readonly #silenceMs: number
  readonly #answerMs: number
  #lastSentMs: number
  #lastReceivedMs: number
  /** Infinity: none is waiting for an answer. */
  #pingSentMs = Number.POSITIVE_INFINITY

  constructor(options: { keepAliveSec: number; nowMs: number }) {
    const { keepAliveSec, nowMs } = options
    // 0: off [v5 3.1.2.10]. Nine tenths leave room for a late timer.
    this.#silenceMs = keepAliveSec === 0 ? Number.POSITIVE_INFINITY : keepAliveSec * 900
    this.#answerMs = Math.min(ANSWER_MS_MAX, Math.max(ANSWER_MS_MIN, keepAliveSec * 500))
    this.#lastSentMs = nowMs
    this.#lastReceivedMs = nowMs
  }

  packetsSent(nowMs: number): void {
    this.#lastSentMs = nowMs
  }

  /** Anything that comes shows that the broker lives, not only PINGRESP. */
  packetsReceived(nowMs: number): void {
    this.#lastReceivedMs = nowMs
    this.#pingSentMs = Number.POSITIVE_INFINITY
  }

  pingSent(nowMs: number): void {
    this.#lastSentMs = nowMs
    if (this.#pingSentMs === Number.POSITIVE_INFINITY) this.#pingSentMs = nowMs
  }

  /** Infinity when off. */
  nextTimeoutMs(): number {
    if (this.#pingSentMs !== Number.POSITIVE_INFINITY) return this.#pingSentMs + this.#answerMs
    return Math.min(this.#lastSentMs, this.#lastReceivedMs) + this.#silenceMs
  }

  verdict(nowMs: number): 'alive' | 'ping' | 'dead' {
    if (nowMs < this.nextTimeoutMs()) return 'alive'
    return this.#pingSentMs === Number.POSITIVE_INFINITY ? 'ping' : 'dead'
  }
}
