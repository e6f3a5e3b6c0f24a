/**
 * The devices of the demo: each publishes readings at QoS 1 and metered usage at QoS 2, a few at a time, and writes
 * down what has been acknowledged to it. Reconnecting and sending again is the SDK's business.
 */
import type { Client, Connect } from '../../client/api.js'
import { readingText } from './books.js'

export interface FleetSettings {
  readonly url: string
  readonly devices: number
  /** Of both kinds together, by each device. */
  readonly messagesPerDevice: number
}

/** Publishes a device has under way at one time. */
const WINDOW = 4
export const RECONNECT = { minDelayMs: 50, maxDelayMs: 1_000 }

export class Fleet {
  /** Per device: how many readings and usages were acknowledged. Sequences are acknowledged in order. */
  readonly acknowledgedReadings: number[]
  readonly acknowledgedUsages: number[]
  acknowledged = 0
  readonly #settings: FleetSettings
  #clients: Client[] = []

  constructor(settings: FleetSettings) {
    this.#settings = settings
    this.acknowledgedReadings = Array.from({ length: settings.devices }, () => 0)
    this.acknowledgedUsages = Array.from({ length: settings.devices }, () => 0)
  }

  async connect(connect: Connect, onError: (message: string) => void): Promise<void> {
    const numbers = Array.from({ length: this.#settings.devices }, (_, device) => device)
    this.#clients = await Promise.all(
      numbers.map(async (device) => {
        const client = await connect({
          url: this.#settings.url,
          clientId: `device-${device}`,
          cleanStart: true,
          reconnect: RECONNECT,
        })
        client.on('error', (error) => onError(`device-${device}: ${error.message}`))
        return client
      }),
    )
  }

  /** Resolves when the last acknowledgement of every message of every device is in. */
  async run(): Promise<void> {
    await Promise.all(this.#clients.map((client, device) => this.#runDevice(client, device)))
  }

  async #runDevice(client: Client, device: number): Promise<void> {
    const underWay: Promise<void>[] = []
    for (let index = 0; index < this.#settings.messagesPerDevice; index += 1) {
      const sequence = Math.floor(index / 2) + 1
      const isUsage = index % 2 === 1
      underWay.push(this.#publish(client, device, sequence, isUsage))
      if (underWay.length === WINDOW) await underWay.shift()
    }
    await Promise.all(underWay)
  }

  async #publish(client: Client, device: number, sequence: number, isUsage: boolean): Promise<void> {
    const topicName = `devices/${device}/${isUsage ? 'usage' : 'reading'}`
    await client.publish(topicName, readingText({ device, sequence }), { qos: isUsage ? 2 : 1 })
    const book = isUsage ? this.acknowledgedUsages : this.acknowledgedReadings
    book[device] = Math.max(book[device] as number, sequence)
    this.acknowledged += 1
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()))
  }
}
