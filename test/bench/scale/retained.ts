/**
 * A million retained topics for one new subscriber of `#`: how long until it has all of them, and how long another
 * client waits meanwhile for the answer to a ping, which is what the delay of the event loop means to it.
 */
import type { Figures, MeasureOptions, RunningBroker, Scenario } from '../scenario.js'
import { connected, percentile, Publisher, secondsSince, wait } from './crowd.js'
import { Line } from './line.js'
import { connect, isPublish, payloadAt, PINGREQ, subscribe } from './mqtt-bytes.js'

const TOPICS = 1_000_000
const PING_MS = 3
const TIMEOUT_MS = 60_000

/** Pings one after the other; a ping that waits is not followed by another. */
class Pinger {
  readonly #line: Line
  #sentAt = process.hrtime.bigint()
  #isOver = false
  waitedMs: number[] = []

  constructor(broker: RunningBroker) {
    this.#line = new Line({
      broker,
      wire: 'mqtt-tcp',
      onPacket: (data, start) => {
        if ((data[start] as number) >> 4 === 13) this.#answered()
      },
    })
  }

  async start(): Promise<void> {
    await this.#line.open()
    this.#line.send(connect('retained-pinger', false))
    await this.#line.answered(1)
    this.#ping()
  }

  readonly #ping = (): void => {
    if (this.#isOver) return
    this.#sentAt = process.hrtime.bigint()
    this.#line.send(PINGREQ)
  }

  #answered(): void {
    this.waitedMs.push(secondsSince(this.#sentAt) * 1_000)
    setTimeout(this.#ping, PING_MS)
  }

  end(): void {
    this.#isOver = true
    this.#line.destroy()
  }
}

async function fill(broker: RunningBroker, topics: number): Promise<number> {
  const publisher = await Publisher.connect(broker, 'retained-publisher')
  const payload = Buffer.alloc(64)
  const seconds = await publisher.run(topics, (index) => {
    payload.writeUInt32BE(index)
    return { topic: `site/${index % 1_000}/sensor/${index}`, payload, retain: true }
  })
  publisher.end()
  return topics / seconds
}

/** Subscribes, and waits until every topic has come. */
async function takeAll(broker: RunningBroker, topics: number): Promise<{ seconds: number; flaws: string[] }> {
  const seen = new Uint8Array(topics)
  let distinct = 0
  let doubled = 0
  let done = (): void => {}
  const complete = new Promise<void>((resolve) => {
    done = resolve
  })
  const onPacket = (data: Buffer, start: number): void => {
    if (!isPublish(data, start)) return
    const index = data.readUInt32BE(payloadAt(data, start))
    if (seen[index] === 1) doubled += 1
    else distinct += 1
    seen[index] = 1
    if (distinct === topics) done()
  }
  const line = await connected({ broker, wire: 'mqtt-tcp', onPacket }, 'retained-subscriber')
  const began = process.hrtime.bigint()
  line.send(subscribe(['#'], 0))
  await Promise.race([complete, wait(TIMEOUT_MS)])
  const seconds = secondsSince(began)
  line.destroy()
  const flaws: string[] = []
  if (distinct < topics) flaws.push(`${topics - distinct} retained messages missing`)
  if (doubled > 0) flaws.push(`${doubled} retained messages doubled`)
  return { seconds, flaws }
}

async function measure(broker: RunningBroker, { scale, say }: MeasureOptions): Promise<Figures> {
  const topics = Math.ceil(TOPICS / scale)
  const retainedPerSec = await fill(broker, topics)
  await wait(3_000)
  say(`${topics} retained at ${Math.round(retainedPerSec)}/s`)
  const pinger = new Pinger(broker)
  await pinger.start()
  await wait(1_000)
  const idleMs = pinger.waitedMs
  pinger.waitedMs = []
  const cpuBegan = broker.usage().cpuSec
  const { seconds, flaws } = await takeAll(broker, topics)
  const brokerCpuSec = broker.usage().cpuSec - cpuBegan
  const during = pinger.waitedMs
  pinger.end()
  return {
    values: {
      seconds,
      pingMaxMs: Math.max(...during),
      pingP99Ms: percentile(during, 0.99),
      pingP50Ms: percentile(during, 0.5),
      idlePingMaxMs: Math.max(...idleMs),
      pings: during.length,
      brokerCpuSec,
      retainedPerSec,
      anonMiB: broker.usage().anonBytes / 1_048_576,
    },
    flaws,
  }
}

export const retainedScenarios: readonly Scenario[] = [
  {
    name: '1 000 000 retained to a new subscriber',
    isRequired: true,
    headline: 'seconds',
    better: 'lower',
    about:
      'A million retained topics of 64 bytes, then a subscriber of # at QoS 0. Another client pings meanwhile, every ' +
      '3 ms or as soon as it is answered.',
    entrants: (['tallymq', 'mosquitto', 'aedes'] as const).map((peer) => ({
      name: peer,
      broker: { peer },
      settings: 'MQTT over TCP; retained at QoS 1, delivered at QoS 0',
      measure,
    })),
    bounds: [
      { figure: 'seconds', atMost: 4 },
      { figure: 'pingMaxMs', atMost: 50 },
    ],
    extraSec: 90,
    isOneDeed: true,
  },
]
