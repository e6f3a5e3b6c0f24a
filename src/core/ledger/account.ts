/**
 * One account of the ledger: what one client has published and been given in one topic class. An account has no hour;
 * its hours are rows of it: what an hour leaves in the queue is the opening balance of the next in which it moves.
 *
 * Identity, of every account after every commit, in copies and in bytes:
 *   opening + enqueued + adopted = delivered + dropped + abandoned + purged + moved + vanished + still queued
 */
import { assert } from '../../base/assert.js'
import { ByteReader } from '../../base/byte-reader.js'
import { ByteWriter } from '../../base/byte-writer.js'
import { Tally } from './tally.js'
import type { TopicClass } from './topic-classes.js'

/** The numbers of one account in one hour, as they are exported. */
export interface AccountHour {
  readonly clientId: string
  readonly topicClass: string
  /** Of sessions that end with their connection. */
  readonly isTransient: boolean
  readonly opening: number
  readonly openingBytes: number
  readonly totals: Tally
}

export class Account {
  readonly number: number
  clientId = ''
  /** null: a stored copy or fact names it, and who it is has not been read yet. */
  topicClass: TopicClass | null = null
  isTransient = false
  /** Idle and balanced, hence given up: whoever comes again opens another. */
  isDropped = false
  /** The hour that `totals` are of; 0: none. */
  hour = 0
  opening = 0
  openingBytes = 0
  /** As of the last record. */
  readonly totals = new Tally()
  /** Since the last record. */
  readonly open = new Tally()
  /** It is in the ledger's list of accounts with something in `open`. */
  isOpen = false
  /** Journal record as of which its row is on disk; 0: no row. */
  rowRecord = 0
  /** First record with a fact that the row lacks; 0: none. */
  dirtySince = 0

  constructor(number: number) {
    this.number = number
  }

  /** Copies that wait or are in flight, as of the last record. */
  get queued(): number {
    return this.opening + this.totals.balance(0)
  }
  get queuedBytes(): number {
    return this.openingBytes + this.totals.balance(1)
  }

  /** The hour is over: what is queued opens the next. */
  carry(): void {
    const { queued, queuedBytes } = this
    this.opening = queued
    this.openingBytes = queuedBytes
    this.totals.clear()
    this.hour = 0
  }

  /** [record][hour] and then what the row of its hour has, in table `accounts`. */
  row(record: number): Uint8Array {
    const writer = new ByteWriter(96)
    writer.varint(record)
    writer.varint(this.hour)
    this.#writeHour(writer)
    return writer.take()
  }

  /** Its row in table `ledger`, once the hour is over for it. */
  hourRow(): Uint8Array {
    const writer = new ByteWriter(96)
    this.#writeHour(writer)
    return writer.take()
  }

  #writeHour(writer: ByteWriter): void {
    writer.text(this.clientId)
    writer.text(this.topicClass?.name ?? '')
    writer.u8(this.isTransient ? 1 : 0)
    writer.varint(this.opening)
    writer.varint(this.openingBytes)
    this.totals.write(writer)
  }
}

export interface AccountRow extends AccountHour {
  readonly record: number
  readonly hour: number
}

export function readAccountRow(row: Uint8Array): AccountRow {
  const reader = new ByteReader(row)
  const read = { record: reader.varint(), hour: reader.varint(), ...readHour(reader) }
  assert(reader.isAtEnd, 'the row of an account is read to its end')
  return read
}

/** What a start needs to know of an account that stays asleep. One object, filled again by each row. */
export class AccountRowSummary {
  record = 0
  hour = 0
  clientIdHash = 0
  topicClass = ''
  isTransient = false
  #reader = new ByteReader(new Uint8Array(0))

  read(row: Uint8Array): void {
    const reader = new ByteReader(row)
    this.#reader = reader
    this.record = reader.varint()
    this.hour = reader.varint()
    this.clientIdHash = reader.textHash()
    if (!reader.skipText(this.topicClass)) this.topicClass = reader.text()
    this.isTransient = reader.u8() === 1
  }

  /** Of the row that was read last: does it have copies that wait? */
  isQueued(): boolean {
    const opening = this.#reader.varint()
    const openingBytes = this.#reader.varint()
    const totals = Tally.read(this.#reader)
    return opening + totals.balance(0) !== 0 || openingBytes + totals.balance(1) !== 0
  }
}

/** A row of table `ledger`. */
export function readHourRow(row: Uint8Array): AccountHour {
  const reader = new ByteReader(row)
  const read = readHour(reader)
  assert(reader.isAtEnd, 'the row of an hour of an account is read to its end')
  return read
}

function readHour(reader: ByteReader): AccountHour {
  return {
    clientId: reader.text(),
    topicClass: reader.text(),
    isTransient: reader.u8() === 1,
    opening: reader.varint(),
    openingBytes: reader.varint(),
    totals: Tally.read(reader),
  }
}
