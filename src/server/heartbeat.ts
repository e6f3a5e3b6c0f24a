/**
 * The one scheduler for every connection: deadlines of CONNECT and authentication, MQTT Keep Alive, transport ping with
 * its answer, peers that stopped reading, closes that do not end. Pure: the caller passes `nowMs` and calls `tick`.
 *
 * The idea: what happens often only writes one number (`heard`), and each slot has one number saying when to look
 * again. `tick` compares those numbers, a fifth of them each time, and only where one is due does it touch an object.
 * No timer object per connection, nothing to re-arm, O(1) per event.
 */
export type HeartbeatPhase = 'awaiting-connect' | 'authenticating' | 'connected' | 'closing'
export type HeartbeatCause = 'connect' | 'authentication' | 'keep-alive' | 'ping' | 'write' | 'close'

export interface HeartbeatPeer {
  readonly phase: HeartbeatPhase
  /** Connected, and in the middle of authenticating itself again. */
  readonly isReauthenticating: boolean
  /** One and a half times the Keep Alive; Infinity: none. */
  readonly keepAliveWindowMs: number
  /** We do not read from it at the moment, so its silence says nothing. */
  readonly isReadingPaused: boolean
  readonly pendingBytes: number
  readonly takenBytes: number
  /** @returns false when the transport has no ping. */
  sendPing(): boolean
  expired(cause: HeartbeatCause, nowMs: number): void
}

export interface HeartbeatOptions {
  /** Idle time after which a peer is pinged. */
  readonly pingIntervalMs: number
  readonly pongTimeoutMs: number
  readonly connectTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly closeTimeoutMs: number
}

export interface RoundTrip {
  readonly lastMs: number
  readonly smoothedMs: number
}

/** Every slot is compared once in this many ticks. */
const SLICES = 2
export const TICK_MS = 125
/** Every slot's deadlines are met this much late at most. */
export const RESOLUTION_MS = SLICES * TICK_MS
const NEVER = Number.POSITIVE_INFINITY
/** Fractional parts of multiples of the golden ratio lie evenly: slots opened together are not pinged together. */
const GOLDEN = 0.618_033_988_75

export class Heartbeat {
  readonly #options: HeartbeatOptions
  readonly #peers: (HeartbeatPeer | null)[] = []
  readonly #freeSlots: number[] = []
  #dueMs = new Float64Array(0)
  /** Any bytes, pongs included. */
  #heardMs = new Float64Array(0)
  /** Whole control packets, which is what Keep Alive counts [v5 MQTT-3.1.2-22]. */
  #packetMs = new Float64Array(0)
  /** When the current phase began to matter: opened, later: authenticating again or closing since. */
  #sinceMs = new Float64Array(0)
  /** NaN: no ping is waiting for its answer. */
  #pingSentMs = new Float64Array(0)
  /** NaN: nothing waits for the operating system to take it. */
  #stalledSinceMs = new Float64Array(0)
  #takenBytes = new Float64Array(0)
  #rttMs = new Float32Array(0)
  #smoothedRttMs = new Float32Array(0)
  #slice = 0

  constructor(options: HeartbeatOptions) {
    this.#options = options
  }

  /** @returns the slot, which is the connection's number until `close`. */
  open(peer: HeartbeatPeer, nowMs: number): number {
    const slot = this.#freeSlots.pop() ?? this.#peers.length
    if (slot === this.#dueMs.length) this.#grow()
    this.#peers[slot] = peer
    this.#heardMs[slot] = nowMs
    this.#packetMs[slot] = nowMs
    this.#sinceMs[slot] = nowMs
    this.#pingSentMs[slot] = Number.NaN
    this.#stalledSinceMs[slot] = Number.NaN
    this.#takenBytes[slot] = 0
    this.#rttMs[slot] = Number.NaN
    this.#smoothedRttMs[slot] = Number.NaN
    this.#dueMs[slot] = nowMs + this.#options.connectTimeoutMs
    return slot
  }

  close(slot: number): void {
    this.#peers[slot] = null
    this.#dueMs[slot] = NEVER
    this.#freeSlots.push(slot)
  }

  /** Bytes came in. */
  heard(slot: number, nowMs: number): void {
    this.#heardMs[slot] = nowMs
  }

  /** A whole control packet came in. */
  packetReceived(slot: number, nowMs: number): void {
    this.#packetMs[slot] = nowMs
  }

  /** CONNECT was accepted, AUTH came, reading goes on, or anything else that changes what to wait for. */
  changed(slot: number, nowMs: number): void {
    this.#heardMs[slot] = nowMs
    this.#packetMs[slot] = nowMs
    if (this.#peers[slot]?.phase !== 'closing') this.#sinceMs[slot] = nowMs
    this.#lookBy(slot, nowMs)
  }

  /** After a write: not everything was taken at once. */
  writePending(slot: number, nowMs: number): void {
    if (!Number.isNaN(this.#stalledSinceMs[slot] as number)) return
    const peer = this.#peers[slot]
    if (!peer) return
    this.#stalledSinceMs[slot] = nowMs
    this.#takenBytes[slot] = peer.takenBytes
    this.#lookBy(slot, nowMs + this.#options.writeTimeoutMs)
  }

  /** The connection is being closed; when that takes too long, `expired('close')`. */
  closing(slot: number, nowMs: number): void {
    this.#sinceMs[slot] = nowMs
    this.#lookBy(slot, nowMs + this.#options.closeTimeoutMs)
  }

  ponged(slot: number, nowMs: number): void {
    this.#heardMs[slot] = nowMs
    const sentMs = this.#pingSentMs[slot] as number
    if (Number.isNaN(sentMs)) return
    this.#pingSentMs[slot] = Number.NaN
    const rttMs = nowMs - sentMs
    const smoothed = this.#smoothedRttMs[slot] as number
    this.#rttMs[slot] = rttMs
    // The weight of RFC 6298's smoothed round-trip time.
    this.#smoothedRttMs[slot] = Number.isNaN(smoothed) ? rttMs : smoothed + (rttMs - smoothed) / 8
  }

  /** null: no ping has been answered yet. */
  roundTrip(slot: number): RoundTrip | null {
    const lastMs = this.#rttMs[slot]
    if (lastMs === undefined || Number.isNaN(lastMs)) return null
    return { lastMs, smoothedMs: this.#smoothedRttMs[slot] as number }
  }

  /** Every TICK_MS. */
  tick(nowMs: number): void {
    const due = this.#dueMs
    const count = this.#peers.length
    for (let slot = this.#slice; slot < count; slot += SLICES) {
      if ((due[slot] as number) <= nowMs) this.#look(slot, nowMs)
    }
    this.#slice = (this.#slice + 1) % SLICES
  }

  #look(slot: number, nowMs: number): void {
    const peer = this.#peers[slot]
    if (!peer) {
      this.#dueMs[slot] = NEVER
      return
    }
    const due = this.#check(slot, peer, nowMs)
    // Not later than now: the peer has expired, and with that a time of its own was set.
    if (due > nowMs) this.#dueMs[slot] = due
  }

  /** This and the checks below return when to look again; not later than `nowMs`: the peer has expired. */
  #check(slot: number, peer: HeartbeatPeer, nowMs: number): number {
    const { closeTimeoutMs, connectTimeoutMs } = this.#options
    if (peer.phase === 'closing') return this.#checkDeadline(slot, peer, 'close', closeTimeoutMs, nowMs)
    const writeDueMs = this.#checkWrite(slot, peer, nowMs)
    if (writeDueMs <= nowMs) return writeDueMs
    // While the answer is ours to give, the client is not late: the shell has a deadline for that.
    const isAwaited = peer.phase === 'awaiting-connect' || (peer.phase === 'authenticating' && !peer.isReadingPaused)
    const dueMs = isAwaited
      ? this.#checkDeadline(slot, peer, 'connect', connectTimeoutMs, nowMs)
      : this.#checkSilence(slot, peer, nowMs)
    return Math.min(writeDueMs, dueMs)
  }

  #checkDeadline(slot: number, peer: HeartbeatPeer, cause: HeartbeatCause, timeoutMs: number, nowMs: number): number {
    const deadlineMs = (this.#sinceMs[slot] as number) + timeoutMs
    if (deadlineMs > nowMs) return deadlineMs
    return this.#expire(slot, peer, cause, nowMs)
  }

  #checkWrite(slot: number, peer: HeartbeatPeer, nowMs: number): number {
    const sinceMs = this.#stalledSinceMs[slot] as number
    if (Number.isNaN(sinceMs)) return NEVER
    if (peer.pendingBytes === 0) {
      this.#stalledSinceMs[slot] = Number.NaN
      return NEVER
    }
    const takenBytes = peer.takenBytes
    if (takenBytes !== this.#takenBytes[slot]) {
      this.#takenBytes[slot] = takenBytes
      this.#stalledSinceMs[slot] = nowMs
      return nowMs + this.#options.writeTimeoutMs
    }
    const deadlineMs = sinceMs + this.#options.writeTimeoutMs
    if (deadlineMs > nowMs) return deadlineMs
    return this.#expire(slot, peer, 'write', nowMs)
  }

  #checkSilence(slot: number, peer: HeartbeatPeer, nowMs: number): number {
    const { pingIntervalMs, connectTimeoutMs } = this.#options
    // Look again soon after reading goes on; `changed` says when that is.
    if (peer.isReadingPaused) return nowMs + pingIntervalMs
    const authenticationDueMs = peer.isReauthenticating
      ? this.#checkDeadline(slot, peer, 'authentication', connectTimeoutMs, nowMs)
      : NEVER
    if (authenticationDueMs <= nowMs) return authenticationDueMs
    const keepAliveDueMs = this.#checkKeepAlive(slot, peer, nowMs)
    if (keepAliveDueMs <= nowMs) return keepAliveDueMs
    return Math.min(authenticationDueMs, keepAliveDueMs, this.#checkPing(slot, peer, nowMs))
  }

  #checkKeepAlive(slot: number, peer: HeartbeatPeer, nowMs: number): number {
    const deadlineMs = (this.#packetMs[slot] as number) + peer.keepAliveWindowMs
    if (deadlineMs > nowMs) return deadlineMs
    return this.#expire(slot, peer, 'keep-alive', nowMs)
  }

  #checkPing(slot: number, peer: HeartbeatPeer, nowMs: number): number {
    const { pingIntervalMs, pongTimeoutMs } = this.#options
    const heardMs = this.#heardMs[slot] as number
    const sentMs = this.#pingSentMs[slot] as number
    if (!Number.isNaN(sentMs) && heardMs < sentMs) {
      // A ping behind bytes that still wait has not been asked yet: `checkWrite` decides about those.
      if (peer.pendingBytes > 0) {
        this.#pingSentMs[slot] = nowMs
        this.writePending(slot, nowMs)
        return nowMs + pongTimeoutMs
      }
      const deadlineMs = sentMs + pongTimeoutMs
      if (deadlineMs > nowMs) return deadlineMs
      return this.#expire(slot, peer, 'ping', nowMs)
    }
    const pingMs = heardMs + pingIntervalMs * (Number.isNaN(this.#rttMs[slot] as number) ? spread(slot) : 1)
    if (pingMs > nowMs) return pingMs
    if (!peer.sendPing()) return NEVER
    this.#pingSentMs[slot] = nowMs
    return nowMs + pongTimeoutMs
  }

  #expire(slot: number, peer: HeartbeatPeer, cause: HeartbeatCause, nowMs: number): number {
    // Looked at again, should the peer not have gone by then.
    this.#dueMs[slot] = nowMs + this.#options.closeTimeoutMs
    peer.expired(cause, nowMs)
    return nowMs
  }

  #lookBy(slot: number, atMs: number): void {
    if (atMs < (this.#dueMs[slot] as number)) this.#dueMs[slot] = atMs
  }

  #grow(): void {
    const slots = Math.max(64, this.#dueMs.length * 2)
    this.#dueMs = grown(this.#dueMs, new Float64Array(slots).fill(NEVER))
    this.#heardMs = grown(this.#heardMs, new Float64Array(slots))
    this.#packetMs = grown(this.#packetMs, new Float64Array(slots))
    this.#sinceMs = grown(this.#sinceMs, new Float64Array(slots))
    this.#pingSentMs = grown(this.#pingSentMs, new Float64Array(slots))
    this.#stalledSinceMs = grown(this.#stalledSinceMs, new Float64Array(slots))
    this.#takenBytes = grown(this.#takenBytes, new Float64Array(slots))
    this.#rttMs = grown(this.#rttMs, new Float32Array(slots))
    this.#smoothedRttMs = grown(this.#smoothedRttMs, new Float32Array(slots))
  }
}

/** Half to all of the first interval, by slot. */
function spread(slot: number): number {
  return 0.5 + ((slot * GOLDEN) % 1) / 2
}

function grown<A extends Float64Array | Float32Array>(from: A, to: A): A {
  to.set(from)
  return to
}
