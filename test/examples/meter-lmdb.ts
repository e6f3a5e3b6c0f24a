/**
 * Exactly once with LMDB at both ends. A meter notes a reading and the message about it in one transaction; a bill adds
 * what it hears to its total and moves its cursor in one transaction. The total is right to the unit, whatever dies.
 *
 * `overlappingSync: false` matters: with lmdb's default a commit is reported before it is on the disk.
 */
import { type Database, open, type RootDatabase } from 'lmdb'
import {
  type Client,
  type ConnectOptions,
  connect,
  type DeliveryCursor,
  type LmdbProducerOutbox,
  lmdbProducerOutbox,
  type Message,
  type Producer,
  prepareMessage,
} from '../../src/client/index.js'

export type Connecting = Omit<ConnectOptions, 'deliveryCursor'>

export class Meter {
  readonly outbox: LmdbProducerOutbox
  readonly #root: RootDatabase
  readonly #readings: Database<string, number>

  constructor(path: string) {
    this.#root = open({ path, overlappingSync: false, maxDbs: 8 })
    this.#readings = this.#root.openDB({ name: 'readings' })
    this.outbox = lmdbProducerOutbox(this.#root)
  }

  /** @param lastThought runs before the commit: the last moment at which all of it can still be undone. */
  read(reading: string, lastThought: () => void = () => {}): void {
    const message = prepareMessage('meter/1', reading, { qos: 2 })
    this.#root.transactionSync(() => {
      this.#readings.put(this.#readings.getCount() + 1, reading)
      this.outbox.append([message])
      lastThought()
    })
  }

  readings(): string[] {
    return [...this.#readings.getRange()].map(({ value }) => value)
  }

  async close(): Promise<void> {
    await this.#root.close()
  }
}

/** Sends what is in the outbox and what comes into it: call `producer.flush()` after `read`. */
export async function sendReadings(meter: Meter, options: Connecting): Promise<{ client: Client; producer: Producer }> {
  const client = await connect({ clientId: 'meter', ...options })
  return { client, producer: await client.openProducer({ outbox: meter.outbox }) }
}

export class Bill {
  readonly #root: RootDatabase
  readonly #items: Database<string, number>
  readonly #state: Database<DeliveryCursor, string>

  constructor(path: string) {
    this.#root = open({ path, overlappingSync: false, maxDbs: 8 })
    this.#items = this.#root.openDB({ name: 'items' })
    this.#state = this.#root.openDB({ name: 'state' })
  }

  /** null: nothing is on the bill yet. */
  cursor(): DeliveryCursor | null {
    return this.#state.get('cursor') ?? null
  }

  add(message: Message, sessionNumber: number, lastThought: () => void = () => {}): void {
    const { deliverySequence = 0 } = message
    this.#root.transactionSync(() => {
      this.#items.put(this.#items.getCount() + 1, message.text())
      this.#state.put('cursor', { sessionNumber, deliverySequence })
      lastThought()
    })
  }

  items(): string[] {
    return [...this.#items.getRange()].map(({ value }) => value)
  }

  async close(): Promise<void> {
    await this.#root.close()
  }
}

/** A message is acknowledged when `add` has returned, and its transaction is on the disk. */
export async function hearReadings(bill: Bill, options: Connecting): Promise<Client> {
  const client = await connect({ clientId: 'bill', ...options, deliveryCursor: bill.cursor() })
  await client.subscribe('meter/1', {
    qos: 2,
    onMessage: (message) => bill.add(message, client.connack.sessionNumber as number),
  })
  return client
}
