/** A row of the ledger as a line of a table: the names of the columns, and its cells. Columns are added at the end. */
import { DROP_REASONS } from '../core/drop-reasons.js'
import { nameOf } from './check-ledger.js'
import type { Counted, LedgerRow } from './read-ledger.js'

const NONE: Counted = { count: 0, bytes: 0 }

export const LEDGER_COLUMNS: readonly string[] = [
  'hour',
  'is_closed',
  'client_id',
  'topic_class',
  'is_transient',
  ...pair('accepted'),
  'unrouted',
  'duplicates',
  'refused',
  'refused_by_reason',
  ...pair('opening'),
  ...pair('enqueued'),
  ...pair('delivered'),
  ...DROP_REASONS.flatMap((reason) => pair(`dropped_${reason.replaceAll('-', '_')}`)),
  ...['abandoned', 'purged', 'moved', 'adopted', 'vanished', 'queued'].flatMap(pair),
]

function pair(name: string): [string, string] {
  return [name, `${name}_bytes`]
}

/** In the order of `LEDGER_COLUMNS`. */
export function ledgerCells(row: LedgerRow): (string | number | boolean)[] {
  const { hour, isClosed, clientId, topicClass, isTransient, unrouted, duplicates, refused, dropped } = row
  const reasons = Object.entries(refused).map(([code, count]) => `0x${Number(code).toString(16)}:${count}`)
  const drops = DROP_REASONS.map((reason) => dropped[reason] ?? NONE)
  const { abandoned, purged, moved, adopted, vanished, queued } = row
  return [
    hourStart(hour),
    isClosed,
    clientId,
    topicClass,
    isTransient,
    ...cells(row.accepted),
    unrouted,
    duplicates,
    refusedOf(row),
    reasons.join(';'),
    ...[row.opening, row.enqueued, row.delivered, ...drops].flatMap(cells),
    ...[abandoned, purged, moved, adopted, vanished, queued].flatMap(cells),
  ]
}

function cells({ count, bytes }: Counted): [number, number] {
  return [count, bytes]
}

export function refusedOf({ refused }: LedgerRow): number {
  return Object.values(refused).reduce((sum, count) => sum + count, 0)
}

export function droppedOf({ dropped }: LedgerRow): number {
  return Object.values(dropped).reduce((sum, { count }) => sum + count, 0)
}

/** `2026-11-20T13:00:00Z` */
export function hourStart(hour: number): string {
  return `${nameOf(hour)}:00:00Z`
}
