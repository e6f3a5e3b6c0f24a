/**
 * The log: what the core reports, as pino lines on stderr. Each kind of event has a level and a bound per second, so
 * that a flood of bad packets costs its senders more than us; what was left out is counted and said. Never payloads,
 * never passwords: events carry none, and `redact` stands behind that.
 */
import { type DestinationStream, destination, type Level, type Logger, pino } from 'pino'
import type { Clock } from '../base/clock.js'
import type { BrokerEvent, EventSink } from '../core/ports/events.js'
import { describeReasonCode } from '../protocol/reason-codes.js'

export interface LogOptions {
  readonly level: Level | 'silent'
  readonly clock: Clock
  /** Absent: stderr. */
  readonly stream?: DestinationStream
}

const LINES_PER_SECOND_MAX = 50
const WINDOW_MS = 1_000
const TEXT_MAX = 256

const LEVELS: Readonly<Record<BrokerEvent['type'], Level>> = {
  connected: 'info',
  'connect-refused': 'warn',
  disconnected: 'info',
  'protocol-error': 'warn',
  'session-taken-over': 'info',
  'session-ended': 'debug',
  'will-fired': 'debug',
  'producer-refused': 'warn',
  'producer-fenced': 'warn',
  'producer-behind': 'error',
  'will-refused': 'warn',
  'queue-full': 'warn',
  'slow-consumer': 'warn',
  recovered: 'info',
}

interface Window {
  startMs: number
  lines: number
  suppressed: number
}

export class Log implements EventSink {
  readonly #logger: Logger
  readonly #clock: Clock
  readonly #flush: () => void
  readonly #windows = new Map<BrokerEvent['type'], Window>()

  constructor(options: LogOptions) {
    const stderr = options.stream === undefined ? destination({ dest: 2, sync: false }) : null
    this.#clock = options.clock
    this.#logger = pino(
      {
        level: options.level,
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        redact: { paths: ['password', '*.password', 'passwordHash', '*.passwordHash', 'authorization', 'payload'] },
      },
      options.stream ?? (stderr as DestinationStream),
    )
    this.#flush = () => stderr?.flushSync()
  }

  emit(event: BrokerEvent): void {
    const level = LEVELS[event.type]
    if (!this.#logger.isLevelEnabled(level) || !this.#mayWrite(event.type)) return
    this.#logger[level](fieldsOf(event), event.type)
  }

  info(fields: object, message: string): void {
    this.#logger.info(fields, message)
  }

  warn(fields: object, message: string): void {
    this.#logger.warn(fields, message)
  }

  /** On disk before this returns, as far as stderr has one. */
  fatal(error: Error): void {
    this.#logger.fatal({ err: error }, 'the broker stops: nothing is acknowledged any more')
    this.flush()
  }

  /** Writes what is still in memory, and what was left out since it was last said. */
  flush(): void {
    for (const [type, window] of this.#windows) this.#reportSuppressed(type, window)
    try {
      this.#flush()
    } catch {
      // stderr is gone; there is nowhere left to say so.
    }
  }

  #mayWrite(type: BrokerEvent['type']): boolean {
    const nowMs = this.#clock.nowMs()
    let window = this.#windows.get(type)
    if (window === undefined) {
      window = { startMs: nowMs, lines: 0, suppressed: 0 }
      this.#windows.set(type, window)
    }
    if (nowMs - window.startMs >= WINDOW_MS) {
      this.#reportSuppressed(type, window)
      window.startMs = nowMs
      window.lines = 0
    }
    if (window.lines >= LINES_PER_SECOND_MAX) {
      window.suppressed += 1
      return false
    }
    window.lines += 1
    return true
  }

  #reportSuppressed(type: BrokerEvent['type'], window: Window): void {
    if (window.suppressed === 0) return
    this.#logger[LEVELS[type]]({ event: type, suppressed: window.suppressed }, 'events left out of the log')
    window.suppressed = 0
  }
}

function fieldsOf(event: BrokerEvent): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(event)) {
    if (name === 'type') continue
    if (name === 'reasonCode') fields.reason = describeReasonCode(value as number)
    else fields[name] = typeof value === 'string' ? value.slice(0, TEXT_MAX) : value
  }
  return fields
}
