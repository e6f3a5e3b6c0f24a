/**
 * A million wildcard filters: what they cost in memory, and what they cost a publication. The same stream to the same
 * subscriber, first with ten filters, then with a million; once over few topics (the answers are remembered) and once
 * over more topics than any cache holds.
 */
import type { Figures, RunningBroker, Scenario } from '../scenario.js'
import { atATime, connected, secondsSince, wait } from './crowd.js'
import { Line } from './line.js'
import { connect, isPublish, publish, subscribe } from './mqtt-bytes.js'

const FILTERS = 1_000_000
const PER_SESSION = 1_000
const FILTERS_PER_PACKET = 250
const HOT_TOPICS = 1_000
const COLD_TOPICS = 200_000
const WINDOW = 8_192
const BATCH = 128

/** Half of them of each kind; of a hundred beginnings one has both. */
function filterOf(index: number): string {
  if (index % 100 === 99) return index % 200 === 99 ? `a/${index - 1}/#` : `a/${index - 1}/+/x`
  return index % 200 < 100 ? `a/${index}/+/x` : `a/${index}/#`
}

interface Stream {
  readonly line: Line
  received: number
  /** Once for all that one iteration of the event loop has read. */
  onReceived: () => void
}

async function subscriber(broker: RunningBroker, count: number): Promise<Stream> {
  let isTold = false
  const tell = (): void => {
    isTold = false
    stream.onReceived()
  }
  const onPacket = (data: Buffer, start: number): void => {
    if (!isPublish(data, start)) return
    stream.received += 1
    if (isTold) return
    isTold = true
    setImmediate(tell)
  }
  const line = await connected({ broker, wire: 'mqtt-tcp', onPacket }, 'filters-subscriber')
  const stream: Stream = { line, received: 0, onReceived: () => {} }
  stream.line.send(
    subscribe(
      Array.from({ length: count }, (_, index) => filterOf(index)),
      0,
    ),
  )
  await stream.line.answered(2)
  return stream
}

async function hold(broker: RunningBroker, session: number): Promise<void> {
  const line = await new Line({ broker, wire: 'mqtt-tcp' }).open()
  line.send(connect(`filters-${session}`, false))
  await line.answered(1)
  for (let from = 0; from < PER_SESSION; from += FILTERS_PER_PACKET) {
    const first = session * PER_SESSION + from
    line.send(
      subscribe(
        Array.from({ length: FILTERS_PER_PACKET }, (_, index) => filterOf(first + index)),
        0,
      ),
    )
    await line.answered(2 + from / FILTERS_PER_PACKET)
  }
}

interface Rate {
  readonly perSec: number
  readonly sent: number
  readonly received: number
}

/** @param topics so many different ones, evenly over the first `begun` filters, which are the subscriber's. */
async function rate(publisher: Line, stream: Stream, topics: number, begun: number, seconds: number): Promise<Rate> {
  const packets = Array.from({ length: topics }, (_, index) => {
    const beginning = filterOf(index % begun).split('/')[1]
    return publish(`a/${beginning}/${Math.floor(index / begun)}/x`, Buffer.alloc(64))
  })
  const batches: Buffer[] = []
  for (let from = 0; from < topics; from += BATCH) batches.push(Buffer.concat(packets.slice(from, from + BATCH)))
  const base = stream.received
  let sent = 0
  let next = 0
  const pump = (): void => {
    while (sent - (stream.received - base) < WINDOW) {
      publisher.send(batches[next] as Buffer)
      sent += Math.min(BATCH, topics - next * BATCH)
      next = (next + 1) % batches.length
    }
  }
  stream.onReceived = pump
  const began = process.hrtime.bigint()
  pump()
  await wait(seconds * 1_000)
  stream.onReceived = () => {}
  const perSec = (stream.received - base) / secondsSince(began)
  for (let left = 200; left > 0 && stream.received - base < sent; left -= 1) await wait(10)
  return { perSec, sent, received: stream.received - base }
}

async function measure(
  broker: RunningBroker,
  scale: number,
  seconds: number,
  say: (text: string) => void,
): Promise<Figures> {
  const publisher = await connected({ broker, wire: 'mqtt-tcp' }, 'filters-publisher')
  const few = await subscriber(broker, 10)
  await rate(publisher, few, HOT_TOPICS, 10, 3)
  // Cold before hot, both times: what the cold run leaves in the cache is looked through by the hot one.
  const coldOf10 = await cost(broker, () => rate(publisher, few, COLD_TOPICS, 10, seconds))
  const hotOf10 = await cost(broker, () => rate(publisher, few, HOT_TOPICS, 10, seconds))
  few.line.destroy()
  await wait(500)
  const many = await subscriber(broker, 250)
  const before = broker.usage()
  const sessions = FILTERS / PER_SESSION / scale
  await atATime(8, sessions - 1, (index) => hold(broker, index + 1))
  say(`${sessions * PER_SESSION} filters`)
  await wait(2_000)
  const bytes = broker.usage().rssBytes - before.rssBytes
  const cold = await cost(broker, () => rate(publisher, many, COLD_TOPICS, 250, seconds))
  const hot = await cost(broker, () => rate(publisher, many, HOT_TOPICS, 250, seconds))
  many.line.destroy()
  const values = {
    shareCold: cold.perSec / coldOf10.perSec,
    shareHot: hot.perSec / hotOf10.perSec,
    coldPerSec: cold.perSec,
    coldPerSecWith10: coldOf10.perSec,
    hotPerSec: hot.perSec,
    hotPerSecWith10: hotOf10.perSec,
    coldMicros: cold.micros,
    coldMicrosWith10: coldOf10.micros,
    hotMicros: hot.micros,
    hotMicrosWith10: hotOf10.micros,
    rssPerFilterBytes: bytes / ((sessions - 1) * PER_SESSION),
  }
  const missing = [hotOf10, coldOf10, hot, cold].reduce((sum, each) => sum + each.missing, 0)
  const isGeneratorBound = hot.isGeneratorBound || cold.isGeneratorBound
  return { values, flaws: missing === 0 ? [] : [`${missing} deliveries missing`], isGeneratorBound }
}

interface Cost {
  readonly perSec: number
  /** Of broker CPU for each publication and its delivery. */
  readonly micros: number
  readonly missing: number
  readonly isGeneratorBound: boolean
}

async function cost(broker: RunningBroker, run: () => Promise<Rate>): Promise<Cost> {
  const before = broker.usage().cpuSec
  const own = process.cpuUsage()
  const { perSec, sent, received } = await run()
  const cpuSec = broker.usage().cpuSec - before
  const { user, system } = process.cpuUsage(own)
  const isGeneratorBound = (user + system) / 1e6 > cpuSec
  return { perSec, micros: (cpuSec * 1e6) / sent, missing: Math.max(0, sent - received), isGeneratorBound }
}

export const filterScenarios: readonly Scenario[] = [
  {
    name: '1 000 000 wildcard filters',
    isRequired: true,
    headline: 'shareCold',
    better: 'higher',
    about:
      'A million filters a/{i}/+/x and a/{i}/#, one in a hundred overlapping, a thousand a session. The rate of ' +
      'one publisher to one subscriber at QoS 0 as a share of that with ten filters, over 200 000 topics (cold) and ' +
      '1 000 topics (hot); resident memory for each filter.',
    entrants: (['tallymq', 'mosquitto'] as const).map((peer) => ({
      name: peer,
      broker: { peer },
      settings: 'MQTT over TCP, QoS 0, 64 bytes',
      measure: (broker, { scale, seconds, say }) => measure(broker, scale, seconds, say),
    })),
    bounds: [
      { figure: 'shareCold', atLeast: 0.8 },
      { figure: 'shareHot', atLeast: 0.8 },
      { figure: 'rssPerFilterBytes', atMost: 500 },
    ],
    extraSec: 60,
  },
]
