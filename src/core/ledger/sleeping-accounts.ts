/**
 * Accounts whose rows were found at the start and which nobody has asked for yet. Of each only numbers are kept: where
 * its client may be found, its hour, and the sums of what the journal's tail counts for it. An account is read in full,
 * which is to wake up, when something is counted in it, a copy names it, its hour closes, a checkpoint has to write
 * what the journal says of it, or somebody asks for its number.
 */
import { HashIndex, hashOfText } from '../../base/hash-index.js'
import { NumberColumn } from '../../base/number-column.js'
import { SleepRoster } from '../sleep-roster.js'
import type { Sleepers } from '../waking-map.js'
import type { Account, AccountRowSummary } from './account.js'
import { Tally } from './tally.js'
import type { TopicClass } from './topic-classes.js'

/** What it takes to wake one up. */
export interface AccountWaking {
  /** The account as its row says, in all tables. */
  restore(number: number): Account
  /** The journal counts this on, from the record named; the account's row does not. */
  apply(account: Account, hour: number, tally: Tally, firstRecord: number): void
  /** It is as the books have it now. */
  woken(account: Account): void
}

const SUMS = 6

export class SleepingAccounts implements Sleepers<number> {
  readonly #waking: AccountWaking
  readonly #roster = new SleepRoster()
  readonly #hours = new NumberColumn()
  /** Six for each. */
  readonly #sums = new NumberColumn()
  readonly #classes: TopicClass[] = []
  readonly #byClientId = new HashIndex()
  #closingHour = 0
  #closingPlace = 0

  constructor(waking: AccountWaking) {
    this.#waking = waking
  }

  /** In the order of their numbers. @param hour 0: none, or one that is closed. */
  add(number: number, row: AccountRowSummary, hour: number, topicClass: TopicClass): void {
    const place = this.#roster.length
    this.#roster.add(number, row.record)
    this.#hours.push(hour)
    this.#sums.pushZeros(SUMS)
    this.#classes.push(topicClass)
    topicClass.asleep += 1
    this.#byClientId.add(row.clientIdHash, place)
  }

  get count(): number {
    return this.#roster.count
  }

  wake(number: number): void {
    const place = this.#roster.placeOf(number)
    if (place >= 0) this.#wake(place)
  }

  wakeAll(): void {
    for (let place = 0; place < this.#roster.length && this.count > 0; place += 1) this.#wake(place)
  }

  wakeClient(clientId: string): void {
    if (this.count === 0) return
    for (const place of this.#byClientId.find(hashOfText(clientId))) this.#wake(place)
  }

  /** @returns whether there was one more whose row lacks what the journal says of it; it is awake now. */
  wakeBehind(): boolean {
    const place = this.#roster.nextBehind()
    return place >= 0 && this.#wake(place)
  }

  /** After the journal. @returns whether there was one more that is in this hour; it is awake now. */
  wakeOfHour(hour: number): boolean {
    if (this.#closingHour !== hour) {
      this.#closingHour = hour
      this.#closingPlace = 0
    }
    if (this.count === 0) return false
    while (this.#closingPlace < this.#roster.length) {
      const place = this.#closingPlace
      this.#closingPlace += 1
      if (this.#hours.at(place) === hour && this.#wake(place)) return true
    }
    return false
  }

  isAsleep(number: number): boolean {
    return this.#roster.placeOf(number) >= 0
  }

  /**
   * The journal counts this for the account.
   * @returns false when it is awake, or is now because it takes more than adding up.
   */
  defer(number: number, hour: number, tally: Tally, record: number): boolean {
    const place = this.#roster.placeOf(number)
    if (place < 0) return false
    if (this.#roster.rowRecordAt(place) >= record) return true
    const itsHour = this.#hours.at(place)
    if (!tally.isPlain || (itsHour !== 0 && itsHour !== hour)) {
      this.#wake(place)
      return false
    }
    this.#hours.set(place, hour)
    this.#roster.fallBehind(place, record)
    this.#sum(place, 0, tally.accepted)
    this.#sum(place, 1, tally.acceptedBytes)
    this.#sum(place, 2, tally.enqueued)
    this.#sum(place, 3, tally.enqueuedBytes)
    this.#sum(place, 4, tally.delivered)
    this.#sum(place, 5, tally.deliveredBytes)
    return true
  }

  #sum(place: number, slot: number, count: number): void {
    if (count !== 0) this.#sums.set(place * SUMS + slot, this.#sums.at(place * SUMS + slot) + count)
  }

  /** @returns false when it was awake. */
  #wake(place: number): boolean {
    if (!this.#roster.rise(place)) return false
    ;(this.#classes[place] as TopicClass).asleep -= 1
    const account = this.#waking.restore(this.#roster.numberAt(place))
    const firstRecord = this.#roster.firstRecordAt(place)
    if (firstRecord > 0) this.#waking.apply(account, this.#hours.at(place), this.#tallyAt(place), firstRecord)
    this.#waking.woken(account)
    return true
  }

  #tallyAt(place: number): Tally {
    const tally = new Tally()
    const at = place * SUMS
    tally.accepted = this.#sums.at(at)
    tally.acceptedBytes = this.#sums.at(at + 1)
    tally.enqueued = this.#sums.at(at + 2)
    tally.enqueuedBytes = this.#sums.at(at + 3)
    tally.delivered = this.#sums.at(at + 4)
    tally.deliveredBytes = this.#sums.at(at + 5)
    return tally
  }
}
