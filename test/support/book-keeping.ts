/**
 * What the clients of a simulated world know for certain, and what must therefore be true. The books are written from
 * packets alone; the broker's own state is never asked. Time is the number of the step.
 */
import type { QoS } from '../../src/protocol/packets.js'

export interface BookedMessage {
  /** The payload, which is unique. */
  readonly key: string
  readonly publisher: string
  readonly topicName: string
  /** Per publisher, rising. */
  readonly order: number
  readonly qos: QoS
  readonly kind: 'publish' | 'will'
  readonly mayExpire: boolean
  readonly sentAt: number
  /** PUBLISH packets sent for it. */
  attempts: number
  /** Step of PUBACK or PUBREC, or when a Will became certain; 0: not (yet) promised. */
  promisedAt: number
  /** A Will that must not come any more. */
  isForbidden: boolean
}

/** A subscription from the client's side. */
export interface Window {
  readonly topicFilter: string
  readonly qos: QoS
  readonly askedAt: number
  /** SUBACK; Infinity: never came. */
  grantedAt: number
  /** UNSUBSCRIBE sent. */
  endedAt: number
  /** UNSUBACK came. */
  goneAt: number
}

export interface Arrival {
  readonly key: string
  readonly topicName: string
  readonly packetId: number
  readonly qos: QoS
  readonly retain: boolean
  readonly at: number
  isComplete: boolean
}

/** One session as its client sees it, from a CONNACK without Session Present to its end. */
export interface SessionBook {
  readonly clientId: string
  /** By delivery sequence. */
  readonly arrivals: Map<number, Arrival>
  readonly windows: Window[]
  /** 0: not known, CONNACK said that there was a session the client knew nothing of. */
  nextSequence: number
  /** Lasted to the end of the run. */
  isCurrent: boolean
}

export class Breach extends Error {
  override readonly name = 'Breach'
}

export class Ledger {
  step = 0
  readonly messages = new Map<string, BookedMessage>()
  readonly sessions: SessionBook[] = []
  /** Last retained payload sent per topic; '' cleared. */
  readonly retained = new Map<string, string>()

  publish(message: Omit<BookedMessage, 'sentAt' | 'attempts' | 'promisedAt' | 'isForbidden'>): BookedMessage {
    const booked = { ...message, sentAt: this.step, attempts: 1, promisedAt: 0, isForbidden: false }
    this.messages.set(message.key, booked)
    return booked
  }

  promised(key: string): void {
    const message = this.messages.get(key)
    if (message !== undefined && message.promisedAt === 0) message.promisedAt = this.step
  }

  find(key: string): BookedMessage {
    const message = this.messages.get(key)
    if (message === undefined) throw new Breach(`'${key}' was delivered and never published`)
    return message
  }

  /** After everything has come to rest, with every client connected and everything acknowledged. */
  check(): void {
    for (const book of this.sessions) {
      this.#checkUniqueness(book)
      this.#checkOrder(book)
      this.#checkSubscribed(book)
      if (book.isCurrent && !this.isLossy) this.#checkCompleteness(book)
    }
    this.#checkGroup()
  }

  #checkUniqueness(book: SessionBook): void {
    const counts = countLive(book)
    for (const [key, count] of counts) {
      const message = this.find(key)
      const allowed = message.qos === 1 && message.kind === 'publish' ? message.attempts : 1
      if (count > allowed) {
        throw new Breach(`${book.clientId} got '${key}' ${count} times, ${allowed} allowed (QoS ${message.qos})`)
      }
      if (message.isForbidden) throw new Breach(`${book.clientId} got the Will '${key}', which was discarded`)
    }
  }

  /** First arrivals of one publisher on one topic come in the order of publishing [v5 4.6]. */
  #checkOrder(book: SessionBook): void {
    if (isInGroup(book)) return
    const seen = new Set<string>()
    const last = new Map<string, BookedMessage>()
    for (const [, arrival] of [...book.arrivals].sort(([a], [b]) => a - b)) {
      if (arrival.retain || arrival.key === '' || seen.has(arrival.key)) continue
      seen.add(arrival.key)
      const message = this.find(arrival.key)
      if (message.kind === 'will') continue
      // Lost in its turn, or the subscription came later: this is a resend at QoS 1, a publication of its own.
      if ((message.mayExpire || this.isLossy) && message.qos === 1 && message.attempts > 1) continue
      if (
        !book.windows.some(
          (window) => window.grantedAt < message.sentAt && isMatch(window.topicFilter, message.topicName),
        )
      )
        continue
      const stream = `${message.publisher} ${message.topicName}`
      const before = last.get(stream)
      if (before !== undefined && before.order > message.order) {
        throw new Breach(`${book.clientId} got '${before.key}' before '${message.key}' on ${message.topicName}`)
      }
      last.set(stream, message)
    }
  }

  #checkSubscribed(book: SessionBook): void {
    for (const arrival of book.arrivals.values()) {
      if (arrival.key === '') continue
      const message = this.find(arrival.key)
      const isWanted = book.windows.some(
        (window) =>
          isMatch(window.topicFilter, arrival.topicName) &&
          window.askedAt <= arrival.at &&
          window.goneAt >= message.sentAt,
      )
      if (!isWanted) throw new Breach(`${book.clientId} got '${arrival.key}' without a subscription`)
      if (message.topicName !== arrival.topicName) throw new Breach(`'${arrival.key}' came on ${arrival.topicName}`)
    }
  }

  #checkCompleteness(book: SessionBook): void {
    if (isInGroup(book)) return
    const counts = countLive(book)
    for (const message of this.messages.values()) {
      if (!isOwed(message)) continue
      if (book.windows.some((window) => covers(window, message)) && !counts.has(message.key)) {
        throw new Breach(`${book.clientId} never got '${message.key}' (QoS ${message.qos}, ${message.topicName})`)
      }
    }
  }

  /** The share group `g`: somebody got it; nobody else did, as long as no member's session ended. */
  #checkGroup(): void {
    const members = this.sessions.filter(isInGroup)
    const hasEnded = members.some(({ isCurrent }) => !isCurrent)
    const counts = new Map<string, number>()
    for (const book of members) for (const [key, n] of countLive(book)) counts.set(key, (counts.get(key) ?? 0) + n)
    const lasting = members.filter(({ isCurrent }) => isCurrent)
    for (const message of this.messages.values()) {
      const count = counts.get(message.key) ?? 0
      const isCovered = lasting.some(({ windows }) => windows.some((window) => covers(window, message)))
      if (count === 0 && isCovered && isOwed(message) && !this.isGroupLossy && !this.isLossy) {
        throw new Breach(`nobody in the share group got '${message.key}' (QoS ${message.qos})`)
      }
      if (count > 1 && message.qos === 2 && !hasEnded)
        throw new Breach(`the share group got '${message.key}' ${count} times`)
    }
  }

  /** A member without Session State was in the group when the broker died: what it had is gone with it. */
  isGroupLossy = false
  /** Queues overflow here. */
  isLossy = false
}

function countLive(book: SessionBook): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { key, retain } of book.arrivals.values())
    if (!retain && key !== '') counts.set(key, (counts.get(key) ?? 0) + 1)
  return counts
}

function isOwed(message: BookedMessage): boolean {
  return message.promisedAt > 0 && !message.mayExpire && message.qos > 0
}

function covers(window: Window, message: BookedMessage): boolean {
  if (window.qos === 0 || !isMatch(window.topicFilter, message.topicName)) return false
  return window.grantedAt < message.sentAt && message.promisedAt < window.endedAt
}

function isInGroup(book: SessionBook): boolean {
  return book.windows.some(({ topicFilter }) => topicFilter.startsWith('$share/'))
}

/** Filters here are a name, or a prefix and `#`. */
export function isMatch(topicFilter: string, topicName: string): boolean {
  const filter = topicFilter.startsWith('$share/') ? topicFilter.split('/').slice(2).join('/') : topicFilter
  return filter.endsWith('#') ? topicName.startsWith(filter.slice(0, -1)) : filter === topicName
}
