/** What several scenarios do with many clients: a few at a time, and a publisher that keeps a window on its way. */
import type { RunningBroker } from '../scenario.js'
import { Line, type LineOptions } from './line.js'
import {
  connect,
  DISCONNECT,
  isPublish,
  packetIdOf,
  payloadAt,
  puback,
  publish,
  subscribe,
  TYPE,
} from './mqtt-bytes.js'

/** Runs `task` for 0 … count-1, so many at a time. */
export async function atATime(width: number, count: number, task: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const run = async (): Promise<void> => {
    for (let index = next; index < count; index = next) {
      next += 1
      await task(index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(width, count) }, run))
}

export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

export function secondsSince(began: bigint): number {
  return Number(process.hrtime.bigint() - began) / 1e9
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/** A client of MQTT with its CONNACK. */
export async function connected(options: LineOptions, clientId: string, isDurable = false): Promise<Line> {
  const line = await new Line(options).open()
  line.send(connect(clientId, isDurable))
  await line.answered(1)
  return line
}

/** A durable session that subscribes at QoS 1 and is gone again. */
export async function leaveSession(options: LineOptions, clientId: string, topicFilter: string): Promise<void> {
  const line = await connected(options, clientId, true)
  line.send(subscribe([topicFilter], 1))
  await line.answered(2)
  line.send(DISCONNECT)
  const gone = new Promise((resolve) => line.socket.once('close', resolve))
  line.socket.end()
  await gone
}

const BACKLOG_TIMEOUT_MS = 60_000

/**
 * A session comes back and takes what waits for it: messages that begin with their number, from 0 to `expected` - 1.
 * @returns how many are missing, doubled or out of order.
 */
export async function flawsOfBacklog(broker: RunningBroker, clientId: string, expected: number): Promise<number> {
  let next = 0
  let flaws = 0
  let done = (): void => {}
  const complete = new Promise<void>((resolve) => {
    done = resolve
  })
  const acks: Buffer[] = []
  const line: Line = new Line({
    broker,
    wire: 'mqtt-tcp',
    onPacket: (data, start) => {
      if (!isPublish(data, start)) return
      if (data.readUInt32BE(payloadAt(data, start)) !== next) flaws += 1
      next += 1
      acks.push(puback(packetIdOf(data, start)))
      if (acks.length === 1) setImmediate(() => line.send(Buffer.concat(acks.splice(0))))
      if (next === expected) done()
    },
  })
  await line.open()
  line.send(connect(clientId, true))
  await Promise.race([complete, wait(BACKLOG_TIMEOUT_MS)])
  line.destroy()
  return flaws + Math.abs(expected - next)
}

export interface Outgoing {
  readonly topic: string
  readonly payload: Buffer
  readonly retain?: boolean
}

const WINDOW = 8_192
const BATCH = 64

/** Publishes at QoS 1, a window at a time, and counts what is acknowledged. */
export class Publisher {
  acknowledged = 0
  sent = 0
  readonly #windowMax: number
  readonly #line: Line
  #wake = (): void => {}

  private constructor(broker: RunningBroker, windowMax: number) {
    this.#windowMax = windowMax
    this.#line = new Line({
      broker,
      wire: 'mqtt-tcp',
      onPacket: (data, start) => {
        if ((data[start] as number) >> 4 !== TYPE.PUBACK) return
        this.acknowledged += 1
        this.#wake()
      },
    })
  }

  static async connect(broker: RunningBroker, clientId: string, windowMax = WINDOW): Promise<Publisher> {
    const publisher = new Publisher(broker, windowMax)
    await publisher.#line.open()
    publisher.#line.send(connect(clientId, false))
    await publisher.#line.answered(1)
    return publisher
  }

  /** Until `count` have been sent, or until `isOver`; then waits for every PUBACK. @returns seconds. */
  async run(count: number, message: (index: number) => Outgoing, isOver = (): boolean => false): Promise<number> {
    const began = process.hrtime.bigint()
    const end = this.sent + count
    while (this.sent < end && !isOver()) {
      const batch: Buffer[] = []
      for (; batch.length < BATCH && this.sent < end; this.sent += 1) {
        const { topic, payload, retain } = message(this.sent)
        batch.push(publish(topic, payload, 1, 1 + (this.sent % 65_535), retain ?? false))
      }
      this.#line.send(Buffer.concat(batch))
      await this.#until(this.#windowMax)
    }
    await this.#until(0)
    return secondsSince(began)
  }

  async #until(waitingMax: number): Promise<void> {
    while (this.sent - this.acknowledged > waitingMax) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  end(): void {
    this.#line.destroy()
  }
}
