/** The books as rows that a person or a program can read: one for each account in each hour, the hour under way too. */
import { type AccountHour, readHourRow } from '../core/ledger/account.js'
import { readHoursRow } from '../core/ledger/hours.js'
import { droppedSlot, Slot, type Tally } from '../core/ledger/tally.js'
import { DROP_REASONS } from '../core/drop-reasons.js'
import type { Store } from '../core/ports/store.js'
import { hourAccountKey, hourOfKey, keyNumber } from '../core/store-keys.js'
import type { DropReason } from '../protocol/packets.js'
import { recoveredOrThrow } from './recovered-state.js'

export interface LedgerFilter {
  /** Hours since 1970; the first included, the last not. */
  readonly fromHour?: number
  readonly untilHour?: number
  readonly clientId?: string
  readonly topicClass?: string
}

export interface Counted {
  readonly count: number
  readonly bytes: number
}

export interface LedgerRow {
  /** Hours since 1970. */
  readonly hour: number
  /** In the chain of digests: nothing in this row changes any more. */
  readonly isClosed: boolean
  /** Empty: the broker itself; `*`: those beyond `ledger.accountsMax`. */
  readonly clientId: string
  readonly topicClass: string
  /** Sessions that end with their connection. */
  readonly isTransient: boolean
  /** Messages at QoS 1 and 2 that the client has published. */
  readonly accepted: Counted
  /** Of them: nobody was subscribed. */
  readonly unrouted: number
  readonly duplicates: number
  /** By reason code. */
  readonly refused: Readonly<Record<number, number>>
  /** Copies for the client that waited when the hour began. */
  readonly opening: Counted
  readonly enqueued: Counted
  readonly delivered: Counted
  readonly dropped: Readonly<Partial<Record<DropReason, Counted>>>
  readonly abandoned: Counted
  readonly purged: Counted
  readonly moved: Counted
  readonly adopted: Counted
  readonly vanished: Counted
  /** Copies that wait or are in flight at the end of the hour, or now. */
  readonly queued: Counted
}

/** In the order of hours. @throws when a broker could not start on the store. */
export function* ledgerRows(store: Store, filter: LedgerFilter = {}): IterableIterator<LedgerRow> {
  const closed = new Set<number>()
  for (const { key, value } of store.entries({ table: 'hours' })) {
    if (readHoursRow(keyNumber(key), value).digest !== null) closed.add(keyNumber(key))
  }
  const { fromHour = 0, untilHour = 0xffff_ffff } = filter
  const range = { from: hourAccountKey(fromHour, 0), until: hourAccountKey(untilHour, 0) }
  const current = accountsUnderWay(store, filter)
  let next = 0
  for (const { key, value } of store.entries({ table: 'ledger', ...range })) {
    const hour = hourOfKey(key)
    for (; next < current.length && (current[next] as LedgerRow).hour < hour; next += 1)
      yield current[next] as LedgerRow
    const row = rowOf(hour, closed.has(hour), readHourRow(value))
    if (isWanted(row, filter)) yield row
  }
  yield* current.slice(next)
}

/** Accounts whose row of the hour is not in the table `ledger` yet. */
function accountsUnderWay(store: Store, filter: LedgerFilter): LedgerRow[] {
  const rows: LedgerRow[] = []
  const accounts = [...recoveredOrThrow(store).ledger.accounts.values()]
  for (const account of accounts.sort((one, other) => one.number - other.number)) {
    const { hour, number, topicClass } = account
    if (hour === 0 || store.get('ledger', hourAccountKey(hour, number)) !== undefined) continue
    const { clientId, isTransient, opening, openingBytes, totals } = account
    const terms = { clientId, isTransient, opening, openingBytes, totals, topicClass: topicClass?.name ?? '' }
    const row = rowOf(hour, false, terms)
    if (isWanted(row, filter)) rows.push(row)
  }
  return rows.sort((one, other) => one.hour - other.hour)
}

function isWanted(row: LedgerRow, { fromHour = 0, untilHour, clientId, topicClass }: LedgerFilter): boolean {
  if (row.hour < fromHour || (untilHour !== undefined && row.hour >= untilHour)) return false
  return (
    (clientId === undefined || clientId === row.clientId) && (topicClass === undefined || topicClass === row.topicClass)
  )
}

function rowOf(hour: number, isClosed: boolean, account: AccountHour): LedgerRow {
  const { clientId, topicClass, isTransient, opening, openingBytes, totals } = account
  const refused: Record<number, number> = {}
  for (const [slot, count] of totals.entries()) if (slot >= Slot.REFUSED) refused[slot - Slot.REFUSED] = count
  const dropped: Partial<Record<DropReason, Counted>> = {}
  for (const reason of DROP_REASONS) {
    const lost = counted(totals, droppedSlot(reason))
    if (lost.count > 0) dropped[reason] = lost
  }
  return {
    hour,
    isClosed,
    clientId,
    topicClass,
    isTransient,
    accepted: counted(totals, Slot.ACCEPTED),
    unrouted: totals.get(Slot.UNROUTED),
    duplicates: totals.get(Slot.DUPLICATES),
    refused,
    opening: { count: opening, bytes: openingBytes },
    enqueued: counted(totals, Slot.ENQUEUED),
    delivered: counted(totals, Slot.DELIVERED),
    dropped,
    abandoned: counted(totals, Slot.ABANDONED),
    purged: counted(totals, Slot.PURGED),
    moved: counted(totals, Slot.MOVED),
    adopted: counted(totals, Slot.ADOPTED),
    vanished: counted(totals, Slot.VANISHED),
    queued: { count: opening + totals.balance(0), bytes: openingBytes + totals.balance(1) },
  }
}

function counted(totals: Tally, slot: number): Counted {
  return { count: totals.get(slot), bytes: totals.get(slot + 1) }
}
