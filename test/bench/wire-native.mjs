/** tally.v1 for the load generator: templates for PUBLISH, a parser that only looks where it must. */
import { nativeCodec } from '../../dist/protocol/msgpack/codec.js'

export const native = {
  path: '/tally',
  subprotocol: 'tally.v1',
  connect: (clientId, isDurable) =>
    encode({
      type: 1,
      protocolLevel: 5,
      clientId,
      cleanStart: !isDurable,
      keepAliveSec: 0,
      properties: isDurable ? { sessionExpiryIntervalSec: 3_600 } : {},
    }),
  subscribe: (filter, qos) =>
    encode({
      type: 8,
      packetId: 1,
      subscriptions: [{ topicFilter: filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
      properties: {},
    }),
  /** One PUBLISH with room for packet id and payload: { bytes, packetIdAt, payloadAt }. */
  template(topic, qos, size) {
    const head = Buffer.from([0x95, 0x03, qos, 0xcd, 0, 0])
    const name = Buffer.concat([Buffer.from([0xd9, topic.length]), Buffer.from(topic)])
    const bin = size < 256 ? Buffer.from([0xc4, size]) : Buffer.from([0xc5, size >> 8, size & 255])
    const bytes =
      qos === 0
        ? Buffer.concat([Buffer.from([0x95, 0x03, 0, 0]), name, bin, Buffer.alloc(size)])
        : Buffer.concat([head, name, bin, Buffer.alloc(size)])
    return { bytes, packetIdAt: qos === 0 ? -1 : 4, payloadAt: bytes.length - size }
  },
  /** An acknowledgement of packetId first..last. */
  ack(type, first, last) {
    return Buffer.from([0x93, type, 0xcd, first >> 8, first & 255, 0xcd, last >> 8, last & 255])
  },
  /** Calls onPublish(data, payloadAt, qos, packetId), onAck(type, first, last), onProduced(sequence), onOther(type). */
  parse(data, start, end, sink) {
    let at = start
    const uint = () => {
      const byte = data[at]
      at += 1
      if (byte < 0x80) return byte
      if (byte === 0xcc) {
        at += 1
        return data[at - 1]
      }
      if (byte === 0xcd) {
        at += 2
        return (data[at - 2] << 8) | data[at - 1]
      }
      if (byte === 0xce) {
        at += 4
        return data.readUInt32BE(at - 4)
      }
      if (byte === 0xcf) {
        at += 8
        return Number(data.readBigUInt64BE(at - 8))
      }
      throw new Error(`no uint: 0x${byte.toString(16)}`)
    }
    while (at < end) {
      const arity = data[at] & 15
      const type = data[at + 1]
      at += 2
      if (type === 3 || type === 19) {
        const flags = uint()
        const packetId = uint()
        if (type === 19) {
          uint()
          uint()
        }
        const topic = data[at]
        if (topic >= 0xa0 && topic < 0xc0) at += 1 + (topic & 31)
        else at += 2 + data[at + 1]
        const bin = data[at]
        const size = bin === 0xc4 ? data[at + 1] : data.readUInt16BE(at + 1)
        at += bin === 0xc4 ? 2 : 3
        sink.onPublish(data, at, flags & 3, packetId)
        at += size
        if (arity > (type === 3 ? 5 : 7)) throw new Error('unexpected properties')
      } else if (type >= 4 && type <= 7) {
        const first = uint()
        let last = first
        if (arity > 2 && data[at] !== 0xc0) last = uint()
        else if (arity > 2) at += 1
        if (arity > 3) uint()
        sink.onAck(type, first, last)
      } else if (type === 20) {
        uint()
        if (uint() !== 0) throw new Error('a PRODUCE was refused')
        sink.onProduced(uint())
        for (let left = arity - 4; left > 0; left -= 1) at = skip(data, at)
      } else {
        for (let left = arity - 1; left > 0; left -= 1) at = skip(data, at)
        sink.onOther(type)
      }
    }
  },
}

/** The end of the value at `at`, whatever it is. */
function skip(data, at) {
  const byte = data[at]
  if (byte < 0x80 || byte >= 0xe0 || (byte >= 0xc0 && byte <= 0xc3)) return at + 1
  if (byte < 0x90) return skipMany(data, at + 1, (byte & 15) * 2)
  if (byte < 0xa0) return skipMany(data, at + 1, byte & 15)
  if (byte < 0xc0) return at + 1 + (byte & 31)
  if (byte === 0xc4 || byte === 0xd9) return at + 2 + data[at + 1]
  if (byte === 0xc5 || byte === 0xda) return at + 3 + data.readUInt16BE(at + 1)
  if (byte >= 0xcc && byte <= 0xcf) return at + 1 + 2 ** (byte - 0xcc)
  if (byte === 0xdc) return skipMany(data, at + 3, data.readUInt16BE(at + 1))
  if (byte === 0xde) return skipMany(data, at + 3, data.readUInt16BE(at + 1) * 2)
  throw new Error(`unexpected byte 0x${byte.toString(16)}`)
}

function skipMany(data, at, count) {
  let end = at
  for (let left = count; left > 0; left -= 1) end = skip(data, end)
  return end
}

function encode(packet) {
  const writer = nativeCodec.writer(5)
  writer.write(packet)
  const { buffer, headroom } = writer.take()
  return Buffer.from(buffer.subarray(headroom))
}
