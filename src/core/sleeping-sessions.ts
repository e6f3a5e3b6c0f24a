/**
 * Sessions whose rows were found at the start and which nobody has asked for yet. Of each only numbers are kept: where
 * its client and its topic filters may be found, when it expires, and the copies that the journal's tail has for it. A
 * session is read in full, which is to wake up, when its client comes, a topic that it subscribes to is published, it
 * expires, a checkpoint has to write what the journal says of it, or somebody asks for its number.
 *
 * Only quiet ones sleep: without a connection, Will, wildcard or share; `SessionRowSummary` tells them.
 */
import { assert } from '../base/assert.js'
import { HashIndex, hashOfText } from '../base/hash-index.js'
import { NumberColumn } from '../base/number-column.js'
import type { Session } from './session.js'
import type { SessionRowSummary } from './session-rows.js'
import { SleepRoster } from './sleep-roster.js'
import type { Sleepers } from './waking-map.js'

/** A plain copy for a sleeping session, as the journal has it. */
export interface DeferredCopy {
  readonly messageId: number
  readonly qos: 1 | 2
  readonly byteLength: number
  readonly account: number
}

/** What it takes to wake one up. */
export interface SessionWaking {
  /** The session as its row says, in all tables. */
  restore(number: number): Session
  /** The session also got this, in the record named; its row does not say so. */
  apply(session: Session, copy: DeferredCopy): void
  /** The row of the session lacks what came in this record and later. */
  isBehind(session: Session, record: number): void
}

export class SleepingSessions {
  #waking: SessionWaking | null = null
  readonly #roster = new SleepRoster()
  readonly #expiriesMs = new NumberColumn()
  readonly #subscriptions = new NumberColumn()
  /** Places among the deferred copies, from 1; 0: none. */
  readonly #firstCopies = new NumberColumn()
  readonly #lastCopies = new NumberColumn()
  readonly #byClientId = new HashIndex()
  readonly #byTopicFilter = new HashIndex()
  readonly #copyMessages = new NumberColumn()
  /** QoS, and bytes times four. */
  readonly #copySizes = new NumberColumn()
  readonly #copyAccounts = new NumberColumn()
  readonly #nextCopies = new NumberColumn()
  subscriptionCount = 0
  /** In queues and in flight, and the bytes in queues. */
  copies = 0
  copyBytes = 0
  /** No session that sleeps expires before; Infinity: none does. */
  nextExpiryMs = Number.POSITIVE_INFINITY

  get count(): number {
    return this.#roster.count
  }

  wakeWith(waking: SessionWaking): void {
    this.#waking = waking
  }

  /** In the order of their numbers. */
  add(number: number, row: SessionRowSummary): void {
    const place = this.#roster.length
    this.#roster.add(number, row.record)
    this.#expiriesMs.push(row.expiresAtMs)
    this.#subscriptions.push(row.filterHashes.length)
    this.#firstCopies.push(0)
    this.#lastCopies.push(0)
    this.#byClientId.add(row.clientIdHash, place)
    for (const hash of row.filterHashes) this.#byTopicFilter.add(hash, place)
    this.subscriptionCount += row.filterHashes.length
    this.copies += row.copies
    this.copyBytes += row.copyBytes
    if (row.expiresAtMs < this.nextExpiryMs) this.nextExpiryMs = row.expiresAtMs
  }

  get byClientId(): Sleepers<string> {
    const whole = this
    return {
      get count() {
        return whole.count
      },
      wake: (clientId) => whole.#wakeEach(whole.#byClientId.find(hashOfText(clientId))),
      wakeAll: () => whole.wakeAll(),
    }
  }

  get byNumber(): Sleepers<number> {
    const whole = this
    return {
      get count() {
        return whole.count
      },
      wake: (number) => {
        const place = whole.#roster.placeOf(number)
        if (place >= 0) whole.#wake(place)
      },
      wakeAll: () => whole.wakeAll(),
    }
  }

  /** Before a publication looks for who gets it. */
  wakeSubscribers(topicName: string): void {
    if (this.count > 0) this.#wakeEach(this.#byTopicFilter.find(hashOfText(topicName)))
  }

  wakeExpired(nowMs: number): void {
    if (nowMs < this.nextExpiryMs) return
    this.nextExpiryMs = Number.POSITIVE_INFINITY
    for (let place = 0; place < this.#roster.length; place += 1) {
      if (!this.#roster.isAsleep(place)) continue
      const expiryMs = this.#expiriesMs.at(place)
      if (expiryMs <= nowMs) this.#wake(place)
      else if (expiryMs < this.nextExpiryMs) this.nextExpiryMs = expiryMs
    }
  }

  wakeAll(): void {
    for (let place = 0; place < this.#roster.length && this.count > 0; place += 1) this.#wake(place)
  }

  /** @returns whether there was one more whose row lacks what the journal says of it; it is awake now. */
  wakeBehind(): boolean {
    const place = this.#roster.nextBehind()
    return place >= 0 && this.#wake(place)
  }

  /** As of which record the row of a sleeping session is; -1: no such session sleeps. */
  rowRecordOf(number: number): number {
    const place = this.#roster.placeOf(number)
    return place >= 0 ? this.#roster.rowRecordAt(place) : -1
  }

  /** For a session that sleeps, and whose row does not have it. */
  defer(number: number, record: number, copy: DeferredCopy): void {
    const place = this.#roster.placeOf(number)
    assert(place >= 0, 'copies are kept for sessions that sleep')
    this.#copyMessages.push(copy.messageId)
    this.#copySizes.push(copy.byteLength * 4 + copy.qos)
    this.#copyAccounts.push(copy.account)
    this.#nextCopies.push(0)
    const added = this.#nextCopies.length
    const last = this.#lastCopies.at(place)
    if (last > 0) this.#nextCopies.set(last - 1, added)
    else this.#firstCopies.set(place, added)
    this.#roster.fallBehind(place, record)
    this.#lastCopies.set(place, added)
    this.copies += 1
    this.copyBytes += copy.byteLength
  }

  #wakeEach(places: readonly number[]): void {
    for (const place of places) this.#wake(place)
  }

  /** @returns false when it was awake. */
  #wake(place: number): boolean {
    if (!this.#roster.rise(place)) return false
    assert(this.#waking !== null, 'who wakes sessions is known before the first sleeps')
    this.subscriptionCount -= this.#subscriptions.at(place)
    const session = this.#waking.restore(this.#roster.numberAt(place))
    let next = this.#firstCopies.at(place)
    if (next > 0) this.#waking.isBehind(session, this.#roster.firstRecordAt(place))
    for (; next > 0; next = this.#nextCopies.at(next - 1)) this.#waking.apply(session, this.#copyAt(next - 1))
    this.copies -= session.queue.count + session.inflight.size
    this.copyBytes -= session.queue.byteLength
    return true
  }

  #copyAt(index: number): DeferredCopy {
    const size = this.#copySizes.at(index)
    return {
      messageId: this.#copyMessages.at(index),
      qos: (size & 3) as 1 | 2,
      byteLength: Math.floor(size / 4),
      account: this.#copyAccounts.at(index),
    }
  }
}
