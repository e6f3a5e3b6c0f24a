/**
 * `npm run bench:codec`: our MQTT codec beside mqtt-packet, in one process and in turns: a QoS 1 PUBLISH of 64 bytes,
 * decoded and encoded. Prints CPU nanoseconds for each packet, of all threads, and how many times as long mqtt-packet
 * takes: medians of ratios within a round, with lowest and highest. Exit code 1: somewhere it was less than 5 times.
 */
import { generate, type IPublishPacket, parser } from 'mqtt-packet'
import type { CodecLimits, Delivery, Publication } from '../../src/protocol/codec.js'
import { mqttCodec } from '../../src/protocol/mqtt/codec.js'
import { PacketType, type ProtocolLevel, type PublishPacket } from '../../src/protocol/packets.js'
import { median, ratio, type Spread } from './statistics.js'

const ROUNDS = 25
const WARM_UP_ROUNDS = 5
const WANTED = 5
const PACKETS = 40_000
/** Packets in one read of a socket, and in one write. */
const BATCH = 64
const LIMITS: CodecLimits = { maximumPacketSize: 1_048_576, userPropertiesMax: 64, connectPacketSizeMax: 65_536 }
const topicName = 'sensors/kitchen/temperature'
const payload = Buffer.alloc(64, 'x')

const DELIVERY: Delivery = {
  qos: 1,
  retain: false,
  dup: false,
  packetId: 1,
  deliverySequence: 0,
  subscriptionIdentifiers: null,
  messageExpiryIntervalSec: -1,
  topicAlias: 0,
  omitTopicName: false,
  maximumPacketSize: Number.POSITIVE_INFINITY,
}

function theirPacket(packetId: number): IPublishPacket {
  return { cmd: 'publish', topic: topicName, payload, qos: 1, retain: false, dup: false, messageId: packetId }
}

function ourPacket(packetId: number): PublishPacket {
  const { PUBLISH } = PacketType
  return { type: PUBLISH, topicName, payload, qos: 1, retain: false, dup: false, packetId, properties: null }
}

function batchOf(level: ProtocolLevel): Buffer {
  return Buffer.concat(
    Array.from({ length: BATCH }, (_, index) => generate(theirPacket(index + 1), { protocolVersion: level })),
  )
}

/** Results are added up and checked, so that no work can be optimised away. */
let checksum = 0

function decodeOurs(level: ProtocolLevel, batch: Buffer): void {
  const decoder = mqttCodec.decoder(LIMITS)
  decoder.connectAccepted(level)
  for (let count = 0; count < PACKETS; count += BATCH) {
    decoder.decode(batch, (packet) => {
      if (packet.type === PacketType.PUBLISH) checksum += packet.payload.length + packet.packetId
    })
  }
}

function decodeTheirs(level: ProtocolLevel, batch: Buffer): void {
  const theirs = parser({ protocolVersion: level })
  theirs.on('packet', (packet) => {
    if (packet.cmd === 'publish') checksum += packet.payload.length + (packet.messageId ?? 0)
  })
  for (let count = 0; count < PACKETS; count += BATCH) theirs.parse(batch)
}

function encodeTheirs(level: ProtocolLevel): void {
  const options = { protocolVersion: level }
  const packet = theirPacket(1)
  for (let count = 0; count < PACKETS; count += 1) {
    packet.messageId = (count & 0x7fff) + 1
    checksum += generate(packet, options).length
  }
}

function encodeOurs(level: ProtocolLevel): void {
  const writer = mqttCodec.writer(level)
  const packet = ourPacket(1)
  for (let count = 0; count < PACKETS; count += BATCH) {
    for (let index = 0; index < BATCH; index += 1) {
      packet.packetId = ((count + index) & 0x7fff) + 1
      writer.write(packet)
    }
    checksum += writer.byteLength
    writer.take()
  }
}

/** A write of its own for every packet: the least favourable case. */
function encodeOursOneByOne(level: ProtocolLevel): void {
  const writer = mqttCodec.writer(level)
  const packet = ourPacket(1)
  for (let count = 0; count < PACKETS; count += 1) {
    packet.packetId = (count & 0x7fff) + 1
    writer.write(packet)
    checksum += writer.take()?.buffer.length ?? 0
  }
}

/** What a broker does: one publication, a copy for each subscriber, or a new publication for each copy. */
function deliverOurs(level: ProtocolLevel, copies: number): void {
  const writer = mqttCodec.writer(level)
  const delivery = { ...DELIVERY }
  let publication: Publication = { topicName, payload, properties: null, messageId: 1, wire: null }
  for (let count = 0; count < PACKETS; count += BATCH) {
    for (let index = 0; index < BATCH; index += 1) {
      if (index % copies === 0) publication = { topicName, payload, properties: null, messageId: 1, wire: null }
      delivery.packetId = ((count + index) & 0x7fff) + 1
      writer.writePublication(publication, delivery)
    }
    checksum += writer.byteLength
    writer.take()
  }
}

/** The least favourable case for a broker: every publication has one subscriber, and every copy leaves by itself. */
function deliverOursOneByOne(level: ProtocolLevel): void {
  const writer = mqttCodec.writer(level)
  const delivery = { ...DELIVERY }
  for (let count = 0; count < PACKETS; count += 1) {
    delivery.packetId = (count & 0x7fff) + 1
    writer.writePublication({ topicName, payload, properties: null, messageId: count, wire: null }, delivery)
    checksum += writer.take()?.buffer.length ?? 0
  }
}

/** @returns nanoseconds of CPU for each packet: what others do on the machine meanwhile is not in it. */
function cpuNsOf(run: () => void): number {
  const before = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(before)
  return ((user + system) * 1_000) / PACKETS
}

function wordsOf(times: Spread | null): string {
  if (times === null) return ''
  return `${times.median.toFixed(1).padStart(5)} times (${times.min.toFixed(1)} to ${times.max.toFixed(1)})`
}

let isMissed = false
for (const level of [4, 5] as const) {
  const batch = batchOf(level)
  const runs: readonly [string, () => void, string | null][] = [
    ['decode, mqtt-packet', () => decodeTheirs(level, batch), null],
    ['decode, ours', () => decodeOurs(level, batch), 'decode, mqtt-packet'],
    ['encode, mqtt-packet', () => encodeTheirs(level), null],
    ['encode, ours, 64 packets a write', () => encodeOurs(level), 'encode, mqtt-packet'],
    ['encode, ours, one packet a write', () => encodeOursOneByOne(level), 'encode, mqtt-packet'],
    ['deliver, ours, one copy a write', () => deliverOursOneByOne(level), 'encode, mqtt-packet'],
    ['deliver, ours, one copy', () => deliverOurs(level, 1), 'encode, mqtt-packet'],
    ['deliver, ours, 64 copies', () => deliverOurs(level, 64), 'encode, mqtt-packet'],
  ]
  const figures = new Map<string, number[]>(runs.map(([name]) => [name, []]))
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round += 1) {
    for (const [name, run] of runs) {
      const cpuNs = cpuNsOf(run)
      if (round >= 0) figures.get(name)?.push(cpuNs)
    }
  }
  for (const [name, , base] of runs) {
    const own = figures.get(name) ?? []
    const times = base === null ? null : ratio(figures.get(base) ?? [], own)
    if (times !== null && times.median < WANTED) isMissed = true
    console.log(`level ${level}  ${name.padEnd(34)} ${median(own).toFixed(0).padStart(5)} ns  ${wordsOf(times)}`)
  }
}
console.log(`checksum ${checksum}`)
process.exitCode = isMissed ? 1 : 0
