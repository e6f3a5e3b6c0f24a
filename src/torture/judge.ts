/**
 * Reads the books and says what is wrong: acknowledged and never delivered, QoS 2 delivered twice, first arrivals out
 * of the order of publishing, retained values older than what was acknowledged, and what the clients noted themselves.
 * It reads on where it stopped, so that it can be asked at any time; what is lost is known only when all has settled.
 */
import { BookReader, bookPath } from './books.js'
import { type ConsumerRole, type PublisherRole, publishersOf, consumersOf, type Troupe } from './cast.js'

const SENT = 1
const PROMISED = 2
const GIVEN_UP = 4
/** Message ids named in a report. */
const NAMED_MAX = 20

export interface Verdict {
  published: number
  acknowledged: number
  refused: number
  /** Copies that came, each counted once. */
  delivered: number
  /** QoS 1 copies that came again, which QoS 1 allows. */
  repeated: number
  /** Copies acknowledged to the publisher and never delivered to somebody who is owed them. */
  lost: number
  /** The same by who is owed them; retained values are not in here. */
  readonly lostBy: Readonly<Record<string, number>>
  duplicated: number
  outOfOrder: number
  /** Sessions that the broker no longer had. */
  sessionsLost: number
  /** What the clients found against the protocol. */
  breaches: number
  /** The first of each kind, with message ids. */
  readonly sentences: readonly string[]
}

class PublisherAccount {
  readonly role: PublisherRole
  readonly reader: BookReader
  /** By order. */
  readonly state: number[] = []
  sent = 0
  promised = 0
  refused = 0
  sessionsLost = 0
  /** Retained: last order acknowledged and sent, by topic. */
  readonly latest = new Map<string, { sent: number; promised: number }>()
  readonly #topicOf = new Map<number, string>()

  constructor(role: PublisherRole, books: string) {
    this.role = role
    this.reader = new BookReader(bookPath(books, role.name))
  }

  sentOn(order: number, topicName: string): void {
    // A process that was killed before its outbox had the message leaves the number to the next one.
    if (this.state[order] !== undefined) return
    this.state[order] = SENT
    this.sent += 1
    if (this.role.retain) {
      this.#topicOf.set(order, topicName)
      const latest = this.latest.get(topicName) ?? { sent: 0, promised: 0 }
      this.latest.set(topicName, { ...latest, sent: order })
    }
  }

  promise(order: number): void {
    if (this.state[order] === PROMISED) return
    this.state[order] = PROMISED
    this.promised += 1
    const topicName = this.#topicOf.get(order)
    const latest = this.latest.get(topicName ?? '')
    if (latest !== undefined) latest.promised = order
    this.#topicOf.delete(order)
  }

  giveUp(order: number): void {
    this.state[order] = GIVEN_UP
  }
}

/** One consumer, or a whole share group. */
class Arrivals {
  readonly name: string
  /** Copies by publisher and order. */
  readonly times = new Map<string, number[]>()

  constructor(name: string) {
    this.name = name
  }

  /** @returns how often it has come. */
  add(publisher: string, order: number): number {
    let orders = this.times.get(publisher)
    if (orders === undefined) {
      orders = []
      this.times.set(publisher, orders)
    }
    const times = (orders[order] ?? 0) + 1
    orders[order] = times
    return times
  }
}

class ConsumerAccount {
  readonly role: ConsumerRole
  readonly reader: BookReader
  readonly arrivals: Arrivals
  /** Highest order of first arrivals by topic and publisher. */
  readonly lastOrders = new Map<string, number>()
  sessionsLost = 0

  constructor(role: ConsumerRole, books: string, arrivals: Arrivals) {
    this.role = role
    this.reader = new BookReader(bookPath(books, role.name))
    this.arrivals = arrivals
  }
}

export class Judge {
  readonly #publishers = new Map<string, PublisherAccount>()
  readonly #consumers: ConsumerAccount[] = []
  readonly #arrivals = new Map<string, Arrivals>()
  readonly #sentences: string[] = []
  readonly #named = new Map<string, number>()
  #delivered = 0
  #repeated = 0
  #duplicated = 0
  #outOfOrder = 0
  #breaches = 0
  #staleRetained = 0

  constructor(cast: readonly Troupe[], books: string) {
    for (const role of publishersOf(cast)) this.#publishers.set(role.name, new PublisherAccount(role, books))
    for (const role of consumersOf(cast)) {
      const name = role.group ?? role.name
      const arrivals = this.#arrivals.get(name) ?? new Arrivals(name)
      this.#arrivals.set(name, arrivals)
      this.#consumers.push(new ConsumerAccount(role, books, arrivals))
    }
  }

  /** @returns the number of new lines. */
  read(): number {
    let lines = 0
    for (const account of this.#publishers.values()) {
      lines += account.reader.read((mark, fields) => this.#published(account, mark, fields))
    }
    for (const account of this.#consumers) {
      lines += account.reader.read((mark, fields) => this.#consumed(account, mark, fields))
    }
    return lines
  }

  get delivered(): number {
    return this.#delivered
  }

  get #retained(): readonly (readonly [topic: string, latest: { readonly sent: number; readonly promised: number }])[] {
    return [...this.#publishers.values()].filter(({ role }) => role.retain).flatMap(({ latest }) => [...latest])
  }

  /** Retained topics with a value that was acknowledged, and its order: what a new subscriber must find at least. */
  retainedPromises(): Map<string, number> {
    return new Map(
      this.#retained.filter(([, { promised }]) => promised > 0).map(([topic, latest]) => [topic, latest.promised]),
    )
  }

  /** Call `read` before: the promises are those from before the reader asked, what was sent is known up to now. */
  checkRetained(promises: ReadonlyMap<string, number>, found: ReadonlyMap<string, number>): void {
    const sent = new Map(this.#retained)
    for (const [topic, promised] of promises) {
      const value = found.get(topic)
      const newest = sent.get(topic)?.sent ?? 0
      if (value !== undefined && value >= promised && value <= newest) continue
      this.#staleRetained += 1
      this.#name(
        'lost',
        `retained ${topic} is ${value ?? 'gone'}; ${promised} was acknowledged, ${newest} was sent last`,
      )
    }
  }

  /** Everything that was promised has come. */
  isComplete(): boolean {
    return this.#missing(() => false) === 0
  }

  /** After everything has settled; once. */
  verdict(): Verdict {
    this.#countInvented()
    const publishers = [...this.#publishers.values()]
    const sum = (of: (account: PublisherAccount) => number) => publishers.reduce((total, one) => total + of(one), 0)
    const lostBy: Record<string, number> = {}
    const lost = this.#missing((sentence) => this.#name('lost', sentence), lostBy) + this.#staleRetained
    const lostByConsumers = this.#consumers.reduce((total, { sessionsLost }) => total + sessionsLost, 0)
    return {
      published: sum(({ sent }) => sent),
      acknowledged: sum(({ promised }) => promised),
      refused: sum(({ refused }) => refused),
      delivered: this.#delivered,
      repeated: this.#repeated,
      lost,
      lostBy,
      duplicated: this.#duplicated,
      outOfOrder: this.#outOfOrder,
      sessionsLost: lostByConsumers + sum(({ sessionsLost }) => sessionsLost),
      breaches: this.#breaches,
      sentences: this.#sentences,
    }
  }

  /** Copies of messages that nobody has sent. At the end only: publishers' books are read before consumers'. */
  #countInvented(): void {
    for (const { name, times } of this.#arrivals.values()) {
      for (const [publisher, orders] of times) {
        const state = this.#publishers.get(publisher)?.state ?? []
        for (let order = 0; order < orders.length; order += 1) {
          if (orders[order] === undefined || state[order] !== undefined) continue
          this.#breaches += 1
          this.#name('breach', `${name} got ${publisher}:${order}, which nobody has sent`)
        }
      }
    }
  }

  /** Calls `name` for each copy that is owed and has not come, until it returns false. */
  #missing(name: (sentence: string) => boolean, missingBy: Record<string, number> = {}): number {
    let missing = 0
    let isNaming = true
    for (const { name: who, times } of this.#arrivals.values()) {
      for (const { role, state } of this.#publishers.values()) {
        if (role.retain) continue
        const orders = times.get(role.name)
        for (let order = 1; order < state.length; order += 1) {
          if (state[order] !== PROMISED || (orders?.[order] ?? 0) > 0) continue
          missing += 1
          missingBy[who] = (missingBy[who] ?? 0) + 1
          if (isNaming)
            isNaming = name(`${role.name}:${order} (QoS ${role.qos}) was acknowledged and never came to ${who}`)
        }
      }
    }
    return missing
  }

  #published(account: PublisherAccount, mark: string, fields: readonly string[]): void {
    const [order = '', topicName = ''] = fields
    if (mark === 'S') account.sentOn(Number(order), topicName)
    else if (mark === 'A') account.promise(Number(order))
    else if (mark === 'X') account.giveUp(Number(order))
    else if (mark === 'R') account.refused += 1
    else this.#noted(account, mark, fields)
  }

  #consumed(account: ConsumerAccount, mark: string, fields: readonly string[]): void {
    if (mark !== 'D') return this.#noted(account, mark, fields)
    const [publisher = '', number = '', topicName = '', qos = ''] = fields
    const { role, arrivals, lastOrders } = account
    const order = Number(number)
    const id = `${publisher}:${order}`
    const times = arrivals.add(publisher, order)
    if (times > 1) {
      if (qos !== '2') this.#repeated += 1
      else {
        this.#duplicated += 1
        this.#name('duplicated', `${arrivals.name} got ${id} (QoS 2) ${times} times`)
      }
      return
    }
    this.#delivered += 1
    // At QoS 1 what comes first may be the second copy, given to another member than the first one.
    if (role.group !== null && qos !== '2') return
    const stream = `${topicName} ${publisher}`
    const last = lastOrders.get(stream) ?? 0
    if (order > last) lastOrders.set(stream, order)
    else {
      this.#outOfOrder += 1
      this.#name('outOfOrder', `${role.name} got ${id} behind ${publisher}:${last} on ${topicName}`)
    }
  }

  #noted(account: PublisherAccount | ConsumerAccount, mark: string, fields: readonly string[]): void {
    if (mark === 'N') {
      account.sessionsLost += 1
      this.#name('session', `the broker had lost the session of ${account.role.name}`)
      return
    }
    this.#breaches += 1
    this.#name('breach', `${account.role.name}: ${fields.join(' ')}`)
  }

  /** @returns whether another sentence of this kind is wanted. */
  #name(kind: string, sentence: string): boolean {
    const named = (this.#named.get(kind) ?? 0) + 1
    this.#named.set(kind, named)
    if (named <= NAMED_MAX) this.#sentences.push(sentence)
    return named < NAMED_MAX
  }
}
