/**
 * A million wildcard filters: what they cost in memory, and what they cost a publication. The same stream to the same
 * subscriber and its ten filters, first without others, then with a million; once over few topics (the answers are
 * remembered) and once over more topics than any cache holds. Both times the broker has run for some seconds with what
 * it is measured with. Beside that, without anything to compare it with, a stream over the filters of another one.
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
const FEW = { from: 0, count: 10 }
/** The filters of a second subscriber. */
const WIDE = { from: 10, count: 240 }
const WARM_UP_SEC = 2

interface Range {
  readonly from: number
  readonly count: number
}

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

async function subscriber(broker: RunningBroker, { from, count }: Range): Promise<Stream> {
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
  const line = await connected({ broker, wire: 'mqtt-tcp', onPacket }, `filters-subscriber-${from}`)
  const stream: Stream = { line, received: 0, onReceived: () => {} }
  stream.line.send(
    subscribe(
      Array.from({ length: count }, (_, index) => filterOf(from + index)),
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

/** @param topics so many different ones, evenly over the subscriber's filters. */
async function rate(publisher: Line, stream: Stream, topics: number, own: Range, seconds: number): Promise<Rate> {
  const packets = Array.from({ length: topics }, (_, index) => {
    const beginning = filterOf(own.from + (index % own.count)).split('/')[1]
    return publish(`a/${beginning}/${Math.floor(index / own.count)}/x`, Buffer.alloc(64))
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
  const few = await subscriber(broker, FEW)
  const wide = await subscriber(broker, WIDE)
  const both = async (): Promise<{ cold: Cost; hot: Cost }> => {
    await rate(publisher, few, COLD_TOPICS, FEW, WARM_UP_SEC)
    await rate(publisher, few, HOT_TOPICS, FEW, WARM_UP_SEC)
    // Cold before hot: what the cold run leaves in the cache is looked through by the hot one.
    const cold = await cost(broker, () => rate(publisher, few, COLD_TOPICS, FEW, seconds))
    return { cold, hot: await cost(broker, () => rate(publisher, few, HOT_TOPICS, FEW, seconds)) }
  }
  const of10 = await both()
  const before = broker.usage()
  const sessions = FILTERS / PER_SESSION / scale
  await atATime(8, sessions - 1, (index) => hold(broker, index + 1))
  say(`${sessions * PER_SESSION} filters`)
  await wait(2_000)
  const bytes = broker.usage().rssBytes - before.rssBytes
  const many = await both()
  const spread = await cost(broker, () => rate(publisher, wide, COLD_TOPICS, WIDE, seconds))
  const costs = [of10.cold, of10.hot, many.cold, many.hot, spread]
  const values = {
    shareCold: many.cold.perSec / of10.cold.perSec,
    shareHot: many.hot.perSec / of10.hot.perSec,
    coldPerSec: many.cold.perSec,
    coldPerSecWith10: of10.cold.perSec,
    hotPerSec: many.hot.perSec,
    hotPerSecWith10: of10.hot.perSec,
    coldMicros: many.cold.micros,
    coldMicrosWith10: of10.cold.micros,
    hotMicros: many.hot.micros,
    hotMicrosWith10: of10.hot.micros,
    spreadMicros: spread.micros,
    rssPerFilterBytes: bytes / ((sessions - 1) * PER_SESSION),
  }
  const missing = costs.reduce((sum, each) => sum + each.missing, 0)
  const isGeneratorBound = many.hot.isGeneratorBound || many.cold.isGeneratorBound
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
      'one publisher to one subscriber with ten filters at QoS 0 as a share of that without the others, over 200 000 ' +
      'topics (cold) and 1 000 topics (hot); resident memory for each filter.',
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
    extraSec: 75,
  },
]
