/**
 * A process of the torture that holds some of its clients: it does what the parent says, one answer for each command,
 * and ends with the parent. What the clients know goes into their books, not up to the parent.
 */
import { Random } from '../base/random.js'
import { BookReader, BookWriter, bookPath } from './books.js'
import type { Troupe } from './cast.js'
import { Consumer, type Listener } from './consumer.js'
import type { Ports } from './line.js'
import { Producer } from './producer.js'
import { Publisher, type Speaker } from './publisher.js'
import { SdkConsumer } from './sdk-consumer.js'
import { SdkProducer } from './sdk-producer.js'
import { readRetained } from './retained-reader.js'

export type Command =
  /** Answered when every consumer is subscribed. */
  | { readonly do: 'begin'; readonly troupe: Troupe; readonly ports: Ports; readonly books: string; seed: number }
  | { readonly do: 'speak' }
  /** Answered when every publisher has got an acknowledgement from now on. */
  | { readonly do: 'flow' }
  /** Answered when every publisher has noticed that its line is gone: publishes under way at that moment. */
  | { readonly do: 'count' }
  /** Nobody says anything new, is lazy or asleep. Answered when everything that was begun is finished. */
  | { readonly do: 'finish' }
  /** Answered with pairs of topic and value, or null. */
  | { readonly do: 'retained'; readonly topics: readonly string[] }
  | { readonly do: 'end' }

export interface Question {
  readonly id: number
  readonly command: Command
}
export interface Answer {
  readonly id: number
  readonly answer: unknown
}

class Worker {
  readonly #publishers: Speaker[] = []
  readonly #consumers: Listener[] = []
  #random = new Random(0)
  #ports: Ports = { http: 0, mqtt: 0 }
  readonly #watchers = new Set<() => void>()

  perform(command: Command): Promise<unknown> | unknown {
    switch (command.do) {
      case 'begin':
        return this.#begin(command)
      case 'speak':
        for (const publisher of this.#publishers) publisher.speak(true)
        return true
      case 'flow': {
        const ends = this.#publishers.map(({ acknowledged }) => acknowledged + 1)
        return this.#until(() =>
          this.#publishers.every(({ acknowledged }, index) => acknowledged >= (ends[index] ?? 0)),
        )
      }
      case 'count':
        return this.#until(() => this.#publishers.every(({ isUp }) => !isUp)).then(() =>
          this.#publishers.reduce((sum, { unacknowledged }) => sum + unacknowledged, 0),
        )
      case 'finish':
        for (const publisher of this.#publishers) publisher.speak(false)
        for (const consumer of this.#consumers) consumer.hurry()
        return this.#until(() => this.#publishers.every(({ isIdle }) => isIdle))
      case 'retained':
        return readRetained(command.topics, this.#ports, this.#random).then((found) => found && [...found])
      case 'end':
        for (const client of [...this.#publishers, ...this.#consumers]) client.end()
        process.disconnect()
        return true
    }
  }

  #begin({ troupe, ports, books, seed }: Extract<Command, { do: 'begin' }>): Promise<void> {
    this.#random = new Random(seed)
    this.#ports = ports
    const changed = () => {
      for (const watch of this.#watchers) watch()
    }
    for (const role of troupe.roles) {
      const book = new BookWriter(bookPath(books, role.name))
      const random = new Random(this.#random.below(0xffff_ffff))
      if (role.kind === 'publisher') {
        const outbox = `${books}/${role.name}.outbox`
        if (role.by === 'sdk') this.#publishers.push(new SdkProducer(role, book, ports, random, changed, outbox))
        else if (role.by === 'produce') this.#publishers.push(new Producer(role, book, ports, random, changed))
        else this.#publishers.push(new Publisher(role, book, ports, random, changed))
      } else if (role.by === 'sdk') {
        const past = new BookReader(bookPath(books, role.name))
        this.#consumers.push(new SdkConsumer(role, book, ports, changed, past))
      } else this.#consumers.push(new Consumer(role, book, ports, random, changed))
    }
    for (const client of [...this.#publishers, ...this.#consumers]) client.open()
    return this.#until(() => this.#consumers.every(({ isSubscribed }) => isSubscribed))
  }

  #until(isTrue: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!isTrue()) return
        this.#watchers.delete(look)
        resolve()
      }
      this.#watchers.add(look)
      look()
    })
  }
}

const worker = new Worker()
process.on('message', (question: Question) => {
  void Promise.resolve(worker.perform(question.command)).then((answer) => {
    if (process.connected) process.send?.({ id: question.id, answer } satisfies Answer)
  })
})
// The parent ends this, or its own end does: what is meant for it must not take its clients away.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})
// Without the parent nobody would ever end this.
process.on('disconnect', () => worker.perform({ do: 'end' }))
