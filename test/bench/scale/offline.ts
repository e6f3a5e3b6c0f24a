/** One publication for a thousand offline durable sessions: stored deliveries per second, and that they are there. */
import type { Figures, Keeping, MeasureOptions, PeerName, RunningBroker, Scenario } from '../scenario.js'
import { atATime, flawsOfBacklog, leaveSession, Publisher, secondsSince } from './crowd.js'

const SESSIONS = 1_000
/** Below what a queue of ours takes by default. */
const MESSAGES_MAX = 60_000
const TOPIC = 'offline/all'

async function measure(broker: RunningBroker, { seconds, scale, say }: MeasureOptions): Promise<Figures> {
  const sessions = Math.ceil(SESSIONS / scale)
  await atATime(50, sessions, (index) => leaveSession({ broker, wire: 'mqtt-tcp' }, `offline-${index}`, TOPIC))
  const publisher = await Publisher.connect(broker, 'offline-publisher', 256)
  const payload = Buffer.alloc(64)
  const message = (index: number) => {
    payload.writeUInt32BE(index)
    return { topic: TOPIC, payload }
  }
  await publisher.run(64, message)
  const cpuBegan = broker.usage().cpuSec
  const began = process.hrtime.bigint()
  const published = publisher.sent
  const elapsed = await publisher.run(MESSAGES_MAX, message, () => secondsSince(began) > seconds)
  const count = publisher.sent - published
  const cpuSec = broker.usage().cpuSec - cpuBegan
  say(`${count} publications stored ${sessions} times`)
  publisher.end()
  let flaws = 0
  for (const index of [0, sessions - 1]) {
    flaws += await flawsOfBacklog(broker, `offline-${index}`, publisher.sent)
  }
  return {
    values: {
      storedPerSec: (count * sessions) / elapsed,
      publishesPerSec: count / elapsed,
      brokerMicrosPerDelivery: (cpuSec * 1e6) / (count * sessions),
      anonMiB: broker.usage().anonBytes / 1_048_576,
    },
    flaws: flaws === 0 ? [] : [`${flaws} stored deliveries missing, doubled or out of order`],
  }
}

function entrant(peer: PeerName, keeping: Keeping, settings: string) {
  return { name: `${peer} ${keeping}`, broker: { peer, keeping }, settings, measure }
}

export const offlineScenarios: readonly Scenario[] = [
  {
    name: '1 to 1 000 offline durable sessions',
    isRequired: true,
    headline: 'storedPerSec',
    better: 'higher',
    about:
      'QoS 1, 64 bytes, one publisher with 256 on their way, a thousand durable sessions offline. Deliveries ' +
      'count when the publication is acknowledged. Two of the sessions come back and get everything in order.',
    entrants: [
      entrant('tallymq', 'durable', 'flushed before PUBACK'),
      entrant('mosquitto', 'durable', 'acknowledged before it is on disk; written at most once a second'),
      entrant('mosquitto', 'memory', 'in memory'),
    ],
    bounds: [{ figure: 'storedPerSec', times: 'mosquitto durable', atLeast: 50 }],
    extraSec: 30,
  },
]
