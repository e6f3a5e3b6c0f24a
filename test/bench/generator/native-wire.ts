/** tally.v1 as the generator speaks it: templates for PUBLISH, and a parser that looks only where it must. */
import { randomBytes } from 'node:crypto'
import { nativeCodec } from '../../../src/protocol/msgpack/codec.js'
import { type Packet, PacketType } from '../../../src/protocol/packets.js'
import {
  type Packed,
  type PacketSink,
  PUBACK,
  PUBCOMP,
  type Produce,
  type RunState,
  readUint16,
  STAMP_BYTES,
  type Template,
  type Wire,
} from './wire.js'

const PUBLISH = 3
const DELIVER = 19
const CONNACK = 2
const DISCONNECT = 14
const PRODUCE = 18
const PRODUCED = 20
const ARRAY_16 = 0xdc
const ARITY: Readonly<Record<number, number>> = { [PUBLISH]: 5, [DELIVER]: 7 }

export const nativeWire: Wire = {
  subprotocol: 'tally.v1',
  ackBytes: 8,
  isRanged: true,
  connect: (clientId, isDurable) =>
    encode({
      type: PacketType.CONNECT,
      protocolLevel: 5,
      clientId,
      cleanStart: !isDurable,
      keepAliveSec: 0,
      properties: isDurable ? { sessionExpiryIntervalSec: 3_600 } : {},
    }),
  subscribe: (filter, qos) =>
    encode({
      type: PacketType.SUBSCRIBE,
      packetId: 1,
      subscriptions: [{ topicFilter: filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
      properties: {},
    }),
  template(topic, qos, payloadBytes): Template {
    const id = qos === 0 ? [0] : [0xcd, 0, 0]
    const head = Buffer.from([0x95, PUBLISH, qos, ...id])
    const name = Buffer.concat([Buffer.from([0xd9, topic.length]), Buffer.from(topic)])
    const bytes = Buffer.concat([head, name, binHead(payloadBytes), Buffer.alloc(payloadBytes, 0x2e)])
    return { bytes, packetIdAt: qos === 0 ? -1 : 4, stampAt: bytes.length - payloadBytes }
  },
  run(topic, qos, payloadBytes, count): Packed {
    const { bytes, packetIdAt, stampAt } = nativeWire.template(topic, qos, payloadBytes)
    const payloadAt = stampAt - binHead(payloadBytes).length
    return {
      head: Buffer.concat([bytes.subarray(0, payloadAt), Buffer.from([ARRAY_16, count >> 8, count & 255])]),
      packetIdAt,
      message: { bytes: bytes.subarray(payloadAt), packetIdAt: -1, stampAt: stampAt - payloadAt },
    }
  },
  produce(topic, qos, payloadBytes, count): Produce {
    const { bytes, stampAt } = nativeWire.template(topic, 0, payloadBytes)
    // As in PUBLISH, without type and packet id.
    const message = { bytes: Buffer.concat([Buffer.from([0x93, qos]), bytes.subarray(4)]), packetIdAt: -1 }
    const numbers = [0xce, 0, 0, 0, 0, 0xce, 0, 0, 0, 0]
    return {
      open: Buffer.concat([
        Buffer.from([0x94, PacketType.PRODUCER_OPEN, 1, 0xc4, 16]),
        randomBytes(16),
        Buffer.from([0]),
      ]),
      head: Buffer.from([0x96, PRODUCE, 1, ...numbers, 0, ARRAY_16, count >> 8, count & 255]),
      packetIdAt: -1,
      firstSequenceAt: 4,
      confirmedSequenceAt: 9,
      message: { ...message, stampAt: stampAt - 2 },
    }
  },
  writeAck(target, at, type, first, last) {
    target[at] = 0x93
    target[at + 1] = type
    target[at + 2] = 0xcd
    target[at + 3] = first >> 8
    target[at + 4] = first & 255
    target[at + 5] = 0xcd
    target[at + 6] = last >> 8
    target[at + 7] = last & 255
    return at + 8
  },
  step: stepNative,
}

/** Where the value behind the one just read begins; a module's variable, so that reading a number allocates nothing. */
let cursor = 0

/** As with MQTT: reads on, and looks at the end whether all of it was there. */
function readUint(data: Uint8Array): number {
  const byte = data[cursor] as number
  cursor += 1
  if (byte < 0x80) return byte
  const size = byte >= 0xcc && byte <= 0xcf ? 1 << (byte - 0xcc) : byte === 0xd3 ? 8 : 0
  let value = 0
  for (let left = size; left > 0; left -= 1) {
    value = value * 256 + (data[cursor] as number)
    cursor += 1
  }
  return value
}

function stepNative(data: Uint8Array, at: number, end: number, sink: PacketSink, run: RunState): number {
  if (run.left > 0) return stepRun(data, at, end, sink, run)
  const arity = (data[at] as number) & 15
  const type = data[at + 1] as number
  cursor = at + 2
  if (type === PUBLISH || type === DELIVER) {
    const flags = readUint(data)
    const packetId = readUint(data)
    if (type === DELIVER) {
      readUint(data)
      readUint(data)
    }
    cursor = skip(data, cursor, end)
    if (!(cursor + 3 <= end)) return -1
    if (arity !== ARITY[type]) throw new Error('a delivery with properties')
    if (data[cursor] !== ARRAY_16) return stepPayload(data, cursor, end, sink, flags & 3, packetId)
    run.left = readUint16(data, cursor + 1)
    run.qos = flags & 3
    run.packetId = packetId
    return cursor + 3
  }
  if (type >= PUBACK && type <= PUBCOMP) {
    const first = readUint(data)
    const last = arity > 2 ? readUint(data) : first
    // A last of nil is as good as none, and is read as 0.
    for (let left = arity - 3; left > 0; left -= 1) cursor = skip(data, cursor, end)
    if (!(cursor <= end)) return -1
    sink.onAck(type, first, last === 0 ? first : last)
    return cursor
  }
  if (type === PRODUCED) {
    readUint(data)
    const reason = readUint(data)
    const sequence = readUint(data)
    for (let left = arity - 4; left > 0; left -= 1) cursor = skip(data, cursor, end)
    if (!(cursor <= end)) return -1
    if (reason !== 0) throw new Error(`refused: PRODUCE, code ${reason}`)
    sink.onProduced(sequence)
    return cursor
  }
  for (let left = arity - 1; left > 0; left -= 1) cursor = skip(data, cursor, end)
  if (!(cursor <= end)) return -1
  const isRefused = type === DISCONNECT || (type === CONNACK && data[at + 3] !== 0)
  if (isRefused) throw new Error(`refused: packet type ${type}, code ${data[at + 3]}`)
  sink.onOther(type)
  return cursor
}

function stepRun(data: Uint8Array, at: number, end: number, sink: PacketSink, run: RunState): number {
  const next = stepPayload(data, at, end, sink, run.qos, run.packetId)
  if (next < 0) return next
  run.left -= 1
  if (run.qos > 0) run.packetId = run.packetId === 65_535 ? 1 : run.packetId + 1
  return next
}

function stepPayload(
  data: Uint8Array,
  at: number,
  end: number,
  sink: PacketSink,
  qos: number,
  packetId: number,
): number {
  const bin = data[at] as number
  const head = bin === 0xc4 ? 2 : bin === 0xc5 ? 3 : 5
  let length = 0
  for (let index = 1; index < head; index += 1) length = length * 256 + (data[at + index] as number)
  const stampAt = at + head
  if (!(stampAt + STAMP_BYTES <= end)) return -1
  sink.onPublish(data, stampAt, qos, packetId)
  return stampAt + length
}

/** The end of the value at `at`; behind `end` when it is not all there. */
function skip(data: Uint8Array, at: number, end: number): number {
  if (!(at < end)) return end + 1
  const byte = data[at] as number
  const next = data[at + 1] as number
  const next16 = (next << 8) | (data[at + 2] as number)
  if (byte < 0x80 || byte >= 0xe0 || (byte >= 0xc0 && byte <= 0xc3)) return at + 1
  if (byte < 0x90) return skipMany(data, at + 1, (byte & 15) * 2, end)
  if (byte < 0xa0) return skipMany(data, at + 1, byte & 15, end)
  if (byte < 0xc0) return at + 1 + (byte & 31)
  if (byte === 0xc4 || byte === 0xd9) return at + 2 + next
  if (byte === 0xc5 || byte === 0xda) return at + 3 + next16
  if (byte >= 0xcc && byte <= 0xcf) return at + 1 + (1 << (byte - 0xcc))
  if (byte === 0xd3) return at + 9
  if (byte === 0xdc) return skipMany(data, at + 3, next16, end)
  if (byte === 0xde) return skipMany(data, at + 3, next16 * 2, end)
  throw new Error(`unexpected byte 0x${byte.toString(16)}`)
}

function skipMany(data: Uint8Array, at: number, count: number, end: number): number {
  let position = at
  for (let left = count; left > 0 && position <= end; left -= 1) position = skip(data, position, end)
  return position
}

function binHead(length: number): Buffer {
  if (length < 256) return Buffer.from([0xc4, length])
  if (length < 65_536) return Buffer.from([0xc5, length >> 8, length & 255])
  return Buffer.from([0xc6, length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255])
}

function encode(packet: Packet): Uint8Array {
  const writer = nativeCodec.writer(5)
  writer.write(packet)
  const taken = writer.take()
  if (taken === null) throw new Error('nothing was written')
  return Buffer.from(taken.buffer.subarray(taken.headroom))
}
