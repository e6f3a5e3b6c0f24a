/**
 * The hours of the ledger and their chain. An hour opens with the first record that counts something, and a record
 * belongs to the hour in which it was sealed; when the clock goes back, the hour does not. Closing one: every account's
 * row of it is written once, a slice per commit, and with the first the hour is over for good, whatever the clock says
 * at the next start; what is then on disk is read back and hashed; fact and row say the digest:
 *
 *   digest = SHA-256(digest of the closed hour before · hour u32 · for each row in key order: key · length u32 · row)
 *
 * Hours in which nothing happened are not there. Rows of accounts go when they are older than the retention; rows of
 * hours, and with them the chain, stay.
 */
import { assert } from '../../base/assert.js'
import { ByteReader } from '../../base/byte-reader.js'
import { ByteWriter } from '../../base/byte-writer.js'
import { Sha256 } from '../../base/sha256.js'
import type { Store, StoreEntry, StoreOperation } from '../ports/store.js'
import { hourAccountKey, keyNumber, numberKey } from '../store-keys.js'
import type { Account } from './account.js'

export const HOUR_MS = 3_600_000
export const DIGEST_BYTES = 32
const NO_DIGEST: Uint8Array = new Uint8Array(DIGEST_BYTES)

/** A row of table `hours`. */
export interface HourRow {
  readonly hour: number
  /** Rows of accounts are written, so nothing is counted in it any more. */
  readonly isOver: boolean
  /** Messages accepted in it have ids in this range; the last is not known before it is over. */
  readonly firstMessageId: number
  readonly lastMessageId: number
  /** Rows of accounts that the digest covers. */
  readonly rows: number
  readonly previousDigest: Uint8Array
  /** null: not closed yet. */
  readonly digest: Uint8Array | null
}

const OPEN = 0
const CLOSED = 1
const OVER = 2

const NOT_CLOSED = { rows: 0, previousDigest: NO_DIGEST, digest: null } as const

/** [OPEN, OVER or CLOSED][firstMessageId][lastMessageId][rows][previous digest][digest, if closed] */
function writeHourRow(row: HourRow): Uint8Array {
  const writer = new ByteWriter(96)
  if (row.digest !== null) writer.u8(CLOSED)
  else writer.u8(row.isOver ? OVER : OPEN)
  writer.varint(row.firstMessageId)
  writer.varint(row.lastMessageId)
  writer.varint(row.rows)
  writer.bytes(row.previousDigest)
  if (row.digest !== null) writer.bytes(row.digest)
  return writer.take()
}

export function readHoursRow(hour: number, row: Uint8Array): HourRow {
  const reader = new ByteReader(row)
  const stage = reader.u8()
  const [firstMessageId, lastMessageId, rows] = [reader.varint(), reader.varint(), reader.varint()]
  const previousDigest = reader.bytes().slice()
  const digest = stage === CLOSED ? reader.bytes().slice() : null
  assert(reader.isAtEnd, `the row of hour ${hour} is read to its end`)
  return { hour, isOver: stage !== OPEN, firstMessageId, lastMessageId, rows, previousDigest, digest }
}

/** The digest of an hour, row by row. */
export class HourDigest {
  readonly #hash = new Sha256()
  rows = 0

  constructor(previousDigest: Uint8Array, hour: number) {
    this.#hash.update(previousDigest)
    this.#hash.update(fourBytes(hour))
  }

  add(key: Uint8Array, row: Uint8Array): void {
    this.rows += 1
    this.#hash.update(key)
    this.#hash.update(fourBytes(row.length))
    this.#hash.update(row)
  }

  digest(): Uint8Array {
    return this.#hash.digest()
  }
}

function fourBytes(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff)
}

interface EndedHour {
  readonly hour: number
  readonly firstMessageId: number
  readonly lastMessageId: number
  /** With something in it. Those that have moved on to a later hour left their row when they did. */
  readonly accounts: Account[]
  next: number
  /** Its row says that it is over. */
  isMarked: boolean
  /** Rows go into commits · all are in the commit under way · all are on disk. */
  stage: 'writing' | 'sealed' | 'written'
}

export class Hours {
  readonly #store: Store
  readonly #retentionHours: number
  readonly #wakeOfHour: (hour: number) => boolean
  /** The latest hour that anything has been counted in; 0: none. */
  current = 0
  #firstMessageId = 0
  /** Nothing is counted in `current` any more: it is over, though a clock that went back says otherwise. */
  #isOver = true
  #active: Account[] = []
  readonly #ended: EndedHour[] = []
  lastClosed = 0
  lastDigest = NO_DIGEST
  #walk: { entries: IterableIterator<StoreEntry>; digest: HourDigest } | null = null
  /** Rows of hours before this one are being removed; 0: none. */
  #sweepUntil = 0

  /** @param wakeOfHour wakes one account of the hour, if one sleeps. */
  constructor(store: Store, retentionHours: number, wakeOfHour: (hour: number) => boolean) {
    this.#wakeOfHour = wakeOfHour
    this.#store = store
    this.#retentionHours = retentionHours
  }

  /** There is work for commits, even when nothing else happens. */
  get isClosing(): boolean {
    return this.#ended.length > 0 || this.#sweepUntil !== 0
  }

  /** The hour that a record sealed now belongs to; opens it if need be. @param firstMessageId of the record. */
  enter(nowMs: number, firstMessageId: number, operations: StoreOperation[]): number {
    const wanted = Math.floor(nowMs / HOUR_MS)
    if (!this.#isOver && wanted <= this.current) return this.current
    if (!this.#isOver) this.#end(firstMessageId - 1)
    this.current = Math.max(wanted, this.current + 1, this.lastClosed + 1)
    this.#firstMessageId = firstMessageId
    this.#isOver = false
    operations.push(this.#row({ hour: this.current, isOver: false, firstMessageId, lastMessageId: 0, ...NOT_CLOSED }))
    return this.current
  }

  #row(row: HourRow): StoreOperation {
    return { kind: 'put', table: 'hours', key: numberKey(row.hour), value: writeHourRow(row) }
  }

  /** The account counts something in the current hour, for the first time. */
  join(account: Account): void {
    this.#active.push(account)
  }

  /** Is anything still counted in this hour? */
  isOpen(hour: number): boolean {
    return hour === this.current && !this.#isOver
  }

  /** Infinity: no hour is under way. */
  nextMs(): number {
    return this.#isOver ? Number.POSITIVE_INFINITY : (this.current + 1) * HOUR_MS
  }

  /** @param lastMessageId of the last record. */
  handleTimeout(nowMs: number, lastMessageId: number): void {
    if (nowMs >= this.nextMs()) this.#end(lastMessageId)
  }

  #end(lastMessageId: number): void {
    const { current: hour } = this
    const [firstMessageId, accounts] = [this.#firstMessageId, this.#active]
    const isMarked = false
    this.#ended.push({ hour, firstMessageId, lastMessageId, accounts, next: 0, isMarked, stage: 'writing' })
    this.#active = []
    this.#isOver = true
  }

  /**
   * Adds a slice to the commit that is being put together: rows of the hour that is being closed, and what is too old.
   * @param finish writes the account's row of the hour that is over.
   */
  addTo(operations: StoreOperation[], rowsMax: number, finish: (account: Account) => void): void {
    const ended = this.#ended[0]
    if (ended !== undefined && ended.stage === 'writing') {
      for (let rows = 0; rows < rowsMax; rows += 1) {
        if (!this.#hasMore(ended)) {
          ended.stage = 'sealed'
          break
        }
        const account = ended.accounts[ended.next] as Account
        ended.next += 1
        if (account.hour !== ended.hour) continue
        if (!ended.isMarked) operations.push(this.#overRow(ended))
        finish(account)
      }
    }
    if (this.#sweepUntil !== 0) this.#sweep(operations, rowsMax)
  }

  /** With the first row: whoever reads one may rely on it. */
  #overRow(ended: EndedHour): StoreOperation {
    ended.isMarked = true
    const { hour, firstMessageId, lastMessageId } = ended
    return this.#row({ hour, isOver: true, firstMessageId, lastMessageId, ...NOT_CLOSED })
  }

  #beginSweep(): void {
    if (this.lastClosed > this.#retentionHours) this.#sweepUntil = this.lastClosed - this.#retentionHours + 1
  }

  #sweep(operations: StoreOperation[], rowsMax: number): void {
    const range = { table: 'ledger', until: hourAccountKey(this.#sweepUntil, 0), limit: rowsMax } as const
    let removed = 0
    for (const { key } of this.#store.entries(range)) {
      operations.push({ kind: 'remove', table: 'ledger', key })
      removed += 1
    }
    if (removed < rowsMax) this.#sweepUntil = 0
  }

  /** No commit is under way: if all accounts of the hour that is over have moved on, their rows are on disk. */
  skip(): void {
    const ended = this.#ended[0]
    if (ended === undefined || ended.stage !== 'writing') return
    while (ended.next < ended.accounts.length && ended.accounts[ended.next]?.hour !== ended.hour) ended.next += 1
    if (!this.#hasMore(ended)) ended.stage = 'written'
  }

  /** One that sleeps wakes up for it, and `resume` puts it behind the others. */
  #hasMore(ended: EndedHour): boolean {
    return ended.next < ended.accounts.length || this.#wakeOfHour(ended.hour)
  }

  /** The commit taken last is on disk. */
  committed(): void {
    const ended = this.#ended[0]
    if (ended?.stage === 'sealed') ended.stage = 'written'
  }

  /**
   * Reads a slice of the rows of an hour that is over.
   * @returns its row, with the digest, once it has been read to the end; 'more', or null when there is nothing to read.
   */
  work(rowsMax: number): HourRow | 'more' | null {
    const ended = this.#ended[0]
    if (ended === undefined || ended.stage !== 'written') return null
    const { hour, firstMessageId, lastMessageId } = ended
    this.#walk ??= {
      entries: this.#store.entries({
        table: 'ledger',
        from: hourAccountKey(hour, 0),
        until: hourAccountKey(hour + 1, 0),
      }),
      digest: new HourDigest(this.lastDigest, hour),
    }
    const { entries, digest } = this.#walk
    for (let rows = 0; rows < rowsMax; rows += 1) {
      const { value, done } = entries.next()
      if (done === true) {
        this.#walk = null
        this.#ended.shift()
        const previousDigest = this.lastDigest
        this.lastDigest = digest.digest()
        this.lastClosed = hour
        this.#beginSweep()
        const { rows } = digest
        return { hour, isOver: true, firstMessageId, lastMessageId, rows, previousDigest, digest: this.lastDigest }
      }
      digest.add(value.key, value.value)
    }
    return 'more'
  }

  /** The row belongs into the same commit as the fact. */
  closedRow(row: HourRow): StoreOperation {
    return this.#row(row)
  }

  /** Before the journal is replayed. */
  load(): void {
    for (const { key, value } of this.#store.entries({ table: 'hours' })) {
      const row = readHoursRow(keyNumber(key), value)
      if (row.digest === null && !this.#isOver) this.#end(row.firstMessageId - 1)
      this.current = row.hour
      if (row.digest !== null) {
        this.lastClosed = row.hour
        this.lastDigest = row.digest
        continue
      }
      this.#firstMessageId = row.firstMessageId
      this.#isOver = false
      if (row.isOver) this.#end(row.lastMessageId)
    }
    // Cut short by the end of the process, or the retention is shorter than it was.
    this.#beginSweep()
  }

  /** After the journal has been replayed: the accounts that joined meanwhile are told about again by `resume`. */
  replayed(): void {
    this.#active = []
  }

  resume(account: Account): void {
    if (this.isOpen(account.hour)) {
      this.#active.push(account)
      return
    }
    const ended = this.#ended.find(({ hour }) => hour === account.hour)
    assert(ended !== undefined, 'an account moves in hours that are there')
    ended.accounts.push(account)
  }
}
