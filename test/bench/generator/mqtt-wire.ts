/** MQTT 3.1.1 as the generator speaks it: enough to load a broker and to count what it delivers. */
import { PUBACK, PUBCOMP, PUBREL, type PacketSink, readUint16, STAMP_BYTES, type Template, type Wire } from './wire.js'

const PROTOCOL_NAME = [0, 4, 0x4d, 0x51, 0x54, 0x54, 4]
const CONNACK = 2
const PUBLISH = 3
const SUBACK = 9

export const mqttWire: Wire = {
  subprotocol: 'mqtt',
  ackBytes: 4,
  isRanged: false,
  // Keep Alive 0: no run is long enough for a ping to mean anything.
  connect: (clientId, isDurable) =>
    packet(0x10, Buffer.concat([Buffer.from([...PROTOCOL_NAME, isDurable ? 0 : 2, 0, 0]), text(clientId)])),
  subscribe: (filter, qos) => packet(0x82, Buffer.concat([Buffer.from([0, 1]), text(filter), Buffer.from([qos])])),
  template(topic, qos, payloadBytes): Template {
    const id = Buffer.alloc(qos === 0 ? 0 : 2)
    const bytes = packet(0x30 | (qos << 1), Buffer.concat([text(topic), id, Buffer.alloc(payloadBytes, 0x2e)]))
    const stampAt = bytes.length - payloadBytes
    return { bytes, packetIdAt: qos === 0 ? -1 : stampAt - 2, stampAt }
  },
  run: () => null,
  produce: () => null,
  writeAck(target, at, type, first, last) {
    let end = at
    for (let id = first; ; id = id === 65_535 ? 1 : id + 1) {
      target[end] = (type << 4) | (type === PUBREL ? 2 : 0)
      target[end + 1] = 2
      target[end + 2] = id >> 8
      target[end + 3] = id & 255
      end += 4
      if (id === last) return end
    }
  },
  step: stepMqtt,
}

/**
 * Reads as if everything were there and looks at the end whether it was: the position only ever grows, so it is behind
 * `end` (or NaN, behind the buffer) exactly when something was missing. Nothing is said before that is known.
 */
function stepMqtt(data: Uint8Array, at: number, end: number, sink: PacketSink): number {
  const first = data[at] as number
  let body = at + 2
  let length = data[at + 1] as number
  if (length > 127) {
    length &= 127
    for (let shift = 7; ; shift += 7) {
      const byte = data[body] as number
      body += 1
      length |= (byte & 127) << shift
      if (byte < 128) break
      if (shift === 21 || body > end) return body > end ? -1 : malformed(byte)
    }
  }
  const type = first >> 4
  if (type === PUBLISH) {
    const qos = (first >> 1) & 3
    const topicEnd = body + 2 + readUint16(data, body)
    const stampAt = qos === 0 ? topicEnd : topicEnd + 2
    if (!(stampAt + STAMP_BYTES <= end)) return -1
    sink.onPublish(data, stampAt, qos, qos === 0 ? 0 : readUint16(data, topicEnd))
    return body + length
  }
  const packetEnd = body + length
  if (!(packetEnd <= end)) return -1
  if (type >= PUBACK && type <= PUBCOMP) {
    const id = readUint16(data, body)
    sink.onAck(type, id, id)
  } else {
    const code = type === CONNACK ? data[body + 1] : type === SUBACK ? (data[packetEnd - 1] as number) & 0x80 : 0
    if (code !== 0) throw new Error(`refused: packet type ${type}, code ${data[packetEnd - 1]}`)
    sink.onOther(type)
  }
  return packetEnd
}

function malformed(byte: number): never {
  throw new Error(`a remaining length of five bytes, the fourth is ${byte}`)
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

function packet(first: number, body: Buffer): Buffer {
  const length: number[] = []
  let rest = body.length
  do {
    length.push((rest & 127) | (rest > 127 ? 128 : 0))
    rest >>= 7
  } while (rest > 0)
  return Buffer.concat([Buffer.from([first, ...length]), body])
}
