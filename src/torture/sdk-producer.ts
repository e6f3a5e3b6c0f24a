/**
 * An application that publishes through the SDK and keeps its outbox on disk: its process may be killed at any moment,
 * and the next one goes on where the outbox is. Numbers of its messages are the outbox's own, so what the dead process
 * had not put into it is simply published by the next one.
 */
import { type Client, connect, openLmdbProducerOutbox, type Producer } from '../client/index.js'
import type { Random } from '../base/random.js'
import { SESSION_NEVER_EXPIRES_SEC } from '../protocol/packets.js'
import type { BookWriter } from './books.js'
import { Breath } from './breath.js'
import type { PublisherRole } from './cast.js'
import type { Ports } from './line.js'
import { payloadOf } from './messages.js'
import type { Speaker } from './publisher.js'

/** Short, so that a line that is half open is found out soon. */
const SDK_PATIENCE = { keepAliveSec: 2, reconnect: { minDelayMs: 20, maxDelayMs: 100 } } as const
export const SDK_SESSION = {
  ...SDK_PATIENCE,
  cleanStart: false,
  sessionExpiryIntervalSec: SESSION_NEVER_EXPIRES_SEC,
} as const
const BATCH_MESSAGES_MAX = 5

export class SdkProducer implements Speaker {
  readonly #role: PublisherRole
  readonly #book: BookWriter
  readonly #outboxDirectory: string
  readonly #ports: Ports
  readonly #random: Random
  readonly #changed: () => void
  readonly #breath: Breath
  #client: Client | null = null
  #producer: Producer | null = null
  #lastOrder = 0
  #isFlushed = true
  #maySpeak = false
  unacknowledged = 0
  acknowledged = 0

  constructor(
    role: PublisherRole,
    book: BookWriter,
    ports: Ports,
    random: Random,
    changed: () => void,
    outbox: string,
  ) {
    this.#role = role
    this.#book = book
    this.#ports = ports
    this.#random = random
    this.#changed = changed
    this.#outboxDirectory = outbox
    this.#breath = new Breath(random, () => this.#speakOn())
  }

  get isUp(): boolean {
    return this.#client?.state.name === 'connected'
  }

  get isIdle(): boolean {
    return this.unacknowledged === 0 && this.#isFlushed
  }

  open(): void {
    void this.#open().catch((error: Error) => this.#problem(error.message))
  }

  async #open(): Promise<void> {
    const { name: clientId } = this.#role
    const url = `ws://127.0.0.1:${this.#ports.http}`
    this.#client = await connect({ url, clientId, ...SDK_SESSION })
    this.#client.on('error', (error) => this.#problem(`${error.code}: ${error.message}`))
    this.#client.on('state', () => this.#changed())
    const outbox = openLmdbProducerOutbox(this.#outboxDirectory)
    this.#producer = await this.#client.openProducer({ outbox, ackedRowsKeptMs: 0 })
    this.#lastOrder = this.#producer.lastSequence
    this.#speakOn()
  }

  speak(maySpeak: boolean): void {
    this.#maySpeak = maySpeak
    if (maySpeak) this.#speakOn()
    else void this.#flush()
  }

  end(): void {
    this.#breath.end()
    void this.#client?.close()
  }

  /** Everything that is in the outbox, by whichever process, is a promise. */
  async #flush(): Promise<void> {
    this.#isFlushed = false
    await this.#producer?.flush()
    for (let order = 1; order <= (this.#producer?.answeredSequence ?? 0); order += 1) this.#book.add('A', order)
    this.#book.write()
    this.#isFlushed = true
    this.#changed()
  }

  #speakOn(): void {
    while (this.#maySpeak && this.#producer !== null && this.unacknowledged < this.#role.window) {
      this.#publish(this.#producer)
    }
  }

  #publish(producer: Producer): void {
    const { topics, name } = this.#role
    const first = this.#lastOrder + 1
    this.#lastOrder += 1 + this.#random.below(BATCH_MESSAGES_MAX)
    const last = this.#lastOrder
    const messages: { topicName: string; payload: string; qos: 2 }[] = []
    for (let order = first; order <= last; order += 1) {
      const topicName = topics[order % topics.length] as string
      this.#book.add('S', order, topicName)
      messages.push({ topicName, payload: payloadOf(name, order), qos: 2 })
    }
    this.#book.write()
    this.unacknowledged += messages.length
    producer.publishBatch(messages).then(
      ({ firstSequence, lastSequence }) => {
        if (firstSequence !== first || lastSequence !== last) {
          this.#problem(`${first} to ${last} were published as ${firstSequence} to ${lastSequence}`)
        }
        for (let order = first; order <= last; order += 1) this.#book.add('A', order)
        this.#book.write()
        this.unacknowledged -= messages.length
        this.acknowledged += messages.length
        if (this.unacknowledged <= this.#role.window / 2) this.#breath.take()
        this.#changed()
      },
      (error: Error) => this.#problem(error.message),
    )
  }

  #problem(sentence: string): void {
    this.#book.add('!', sentence)
    this.#book.write()
  }
}
