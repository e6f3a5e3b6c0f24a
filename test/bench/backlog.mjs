/**
 * A million messages of 256 bytes for a thousand offline sessions: anonymous memory while they wait, time from start to
 * the first PUBACK after a kill, and then everything delivered, once and in order.
 *
 * npm run bench:backlog [-- --messages 1000000 --sessions 1000]
 */
import { rmSync } from 'node:fs'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { RawWebSocket } from './raw-websocket.mjs'
import { startTally, usage } from './targets.mjs'
import { native } from './wire-native.mjs'

const { values } = parseArgs({
  options: { messages: { type: 'string', default: '1000000' }, sessions: { type: 'string', default: '1000' } },
})
const messages = Number(values.messages)
const sessions = Number(values.sessions)
const perSession = messages / sessions
const directory = mkdtempSync(join(process.env.TALLYMQ_BENCH_DIR ?? tmpdir(), 'tallymq-backlog-'))
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const log = (text) => process.stderr.write(`${text}\n`)

class Client {
  constructor(port, name, handlers = {}) {
    this.name = name
    this.onPublish = handlers.onPublish ?? (() => {})
    this.onAck = handlers.onAck ?? (() => {})
    this.others = 0
    this.socket = new RawWebSocket({
      port,
      path: native.path,
      subprotocol: native.subprotocol,
      onPayload: (data, start, end) => {
        native.parse(data, start, end, this)
        handlers.afterFrame?.(this)
      },
    })
  }
  onOther() {
    this.others += 1
    this.wake?.()
  }
  async reach(count) {
    while (this.others < count) {
      await new Promise((resolve) => {
        this.wake = resolve
      })
    }
  }
  async connect() {
    await this.socket.opened
    this.socket.send(native.connect(this.name, true))
    await this.reach(1)
    return this
  }
}

async function subscribeAll(port) {
  for (let from = 0; from < sessions; from += 50) {
    await Promise.all(
      Array.from({ length: Math.min(50, sessions - from) }, async (_, offset) => {
        const index = from + offset
        const client = await new Client(port, `offline-${index}`).connect()
        client.socket.send(native.subscribe(`backlog/${index}`, 1))
        await client.reach(2)
        client.socket.socket.destroy()
      }),
    )
  }
}

async function publishAll(port, total, first) {
  let acknowledged = 0
  let wake = () => {}
  const client = await new Client(port, 'backlog-publisher', {
    onAck: (_type, from, to) => {
      acknowledged += to >= from ? to - from + 1 : to + 65_536 - from
    },
    afterFrame: () => wake(),
  }).connect()
  const templates = Array.from({ length: sessions }, (_, index) => native.template(`backlog/${index}`, 1, 256))
  let packetId = 1
  const started = process.hrtime.bigint()
  for (let sent = 0; sent < total; ) {
    const parts = []
    for (let index = 0; index < 64 && sent < total; index += 1) {
      const { bytes, packetIdAt, payloadAt } = templates[(first + sent) % sessions]
      const copy = Buffer.from(bytes)
      copy.writeUInt16BE(packetId, packetIdAt)
      copy.writeUInt32BE(Math.floor((first + sent) / sessions), payloadAt)
      packetId = packetId === 65_535 ? 1 : packetId + 1
      parts.push(copy)
      sent += 1
    }
    client.socket.send(Buffer.concat(parts))
    while (sent - acknowledged > 8_192 || (sent === total && acknowledged < total)) {
      await new Promise((resolve) => {
        wake = resolve
      })
    }
  }
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  client.socket.socket.destroy()
  return total / seconds
}

async function drainAll(port) {
  let delivered = 0
  let flaws = 0
  const started = process.hrtime.bigint()
  for (let from = 0; from < sessions; from += 50) {
    await Promise.all(
      Array.from({ length: Math.min(50, sessions - from) }, (_, offset) => {
        const index = from + offset
        return new Promise((resolve) => {
          let expected = 0
          let range = null
          const client = new Client(port, `offline-${index}`, {
            onPublish: (data, payloadAt, _qos, packetId) => {
              if (data.readUInt32BE(payloadAt) !== expected) flaws += 1
              expected += 1
              delivered += 1
              if (range === null) range = [packetId, packetId]
              else range[1] = packetId
            },
            afterFrame: (self) => {
              if (range !== null) self.socket.send(native.ack(4, range[0], range[1]))
              range = null
              if (expected === perSession) {
                setTimeout(() => self.socket.socket.destroy(), 200)
                resolve()
              }
            },
          })
          client.connect()
        })
      }),
    )
  }
  return { delivered, flaws, perSec: Math.round(delivered / (Number(process.hrtime.bigint() - started) / 1e9)) }
}

let target = await startTally({ dataDirectory: directory })
await subscribeAll(target.port)
log('subscribed')
const storedPerSec = Math.round(await publishAll(target.port, messages, 0))
await wait(3_000)
const filled = usage(target.pid)
log(`stored at ${storedPerSec}/s, RssAnon ${Math.round(filled.anonBytes / 1_048_576)} MiB`)
await target.stop('SIGKILL')
const startedAt = process.hrtime.bigint()
target = await startTally({ dataDirectory: directory })
const readyMs = Number(process.hrtime.bigint() - startedAt) / 1e6
const probe = await new Client(target.port, 'probe').connect()
const template = native.template('backlog/none', 1, 256)
template.bytes.writeUInt16BE(1, template.packetIdAt)
const answered = new Promise((resolve) => {
  probe.onAck = resolve
})
probe.socket.send(template.bytes)
await answered
const firstPubackMs = Number(process.hrtime.bigint() - startedAt) / 1e6
const restarted = usage(target.pid)
log(`first PUBACK after ${Math.round(firstPubackMs)} ms`)
const drained = await drainAll(target.port)
await wait(1_000)
const after = usage(target.pid)
await target.stop()
rmSync(directory, { recursive: true, force: true })
process.stdout.write(
  `${JSON.stringify({
    messages,
    sessions,
    storedPerSec,
    anonFilledMiB: Math.round(filled.anonBytes / 1_048_576),
    readyMs: Math.round(readyMs),
    firstPubackMs: Math.round(firstPubackMs),
    anonRestartedMiB: Math.round(restarted.anonBytes / 1_048_576),
    anonDrainedMiB: Math.round(after.anonBytes / 1_048_576),
    delivered: drained.delivered,
    drainedPerSec: drained.perSec,
    outOfOrderOrLost: drained.flaws + (messages - drained.delivered),
  })}\n`,
)
