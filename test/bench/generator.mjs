/**
 * Closed-loop load: publishers keep a window of messages on their way, subscribers check that every one arrives once
 * and in order. One process, no broker code in the hot loop, prebuilt frames. Prints one JSON line.
 *
 * node test/bench/generator.mjs --wire native --port 8083 --qos 1 --subs 1 --seconds 5
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { frame, frameHeadBytes, RawWebSocket, writeHead } from './raw-websocket.mjs'
import { mqtt, relay } from './wire-mqtt.mjs'
import { native } from './wire-native.mjs'

const { values } = parseArgs({
  options: {
    wire: { type: 'string', default: 'native' },
    port: { type: 'string', default: '8083' },
    path: { type: 'string' },
    qos: { type: 'string', default: '0' },
    subs: { type: 'string', default: '1' },
    size: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '5' },
    warmup: { type: 'string', default: '2' },
    window: { type: 'string', default: '8192' },
    batch: { type: 'string', default: '64' },
    durable: { type: 'boolean', default: false },
    produce: { type: 'boolean', default: false },
    pid: { type: 'string' },
  },
})
const port = Number(values.port)
const qos = Number(values.qos)
const subs = Number(values.subs)
const size = Number(values.size)
const window = Number(values.window)
/** PRODUCE of whole batches instead of PUBLISH. */
const isProducer = values.produce
const wire = { native, mqtt, relay }[values.wire]
const path = values.path ?? wire.path
// A plain relay's message is a frame; what shares a write is not shared by the frame.
const batch = Number(values.batch)
const PUBACK = 4
const PUBREC = 5
const PUBREL = 6
const PUBCOMP = 7

let published = 0
let acknowledged = 0
let missing = 0
let duplicated = 0
let reordered = 0
const subscribers = []
let isStopping = false
let isPumpScheduled = false
let isReady = false

/** Once an iteration of the loop has read all there is. */
function schedulePump() {
  if (isPumpScheduled || !isReady) return
  isPumpScheduled = true
  setImmediate(() => {
    isPumpScheduled = false
    pump()
  })
}

class Peer {
  constructor(name) {
    this.name = name
    this.others = 0
    this.outgoing = []
    this.first = 0
    this.last = 0
    this.ackType = 0
    this.rest = null
    this.socket = new RawWebSocket({
      port,
      path,
      subprotocol: wire.subprotocol,
      onPayload: (data, start, end) => this.payload(data, start, end),
    })
  }
  payload(data, start, end) {
    if (wire === mqtt) {
      if (this.rest !== null) {
        data = Buffer.concat([this.rest, data.subarray(start, end)])
        start = 0
        end = data.length
        this.rest = null
      }
      const whole = mqtt.wholeEnd(data, start, end)
      if (whole < end) this.rest = Buffer.from(data.subarray(whole, end))
      end = whole
    }
    wire.parse(data, start, end, this)
    this.flushAck()
    schedulePump()
    if (this.outgoing.length > 0) {
      this.socket.send(this.outgoing.length === 1 ? this.outgoing[0] : Buffer.concat(this.outgoing))
      this.outgoing = []
    }
  }
  onOther() {
    this.others += 1
    this.wake?.()
  }
  /** Neighbouring ids become one range. */
  queueAck(type, first, last) {
    if (this.ackType === type && first === (this.last === 65_535 ? 1 : this.last + 1)) {
      this.last = last
      return
    }
    this.flushAck()
    this.ackType = type
    this.first = first
    this.last = last
  }
  flushAck() {
    if (this.ackType === 0) return
    this.outgoing.push(wire.ack(this.ackType, this.first, this.last))
    this.ackType = 0
  }
  async ready(count) {
    while (this.others < count) {
      await new Promise((resolve) => {
        this.wake = resolve
      })
    }
  }
}

class Subscriber extends Peer {
  constructor(name) {
    super(name)
    this.received = 0
    this.expected = 0
  }
  onPublish(data, payloadAt, deliveredQos, packetId) {
    const sequence = data.readUInt32BE(payloadAt)
    if (sequence === this.expected) this.expected += 1
    else if (sequence > this.expected) {
      missing += sequence - this.expected
      this.expected = sequence + 1
    } else if (sequence < this.expected - 100_000) reordered += 1
    else duplicated += 1
    this.received += 1
    if (deliveredQos === 1) this.queueAck(PUBACK, packetId, packetId)
    else if (deliveredQos === 2) this.queueAck(PUBREC, packetId, packetId)
  }
  onAck(type, first, last) {
    if (type === PUBREL) this.queueAck(PUBCOMP, first, last)
  }
}

class Publisher extends Peer {
  onPublish() {}
  onAck(type, first, last) {
    const count = last >= first ? last - first + 1 : last + 65_535 - first + 1
    if (type === PUBREC) this.queueAck(PUBREL, first, last)
    else acknowledged += count
  }
  onProduced(sequence) {
    acknowledged = sequence
  }
}

const publisher = new Publisher('bench-publisher')
await publisher.socket.opened
for (let index = 0; index < subs; index += 1) subscribers.push(new Subscriber(`bench-subscriber-${index}`))
await Promise.all(subscribers.map(({ socket }) => socket.opened))
if (wire.connect !== undefined) {
  for (const peer of [publisher, ...subscribers]) peer.socket.send(wire.connect(peer.name, values.durable))
  await Promise.all([publisher, ...subscribers].map((peer) => peer.ready(1)))
  for (const peer of subscribers) peer.socket.send(wire.subscribe('bench/#', qos))
  await Promise.all(subscribers.map((peer) => peer.ready(2)))
}
if (isProducer) {
  publisher.socket.send(wire.producerOpen(randomBytes(16)))
  await publisher.ready(2)
}

const template = wire.template('bench/telemetry', qos, size)
const perFrame = wire === relay ? 1 : batch
const bodyBytes = template.bytes.length * perFrame
const headBytes = frameHeadBytes(bodyBytes)
const frameBytes = headBytes + bodyBytes
let nextPacketId = 1
/** One write: frames of `perFrame` messages, `batch` messages in all. */
function publishBatch() {
  const bytes = Buffer.allocUnsafe((frameBytes * batch) / perFrame)
  let at = 0
  for (let sent = 0; sent < batch; sent += perFrame) {
    writeHead(bytes.subarray(at), bodyBytes)
    bytes.fill(0, at + headBytes - 4, at + headBytes)
    at += headBytes
    for (let index = 0; index < perFrame; index += 1) {
      bytes.set(template.bytes, at)
      if (template.packetIdAt >= 0) {
        bytes[at + template.packetIdAt] = nextPacketId >> 8
        bytes[at + template.packetIdAt + 1] = nextPacketId & 255
        nextPacketId = nextPacketId === 65_535 ? 1 : nextPacketId + 1
      }
      bytes.writeUInt32BE(published, at + template.payloadAt)
      published += 1
      at += template.bytes.length
    }
  }
  publisher.socket.socket.write(bytes)
}

const produceTemplate = isProducer ? wire.produceTemplate('bench/telemetry', qos, size, batch) : null
/** One PRODUCE in a frame of its own: as the SDK makes them. */
function produceBatch() {
  const { bytes: packet, firstAt, confirmedAt, payloadAt, messageBytes } = produceTemplate
  const bytes = frame(packet, 2)
  const start = bytes.length - packet.length
  bytes.writeUInt32BE(published + 1, start + firstAt)
  bytes.writeUInt32BE(acknowledged, start + confirmedAt)
  for (let index = 0; index < batch; index += 1) {
    bytes.writeUInt32BE(published, start + payloadAt + index * messageBytes)
    published += 1
  }
  publisher.socket.socket.write(bytes)
}

let slowest = 0
const sendBatch = isProducer ? produceBatch : publishBatch
function pump() {
  if (isStopping) return
  slowest = Number.POSITIVE_INFINITY
  for (const { received } of subscribers) if (received < slowest) slowest = received
  const done = qos === 0 ? slowest : Math.min(slowest, acknowledged)
  while (published - done + batch <= window) sendBatch()
}
isReady = true
pump()
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
await wait(Number(values.warmup) * 1_000)
const delivered = () => subscribers.reduce((sum, { received }) => sum + received, 0)
/** CPU seconds of the broker, all its threads. */
function brokerCpuSec() {
  if (values.pid === undefined) return 0
  const stat = readFileSync(`/proc/${values.pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
const from = {
  broker: brokerCpuSec(),
  at: process.hrtime.bigint(),
  delivered: delivered(),
  published,
  cpu: process.cpuUsage(),
}
await wait(Number(values.seconds) * 1_000)
const seconds = Number(process.hrtime.bigint() - from.at) / 1e9
const cpu = process.cpuUsage(from.cpu)
const brokerSec = brokerCpuSec() - from.broker
const rate = (delivered() - from.delivered) / seconds
const publishRate = (published - from.published) / seconds
isStopping = true
const deadline = Date.now() + 10_000
while (delivered() < published * subs && Date.now() < deadline) await wait(20)
missing += published * subs - delivered() - missing
process.stdout.write(
  `${JSON.stringify({
    wire: values.wire,
    qos,
    subs,
    deliveriesPerSec: Math.round(rate),
    publishesPerSec: Math.round(publishRate),
    brokerCpu: Number((brokerSec / seconds).toFixed(2)),
    brokerMicrosPerDelivery: Number(((brokerSec * 1e6) / (rate * seconds)).toFixed(3)),
    generatorCpu: Number(((cpu.user + cpu.system) / 1e6 / seconds).toFixed(2)),
    missing,
    duplicated,
    reordered,
  })}\n`,
)
process.exit(0)
