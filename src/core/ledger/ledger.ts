/**
 * Double-entry books over everything that is promised: publications at QoS 1 and 2 and of producers, and every copy of
 * them. QoS 0 promises nothing and is not here. What happens is counted where it happens, into fields of an account;
 * when a record is sealed, what was counted becomes its last facts, so that books and events share one commit.
 *
 * Copies of durable sessions survive the broker, those of others do not: `recovered` books what a crash took of them.
 */
import { assert } from '../../base/assert.js'
import { ByteReader } from '../../base/byte-reader.js'
import { ByteWriter } from '../../base/byte-writer.js'
import { utf8Encode } from '../../base/utf8.js'
import type { DropReason } from '../../protocol/packets.js'
import type { LedgerOptions } from '../limits.js'
import type { Copy } from '../message.js'
import { scanTable, type Store, StoreError, type StoreOperation } from '../ports/store.js'
import type { RecordWriter } from '../record-writer.js'
import type { Session } from '../session.js'
import { hourAccountKey, keyNumber, numberKey } from '../store-keys.js'
import { WakingMap } from '../waking-map.js'
import { Account, AccountRowSummary, readAccountRow } from './account.js'
import { Hours } from './hours.js'
import { SleepingAccounts } from './sleeping-accounts.js'
import { droppedSlot, Slot, type Tally } from './tally.js'
import { OTHERS, TopicClasses } from './topic-classes.js'

/** Row in table `meta`: [1][record varint] while every copy is counted, from that record on; [0]: the ledger is off. */
const COUNTING_KEY = utf8Encode('ledger')

/** @returns the record from which on every copy is counted; null: the ledger is off, or has never been on. */
export function countedSince(store: Store): number | null {
  const row = store.get('meta', COUNTING_KEY)
  if (row === undefined) return null
  const reader = new ByteReader(row)
  return reader.u8() === 1 ? reader.varint() : null
}

export class Ledger {
  readonly isEnabled: boolean
  readonly #accountsMax: number
  readonly #record: RecordWriter
  readonly #store: Store
  readonly #classes: TopicClasses
  readonly #accounts = new WakingMap<number, Account>()
  readonly #sleeping: SleepingAccounts
  readonly hours: Hours
  /** Accounts with something in `open`. */
  readonly #opened: Account[] = []
  /** In order of `dirtySince`. */
  readonly #dirty = new Set<Account>()
  /** Those with facts of the journal that was read at the start which their rows lack, as far as they have woken. */
  readonly #stale = new Set<Account>()
  #isReplaying = true
  nextAccountNumber = 1
  /** The first message that no record has. */
  #nextMessageId = 1
  /** For the next commit, whatever is in it. */
  readonly #pending: StoreOperation[] = []
  /** The first record has to say whether copies are counted from it on. */
  #isMarkerDue = false
  /** Copies from times when nothing was counted; null: none has been met. */
  #strangers: Account | null = null

  constructor(options: LedgerOptions, record: RecordWriter, store: Store) {
    this.isEnabled = options.enabled
    this.#accountsMax = options.accountsMax
    this.#record = record
    this.#store = store
    this.#classes = new TopicClasses(options.topicClasses, options.topicClassesMax)
    this.#sleeping = new SleepingAccounts({
      restore: (number) => this.#restore(number),
      apply: (account, hour, tally, firstRecord) => this.#applyDeferred(account, hour, tally, firstRecord),
      woken: (account) => this.#woken(account),
    })
    this.#accounts.sleepBeside(this.#sleeping)
    this.hours = new Hours(store, options.retentionHours, (hour) => this.#sleeping.wakeOfHour(hour))
  }

  /** By number. Those without a topic class are not known yet. */
  get accounts(): WakingMap<number, Account> {
    return this.#accounts
  }
  wakeAll(): void {
    this.#sleeping.wakeAll()
  }

  get topicClassCount(): number {
    return this.#classes.size
  }

  /**
   * The account of this client in the class of this topic; null when the ledger is off.
   * @param session null: the broker itself.
   */
  accountOf(session: Session | null, topicName: string): Account | null {
    if (!this.isEnabled) return null
    const topicClass = this.#classes.of(topicName)
    if (session === null) return this.#find(topicClass.name, '', false)
    const last = session.account
    if (last !== null && last.topicClass === topicClass && !last.isDropped) return last
    session.account = this.#find(topicClass.name, session.clientId, !session.isDurable)
    return session.account
  }

  #find(className: string, clientId: string, isTransient: boolean): Account {
    const topicClass = this.#classes.named(className)
    let known = topicClass.of(isTransient).get(clientId)
    if (known === undefined && !isTransient && this.#sleeping.count > 0) {
      this.#sleeping.wakeClient(clientId)
      known = topicClass.of(isTransient).get(clientId)
    }
    if (known !== undefined) return known
    if (this.#accounts.size >= this.#accountsMax && clientId !== OTHERS) {
      return this.#find(className, OTHERS, isTransient)
    }
    const account = this.byNumber(this.nextAccountNumber)
    this.nextAccountNumber += 1
    this.name(account, clientId, className, isTransient)
    this.#record.ledgerAccount(account.number, clientId, className, isTransient)
    return account
  }

  /** Also one that is named by a stored copy before the fact or the row that says who it is has been read. */
  byNumber(number: number): Account {
    let account = this.#accounts.get(number)
    if (account === undefined) {
      account = new Account(number)
      this.#accounts.set(number, account)
    }
    return account
  }

  /** Of a stored copy: null when it was not counted, or nothing is counted now. */
  ofStoredCopy(number: number): Account | null {
    return number === 0 || !this.isEnabled ? null : this.byNumber(number)
  }

  /** Memory only. */
  name(account: Account, clientId: string, className: string, isTransient: boolean): void {
    const topicClass = this.#classes.named(className)
    account.clientId = clientId
    account.topicClass = topicClass
    account.isTransient = isTransient
    topicClass.of(isTransient).set(clientId, account)
  }

  #open(account: Account): Tally {
    if (!account.isOpen) {
      account.isOpen = true
      this.#opened.push(account)
    }
    return account.open
  }

  /** @returns the publisher's account, for the message's fact; null when the ledger is off. */
  accepted(publisher: Session | null, topicName: string, byteLength: number, isRouted: boolean): Account | null {
    const account = this.accountOf(publisher, topicName)
    if (account === null) return null
    const open = this.#open(account)
    open.accepted += 1
    open.acceptedBytes += byteLength
    if (!isRouted) open.add(Slot.UNROUTED, 1)
    return account
  }

  /** A publication came again and is not stored again. */
  duplicate(publisher: Session, topicName: string): void {
    this.#countPublisher(publisher, topicName, Slot.DUPLICATES)
  }

  /** @param topicName may be anything: a topic that makes a class of its own must have been accepted once. */
  refused(publisher: Session, topicName: string, reasonCode: number): void {
    this.#countPublisher(publisher, topicName, Slot.REFUSED + reasonCode)
  }

  #countPublisher(publisher: Session, topicName: string, slot: number): void {
    if (!this.isEnabled) return
    const { name } = this.#classes.known(topicName)
    this.#open(this.#find(name, publisher.clientId, !publisher.isDurable)).add(slot, 1)
  }

  enqueued(copy: Copy): void {
    if (copy.account === null) return
    const open = this.#open(copy.account)
    open.enqueued += 1
    open.enqueuedBytes += copy.byteLength
  }

  /** PUBACK or PUBREC came, whatever it says. */
  delivered(copy: Copy): void {
    const account = this.#accountOfCopy(copy)
    if (account === null) return
    const open = this.#open(account)
    open.delivered += 1
    open.deliveredBytes += copy.byteLength
  }

  dropped(copy: Copy, reason: DropReason): void {
    this.#ended(copy, droppedSlot(reason))
  }
  abandoned(copy: Copy): void {
    this.#ended(copy, Slot.ABANDONED)
  }
  purged(copy: Copy): void {
    this.#ended(copy, Slot.PURGED)
  }
  moved(copy: Copy): void {
    this.#ended(copy, Slot.MOVED)
  }

  #ended(copy: Copy, slot: number): void {
    const account = this.#accountOfCopy(copy)
    if (account !== null) this.#open(account).addCopy(slot, copy.byteLength)
  }

  #accountOfCopy({ account }: Copy): Account | null {
    if (account !== null || !this.isEnabled) return account
    this.#strangers ??= this.#find(OTHERS, OTHERS, false)
    return this.#strangers
  }

  /** Everything counted since the last record becomes facts of the one that is about to be sealed. */
  seal(nowMs: number, record: number, nextMessageId: number, operations: StoreOperation[]): void {
    if (this.#pending.length > 0) operations.push(...this.#pending.splice(0))
    if (this.#isMarkerDue && (this.#opened.length > 0 || !this.#record.isEmpty)) {
      operations.push(this.#markerRow(record))
      this.#isMarkerDue = false
    }
    if (this.#opened.length > 0) {
      const hour = this.hours.enter(nowMs, this.#nextMessageId, operations)
      for (const account of this.#opened) {
        this.#record.ledger(hour, account.number, account.open)
        this.#apply(account, hour, account.open, record, operations)
        account.open.clear()
        account.isOpen = false
      }
      this.#opened.length = 0
    }
    this.#nextMessageId = nextMessageId
  }

  #apply(account: Account, hour: number, tally: Tally, record: number, operations: StoreOperation[]): void {
    if (account.hour !== hour) {
      this.#finish(account, operations)
      account.hour = hour
      this.hours.join(account)
    }
    account.totals.addAll(tally)
    assert(account.queued >= 0 && account.queuedBytes >= 0, 'no more copies end than were counted')
    this.#touch(account, record)
  }

  #touch(account: Account, record: number): void {
    if (account.dirtySince !== 0) return
    account.dirtySince = record
    this.#dirty.add(account)
  }

  /** The account's hour is over: its row is written, what is queued is carried. */
  #finish(account: Account, operations: StoreOperation[]): void {
    const { hour, number } = account
    if (hour > this.hours.lastClosed) {
      operations.push({ kind: 'put', table: 'ledger', key: hourAccountKey(hour, number), value: account.hourRow() })
    }
    account.carry()
  }

  /** Idle and balanced: nothing refers to it, and its hours are on disk. */
  #dropIfIdle(account: Account, operations: StoreOperation[]): void {
    if (account.hour !== 0 || account.isOpen || account.queued !== 0 || account.queuedBytes !== 0) return
    const { topicClass, clientId, number } = account
    account.isDropped = true
    this.#accounts.delete(number)
    this.#dirty.delete(account)
    this.#stale.delete(account)
    if (this.#strangers === account) this.#strangers = null
    operations.push({ kind: 'remove', table: 'accounts', key: numberKey(number) })
    if (topicClass === null) return
    const accounts = topicClass.of(account.isTransient)
    if (accounts.get(clientId) === account) accounts.delete(clientId)
    this.#classes.removeIfEmpty(topicClass)
  }

  /** Rows of accounts that changed in records up to `target`. @returns true when none is left. */
  writeRows(target: number, record: number, rowsMax: number, operations: StoreOperation[]): boolean {
    let rows = 0
    // Every target is newer than what the start has read, so all of them are due.
    while (this.#stale.size > 0 || this.#sleeping.wakeBehind()) {
      for (const account of this.#stale) {
        if (rows >= rowsMax) return false
        rows += 1
        this.#stale.delete(account)
        operations.push(this.#row(account, record))
      }
    }
    for (const account of this.#dirty) {
      if (account.dirtySince > target) break
      if (rows >= rowsMax) return false
      rows += 1
      this.#dirty.delete(account)
      operations.push(this.#row(account, record))
    }
    return true
  }

  #row(account: Account, record: number): StoreOperation {
    account.dirtySince = 0
    account.rowRecord = record
    return { kind: 'put', table: 'accounts', key: numberKey(account.number), value: account.row(record) }
  }

  /** A slice of closing hours, for the commit that is being put together. */
  addTo(operations: StoreOperation[], rowsMax: number): void {
    this.hours.addTo(operations, rowsMax, (account) => {
      this.#finish(account, operations)
      this.#dropIfIdle(account, operations)
    })
  }

  /** A bounded slice of background work. @returns whether more could be done at once. */
  work(rowsMax: number, isCommitting: boolean): boolean {
    if (!isCommitting && this.#pending.length === 0) this.hours.skip()
    const row = this.hours.work(rowsMax)
    if (row === null || row === 'more') return row === 'more'
    assert(row.digest !== null, 'a closed hour has its digest')
    this.#record.hourClosed(row.hour, row.digest)
    this.#pending.push(this.hours.closedRow(row))
    return true
  }

  handleTimeout(nowMs: number): void {
    this.hours.handleTimeout(nowMs, this.#nextMessageId - 1)
  }

  /** Before anything else is recovered. */
  load(): void {
    this.hours.load()
    const summary = new AccountRowSummary()
    scanTable(this.#store, 'accounts', (key, value) => {
      summary.read(value)
      const { hour, topicClass } = summary
      const isOver = hour <= this.hours.lastClosed
      // Of a closed hour only what waits is left, and an account without that is given up by `replayed`.
      const maySleep = !summary.isTransient && (isOver ? summary.isQueued() : this.hours.isOpen(hour))
      if (maySleep) this.#sleeping.add(keyNumber(key), summary, isOver ? 0 : hour, this.#classes.named(topicClass))
      else this.#restoreFrom(keyNumber(key), value)
    })
  }

  #restore(number: number): Account {
    const row = this.#store.get('accounts', numberKey(number))
    if (row !== undefined) return this.#restoreFrom(number, row)
    throw new StoreError('STORE_CORRUPT', `the row of account ${number}, which was there at the start, is missing`)
  }

  #restoreFrom(number: number, value: Uint8Array): Account {
    const row = readAccountRow(value)
    const account = this.byNumber(number)
    this.name(account, row.clientId, row.topicClass, row.isTransient)
    account.rowRecord = row.record
    account.hour = row.hour
    account.opening = row.opening
    account.openingBytes = row.openingBytes
    account.totals.addAll(row.totals)
    return account
  }

  /** All that the journal's tail counts for it is in one hour, and that one is open or being closed. */
  #applyDeferred(account: Account, hour: number, tally: Tally, firstRecord: number): void {
    if (account.hour !== hour) account.carry()
    account.hour = hour
    account.totals.addAll(tally)
    account.dirtySince = firstRecord
    this.#stale.add(account)
  }

  #woken(account: Account): void {
    // Or `replayed` does it.
    if (this.#isReplaying) return
    if (account.hour !== 0 && account.hour <= this.hours.lastClosed) account.carry()
    if (account.hour !== 0) this.hours.resume(account)
  }

  replayAccount(number: number, clientId: string, className: string, isTransient: boolean, record: number): void {
    if (this.#sleeping.isAsleep(number)) return
    const account = this.byNumber(number)
    if (account.topicClass !== null) return
    this.name(account, clientId, className, isTransient)
    this.#touch(account, record)
  }

  /** Of an account that is not known the row is gone, and with it all that this record says of it. */
  replayTally(hour: number, number: number, tally: Tally, record: number): void {
    if (hour > this.hours.lastClosed && this.#sleeping.defer(number, hour, tally, record)) return
    const account = this.#accounts.get(number)
    if (account === undefined || account.topicClass === null || account.rowRecord >= record) return
    this.#apply(account, hour, tally, record, this.#pending)
  }

  /** After the journal. @param nextMessageId as the newest record says. */
  replayed(nextMessageId: number): void {
    this.#nextMessageId = nextMessageId
    this.hours.replayed()
    this.#isReplaying = false
    for (const account of this.#accounts.awake()) {
      if (account.topicClass === null) {
        // Of a copy that ended later, as the journal said.
        account.isDropped = true
        this.#accounts.delete(account.number)
        continue
      }
      if (account.hour !== 0 && account.hour <= this.hours.lastClosed) account.carry()
      if (account.hour !== 0) this.hours.resume(account)
      else this.#dropIfIdle(account, this.#pending)
    }
  }

  /**
   * Books what has changed without being counted: copies that were only in memory are gone with it, and copies that
   * came or went while the ledger was off are found by counting all there are.
   * @param copies of durable sessions, all of them; walked only when it must be.
   */
  recovered(copies: () => Iterable<Copy>): void {
    const isCounting = countedSince(this.#store) !== null
    this.#isMarkerDue = isCounting !== this.isEnabled
    if (!this.isEnabled) return
    for (const account of this.#accounts.awake()) {
      const { queued, queuedBytes } = account
      if (account.isTransient && queued > 0) this.#adjust(account, Slot.ABANDONED, queued, queuedBytes)
    }
    if (!isCounting) this.#restate(copies())
  }

  #markerRow(record: number): StoreOperation {
    const writer = new ByteWriter(16)
    writer.u8(this.isEnabled ? 1 : 0)
    if (this.isEnabled) writer.varint(record)
    return { kind: 'put', table: 'meta', key: COUNTING_KEY, value: writer.take() }
  }

  #restate(copies: Iterable<Copy>): void {
    const found = new Map<Account, { count: number; bytes: number }>()
    for (const copy of copies) {
      const account = this.#accountOfCopy(copy) as Account
      const sum = found.get(account) ?? { count: 0, bytes: 0 }
      found.set(account, { count: sum.count + 1, bytes: sum.bytes + copy.byteLength })
    }
    for (const account of [...this.#accounts.values()]) {
      if (account.isTransient) continue
      const { count, bytes } = found.get(account) ?? { count: 0, bytes: 0 }
      const more = count - account.queued
      const moreBytes = bytes - account.queuedBytes
      if (more > 0 || moreBytes > 0) this.#adjust(account, Slot.ADOPTED, Math.max(0, more), Math.max(0, moreBytes))
      if (more < 0 || moreBytes < 0) this.#adjust(account, Slot.VANISHED, Math.max(0, -more), Math.max(0, -moreBytes))
    }
  }

  #adjust(account: Account, slot: number, count: number, bytes: number): void {
    const open = this.#open(account)
    if (count > 0) open.add(slot, count)
    if (bytes > 0) open.add(slot + 1, bytes)
  }
}
