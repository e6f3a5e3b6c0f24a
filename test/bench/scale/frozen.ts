/**
 * A thousand subscribers, and what one of them that stops reading does to the latency of the others. Open loop: a
 * publication is due at a fixed time, and late is late. Before it is measured the frozen one is sent far more than its
 * socket takes, so that the broker really has to decide what becomes of it.
 */
import type { Figures, MeasureOptions, RunningBroker, Scenario } from '../scenario.js'
import { atATime, connected, percentile, wait } from './crowd.js'
import { Line } from './line.js'
import { connect, isPublish, payloadAt, publish, subscribe } from './mqtt-bytes.js'

const SUBSCRIBERS = 1_000
const PER_SEC = 20
const FLOOD_BYTES = 32_768
const FLOOD_MESSAGES = 512
/** In each phase beside what everybody gets: for the frozen one alone, or for the one that is frozen later. */
const EXTRA_PER_PUBLICATION = 4
/** With it frozen; one more with it awake, so that each has two beside it. */
const PHASES = 9

interface Phase {
  readonly p99Ms: number
  readonly latencyMs: readonly number[]
  /** Of the broker, for each delivery to the others. */
  readonly cpuMicros: number
}

class Crowd {
  readonly broker: RunningBroker
  readonly publisher: Line
  latencyMs: number[] = []
  received = 0
  frozen: Line | null = null

  constructor(broker: RunningBroker, publisher: Line) {
    this.broker = broker
    this.publisher = publisher
  }

  async join(count: number): Promise<void> {
    await atATime(20, count, async (index) => {
      const isFirst = index === 0
      const line = new Line({
        broker: this.broker,
        wire: 'mqtt-tcp',
        onPacket: isFirst ? () => {} : (data, start) => this.#got(data, start),
      })
      await line.open()
      line.send(connect(`frozen-${index}`, false))
      await line.answered(1)
      line.send(subscribe(isFirst ? ['frozen/all', 'frozen/one'] : ['frozen/all'], 0))
      await line.answered(2)
      if (isFirst) this.frozen = line
    })
  }

  #got(data: Buffer, start: number): void {
    if (!isPublish(data, start)) return
    const due = data.readDoubleBE(payloadAt(data, start))
    this.received += 1
    if (due > 0) this.latencyMs.push(performance.now() - due)
  }

  async publishFor(seconds: number): Promise<number> {
    const payload = Buffer.alloc(64)
    const extra = publish('frozen/one', Buffer.alloc(FLOOD_BYTES))
    const began = performance.now()
    const count = Math.floor(seconds * PER_SEC)
    for (let sent = 0; sent < count; sent += 1) {
      const due = began + (sent * 1_000) / PER_SEC
      while (performance.now() < due) await wait(Math.max(0, Math.floor(due - performance.now())))
      payload.writeDoubleBE(due)
      const packets = [publish('frozen/all', payload)]
      for (let index = 0; index < EXTRA_PER_PUBLICATION; index += 1) packets.push(extra)
      this.publisher.send(Buffer.concat(packets))
    }
    await wait(500)
    return count
  }
}

async function measure(broker: RunningBroker, { seconds, scale }: MeasureOptions): Promise<Figures> {
  const subscribers = Math.ceil(SUBSCRIBERS / scale)
  const crowd = new Crowd(broker, await connected({ broker, wire: 'mqtt-tcp' }, 'frozen-publisher'))
  await crowd.join(subscribers)
  await crowd.publishFor(2)
  const phases: Phase[] = []
  let missing = 0
  // In turn, so that the machine's moods meet both.
  for (let phase = 0; phase < 2 * PHASES + 1; phase += 1) {
    if (isFrozen(phase)) await flood(crowd)
    else crowd.frozen?.socket.resume()
    await wait(500)
    crowd.latencyMs = []
    crowd.received = 0
    const cpuBegan = broker.usage().cpuSec
    const count = await crowd.publishFor(seconds / 2)
    const cpuMicros = ((broker.usage().cpuSec - cpuBegan) * 1e6) / crowd.received
    missing += count * (subscribers - 1) - crowd.received
    phases.push({ p99Ms: percentile(crowd.latencyMs, 0.99), latencyMs: crowd.latencyMs, cpuMicros })
  }
  const values = { ...figures(phases), anonMiB: broker.usage().anonBytes / 1_048_576 }
  return { values, flaws: missing === 0 ? [] : [`${missing} deliveries to the others missing`] }
}

function isFrozen(phase: number): boolean {
  return phase % 2 === 1
}

/**
 * A phase has thirty publications, and the slowest of them makes its p99: a neighbour's second of work is enough. So
 * each frozen phase is held against those right before and behind it, and the median of these shares counts.
 */
function figures(phases: readonly Phase[]): Readonly<Record<string, number>> {
  const frozen = phases.filter((_, phase) => isFrozen(phase))
  const awake = phases.filter((_, phase) => !isFrozen(phase))
  const shares = frozen.map(({ p99Ms }, index) => {
    const [before, behind] = [awake[index] as Phase, awake[index + 1] as Phase]
    return (2 * p99Ms) / (before.p99Ms + behind.p99Ms)
  })
  const median = (values: readonly number[]): number => percentile(values, 0.5)
  return {
    share: median(shares),
    frozenP99Ms: median(frozen.map(({ p99Ms }) => p99Ms)),
    awakeP99Ms: median(awake.map(({ p99Ms }) => p99Ms)),
    frozenP50Ms: median(frozen.flatMap(({ latencyMs }) => latencyMs)),
    awakeP50Ms: median(awake.flatMap(({ latencyMs }) => latencyMs)),
    frozenCpuMicros: median(frozen.map(({ cpuMicros }) => cpuMicros)),
    awakeCpuMicros: median(awake.map(({ cpuMicros }) => cpuMicros)),
  }
}

/** Sixteen megabytes, to one who does not read. */
async function flood(crowd: Crowd): Promise<void> {
  crowd.frozen?.socket.pause()
  const packet = publish('frozen/one', Buffer.alloc(FLOOD_BYTES))
  for (let sent = 0; sent < FLOOD_MESSAGES; sent += 8) {
    crowd.publisher.send(Buffer.concat(new Array(8).fill(packet)))
    await wait(2)
  }
  await wait(300)
}

export const frozenScenarios: readonly Scenario[] = [
  {
    name: 'one frozen subscriber among 1 000',
    isRequired: true,
    headline: 'share',
    better: 'lower',
    about:
      'A thousand subscribers, 20 publications a second to all at QoS 0 on a fixed timetable, and 2.6 MB/s more ' +
      'for one of them. p99 of the others while it does not read, as a share of p99 while it does; phases in turn, ' +
      'the median of what each has to those beside it.',
    entrants: (['tallymq', 'mosquitto', 'aedes', 'nats'] as const).map((peer) => ({
      name: peer,
      broker: { peer },
      settings: 'MQTT over TCP, QoS 0, 64 bytes',
      measure,
    })),
    bounds: [{ figure: 'share', atMost: 1.2 }],
    extraSec: 75,
  },
]
