/**
 * What a row of the scoreboard is: a scenario, measured with several entrants in turn, ours first. A scenario knows how
 * to load one running broker and what it wants of the figures; it starts no broker, repeats nothing and prints nothing.
 */

export const PEER_NAMES = ['tallymq', 'mosquitto', 'nats', 'aedes', 'relay'] as const
export type PeerName = (typeof PEER_NAMES)[number]

/** What a peer keeps on disk: nothing, or all it can, as soon as it can. Ours always keeps everything, flushed. */
export type Keeping = 'memory' | 'durable'

export interface BrokerChoice {
  readonly peer: PeerName
  /** Left out: memory. */
  readonly keeping?: Keeping
  /** Added to the environment; ours takes its options from there, such as `TALLYMQ_LEDGER__ENABLED`. */
  readonly environment?: Readonly<Record<string, string>>
  /** Ours from another checkout that has been built. */
  readonly root?: string
}

/** CPU and memory of a process, as Linux counts them. */
export interface Usage {
  /** Of all its threads. */
  readonly cpuSec: number
  readonly rssBytes: number
  readonly anonBytes: number
  /** `write` and `writev` calls, to sockets and files alike. */
  readonly writes: number
}

export interface RunningBroker {
  readonly name: PeerName
  readonly pid: number
  readonly mqttPort: number
  readonly wsPort: number
  /** Where MQTT over WebSocket is spoken. */
  readonly wsPath: string
  /** Ours only: `/tally`, at `wsPort`. */
  readonly nativePath: string | null
  readonly dataDirectory: string
  /** From the start of the process until it took connections. */
  readonly readySec: number
  usage(): Usage
  /** In good order. The data directory stays until `remove`. */
  stop(): Promise<void>
  /** SIGKILL. */
  kill(): Promise<void>
  /** Once it has ended: the same settings on the same data. Its ports may be others. */
  restart(): Promise<RunningBroker>
}

export interface MeasureOptions {
  /** What is measured, after the warm-up. A scenario that measures one deed instead of a rate has no use for either. */
  readonly seconds: number
  readonly warmupSec: number
  /** Where load comes from; the broker has core 0. The process that calls `measure` runs there already. */
  readonly generatorCore: number
  /** Divides the size of what takes minutes, so that a trial is quick. 1 in every run whose figures are told. */
  readonly scale: number
  /** A line of progress. */
  say(text: string): void
}

export interface Figures {
  /** By name, which ends with the unit: `deliveriesPerSec`, `p99Ms`, `rssPerConnectionBytes`. */
  readonly values: Readonly<Record<string, number>>
  /** Deliveries missing, doubled or out of order, in words. Any flaw voids the run. */
  readonly flaws: readonly string[]
  /**
   * The generator's core was busier than the broker's: the true rate may be higher. On a timetable: it was itself late
   * by half of the 99th percentile or more, so that figure says little of the broker.
   */
  readonly isGeneratorBound?: boolean
  /** Latency by percentile, for a curve. */
  readonly curve?: readonly (readonly [percentile: number, ms: number])[]
}

export interface Entrant {
  /** Unique in its scenario; the first one is ours, and what the others are compared with. */
  readonly name: string
  readonly broker: BrokerChoice
  /** How it was loaded and configured where that differs from the others, for the report. */
  readonly settings: string
  measure(broker: RunningBroker, options: MeasureOptions): Promise<Figures>
}

/** What a scenario must show: a figure, or its ratio to that of another entrant. */
export interface Bound {
  readonly figure: string
  /** Whose figure; left out: that of the first entrant. */
  readonly of?: string
  /** The other entrant; left out: the figure itself. */
  readonly times?: string
  readonly atLeast?: number
  readonly atMost?: number
}

export interface Scenario {
  readonly name: string
  /** A row of the table that must be shown, not one for the picture. */
  readonly isRequired: boolean
  /** The figure that is compared, and shown first. */
  readonly headline: string
  readonly better: 'higher' | 'lower'
  /** What is done, in a sentence or two, for the report. */
  readonly about: string
  readonly entrants: readonly Entrant[]
  readonly bounds: readonly Bound[]
  /** Seconds that one run takes beside `warmupSec` and `seconds`; only to tell how much time is left. */
  readonly extraSec: number
  /** Left out: rates, measured with warm-up and `seconds`. */
  readonly isOneDeed?: boolean
  /** How often the entrants take turns in one round; left out: once. */
  readonly runsPerRound?: number
}
