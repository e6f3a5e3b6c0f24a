/**
 * One load on one broker: everybody connected, publications in a closed loop (a window for each publisher) or on a
 * timetable, counters that can be read at any time. Measures nothing itself.
 */
import { setImmediate, setTimeout as wait } from 'node:timers'
import { setTimeout as waitFor } from 'node:timers/promises'
import { Histogram } from '../histogram.js'
import type { LoadTask, WireName } from '../load.js'
import { type Driver, Publisher, Subscriber } from './clients.js'
import { DeliveryCheck } from './delivery-check.js'
import { mqttWire } from './mqtt-wire.js'
import { nativeWire } from './native-wire.js'
import { relayWire } from './relay-wire.js'
import type { Wire } from './wire.js'

const CONNECTING_MAX = 50
const CONNECT_MS_MAX = 60_000

function wireNamed(name: WireName, payloadBytes: number): Wire {
  if (name === 'relay') return relayWire(payloadBytes)
  return name === 'native' ? nativeWire : mqttWire
}

export class LoadRun implements Driver {
  readonly publishers: Publisher[] = []
  readonly subscribers: Subscriber[] = []
  readonly latency: Histogram | null
  readonly ackLatency: Histogram | null
  /** How late the generator itself was: what of the latency is not the broker's. */
  readonly lateness = new Histogram()
  broken: string | null = null
  readonly #task: LoadTask
  readonly #wire: Wire
  #startedAtMs = 0
  #recordFromMicros = Number.POSITIVE_INFINITY
  #isRunning = false
  #isPumpScheduled = false
  /** Pairs in which something has come since the last time more was sent. */
  readonly #moved: number[] = []
  readonly #isMoved: Uint8Array

  constructor(task: LoadTask) {
    this.#task = task
    this.#wire = wireNamed(task.load.wire, task.load.payloadBytes)
    this.#isMoved = new Uint8Array(Math.max(task.load.publishers, task.load.subscribers))
    const { ratePerSec, qos } = task.load
    this.latency = ratePerSec === undefined ? null : new Histogram()
    this.ackLatency = ratePerSec === undefined || qos === 0 ? null : new Histogram()
  }

  async open(): Promise<void> {
    const { load } = this.#task
    const deadline = wait(() => this.onBroken('connecting takes too long'), CONNECT_MS_MAX)
    for (let index = 0; index < load.subscribers; index += 1) this.subscribers.push(this.#newSubscriber(index))
    await inGroups(this.subscribers, (one, index) => this.#openSubscriber(one, index))
    for (let index = 0; index < load.publishers; index += 1) {
      this.publishers.push(new Publisher(index, this.#task, this.#wire, this))
    }
    await inGroups(this.publishers, (one, index) => this.#openPublisher(one, index))
    clearTimeout(deadline)
  }

  start(): void {
    this.#isRunning = true
    this.#startedAtMs = performance.now()
    const { ratePerSec, publishers } = this.#task.load
    if (ratePerSec !== undefined) this.#keepTimetable(ratePerSec)
    else for (let index = 0; index < publishers; index += 1) this.onProgress(index)
  }

  /** Latency counts for what is due from now on. */
  record(): void {
    this.#recordFromMicros = this.nowMicros()
    for (const subscriber of this.subscribers) subscriber.recordFromMicros = this.#recordFromMicros
  }

  stop(): void {
    this.#isRunning = false
  }

  nowMicros(): number {
    return (performance.now() - this.#startedAtMs) * 1_000
  }

  onBroken(reason: string): void {
    this.broken ??= reason
  }

  /** More is sent once an iteration of the event loop has read all there is. */
  onProgress(index: number): void {
    if (!this.#isRunning || this.latency !== null) return
    if (this.#isMoved[index] === 0) {
      this.#isMoved[index] = 1
      this.#moved.push(index)
    }
    if (this.#isPumpScheduled) return
    this.#isPumpScheduled = true
    setImmediate(() => {
      this.#isPumpScheduled = false
      if (this.#isRunning) this.#pump()
    })
  }

  get published(): number {
    return this.publishers.reduce((sum, { sent }) => sum + sent, 0)
  }
  get acknowledged(): number {
    return this.publishers.reduce((sum, { acknowledged }) => sum + acknowledged, 0)
  }
  get received(): number {
    return this.subscribers.reduce((sum, { check }) => sum + check.received, 0)
  }
  /** WebSocket frames in which deliveries came. */
  get frames(): number {
    return this.subscribers.reduce((sum, { connection }) => sum + connection.frames, 0)
  }
  /** Everything published has come, to everybody, and is acknowledged. */
  get isDrained(): boolean {
    const { isPaired, subscribers, qos } = this.#task.load
    const copies = isPaired ? 1 : subscribers
    return this.received >= this.published * copies && (qos === 0 || this.acknowledged >= this.published)
  }

  #newSubscriber(index: number): Subscriber {
    const { isPaired, publishers } = this.#task.load
    const check = isPaired ? new DeliveryCheck(index, 1) : new DeliveryCheck(0, publishers)
    return new Subscriber(index, this.#task, this.#wire, this, { check, latency: this.latency })
  }

  async #openSubscriber(one: Subscriber, index: number): Promise<void> {
    const { isDurable, isPaired, qos } = this.#task.load
    await one.connection.opened
    await one.ask(this.#wire.connect(`bench-subscriber-${index}`, isDurable))
    await one.ask(this.#wire.subscribe(isPaired ? `bench/${index}` : 'bench/#', qos))
  }

  async #openPublisher(one: Publisher, index: number): Promise<void> {
    const { isDurable, isProducer = false, qos, payloadBytes, batch, wire } = this.#task.load
    await one.connection.opened
    await one.ask(this.#wire.connect(`bench-publisher-${index}`, isDurable))
    const topic = `bench/${index}`
    if (isProducer && qos !== 0) {
      const produce = this.#wire.produce(topic, qos, payloadBytes, batch)
      if (produce === null) throw new Error(`no producers over ${wire}`)
      await one.ask(produce.open)
      one.prepare({ template: produce.message, publisher: index, batch, perFrame: batch, packed: produce })
      return
    }
    const packed = batch === 1 ? null : this.#wire.run(topic, qos, payloadBytes, batch)
    if (packed !== null) {
      one.prepare({ template: packed.message, publisher: index, batch, perFrame: batch, packed })
      return
    }
    const template = this.#wire.template(topic, qos, payloadBytes)
    one.prepare({ template, publisher: index, batch, perFrame: wire === 'relay' ? 1 : batch })
  }

  #pump(): void {
    for (const index of this.#moved) {
      this.#isMoved[index] = 0
      if (this.#task.load.isPaired) this.#pumpOne(index)
    }
    this.#moved.length = 0
    if (this.#task.load.isPaired) return
    for (let index = 0; index < this.publishers.length; index += 1) this.#pumpOne(index)
  }

  #pumpOne(index: number): void {
    const { window, batch } = this.#task.load
    const publisher = this.publishers[index] as Publisher
    const done = this.#doneBy(index)
    while (publisher.sent - done + batch <= window) publisher.send(batch, 0)
  }

  /** Messages of one publisher that have come everywhere and are acknowledged. */
  #doneBy(index: number): number {
    const { isPaired, qos } = this.#task.load
    const publisher = this.publishers[index] as Publisher
    let done = qos === 0 ? publisher.sent : publisher.acknowledged
    if (isPaired) return Math.min(done, (this.subscribers[index] as Subscriber).check.next[0] as number)
    for (const { check } of this.subscribers) {
      const next = check.next[index] as number
      if (next < done) done = next
    }
    return done
  }

  /** Looks at the clock instead of sleeping: a timer is too coarse for what is due every 100 µs. */
  #keepTimetable(ratePerSec: number): void {
    const intervalMicros = 1e6 / ratePerSec
    const { ackLatency, publishers } = this
    publishers.forEach((publisher, index) => {
      if (ackLatency === null) return
      publisher.onAcknowledged = (from, count) => {
        const now = this.nowMicros()
        for (let sequence = from; sequence < from + count; sequence += 1) {
          const due = (sequence * publishers.length + index) * intervalMicros
          if (due >= this.#recordFromMicros) ackLatency.record(now - due)
        }
      }
    })
    let sent = 0
    const tick = () => {
      if (!this.#isRunning) return
      const now = this.nowMicros()
      for (let due = sent * intervalMicros; due <= now; due = sent * intervalMicros) {
        const publisher = publishers[sent % publishers.length] as Publisher
        publisher.send(1, due)
        if (due >= this.#recordFromMicros) this.lateness.record(this.nowMicros() - due)
        sent += 1
      }
      setImmediate(tick)
    }
    tick()
  }
}

async function inGroups<T>(all: readonly T[], open: (one: T, index: number) => Promise<void>): Promise<void> {
  for (let from = 0; from < all.length; from += CONNECTING_MAX) {
    await Promise.all(all.slice(from, from + CONNECTING_MAX).map((one, offset) => open(one, from + offset)))
  }
  await waitFor(0)
}
