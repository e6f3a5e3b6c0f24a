/** What all connections share, as one of them sees it; `shell.ts` is it. */
import type { Clock } from '../base/clock.js'
import type { CodecLimits } from '../protocol/codec.js'
import type { CoreApi, CoreConnection } from './core-api.js'
import type { Heartbeat } from './heartbeat.js'
import type { DecodeScope } from './intake.js'
import type { Promises } from './promises.js'
import type { TrafficCounters } from './traffic-counters.js'
import type { Turn } from './turn.js'
import type { WriterPool } from './writer-pool.js'

export interface ConnectionHost {
  readonly core: CoreApi<CoreConnection>
  readonly turn: Turn
  readonly heartbeat: Heartbeat
  readonly clock: Clock
  readonly writers: WriterPool
  readonly codecLimits: CodecLimits
  readonly outputBufferBytesMax: number
  /** Bytes for one socket that do not wait for the end of the turn. */
  readonly earlyFlushBytes: number
  readonly decodeScope: DecodeScope
  readonly traffic: TrafficCounters
  readonly promises: Promises
  /** The socket is gone. */
  gone(slot: number): void
  /** Our bug: stop. */
  fail(error: unknown): void
}
