/**
 * What the clients of one broker know for certain, over all its deaths: what was sent, acknowledged, and what came.
 * The books are written from packets alone; the broker's own state is never asked. Nothing here knows about sockets.
 */
import { type MessageId, readPayload as readMessage } from '../../src/torture/messages.js'
import { Breach } from './book-keeping.js'
import type { Random } from './random.js'

/** The messages of one publisher, numbered from 1 in the order of publishing. */
export interface PublisherBook {
  readonly name: string
  readonly qos: 1 | 2
  readonly topics: readonly string[]
  /** Number of messages sent at least once. */
  sent: number
  /** Messages with PUBACK or PUBREC, each of them a promise. */
  readonly promised: Set<number>
  /** Sent, never acknowledged and given up: may have come, at most once. */
  readonly abandoned: Set<number>
}

/** What has arrived somewhere, by publisher; several sessions of a share group write into one. */
export class ArrivalBook {
  readonly name: string
  readonly times = new Map<string, Map<number, number>>()
  constructor(name: string) {
    this.name = name
  }

  add(publisher: string, order: number): number {
    const orders = this.times.get(publisher) ?? new Map<number, number>()
    this.times.set(publisher, orders)
    const times = (orders.get(order) ?? 0) + 1
    orders.set(order, times)
    return times
  }

  distinct(publisher: string): number {
    return this.times.get(publisher)?.size ?? 0
  }
}

export class Books {
  readonly random: Random
  readonly publishers = new Map<string, PublisherBook>()
  readonly #watchers = new Set<() => void>()
  /** The first thing that must not happen and did. */
  breach: Breach | null = null
  packets = 0
  deliveries = 0
  /** Last retained value sent and acknowledged, by topic. */
  readonly retained = new Map<string, { sent: number; promised: number }>()

  constructor(random: Random) {
    this.random = random
  }

  open(name: string, qos: 1 | 2, topics: readonly string[]): PublisherBook {
    const book = { name, qos, topics, sent: 0, promised: new Set<number>(), abandoned: new Set<number>() }
    this.publishers.set(name, book)
    return book
  }

  /** The clients call it when they have dealt with so many packets; who waits looks again. */
  progress(packets = 1): void {
    this.packets += packets
    for (const watch of this.#watchers) watch()
  }

  fail(sentence: string): void {
    this.breach ??= new Breach(sentence)
    for (const watch of this.#watchers) watch()
  }

  /** Resolves when it is true, or when nobody gets anything for so long that it will not become true. */
  until(isTrue: () => boolean, silenceMs = 10_000): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (result: boolean) => {
        clearTimeout(timer)
        this.#watchers.delete(look)
        resolve(result)
      }
      const timer = setTimeout(() => end(false), silenceMs)
      const look = () => {
        if (this.breach !== null) end(false)
        else if (isTrue()) end(true)
        else timer.refresh()
      }
      this.#watchers.add(look)
      look()
    })
  }

  /** Is everything there that was promised by these publishers? */
  hasAll(arrivals: ArrivalBook, publishers: readonly string[]): boolean {
    return publishers.every((name) => {
      const promised = this.publishers.get(name)?.promised ?? new Set<number>()
      if (arrivals.distinct(name) < promised.size) return false
      for (const order of promised) if (!arrivals.times.get(name)?.has(order)) return false
      return true
    })
  }

  /** After everything has come to rest. @throws Breach */
  check(arrivals: ArrivalBook, publishers: readonly string[]): void {
    if (this.breach !== null) throw this.breach
    for (const [publisher, orders] of arrivals.times) {
      const book = this.publishers.get(publisher)
      if (book === undefined || !publishers.includes(publisher)) {
        throw new Breach(`${arrivals.name} got messages of ${publisher}, which it did not subscribe to`)
      }
      for (const [order, times] of orders) {
        if (order > book.sent) throw new Breach(`${arrivals.name} got ${publisher}:${order}, which was never sent`)
        if (book.qos === 2 && times > 1) throw new Breach(`${arrivals.name} got ${publisher}:${order} ${times} times`)
      }
    }
    for (const name of publishers) {
      for (const order of this.publishers.get(name)?.promised ?? []) {
        if (!arrivals.times.get(name)?.has(order)) {
          throw new Breach(`${arrivals.name} never got ${name}:${order}, which was acknowledged`)
        }
      }
    }
  }
}

/** @throws Breach when nobody can have sent this. */
export function readPayload(payload: Uint8Array): MessageId {
  const message = readMessage(payload)
  if (typeof message === 'string') throw new Breach(message)
  return message
}
