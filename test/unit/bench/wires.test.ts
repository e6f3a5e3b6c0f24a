/** The generator's protocols: however bytes come, packets are found; what is sent is what a codec reads. */
import { parser } from 'mqtt-packet'
import t, { type Test } from 'tap'
import { mqttWire } from '../../bench/generator/mqtt-wire.js'
import { nativeWire } from '../../bench/generator/native-wire.js'
import { PacketStream } from '../../bench/generator/packet-stream.js'
import { relayWire } from '../../bench/generator/relay-wire.js'
import {
  clientHeadBytes,
  FrameStream,
  MASK,
  maskInPlace,
  writeClientHead,
} from '../../bench/generator/web-socket-frames.js'
import { type PacketSink, PUBACK, PUBREC, PUBREL, readUint32, type Wire } from '../../bench/generator/wire.js'
import { nativeCodec } from '../../../src/protocol/msgpack/codec.js'
import { PacketType } from '../../../src/protocol/packets.js'

const LIMITS = { maximumPacketSize: 1_048_576, userPropertiesMax: 64, connectPacketSizeMax: 65_536 }

function stamped(wire: Wire, qos: 0 | 1 | 2, payloadBytes: number, sequence: number, packetId = 0): Uint8Array {
  const { bytes, packetIdAt, stampAt } = wire.template('bench/7', qos, payloadBytes)
  const message = Uint8Array.from(bytes)
  const view = new DataView(message.buffer)
  if (packetIdAt >= 0) view.setUint16(packetIdAt, packetId)
  view.setUint32(stampAt, sequence)
  return message
}

function listener(told: string[]): PacketSink {
  return {
    onPublish: (data, stampAt, qos, packetId) => told.push(`publish ${readUint32(data, stampAt)} ${qos} ${packetId}`),
    onAck: (type, first, last) => told.push(`ack ${type} ${first} ${last}`),
    onProduced: (sequence) => told.push(`produced ${sequence}`),
    onOther: (type) => told.push(`other ${type}`),
  }
}

/** Every way to cut the bytes in two, and one byte at a time. */
function cuts(bytes: Uint8Array): number[][] {
  const everywhere = Array.from({ length: bytes.length + 1 }, (_, at) => [0, at, bytes.length])
  return [...everywhere, Array.from({ length: bytes.length + 1 }, (_, at) => at)]
}

function sameHoweverCut(t: Test, wire: Wire, bytes: Uint8Array, wanted: readonly string[]): void {
  const wrong: unknown[] = []
  for (const places of cuts(bytes)) {
    const told: string[] = []
    const stream = new PacketStream(wire, listener(told))
    for (let index = 1; index < places.length; index += 1) {
      // In a buffer with old bytes behind the piece, as reads leave them.
      const piece = bytes.subarray(places[index - 1], places[index])
      const buffer = Buffer.concat([Buffer.alloc(3, 0xff), piece, Buffer.alloc(40, 0x35)])
      stream.feed(buffer, 3, 3 + piece.length)
    }
    if (told.join() !== wanted.join()) wrong.push({ places: places.slice(0, 4), told })
  }
  t.same(wrong, [])
}

t.test('MQTT packets are found however the bytes are cut', async (t) => {
  const acks = new Uint8Array(12)
  t.equal(mqttWire.writeAck(acks, 0, PUBACK, 65_534, 1), 12)
  const bytes = Buffer.concat([
    Buffer.from([0x20, 2, 0, 0]),
    stamped(mqttWire, 0, 64, 1),
    stamped(mqttWire, 1, 300, 70_000, 9),
    acks,
    Buffer.from([0x90, 3, 0, 1, 1]),
    stamped(mqttWire, 2, 20, 3, 65_535),
  ])
  const found = ['ack 4 65534 65534', 'ack 4 65535 65535', 'ack 4 1 1']
  sameHoweverCut(t, mqttWire, bytes, [
    'other 2',
    'publish 1 0 0',
    'publish 70000 1 9',
    ...found,
    'other 9',
    'publish 3 2 65535',
  ])
})

t.test('what the generator sends over MQTT is what mqtt-packet reads', async (t) => {
  const packets: { cmd: string; messageId?: number; topic?: string; payload?: Buffer; clean?: boolean }[] = []
  const theirs = parser()
  theirs.on('packet', (packet) => packets.push(packet as (typeof packets)[number]))
  theirs.parse(Buffer.from(mqttWire.connect('me', false) as Uint8Array))
  theirs.parse(Buffer.from(mqttWire.subscribe('bench/#', 1) as Uint8Array))
  theirs.parse(Buffer.from(stamped(mqttWire, 2, 65_536, 5, 77)))
  const acks = new Uint8Array(8)
  theirs.parse(Buffer.from(acks.subarray(0, mqttWire.writeAck(acks, 0, PUBREL, 65_535, 1))))
  t.same(
    packets.map(({ cmd }) => cmd),
    ['connect', 'subscribe', 'publish', 'pubrel', 'pubrel'],
  )
  t.equal(packets[0]?.clean, true)
  t.equal(packets[2]?.topic, 'bench/7')
  t.equal(packets[2]?.payload?.length, 65_536)
  t.equal(packets[2]?.payload?.readUInt32BE(0), 5)
  t.same(
    packets.slice(2).map(({ messageId }) => messageId),
    [77, 65_535, 1],
  )
})

t.test('native packets are found however the bytes are cut', async (t) => {
  const writer = nativeCodec.writer(5)
  const publication = {
    topicName: 'bench/7',
    payload: new Uint8Array(300).fill(7),
    properties: null,
    messageId: 90_000,
  }
  new DataView(publication.payload.buffer).setUint32(0, 41)
  const delivery = { retain: false, dup: false, subscriptionIdentifiers: null, messageExpiryIntervalSec: -1 }
  const plain = { ...delivery, topicAlias: 0, omitTopicName: false, maximumPacketSize: Number.POSITIVE_INFINITY }
  writer.writePublication(
    { ...publication, wire: null },
    { ...plain, qos: 1, packetId: 300, deliverySequence: 5_000_000_000 },
  )
  writer.writePublication({ ...publication, wire: null }, { ...plain, qos: 0, packetId: 0, deliverySequence: 0 })
  for (const packetId of [65_534, 65_535, 1]) {
    const numbers = { packetId, deliverySequence: 65_534 + (packetId % 65_534) }
    writer.writePublication(
      { ...publication, messageId: packetId % 65_534, wire: null },
      { ...plain, qos: 1, ...numbers },
    )
  }
  const { buffer, headroom } = writer.take() as { buffer: Uint8Array; headroom: number }
  const ack = new Uint8Array(8)
  nativeWire.writeAck(ack, 0, PUBREC, 65_530, 2)
  const bytes = Buffer.concat([
    Buffer.from([0x94, 2, 0, 0, 0x80]),
    stamped(nativeWire, 0, 64, 1),
    buffer.subarray(headroom),
    ack,
    Buffer.from([0x92, 4, 17]),
    Buffer.from([0x95, 20, 1, 0, 0xcd, 1, 4, 0xc4, 3, 1, 2, 3]),
    Buffer.from([0x93, 9, 1, 0x91, 1]),
  ])
  const acks = ['ack 5 65530 2', 'ack 4 17 17', 'produced 260']
  const run = ['publish 41 1 65534', 'publish 41 1 65535', 'publish 41 1 1']
  const found = ['publish 1 0 0', 'publish 41 1 300', 'publish 41 0 0', ...run, ...acks, 'other 9']
  sameHoweverCut(t, nativeWire, bytes, ['other 2', ...found])
})

t.test('what the generator sends over tally.v1 is what our codec reads', async (t) => {
  const decoder = nativeCodec.decoder(LIMITS)
  decoder.connectAccepted(5)
  const ack = new Uint8Array(8)
  nativeWire.writeAck(ack, 0, PUBACK, 3, 900)
  const sizes = [20, 255, 256, 65_535, 65_536]
  const told: unknown[] = []
  const message = Buffer.concat([...sizes.map((size, index) => stamped(nativeWire, 1, size, index, index + 1)), ack])
  decoder.decode(message, (packet) => {
    if (packet.type === PacketType.PUBLISH) told.push([packet.packetId, packet.payload.length, packet.topicName])
    else told.push(packet.type)
  })
  t.same(told, [...sizes.map((size, index) => [index + 1, size, 'bench/7']), PacketType.PUBACK])
})

t.test('a refusal ends the run', async (t) => {
  const feed = (wire: Wire, ...bytes: number[]) =>
    new PacketStream(wire, listener([])).feed(Uint8Array.from(bytes), 0, bytes.length)
  t.throws(() => feed(mqttWire, 0x20, 2, 0, 5))
  t.throws(() => feed(mqttWire, 0x90, 3, 0, 1, 0x80))
  t.throws(() => feed(nativeWire, 0x93, 2, 0, 0xcc, 0x87))
})

t.test('frames are found however the bytes are cut, and hold the packets', async (t) => {
  const wire = relayWire(200)
  const serverFrame = (payload: Uint8Array) => {
    const head = payload.length < 126 ? [0x82, payload.length] : [0x82, 126, payload.length >> 8, payload.length & 255]
    return Buffer.concat([Buffer.from(head), payload])
  }
  const message = (sequence: number) => stamped(wire, 0, 200, sequence)
  const bytes = Buffer.concat([
    serverFrame(message(1)),
    Buffer.from([0x89, 2, 7, 7]),
    serverFrame(Buffer.concat([message(2), message(3).subarray(0, 5)])),
    serverFrame(message(3).subarray(5)),
  ])
  for (const places of cuts(bytes)) {
    const told: string[] = []
    const packets = new PacketStream(wire, listener(told))
    const frames = new FrameStream({
      onMessageBytes: (data, start, end) => packets.feed(data, start, end),
      onPing: () => told.push('ping'),
      onClose: () => told.push('close'),
    })
    for (let index = 1; index < places.length; index += 1) {
      const piece = bytes.subarray(places[index - 1], places[index])
      frames.feed(piece, 0, piece.length)
    }
    if (told.join() !== 'publish 1 0 0,ping,publish 2 0 0,publish 3 0 0') t.fail(`${places.slice(0, 4)}: ${told}`)
    if (frames.frames !== 4) t.fail(`${frames.frames} frames`)
  }
  t.pass('all cuts')
})

t.test('client frames: the shortest head, the mask at its end', async (t) => {
  for (const [length, head] of [
    [125, 6],
    [126, 8],
    [65_535, 8],
    [65_536, 14],
  ] as const) {
    const bytes = new Uint8Array(20)
    t.equal(clientHeadBytes(length), head)
    t.equal(writeClientHead(bytes, 2, length), 2 + head)
    t.same([...bytes.subarray(head - 2, head + 2)], [MASK, MASK, MASK, MASK])
  }
  const bytes = Uint8Array.of(1, 2, 3)
  maskInPlace(bytes, 1, 3)
  t.same([...bytes], [1, 2 ^ MASK, 3 ^ MASK])
})
