/** A load as the generator process is told it, and what it answers. Both travel as JSON. */

export const WIRE_NAMES = ['tcp', 'websocket', 'native', 'relay'] as const
export type WireName = (typeof WIRE_NAMES)[number]

export interface Load {
  readonly wire: WireName
  readonly publishers: number
  readonly subscribers: number
  /** Each publisher has a topic and one subscriber of its own; otherwise everybody gets everything. */
  readonly isPaired: boolean
  readonly qos: 0 | 1 | 2
  readonly payloadBytes: number
  /** Numbered messages of a producer instead of PUBLISH; native, QoS 1 and 2. */
  readonly isProducer?: boolean
  /** Sessions outlive their connections. */
  readonly isDurable: boolean
  /** Messages of one publisher on their way at most: not delivered everywhere, or not acknowledged. */
  readonly window: number
  /** Messages in one write of a publisher. */
  readonly batch: number
  /** All publishers together, on a timetable, whatever comes back; left out: as fast as the window allows. */
  readonly ratePerSec?: number
}

export interface LoadTask {
  readonly load: Load
  readonly port: number
  /** null: TCP. */
  readonly path: string | null
  readonly brokerPid: number
  readonly warmupSec: number
  readonly seconds: number
}

export interface LoadAnswer {
  readonly values: Readonly<Record<string, number>>
  readonly flaws: readonly string[]
  readonly isGeneratorBound: boolean
  readonly curve?: readonly (readonly [percentile: number, ms: number])[]
}
