/**
 * Who sleeps: rows that were found at the start and that nobody has read in full yet. Each has a place, in the order of
 * the rows, which is that of the numbers; what else there is to know of it stands at the same place of other columns.
 */
import { NumberColumn } from '../base/number-column.js'

const ASLEEP = 1
const AWAKE = 0

export class SleepRoster {
  readonly #numbers = new NumberColumn()
  readonly #states = new NumberColumn()
  readonly #rowRecords = new NumberColumn()
  /** 0: the journal's tail says nothing of it that its row does not have. */
  readonly #firstRecords = new NumberColumn()
  /** Places of those that are behind the journal, in the order in which they fell behind. */
  readonly #behind = new NumberColumn()
  #behindPassed = 0
  /** Asleep. */
  count = 0

  /** Places, of those that have woken too. */
  get length(): number {
    return this.#numbers.length
  }

  /** In the order of their numbers. @param rowRecord as of which the row is. */
  add(number: number, rowRecord: number): void {
    this.#numbers.push(number)
    this.#states.push(ASLEEP)
    this.#rowRecords.push(rowRecord)
    this.#firstRecords.push(0)
    this.count += 1
  }

  isAsleep(place: number): boolean {
    return this.#states.at(place) === ASLEEP
  }

  /** -1: nobody of this number sleeps. */
  placeOf(number: number): number {
    const place = this.count === 0 ? -1 : this.#numbers.find(number)
    return place >= 0 && this.isAsleep(place) ? place : -1
  }

  numberAt(place: number): number {
    return this.#numbers.at(place)
  }

  rowRecordAt(place: number): number {
    return this.#rowRecords.at(place)
  }

  /** 0: its row has everything. */
  firstRecordAt(place: number): number {
    return this.#firstRecords.at(place)
  }

  /** The row lacks what this record says. */
  fallBehind(place: number, record: number): void {
    if (this.#firstRecords.at(place) > 0) return
    this.#firstRecords.set(place, record)
    this.#behind.push(place)
  }

  /** @returns the place of one more that is behind the journal; -1: no other. */
  nextBehind(): number {
    while (this.#behindPassed < this.#behind.length) {
      const place = this.#behind.at(this.#behindPassed)
      this.#behindPassed += 1
      if (this.isAsleep(place)) return place
    }
    return -1
  }

  /** @returns false: it was awake. */
  rise(place: number): boolean {
    if (!this.isAsleep(place)) return false
    this.#states.set(place, AWAKE)
    this.count -= 1
    return true
  }
}
