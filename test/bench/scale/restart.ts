/**
 * A million stored messages, SIGKILL, and the first PUBACK of the next process: with a hundred thousand sessions, and
 * with a thousand deep ones. Then what was acknowledged is delivered: once, in order.
 */
import type { Figures, MeasureOptions, RunningBroker, Scenario } from '../scenario.js'
import { atATime, flawsOfBacklog, leaveSession, Publisher, secondsSince, wait } from './crowd.js'
import { address } from './line.js'

const WIDTH = 200
const MIB = 1_048_576

interface Backlog {
  readonly sessions: number
  readonly messages: number
  readonly payloadBytes: number
  /** Delivered and checked afterwards. */
  readonly sessionsDrained: number
}

async function fill(broker: RunningBroker, backlog: Backlog, say: (text: string) => void): Promise<number> {
  const { sessions, messages, payloadBytes } = backlog
  await atATime(WIDTH, sessions, (index) =>
    leaveSession({ broker, wire: 'mqtt-tcp', localAddress: address(index) }, `offline-${index}`, `backlog/${index}`),
  )
  say(`${sessions} sessions`)
  const publisher = await Publisher.connect(broker, 'backlog-publisher')
  const payload = Buffer.alloc(payloadBytes)
  const seconds = await publisher.run(messages, (index) => {
    payload.writeUInt32BE(Math.floor(index / sessions))
    return { topic: `backlog/${index % sessions}`, payload }
  })
  publisher.end()
  say(`${messages} messages stored`)
  return messages / seconds
}

async function measure(broker: RunningBroker, backlog: Backlog, say: (text: string) => void): Promise<Figures> {
  const storedPerSec = await fill(broker, backlog, say)
  await wait(3_000)
  const filled = broker.usage()
  await broker.kill()
  const restarted = await broker.restart()
  const began = process.hrtime.bigint()
  const publisher = await Publisher.connect(restarted, 'probe')
  await publisher.run(1, () => ({ topic: 'backlog/none', payload: Buffer.alloc(64) }))
  const firstPubackMs = (restarted.readySec + secondsSince(began)) * 1_000
  const { anonBytes } = restarted.usage()
  publisher.end()
  let flaws = 0
  const drained = process.hrtime.bigint()
  const each = backlog.messages / backlog.sessions
  await atATime(50, backlog.sessionsDrained, async (index) => {
    flaws += await flawsOfBacklog(restarted, `offline-${index}`, each)
  })
  const drainedPerSec = (each * backlog.sessionsDrained) / secondsSince(drained)
  await restarted.kill()
  return {
    values: {
      firstPubackMs,
      readyMs: restarted.readySec * 1_000,
      storedPerSec,
      drainedPerSec,
      anonFilledMiB: filled.anonBytes / MIB,
      anonRestartedMiB: anonBytes / MIB,
    },
    flaws: flaws === 0 ? [] : [`${flaws} stored messages missing, doubled or out of order`],
  }
}

function scenario(name: string, about: string, backlog: Backlog, isRequired: boolean): Scenario {
  return {
    name,
    isRequired,
    headline: 'firstPubackMs',
    better: 'lower',
    about,
    entrants: [
      {
        name: 'tallymq',
        broker: { peer: 'tallymq', keeping: 'durable' },
        settings: 'flushed; SIGKILL after the last PUBACK',
        measure: (broker, { scale, say }: MeasureOptions) =>
          measure(
            broker,
            {
              ...backlog,
              sessions: Math.ceil(backlog.sessions / scale),
              messages: Math.ceil(backlog.sessions / scale) * (backlog.messages / backlog.sessions),
              sessionsDrained: Math.ceil(backlog.sessionsDrained / scale),
            },
            say,
          ),
      },
    ],
    bounds: [{ figure: 'firstPubackMs', atMost: 1_000 }],
    extraSec: 120,
    isOneDeed: true,
  }
}

export const restartScenarios: readonly Scenario[] = [
  scenario(
    'restart, 100 000 sessions',
    'A million messages of 64 bytes for 100 000 offline sessions, SIGKILL, start, one publication at QoS 1. ' +
      'The time counts from the start of the process. A thousand of the sessions then get what is theirs.',
    { sessions: 100_000, messages: 1_000_000, payloadBytes: 64, sessionsDrained: 1_000 },
    true,
  ),
  scenario(
    'restart, 1 000 deep sessions',
    'The same million at 256 bytes for a thousand sessions; all of them then get what is theirs.',
    { sessions: 1_000, messages: 1_000_000, payloadBytes: 256, sessionsDrained: 1_000 },
    false,
  ),
]
