/**
 * An application that consumes through the SDK, with its cursor in its own store: its book, where what came and how far
 * it is stand in one line. Its process may be killed at any moment; what the next one finds in the book is done, the
 * rest comes again.
 */
import { type Client, connect, type DeliveryCursor, type Message } from '../client/index.js'
import type { BookReader, BookWriter } from './books.js'
import type { ConsumerRole } from './cast.js'
import type { Ports } from './line.js'
import { readPayload } from './messages.js'
import { SDK_SESSION } from './sdk-producer.js'

export class SdkConsumer {
  readonly #role: ConsumerRole
  readonly #book: BookWriter
  readonly #ports: Ports
  readonly #changed: () => void
  #cursor: DeliveryCursor | null = null
  #client: Client | null = null
  isSubscribed = false

  /** @param past what the processes before this one have written. */
  constructor(role: ConsumerRole, book: BookWriter, ports: Ports, changed: () => void, past: BookReader) {
    this.#role = role
    this.#book = book
    this.#ports = ports
    this.#changed = changed
    past.read((mark, [, , , , sessionNumber, deliverySequence]) => {
      if (mark !== 'D') return
      this.#cursor = { sessionNumber: Number(sessionNumber), deliverySequence: Number(deliverySequence) }
    })
  }

  open(): void {
    void this.#open().catch((error: Error) => this.#problem(error.message))
  }

  hurry(): void {}

  end(): void {
    void this.#client?.close()
  }

  async #open(): Promise<void> {
    const { name: clientId, topicFilter, qos } = this.#role
    const url = `ws://127.0.0.1:${this.#ports.http}`
    const client = await connect({ url, clientId, deliveryCursor: this.#cursor, ...SDK_SESSION })
    this.#client = client
    client.on('error', (error) => this.#problem(`${error.code}: ${error.message}`))
    await client.subscribe(topicFilter, { qos, onMessage: (message) => this.#take(client, message) })
    this.isSubscribed = true
    this.#changed()
  }

  /** Acknowledged when this has returned. */
  #take(client: Client, { payload, topicName, qos, deliverySequence = 0 }: Message): void {
    const message = readPayload(payload)
    if (typeof message === 'string') return this.#problem(message)
    const { sessionNumber = 0 } = client.connack
    this.#book.add('D', message.publisher, message.order, topicName, qos, sessionNumber, deliverySequence)
    this.#book.write()
  }

  #problem(sentence: string): void {
    this.#book.add('!', sentence)
    this.#book.write()
  }
}
