/**
 * The books. What an account has had, less what has ended, is what really waits for its clients; each hour opens with
 * what the one before has left; closed hours are a chain of digests that is computed again here, row by row. How a
 * record's events and its entries agree is `check-records.ts`.
 */
import { type Account, readAccountRow, readHourRow } from '../core/ledger/account.js'
import { DIGEST_BYTES, HOUR_MS, HourDigest, type HourRow, readHoursRow } from '../core/ledger/hours.js'
import { countedSince } from '../core/ledger/ledger.js'
import { OTHERS } from '../core/ledger/topic-classes.js'
import { type Store, type StoreEntry, StoreError } from '../core/ports/store.js'
import type { BrokerState } from '../core/state.js'
import { accountOfKey, hourAccountKey, hourOfKey, keyNumber, numberKey } from '../core/store-keys.js'
import type { RowCheck } from './check-rows.js'
import { hexadecimal, type ProblemList } from './problems.js'
import { isEqual } from './walk-rows.js'

/** Copies and their bytes. */
export interface Holding {
  copies: number
  bytes: number
}

const NOTHING: Holding = { copies: 0, bytes: 0 }

export interface LedgerFigures {
  /** With something in the hour under way, or with copies that wait. */
  readonly accounts: number
  readonly closedHours: number
  /** Of the newest closed hour, in hexadecimal; null: none is closed. */
  readonly digest: string | null
}

export class LedgerCheck {
  readonly #rows: RowCheck
  readonly #problems: ProblemList
  readonly #hours = new Map<number, HourRow>()
  /** What the last row of an account has left; balanced ones are not here. */
  readonly #carried = new Map<number, Holding>()
  readonly #hoursWithRows = new Set<number>()
  readonly transientAccounts = new Set<number>()
  readonly knownAccounts = new Set<number>()
  #digest: HourDigest | null = null
  #digestHour = 0
  /** The first hour that has rows of accounts: those before it are older than the retention. */
  #firstHour = 0
  #lastClosed: HourRow | null = null

  constructor(rows: RowCheck, problems: ProblemList) {
    this.#rows = rows
    this.#problems = problems
  }

  run(): LedgerFigures {
    this.#rows.walk('hours', (entry) => this.#hour(entry))
    const isWhole = this.#rows.walk('ledger', (entry) => this.#accountHour(entry))
    this.#endHour()
    if (isWhole) this.#checkEmptyHours()
    this.#rows.walk('accounts', (entry) => this.#account(entry))
    const closedHours = [...this.#hours.values()].filter(({ digest }) => digest !== null).length
    const digest = this.#lastClosed?.digest ?? null
    return {
      accounts: this.#rows.rows.accounts ?? 0,
      closedHours,
      digest: digest === null ? null : hexadecimal(digest),
    }
  }

  #hour({ key, value }: StoreEntry): void {
    const hour = keyNumber(key)
    const row = readHoursRow(hour, value)
    this.#hours.set(hour, row)
    if (row.digest === null) return
    const place = { table: 'hours', key } as const
    const previous = this.#lastClosed?.digest ?? new Uint8Array(DIGEST_BYTES)
    if (!isEqual(row.previousDigest, previous)) {
      const sentence = `hour ${nameOf(hour)} is not chained to the closed hour before it`
      this.#problems.add('INCONSISTENT', place, sentence)
    }
    if (this.#lastClosed !== null && row.firstMessageId <= this.#lastClosed.lastMessageId) {
      this.#problems.add('INCONSISTENT', place, `hour ${nameOf(hour)} begins with a message of the hour before it`)
    }
    this.#lastClosed = row
  }

  #accountHour({ key, value }: StoreEntry): void {
    if (key.length !== 12) throw new RangeError(`its key has ${key.length} bytes, not 12`)
    const hour = hourOfKey(key)
    const account = accountOfKey(key)
    const place = { table: 'ledger', key } as const
    if (this.#firstHour === 0) this.#firstHour = hour
    if (hour !== this.#digestHour) this.#beginHour(hour)
    this.#digest?.add(key, value)
    const row = readHourRow(value)
    this.#knowAccount(account, row.isTransient)
    if (!this.#hours.has(hour)) {
      this.#problems.add(
        'LEFT_BEHIND',
        place,
        `account ${account} has a row of hour ${nameOf(hour)}, which is not there`,
      )
    }
    this.#checkOpening(place, account, row)
    const copies = row.opening + row.totals.balance(0)
    const bytes = row.openingBytes + row.totals.balance(1)
    if (copies < 0 || bytes < 0) {
      const sentence = `in hour ${nameOf(hour)} more copies of account ${account} ended than there were`
      this.#problems.add('INCONSISTENT', place, sentence)
    }
    if (copies === 0 && bytes === 0) this.#carried.delete(account)
    else this.#carried.set(account, { copies, bytes })
  }

  #checkOpening(
    place: { table: 'ledger' | 'accounts'; key: Uint8Array },
    account: number,
    { opening, openingBytes }: { readonly opening: number; readonly openingBytes: number },
  ): void {
    const carried = this.#carried.get(account)
    const { copies, bytes } = carried ?? NOTHING
    if (opening === copies && openingBytes === bytes) return
    // The row that left it may be older than the retention.
    if (carried === undefined && this.#isSwept) return
    const sentence =
      `account ${account} opens with ${opening} copies (${openingBytes} bytes), ` +
      `but its hour before ended with ${copies} (${bytes} bytes)`
    this.#problems.add('INCONSISTENT', place, sentence)
  }

  /**
   * Rows of accounts have been removed because they were too old: all of an hour that closed with some, or, as they go
   * in slices, a part of the first hour that still has any.
   */
  get #isSwept(): boolean {
    if (this.isForgotten(this.#firstHour)) return true
    for (const { hour, rows } of this.#hours.values()) if (rows > 0 && hour < this.#firstHour) return true
    return false
  }

  /** Rows of accounts in this hour may have been removed because they were too old. */
  isForgotten(hour: number): boolean {
    return this.#isOld(hour) && (this.#firstHour === 0 || hour <= this.#firstHour)
  }

  #beginHour(hour: number): void {
    this.#endHour()
    this.#hoursWithRows.add(hour)
    const row = this.#hours.get(hour)
    this.#digestHour = hour
    this.#digest = row === undefined || row.digest === null ? null : new HourDigest(row.previousDigest, hour)
  }

  #endHour(): void {
    const digest = this.#digest
    const row = this.#hours.get(this.#digestHour)
    this.#digest = null
    if (digest === null || row === undefined || row.digest === null) return
    // The sweep removes the oldest rows, a slice per commit: the first hour that is left may have lost some.
    if (row.hour === this.#firstHour && digest.rows < row.rows && this.#isOld(row.hour)) return
    if (digest.rows === row.rows && isEqual(digest.digest(), row.digest)) return
    const place = { table: 'hours', key: numberKey(row.hour) } as const
    const closed = `hour ${nameOf(row.hour)} was closed over ${row.rows} rows`
    const sentence = `${closed}, and the ${digest.rows} here have another digest`
    this.#problems.add('INCONSISTENT', place, sentence)
  }

  /** The retention is at least an hour. */
  #isOld(hour: number): boolean {
    return this.#lastClosed !== null && hour < this.#lastClosed.hour
  }

  /** Behind the first hour that has rows, every closed hour that counted something must have them. */
  #checkEmptyHours(): void {
    for (const { hour, rows, digest } of this.#hours.values()) {
      if (digest === null || rows === 0 || this.#hoursWithRows.has(hour)) continue
      if (this.#firstHour === 0 ? this.#isOld(hour) : hour < this.#firstHour) continue
      const place = { table: 'ledger', key: numberKey(hour).subarray(4) } as const
      this.#problems.add('MISSING', place, `the ${rows} rows of accounts of hour ${nameOf(hour)} are missing`)
    }
  }

  #account({ key, value }: StoreEntry): void {
    const account = keyNumber(key)
    const row = readAccountRow(value)
    this.#knowAccount(account, row.isTransient)
    this.#rows.checkAge({ table: 'accounts', key }, row.record, `the row of account ${account}`)
  }

  #knowAccount(account: number, isTransient: boolean): void {
    this.knownAccounts.add(account)
    if (isTransient) this.transientAccounts.add(account)
  }

  /** @param held by account number: copies that wait for durable sessions, or are in flight; 0: of no account. */
  checkBalances(store: Store, state: BrokerState, held: ReadonlyMap<number, Holding>): void {
    if (countingSince(store) === null) return
    const { accounts } = state.ledger
    const owed = new Map(held)
    let strangers = owed.get(0)
    owed.delete(0)
    for (const account of accounts.values()) {
      this.#checkAccount(store, account)
      if (account.isTransient) continue
      const isOfStrangers = account.clientId === OTHERS && account.topicClass?.name === OTHERS
      const { copies, bytes } = sum(owed.get(account.number), isOfStrangers ? strangers : undefined)
      if (isOfStrangers) strangers = undefined
      owed.delete(account.number)
      if (account.queued === copies && account.queuedBytes === bytes) continue
      const sentence =
        `account ${account.number} ("${account.clientId}", class "${account.topicClass?.name}") should have ` +
        `${account.queued} copies (${account.queuedBytes} bytes) waiting, and there are ${copies} (${bytes} bytes)`
      this.#problems.add('INCONSISTENT', { table: 'accounts', key: numberKey(account.number) }, sentence)
    }
    if (strangers !== undefined) owed.set(0, strangers)
    for (const [number, { copies }] of owed) {
      const sentence = `${copies} copies that wait belong to account ${number}, which is not in the books`
      this.#problems.add('INCONSISTENT', { table: 'accounts', key: numberKey(number) }, sentence)
    }
    for (const [number, { copies }] of this.#carried) {
      if (accounts.has(number)) continue
      const sentence = `account ${number} ended an hour with ${copies} copies waiting, and is not in the books any more`
      this.#problems.add('MISSING', { table: 'accounts', key: numberKey(number) }, sentence)
    }
  }

  /** Against its last row: that of the hour it is in, if that is being closed, else what the one before has left. */
  #checkAccount(store: Store, account: Account): void {
    const { hour, number } = account
    const key = hourAccountKey(hour, number)
    const written = hour === 0 ? undefined : readable(() => store.get('ledger', key))
    if (written === undefined) this.#checkOpening({ table: 'accounts', key: numberKey(number) }, number, account)
    else if (!isEqual(written, account.hourRow())) {
      const sentence = `account ${number} has another row for hour ${nameOf(hour)} than the journal comes to`
      this.#problems.add('INCONSISTENT', { table: 'ledger', key }, sentence)
    }
  }
}

/** As `countedSince`; null also when that cannot be read, which was said when the row was. */
export function countingSince(store: Store): number | null {
  return readable(() => countedSince(store)) ?? null
}

function readable<Result>(read: () => Result): Result | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof StoreError) return undefined
    throw error
  }
}

function sum(one: Holding = NOTHING, other: Holding = NOTHING): Holding {
  return { copies: one.copies + other.copies, bytes: one.bytes + other.bytes }
}

/** Hours since 1970, as people write them. */
export function nameOf(hour: number): string {
  return new Date(hour * HOUR_MS).toISOString().slice(0, 13)
}
