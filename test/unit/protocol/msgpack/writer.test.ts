/** The native writer beyond the vectors: byte for byte as msgpackr, shared encodings, ranged acks, its buffers. */
import t from 'tap'
import { type Delivery, FRAME_HEADROOM, type Publication } from '../../../../src/protocol/codec.js'
import { nativeCodec } from '../../../../src/protocol/msgpack/codec.js'
import { encodeFields } from '../../../../src/protocol/msgpack/encode-packet.js'
import { pack } from '../../../../src/protocol/msgpack/packer.js'
import { encodeProduceMessage, joinMessages } from '../../../../src/protocol/msgpack/produce.js'
import {
  type AckPacket,
  type Packet,
  PacketType,
  type ProduceMessage,
  type PublishPacket,
  type PublishProperties,
} from '../../../../src/protocol/packets.js'
import { hexOf, VECTOR_LIMITS, withoutViews } from './vectors.js'

const WIDTHS = [1, 127, 128, 255, 256, 65_535]
const WIDE = [1, 127, 128, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296, Number.MAX_SAFE_INTEGER]

function publish(fields: Partial<PublishPacket>): PublishPacket {
  const packet = {
    topicName: 'a/b',
    payload: new Uint8Array(3),
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
  } as const
  return { type: PacketType.PUBLISH, ...packet, properties: null, ...fields }
}

function delivery(fields: Partial<Delivery>): Delivery {
  return {
    qos: 1,
    retain: false,
    dup: false,
    packetId: 7,
    deliverySequence: 300,
    subscriptionIdentifiers: null,
    messageExpiryIntervalSec: -1,
    topicAlias: 0,
    omitTopicName: false,
    maximumPacketSize: Number.POSITIVE_INFINITY,
    ...fields,
  }
}

function publication(fields: Partial<Publication> = {}): Publication {
  return { topicName: 'a/b', payload: Uint8Array.of(1, 2), properties: null, messageId: 70_000, wire: null, ...fields }
}

/** What the writer makes of packets, without headroom. */
function written(write: (writer: ReturnType<typeof nativeCodec.writer>) => void): string {
  const writer = nativeCodec.writer(5)
  write(writer)
  const announced = writer.byteLength
  const bytes = writer.take()?.buffer.subarray(FRAME_HEADROOM) ?? new Uint8Array(0)
  if (announced < bytes.length) throw new Error(`byteLength ${announced} is no upper bound of ${bytes.length}`)
  return hexOf(bytes)
}

function decoded(hex: string): Packet[] {
  const decoder = nativeCodec.decoder({ ...VECTOR_LIMITS, maximumPacketSize: 1_000_000 })
  decoder.connectAccepted(5)
  const packets: Packet[] = []
  decoder.decode(Buffer.from(hex, 'hex'), (packet) => packets.push(withoutViews(packet) as Packet))
  return packets
}

t.test('hot packets are written byte for byte as msgpackr writes their arrays', async (t) => {
  const topics = [0, 1, 15, 16, 31, 32, 47, 48, 49, 255, 256, 65_535, 65_536].map((length) => 't'.repeat(length))
  topics.push(
    'é',
    'é'.repeat(15),
    'é'.repeat(16),
    'é'.repeat(24),
    '日'.repeat(11),
    '😀'.repeat(8),
    `${'a'.repeat(30)}日`,
  )
  const packets: Packet[] = topics.map((topicName) => publish({ topicName }))
  for (const length of [0, 1, 23, 24, 25, 255, 256, 65_535, 65_536]) {
    packets.push(publish({ payload: new Uint8Array(length).fill(0xa5) }))
  }
  for (const packetId of WIDTHS) packets.push(publish({ qos: 2, retain: true, dup: true, packetId }))
  for (const number of WIDE) {
    packets.push(publish({ qos: 1, packetId: 1, deliverySequence: number, messageId: 1 }))
    packets.push(publish({ qos: 2, packetId: 1, deliverySequence: 1, messageId: number }))
  }
  const properties: PublishProperties = { contentType: 'x', userProperties: [['a', 'b']], topicAlias: 300 }
  packets.push(publish({ properties }), publish({ properties: {} }))
  packets.push(publish({ properties, qos: 1, packetId: 1, deliverySequence: 2, messageId: 3 }))
  for (const packetId of WIDTHS) {
    for (const reasonCode of [0, 0x10, 0x97]) {
      const ack: AckPacket = { type: PacketType.PUBREC, packetId, reasonCode, properties: null }
      packets.push(ack, { ...ack, lastPacketId: 9 }, { ...ack, properties: { reasonString: 'no' } })
    }
  }
  for (const packet of packets) {
    const expected = hexOf(pack(encodeFields(packet)))
    if (written((writer) => writer.write(packet)) !== expected) t.fail(JSON.stringify(packet).slice(0, 200))
    if (nativeCodec.packetSize(packet, 5) !== expected.length / 2) t.fail('packetSize')
  }
  t.pass(`${packets.length} packets`)
})

t.test('packets of producers are written byte for byte as msgpackr writes their arrays', async (t) => {
  const digest = new Uint8Array(32).fill(0xd1)
  const topics = ['t', 'é'.repeat(16), 't'.repeat(48), '日'.repeat(100), 't'.repeat(300)]
  const messages: ProduceMessage[] = topics.flatMap((topicName, index) => [
    { topicName, payload: new Uint8Array(index * 100), qos: 1, retain: false, properties: null },
    { topicName, payload: Uint8Array.of(index), qos: 2, retain: true, properties: { contentType: 'x' } },
    { topicName, payload: new Uint8Array(0), qos: 1, retain: true, properties: {} },
  ])
  const encoded = messages.map(encodeProduceMessage)
  const packets: Packet[] = []
  for (const number of WIDE) {
    const handle = Math.min(number, 65_535)
    const sequences = { handle, firstSequence: number, confirmedSequence: number - 1 }
    const produce = { type: PacketType.PRODUCE, ...sequences, isAtomic: number > 127 } as const
    packets.push({ ...produce, messages, ...joinMessages(encoded) })
    packets.push({ ...produce, messages: messages.slice(0, 1), ...joinMessages(encoded.slice(0, 1)) })
    const produced = { type: PacketType.PRODUCED, handle, reasonCode: 0, sequence: number, refusals: [] } as const
    packets.push({ ...produced, digest }, { ...produced, digest: null, reasonCode: 0xc1 })
    packets.push({ ...produced, digest, refusals: [{ sequence: number, reasonCode: 0x97, reasonString: 'full' }] })
    packets.push({ ...produced, digest, reasonString: 'well' })
  }
  const many = new Array(70_000).fill(messages[0])
  packets.push({
    type: PacketType.PRODUCE,
    handle: 1,
    firstSequence: 1,
    confirmedSequence: 0,
    isAtomic: false,
    messages: many,
    ...joinMessages(many.map(() => encoded[0] as Uint8Array)),
  })
  for (const packet of packets) {
    const expected = hexOf(pack(encodeFields(packet)))
    if (written((writer) => writer.write(packet)) !== expected) t.fail(JSON.stringify(packet).slice(0, 200))
    if (nativeCodec.packetSize(packet, 5) !== expected.length / 2) t.fail('packetSize')
  }
  t.pass(`${packets.length} packets`)
})

t.test('every copy of a publication is what writing the packet of that subscriber gives', async (t) => {
  const withExpiry: PublishProperties = { messageExpiryIntervalSec: 60, userProperties: [['k', 'v']] }
  const cases: [Partial<Publication>, Partial<Delivery>, Partial<PublishPacket>][] = [
    [{}, {}, {}],
    [{}, { qos: 2, dup: true, retain: true }, { qos: 2, dup: true, retain: true }],
    [{}, { qos: 0, packetId: 0, retain: true }, { qos: 0, packetId: 0, retain: true }],
    [{ properties: { contentType: 'x' } }, {}, { properties: { contentType: 'x' } }],
    [
      { properties: { contentType: 'x' } },
      { qos: 0, packetId: 0 },
      { qos: 0, packetId: 0, properties: { contentType: 'x' } },
    ],
    [{ properties: {} }, {}, {}],
    [{ properties: { userProperties: [] } }, {}, {}],
    [{}, { subscriptionIdentifiers: [1, 300] }, { properties: { subscriptionIdentifiers: [1, 300] } }],
    [{ properties: withExpiry }, { messageExpiryIntervalSec: 60 }, { properties: withExpiry }],
    [
      { properties: withExpiry },
      { messageExpiryIntervalSec: 59 },
      { properties: { ...withExpiry, messageExpiryIntervalSec: 59 } },
    ],
    [
      { properties: withExpiry },
      { messageExpiryIntervalSec: 0 },
      { properties: { ...withExpiry, messageExpiryIntervalSec: 0 } },
    ],
    [{}, { topicAlias: 3 }, { properties: { topicAlias: 3 } }],
    [{}, { topicAlias: 3, omitTopicName: true }, { topicName: '', properties: { topicAlias: 3 } }],
    [
      { topicName: '日本/気温'.repeat(9), payload: new Uint8Array(5_000) },
      {},
      { topicName: '日本/気温'.repeat(9), payload: new Uint8Array(5_000) },
    ],
  ]
  for (const [of, to, expected] of cases) {
    const message = publication(of)
    const copy = delivery(to)
    const own = copy.qos === 0 ? {} : { deliverySequence: 300, messageId: 70_000 }
    const packet = publish({
      qos: 1,
      packetId: 7,
      payload: message.payload,
      topicName: message.topicName,
      ...own,
      ...expected,
    })
    const bytes = written((writer) => writer.write(packet))
    for (const nth of ['first', 'second', 'third']) {
      const size = nativeCodec.publicationSize(message, copy, 5)
      t.equal(
        written((writer) => writer.writePublication(message, copy)),
        bytes,
        `${nth} copy of ${JSON.stringify(to)}`,
      )
      t.equal(size, bytes.length / 2, 'publicationSize')
    }
  }
})

t.test('topic, payload and properties are encoded once for all subscribers from the second on', async (t) => {
  const message = publication({ properties: { contentType: 'text/plain' } })
  const copies = Array.from({ length: 5 }, (_, index) => {
    const bytes = written((writer) => writer.writePublication(message, delivery({ packetId: index + 1 })))
    return { bytes, tail: message.wire?.['tally.v1'] }
  })
  t.ok(copies[1]?.tail)
  t.equal(copies[1]?.tail, copies[4]?.tail)
  for (const { bytes } of copies) t.ok(bytes.endsWith(hexOf(copies[1]?.tail ?? new Uint8Array(1))))
  message.wire = { other: Uint8Array.of(1) }
  for (let copy = 0; copy < 3; copy += 1) written((writer) => writer.writePublication(message, delivery({})))
  t.strictSame(Object.keys(message.wire ?? {}).sort(), ['other', 'tally.v1'], 'another codec keeps its bytes there too')
})

t.test('neighbouring copies to one topic share a packet', async (t) => {
  const copies = (list: [Partial<Publication>, Partial<Delivery>][]) =>
    written((writer) => {
      for (const [index, [of, to]] of list.entries()) {
        const numbers = { packetId: index + 1, deliverySequence: index + 10, ...to }
        writer.writePublication(publication({ messageId: index + 20, ...of }), delivery(numbers))
      }
    })
  const payload = (length: number) => ({ payload: new Uint8Array(length).fill(0xee) })
  const one = payload(1)
  const single = (index: number, flags = '01', topic = 'a3612f62') =>
    `9713${flags}0${index + 1}0${(index + 10).toString(16)}${(index + 20).toString(16)}${topic}c401ee`
  const run = (index: number, count: number, flags?: string) =>
    single(index, flags).replace('c401ee', `dc000${count}${'c401ee'.repeat(count)}`)

  t.equal(copies([[one, {}]]), single(0), 'one alone is as ever')
  t.equal(copies(new Array(5).fill([one, {}])), run(0, 5))
  t.equal(
    copies([
      [one, {}],
      [{ ...one, topicName: 'a/c' }, {}],
      [one, {}],
      [one, {}],
    ]),
    single(0) + single(1, '01', 'a3612f63') + run(2, 2),
  )
  t.equal(
    copies([
      [one, {}],
      [one, { retain: true }],
      [one, { retain: true }],
    ]),
    single(0) + run(1, 2, '05'),
  )
  t.equal(
    copies([
      [one, { dup: true }],
      [one, { qos: 2 }],
      [one, { qos: 2 }],
    ]),
    single(0, '09') + run(1, 2, '02'),
  )

  const properties = { contentType: 'x' }
  const alone: [string, Partial<Publication>, Partial<Delivery>][] = [
    ['a packet id that is not the next', one, { packetId: 9 }],
    ['a delivery sequence that is not the next', one, { deliverySequence: 9 }],
    ['a message id that is not the next', { ...one, messageId: 9 }, {}],
    ['properties', { ...one, properties }, {}],
    ['subscription identifiers', one, { subscriptionIdentifiers: [1] }],
    ['a topic alias', one, { topicAlias: 1 }],
    ['a long payload', payload(1_025), {}],
    ['QoS 0', one, { qos: 0, packetId: 0, deliverySequence: 0 }],
  ]
  for (const [what, of, to] of alone) {
    const hex = copies([
      [one, {}],
      [one, {}],
      [of, to],
      [one, {}],
      [one, {}],
    ])
    t.ok(hex.startsWith(run(0, 2)) && hex.endsWith(run(3, 2)), what)
    t.equal(decoded(hex).length, 5, what)
  }
  const shared = publication(one)
  const toMany = () =>
    written((writer) => {
      writer.writePublication(shared, delivery({ packetId: 1, deliverySequence: 1 }))
      writer.writePublication({ ...shared, messageId: 70_001 }, delivery({ packetId: 2, deliverySequence: 2 }))
    })
  t.equal(toMany(), toMany(), 'whether its bytes are kept already or not')
  t.equal(decoded(toMany()).length, 2)
})

t.test('a run is not longer than the Maximum Packet Size of who gets it, nor than 64 payloads', async (t) => {
  const runs = (count: number, maximumPacketSize: number) => {
    const hex = written((writer) => {
      for (let index = 0; index < count; index += 1) {
        const numbers = { packetId: index + 1, deliverySequence: index + 1, maximumPacketSize }
        writer.writePublication(publication({ messageId: index + 1 }), delivery(numbers))
      }
    })
    t.equal(decoded(hex).length, count)
    // Each begins with the head of an array of seven.
    return hex.split(/(?=971301)/).map((packet) => packet.length / 2)
  }
  // 10 bytes before the payloads, 3 for the head of their array, 4 for each.
  t.strictSame(runs(6, 13 + 3 * 4), [25, 25])
  t.strictSame(runs(6, 13 + 3 * 4 - 1), [21, 21, 21])
  t.strictSame(runs(3, 13 + 4), [14, 14, 14], 'no room for two')
  t.strictSame(runs(3, 14), [14, 14, 14])
  t.strictSame(runs(127, Number.POSITIVE_INFINITY), [13 + 64 * 4, 13 + 63 * 4])
})

t.test('nothing overtakes a run, and a run takes in nothing from behind another packet', async (t) => {
  const packets = decoded(
    written((writer) => {
      writer.write(publish({ qos: 1, packetId: 1 }))
      writer.write(publish({ qos: 1, packetId: 2 }))
      writer.writeAck(4, 1, 0)
      writer.write(publish({ qos: 1, packetId: 3 }))
      writer.write({ type: PacketType.PINGREQ })
      writer.write(publish({ qos: 1, packetId: 4 }))
      writer.write(publish({ qos: 1, packetId: 5 }))
    }),
  )
  t.strictSame(
    packets.map((packet) => ('packetId' in packet ? [packet.type, packet.packetId] : [packet.type])),
    [[3, 1], [3, 2], [4, 1], [3, 3], [12], [3, 4], [3, 5]],
  )
})

t.test('what is taken in the middle of a run is whole, and the next one begins anew', async (t) => {
  const writer = nativeCodec.writer(5)
  const take = () => hexOf(writer.take()?.buffer.subarray(FRAME_HEADROOM) ?? new Uint8Array())
  writer.write(publish({ qos: 1, packetId: 1 }))
  writer.write(publish({ qos: 1, packetId: 2 }))
  t.equal(decoded(take()).length, 2)
  writer.write(publish({ qos: 1, packetId: 3 }))
  t.equal(take(), '95030103a3612f62c403000000')
})

t.test('acknowledgements of neighbouring packet identifiers leave as one range', async (t) => {
  const acks = (list: [type: 4 | 5 | 6 | 7, packetId: number, reasonCode?: number][]) => {
    const bytes = written((writer) => {
      for (const [type, packetId, reasonCode] of list) writer.writeAck(type, packetId, reasonCode ?? 0)
    })
    return (decoded(bytes) as AckPacket[]).map(({ type, packetId, lastPacketId, reasonCode }) => {
      return [type, packetId, lastPacketId ?? packetId, reasonCode]
    })
  }
  t.strictSame(acks([[4, 9]]), [[4, 9, 9, 0]])
  t.strictSame(
    acks([
      [4, 1],
      [4, 2],
      [4, 3],
    ]),
    [[4, 1, 3, 0]],
  )
  t.strictSame(
    acks([
      [4, 65_534],
      [4, 65_535],
      [4, 1],
      [4, 2],
    ]),
    [[4, 65_534, 2, 0]],
    'across 65535',
  )
  t.strictSame(
    acks([
      [4, 1],
      [4, 3],
      [4, 4],
    ]),
    [
      [4, 1, 1, 0],
      [4, 3, 4, 0],
    ],
    'not over a gap',
  )
  t.strictSame(
    acks([
      [4, 2],
      [4, 1],
    ]),
    [
      [4, 2, 2, 0],
      [4, 1, 1, 0],
    ],
    'not backwards',
  )
  t.strictSame(
    acks([
      [4, 1],
      [5, 2],
      [5, 3],
    ]),
    [
      [4, 1, 1, 0],
      [5, 2, 3, 0],
    ],
    'not across types',
  )
  t.strictSame(
    acks([
      [4, 1],
      [4, 2, 0x10],
      [4, 3, 0x10],
    ]),
    [
      [4, 1, 1, 0],
      [4, 2, 3, 0x10],
    ],
    'not across reason codes',
  )
  const round: [4, number][] = Array.from({ length: 65_536 }, (_, index) => [4, (index % 65_535) + 1])
  t.strictSame(
    acks(round),
    [
      [4, 1, 65_535, 0],
      [4, 1, 1, 0],
    ],
    'a range never runs into its own beginning',
  )
})

t.test('nothing overtakes a range, and a range takes in nothing from behind another packet', async (t) => {
  const types = decoded(
    written((writer) => {
      writer.writeAck(4, 1, 0)
      writer.write({ type: PacketType.PINGRESP })
      writer.writeAck(4, 2, 0)
      writer.writePublication(publication(), delivery({}))
      writer.writeAck(4, 3, 0)
      writer.writeAck(4, 4, 0)
    }),
  ).map((packet) => packet.type)
  t.strictSame(types, [4, 13, 4, 3, 4])
})

t.test('a writer holds no buffer before the first write and none after take', async (t) => {
  const writer = nativeCodec.writer(5)
  t.equal(writer.take(), null)
  t.equal(writer.byteLength, 0)
  writer.writeAck(4, 1, 0)
  const first = writer.take()
  t.equal(writer.take(), null)
  const before = hexOf(first?.buffer ?? new Uint8Array())
  writer.write({ type: PacketType.DISCONNECT, reasonCode: 0x8b, properties: null })
  const second = writer.take()
  t.not(first?.buffer.buffer, second?.buffer.buffer)
  t.equal(hexOf(first?.buffer ?? new Uint8Array()), before, 'what was taken is never written to again')
})

t.test('a buffer grows with what is written', async (t) => {
  const payload = new Uint8Array(300_000).fill(7)
  const hex = written((writer) => {
    for (let index = 0; index < 500; index += 1) writer.write(publish({ qos: 1, packetId: index + 1 }))
    writer.write(publish({ payload }))
    writer.write({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions: [], properties: {} })
  }).slice(0, -8)
  const packets = decoded(hex) as PublishPacket[]
  t.equal(packets.length, 501)
  t.strictSame(packets[500]?.payload, payload)
  t.equal(packets[499]?.packetId, 500)
})

t.test('numbers that the wire cannot carry are a mistake of ours', async (t) => {
  for (const timestampMs of [-1, 1.5, Number.NaN, 2 ** 53]) {
    t.throws(() => nativeCodec.packetSize({ type: PacketType.PINGREQ, timestampMs }, 5), { code: 'ASSERTION' })
  }
})
