/** The native decoder beyond the vectors: limits, views instead of copies, topics that are found again. */
import t from 'tap'
import type { CodecLimits } from '../../../../src/protocol/codec.js'
import { nativeCodec } from '../../../../src/protocol/msgpack/codec.js'
import { pack, unpackRange } from '../../../../src/protocol/msgpack/packer.js'
import { encodeProduceMessage, PRODUCE_MESSAGES_MAX } from '../../../../src/protocol/msgpack/produce.js'
import type { Packet, ProducePacket, PublishPacket } from '../../../../src/protocol/packets.js'
import { ProtocolError } from '../../../../src/protocol/protocol-error.js'
import { VECTOR_LIMITS } from './vectors.js'

function decodeAll(chunk: Uint8Array, limits: Partial<CodecLimits> = {}): Packet[] {
  const decoder = nativeCodec.decoder({ ...VECTOR_LIMITS, ...limits })
  decoder.connectAccepted(5)
  const packets: Packet[] = []
  decoder.decode(chunk, (packet) => packets.push(packet))
  return packets
}

/** -1 when nothing was refused. */
function reasonCodeOf(decode: () => void): number {
  try {
    decode()
  } catch (error) {
    if (error instanceof ProtocolError) return error.reasonCode
    throw error
  }
  return -1
}

t.test('a payload is a view of the message, not a copy', async (t) => {
  const chunk = Uint8Array.from(pack([3, 0, 0, 'a/b', Uint8Array.of(1, 2, 3)]))
  const [packet] = decodeAll(chunk) as [PublishPacket]
  t.equal(packet.payload.buffer, chunk.buffer)
  t.strictSame([...packet.payload], [1, 2, 3])
})

t.test('before CONNECT is accepted the smaller limit holds, afterwards the larger', async (t) => {
  const chunk = Uint8Array.from(pack([3, 0, 0, 'a/b', new Uint8Array(100)]))
  const limits = { maximumPacketSize: 200, connectPacketSizeMax: 50, userPropertiesMax: 1 }
  t.equal(
    reasonCodeOf(() => nativeCodec.decoder(limits).decode(chunk, () => t.fail('no packet'))),
    0x95,
  )
  const decoder = nativeCodec.decoder(limits)
  decoder.connectAccepted(5)
  let packets = 0
  decoder.decode(chunk, () => {
    packets += 1
  })
  t.equal(packets, 1)
})

t.test('the limit counts each packet of a message by itself, and a packet of exactly the limit passes', async (t) => {
  const one = pack([3, 0, 0, 'a/b', new Uint8Array(50)]).slice()
  const chunk = Buffer.concat([one, one, one])
  t.equal(decodeAll(chunk, { maximumPacketSize: one.length }).length, 3)
  t.equal(
    reasonCodeOf(() => decodeAll(chunk, { maximumPacketSize: one.length - 1 })),
    0x95,
  )
  const control = pack([10, 1, ['x'.repeat(50)]]).slice()
  t.equal(decodeAll(control, { maximumPacketSize: control.length }).length, 1)
  t.equal(
    reasonCodeOf(() => decodeAll(control, { maximumPacketSize: control.length - 1 })),
    0x95,
  )
})

t.test('a packet of more than 32768 values is refused, one of exactly so many is not', async (t) => {
  // The packet, its type, its identifier, the list: four values beside the filters.
  const filters = (count: number) => Uint8Array.from(pack([10, 1, new Array(count).fill('a')]))
  const limits = { maximumPacketSize: 1_000_000 }
  t.equal(decodeAll(filters(32_764), limits).length, 1)
  t.equal(
    reasonCodeOf(() => decodeAll(filters(32_765), limits)),
    0x97,
  )
})

/** PRODUCE with so many messages; each has `properties` behind it. */
function produce(messages: number, properties: unknown[] = []): Uint8Array {
  const message = [1, 'a', new Uint8Array(0), ...properties]
  return Uint8Array.from(pack([18, 1, 1, 0, 0, new Array(messages).fill(message)]))
}

t.test('the messages of PRODUCE share the 32768 values of one packet', async (t) => {
  const limits = { maximumPacketSize: 1_000_000 }
  const [packet] = decodeAll(produce(PRODUCE_MESSAGES_MAX), limits) as [ProducePacket]
  t.equal(packet.messages.length, PRODUCE_MESSAGES_MAX)
  t.equal(
    reasonCodeOf(() => decodeAll(produce(PRODUCE_MESSAGES_MAX + 1), limits)),
    0x97,
  )
  // Seven of the packet, four of each message; a map of a content type is two more, nil is one.
  const withType = Math.floor((32_768 - 7) / 6)
  const properties = [new Map([[3, 'x']])]
  t.equal((decodeAll(produce(withType, properties), limits) as [ProducePacket])[0].messages.length, withType)
  t.equal(
    reasonCodeOf(() => decodeAll(produce(withType + 1, properties), limits)),
    0x97,
  )
  t.equal(decodeAll(produce(Math.floor((32_768 - 7) / 5), [null]), limits).length, 1)
  const one = [new Map([[38, new Array(60).fill(['k', 'v'])]])]
  t.equal(decodeAll(produce(176, one), limits).length, 1, '186 values each')
  t.equal(
    reasonCodeOf(() => decodeAll(produce(177, one), limits)),
    0x97,
  )
  t.equal(decodeAll(produce(176, one), limits).length, 1, 'each packet begins anew')
})

t.test('payloads and encoded messages of PRODUCE are views of the message that came', async (t) => {
  const chunk = Buffer.concat([pack([12]).slice(), produce(3, [new Map([[3, 'text/plain']])]), pack([12]).slice()])
  const packet = decodeAll(chunk)[1] as ProducePacket
  t.equal(packet.encoded.buffer, chunk.buffer)
  t.equal(packet.ends[packet.messages.length - 1], packet.encoded.length)
  for (const [index, message] of packet.messages.entries()) {
    t.equal(message.payload.buffer, chunk.buffer)
    const encoded = packet.encoded.subarray(packet.ends[index - 1] ?? 0, packet.ends[index])
    t.strictSame([...encoded], [...encodeProduceMessage(message)], 'which are what an encoder makes of the message')
  }
})

t.test('topics that come again are found again, and none is mistaken for another', async (t) => {
  const decoder = nativeCodec.decoder(VECTOR_LIMITS)
  const names: string[] = []
  for (let round = 0; round < 3; round += 1) {
    for (let device = 0; device < 300; device += 1)
      names.push(`d/${device}`, `é/${device}`, `d/${device % 10}/${device}x`)
  }
  names.push('Ã©', 'é', 'Ã©', 'ÿ', 'a'.repeat(300), 'b'.repeat(300))
  const seen: string[] = []
  for (const name of names) {
    const chunk = Uint8Array.from(pack([3, 0, 0, name, new Uint8Array(0)]))
    decoder.decode(chunk, (packet) => seen.push((packet as PublishPacket).topicName))
  }
  t.strictSame(seen, names)
})

t.test('bytes of a topic known as text are checked again when they are not its UTF-8', async (t) => {
  const decoder = nativeCodec.decoder(VECTOR_LIMITS)
  // U+00E9 as text has one unit 0xe9; the single byte 0xe9 is not UTF-8 and must not match it.
  decoder.decode(Uint8Array.from(pack([3, 0, 0, 'é', new Uint8Array(0)])), () => {})
  const latin1 = Uint8Array.of(0x95, 3, 0, 0, 0xa1, 0xe9, 0xc4, 0)
  t.equal(
    reasonCodeOf(() => decoder.decode(latin1, () => t.fail('no packet'))),
    0x81,
  )
})

t.test('what msgpackr alone refuses is malformed too, not a failure of ours', async (t) => {
  for (const bytes of [
    [0xdd, 0xff, 0xff, 0xff, 0xff],
    [0x92, 1],
    [0xd6, 0x99, 1, 2, 3, 4],
    [1, 1],
  ]) {
    t.equal(
      reasonCodeOf(() => unpackRange(Uint8Array.from(bytes), 0, bytes.length)),
      0x81,
    )
  }
})

t.test('an error of the receiver reaches the caller as it is', async (t) => {
  const decoder = nativeCodec.decoder(VECTOR_LIMITS)
  const chunk = Uint8Array.from(pack([12]))
  t.throws(
    () =>
      decoder.decode(chunk, () => {
        throw new TypeError('mine')
      }),
    { name: 'TypeError', message: 'mine' },
  )
})
