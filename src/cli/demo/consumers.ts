/**
 * Who listens in the demo: a biller with a persistent session at QoS 2, whose book must balance, and a dashboard that
 * watches everything by wildcard, readings at QoS 1 and usage at QoS 0.
 */
import type { Client, Connect, Message } from '../../client/api.js'
import { Book, readingOf } from './books.js'
import { RECONNECT } from './fleet.js'

export class Consumers {
  readonly billing: Book
  readonly dashboardReadings: Book
  readonly dashboardUsages: Book
  readonly #clients: Client[] = []

  constructor(devices: number) {
    this.billing = new Book(devices)
    this.dashboardReadings = new Book(devices)
    this.dashboardUsages = new Book(devices)
  }

  async connect(connect: Connect, url: string, onError: (message: string) => void): Promise<void> {
    const open = async (clientId: string) => {
      const client = await connect({ url, clientId, sessionExpiryIntervalSec: 3_600, reconnect: RECONNECT })
      client.on('error', (error) => onError(`${clientId}: ${error.message}`))
      this.#clients.push(client)
      return client
    }
    const biller = await open('billing')
    await biller.subscribe('devices/+/usage', {
      qos: 2,
      onMessage: (message) => this.billing.enter(readingOf(message.text())),
    })
    const dashboard = await open('dashboard')
    const filters = [
      { topicFilter: 'devices/+/reading', qos: 1 },
      { topicFilter: 'devices/+/usage', qos: 0 },
    ] as const
    await dashboard.subscribe(filters, { onMessage: (message) => this.#show(message) })
  }

  #show(message: Message): void {
    const book = message.topicName.endsWith('/usage') ? this.dashboardUsages : this.dashboardReadings
    book.enter(readingOf(message.text()))
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()))
  }
}
