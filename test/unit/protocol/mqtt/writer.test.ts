/**
 * The writer: publications shared by many subscribers, what each version leaves out, and who owns the bytes.
 */
import t from 'tap'
import { type Delivery, FRAME_HEADROOM, type Publication } from '../../../../src/protocol/codec.js'
import { mqttCodec } from '../../../../src/protocol/mqtt/codec.js'
import {
  type Packet,
  PacketType,
  type ProtocolLevel,
  type PublishProperties,
} from '../../../../src/protocol/packets.js'
import { decodeAll, encode, hex, thrownReasonCode, toHex } from './wire.js'

function publicationOf(topicName: string, payload: Uint8Array, properties: PublishProperties | null): Publication {
  return { topicName, payload, properties, messageId: 1, wire: null }
}

function deliveryOf(fields: Partial<Delivery>): Delivery {
  return {
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
    deliverySequence: 0,
    subscriptionIdentifiers: null,
    messageExpiryIntervalSec: -1,
    topicAlias: 0,
    omitTopicName: false,
    maximumPacketSize: Number.POSITIVE_INFINITY,
    ...fields,
  }
}

function deliver(level: ProtocolLevel, publication: Publication, delivery: Delivery): Uint8Array {
  const writer = mqttCodec.writer(level)
  writer.writePublication(publication, delivery)
  const written = writer.take()
  if (written === null) return hex('')
  const bytes = written.buffer.subarray(written.headroom)
  if (bytes.length !== mqttCodec.publicationSize(publication, delivery, level)) throw new Error('publicationSize')
  return bytes
}

t.test('one publication, many copies: each with its own flags and identifier', async (t) => {
  const publication = publicationOf('a', hex("'x'"), null)
  t.equal(toHex(deliver(4, publication, deliveryOf({}))), '30 04 00 01 61 78')
  t.equal(toHex(deliver(5, publication, deliveryOf({ retain: true }))), '31 05 00 01 61 00 78')
  t.equal(toHex(deliver(4, publication, deliveryOf({ qos: 1, packetId: 258 }))), '32 06 00 01 61 01 02 78')
  t.equal(toHex(deliver(4, publication, deliveryOf({ qos: 1, dup: true, packetId: 1 }))), '3a 06 00 01 61 00 01 78')
  t.equal(toHex(deliver(5, publication, deliveryOf({ qos: 2, packetId: 65_535 }))), '34 07 00 01 61 ff ff 00 78')
  t.equal(toHex(deliver(5, publication, deliveryOf({ dup: true }))), '30 05 00 01 61 00 78', 'QoS 0 has no DUP')
})

t.test('a copy has the remaining expiry, its own identifiers and alias, and never the publisher’s', async (t) => {
  const publication = publicationOf('topic', hex("'x'"), {
    messageExpiryIntervalSec: 500,
    topicAlias: 9,
    subscriptionIdentifiers: [7],
    payloadFormatIndicator: 1,
    userProperties: [
      ['b', '1'],
      ['a', '2'],
    ],
  })
  const own = { payloadFormatIndicator: 1, userProperties: publication.properties?.userProperties }
  const copies: [Delivery, string, object][] = [
    [deliveryOf({}), 'topic', own],
    [deliveryOf({ messageExpiryIntervalSec: 0 }), 'topic', { messageExpiryIntervalSec: 0, ...own }],
    [
      deliveryOf({ messageExpiryIntervalSec: 0xffff_fffe, subscriptionIdentifiers: [1, 300, 268_435_455] }),
      'topic',
      { messageExpiryIntervalSec: 0xffff_fffe, subscriptionIdentifiers: [1, 300, 268_435_455], ...own },
    ],
    [deliveryOf({ topicAlias: 3 }), 'topic', { topicAlias: 3, ...own }],
    [deliveryOf({ topicAlias: 65_535, omitTopicName: true }), '', { topicAlias: 65_535, ...own }],
  ]
  for (const [delivery, topicName, properties] of copies) {
    const [packet] = decodeAll(5, [deliver(5, publication, delivery)])
    t.same(packet, { ...packet, topicName, payload: hex("'x'") })
    t.same(packet?.type === PacketType.PUBLISH ? packet.properties : undefined, properties)
  }
})

t.test('before MQTT 5 a copy has no properties and always its topic name', async (t) => {
  const publication = publicationOf('topic', hex("'x'"), { contentType: 't' })
  const delivery = deliveryOf({
    messageExpiryIntervalSec: 5,
    subscriptionIdentifiers: [1],
    topicAlias: 1,
    omitTopicName: true,
  })
  t.equal(toHex(deliver(4, publication, delivery)), toHex(hex("30 08 00 05 'topic' 'x'")))
})

t.test('copies and their sizes are exact around every length that changes its width', async (t) => {
  for (const length of [
    0, 1, 40, 47, 48, 49, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 16_000,
  ]) {
    for (const slack of [0, 370, 371, 372, 373, 374, 375, 376, 377, 378, 379, 380, 381, 382, 383, 384]) {
      const payload = new Uint8Array(length + (length === 16_000 ? slack : 0)).fill(5)
      const publication = publicationOf('é/b', payload, { userProperties: [['k', 'v'.repeat(slack % 13)]] })
      for (const level of [4, 5] as const) {
        const delivery = deliveryOf({ qos: 1, packetId: 5, messageExpiryIntervalSec: 4 })
        const [packet] = decodeAll(level, [deliver(level, publication, delivery)])
        const again = encode(level, packet as Packet)
        t.equal(toHex(deliver(level, publication, delivery)), toHex(again), `${length} bytes, level ${level}`)
      }
    }
  }
})

t.test('a topic of more than 65535 bytes is refused and leaves nothing behind', async (t) => {
  const writer = mqttCodec.writer(5)
  writer.write({ type: PacketType.PINGRESP })
  const tooLong = publicationOf('é'.repeat(32_768), hex(''), null)
  t.equal(
    thrownReasonCode(() => writer.writePublication(tooLong, deliveryOf({}))),
    0x95,
  )
  const suback = {
    type: PacketType.SUBACK,
    packetId: 1,
    reasonCodes: [0],
    properties: { reasonString: 'x'.repeat(65_536) },
  }
  t.equal(
    thrownReasonCode(() => writer.write(suback)),
    0x95,
  )
  const auth = { authenticationMethod: 'm', authenticationData: new Uint8Array(65_536) }
  t.equal(
    thrownReasonCode(() => writer.write({ type: PacketType.AUTH, reasonCode: 0, properties: auth })),
    0x95,
  )
  t.equal(writer.byteLength, 2)
  const written = writer.take()
  t.equal(toHex(written?.buffer.subarray(written.headroom) ?? hex('')), 'd0 00')
})

t.test('a packet of more than 268435455 bytes is refused', async (t) => {
  const writer = mqttCodec.writer(4)
  const publication = publicationOf('a', new Uint8Array(268_435_455), null)
  t.equal(
    thrownReasonCode(() => writer.writePublication(publication, deliveryOf({}))),
    0x95,
  )
  t.equal(writer.take(), null)
})

t.test('properties that belong to one copy only leave nothing to share', async (t) => {
  const publication = publicationOf('a', hex("'x'"), { messageExpiryIntervalSec: 5, topicAlias: 1 })
  for (let copy = 0; copy < 2; copy += 1)
    t.equal(toHex(deliver(5, publication, deliveryOf({}))), '30 05 00 01 61 00 78')
})

t.test('the size of a large packet is exact as well', async (t) => {
  const payload = new Uint8Array(2_097_152)
  const publish = { type: PacketType.PUBLISH, topicName: 'a', payload, qos: 0, retain: false, dup: false } as const
  for (let again = 0; again < 2; again += 1) {
    t.equal(mqttCodec.packetSize({ ...publish, packetId: 0, properties: null }, 4), 5 + 3 + payload.length)
    t.equal(mqttCodec.packetSize({ type: PacketType.PINGREQ }, 4), 2)
  }
})

t.test('what was taken is not written to again, and stands behind the headroom', async (t) => {
  const writer = mqttCodec.writer(4)
  t.equal(writer.take(), null)
  writer.writeAck(PacketType.PUBACK, 1, 0)
  t.equal(writer.byteLength, 4)
  const first = writer.take()
  t.equal(first?.headroom, FRAME_HEADROOM)
  t.equal(writer.byteLength, 0)
  t.equal(writer.take(), null)
  for (let packetId = 1; packetId <= 5_000; packetId += 1) writer.writeAck(PacketType.PUBREC, packetId, 0)
  t.equal(writer.byteLength, 20_000)
  const second = writer.take()
  t.equal(toHex(first?.buffer.subarray(FRAME_HEADROOM) ?? hex('')), '40 02 00 01')
  const ids = decodeAll(4, [second?.buffer.subarray(FRAME_HEADROOM) ?? hex('')])
  t.same(
    ids.map((packet) => 'packetId' in packet && packet.packetId),
    Array.from({ length: 5_000 }, (_, index) => index + 1),
  )
})

t.test('writers that take turns do not share bytes', async (t) => {
  const writers = Array.from({ length: 100 }, () => mqttCodec.writer(4))
  const taken: Uint8Array[] = []
  for (let round = 0; round < 3; round += 1) {
    writers.forEach((writer, index) => {
      writer.writeAck(PacketType.PUBACK, 1 + index * 3 + round, 0)
    })
    for (const writer of writers) taken.push(writer.take()?.buffer.subarray(FRAME_HEADROOM) ?? hex(''))
  }
  const expected = [0, 1, 2].flatMap((round) => writers.map((_, index) => 1 + index * 3 + round))
  t.same(
    taken.map((bytes) => ((bytes[2] as number) << 8) | (bytes[3] as number)),
    expected,
  )
})

t.test('a writer that is done gives no room of another one away', async (t) => {
  const [first, second, third] = [mqttCodec.writer(4), mqttCodec.writer(4), mqttCodec.writer(4)] as const
  first.writeAck(PacketType.PUBACK, 1, 0)
  second.writeAck(PacketType.PUBACK, 2, 0)
  const taken = [first.take()]
  third.writeAck(PacketType.PUBACK, 3, 0)
  for (let more = 0; more < 60; more += 1) third.writeAck(PacketType.PUBACK, 3, 0)
  taken.push(second.take(), third.take())
  t.same(
    taken.map((written) => toHex(written?.buffer.subarray(FRAME_HEADROOM, FRAME_HEADROOM + 4) ?? hex(''))),
    ['40 02 00 01', '40 02 00 02', '40 02 00 03'],
  )
})

t.test('acknowledgements take the shortest form', async (t) => {
  const cases: [ProtocolLevel, number, string][] = [
    [5, 0, '62 02 00 07'],
    [5, 0x92, '62 03 00 07 92'],
    [4, 0x92, '62 02 00 07'],
  ]
  for (const [level, reasonCode, expected] of cases) {
    const writer = mqttCodec.writer(level)
    writer.writeAck(PacketType.PUBREL, 7, reasonCode)
    t.equal(toHex(writer.take()?.buffer.subarray(FRAME_HEADROOM) ?? hex('')), expected)
  }
})

t.test('a native range of acknowledgements becomes one packet for each identifier', async (t) => {
  const range = { type: PacketType.PUBACK, packetId: 65_534, lastPacketId: 2, reasonCode: 0, properties: null } as const
  t.equal(toHex(encode(5, range)), '40 02 ff fe 40 02 ff ff 40 02 00 01 40 02 00 02')
  t.equal(mqttCodec.packetSize(range, 5), 16)
})

t.test('before MQTT 5 reason codes are translated or left out', async (t) => {
  const refused = (reasonCode: number): Packet => ({
    type: PacketType.CONNACK,
    sessionPresent: true,
    reasonCode,
    properties: { reasonString: 'no' },
  })
  const returnCodes = new Map([
    [0x84, 1],
    [0x85, 2],
    [0x88, 3],
    [0x89, 3],
    [0x97, 3],
    [0x9f, 3],
    [0x86, 4],
    [0x87, 5],
    [0x8a, 5],
    [0x8c, 5],
  ])
  for (const [reasonCode, returnCode] of returnCodes) {
    t.equal(toHex(encode(4, refused(reasonCode))), `20 02 00 0${returnCode}`)
  }
  for (const reasonCode of [0x81, 0x82, 0x95, 0x9a, 0x9b]) t.equal(encode(4, refused(reasonCode)).length, 0)
  t.equal(
    toHex(encode(4, { type: PacketType.SUBACK, packetId: 1, reasonCodes: [1, 0x87, 0x9e], properties: null })),
    '90 05 00 01 01 80 80',
  )
  t.equal(
    toHex(encode(4, { type: PacketType.UNSUBACK, packetId: 1, reasonCodes: [0x11], properties: null })),
    'b0 02 00 01',
  )
  t.equal(
    toHex(encode(3, { type: PacketType.CONNACK, sessionPresent: true, reasonCode: 0, properties: {} })),
    '20 02 00 00',
    '3.1 has no Session Present',
  )
})

t.test('packets that a version does not have are not written', async (t) => {
  const auth: Packet = { type: PacketType.AUTH, reasonCode: 0x18, properties: { authenticationMethod: 'm' } }
  const bye: Packet = { type: PacketType.DISCONNECT, reasonCode: 0, properties: null }
  const connack: Packet = { type: PacketType.CONNACK, sessionPresent: false, reasonCode: 0, properties: {} }
  t.equal(encode(4, auth).length, 0)
  t.equal(mqttCodec.packetSize(auth, 4), 0)
  t.equal(toHex(encode(4, bye)), 'e0 00', 'a client leaves')
  t.equal(toHex(encode(4, connack, bye)), '20 02 00 00', 'a server just closes')
  t.equal(encode(4, { ...bye, reasonCode: 0x8e }).length, 0)
  t.equal(encode(4, { ...bye, reasonCode: 4 }).length, 0, 'it would discard the Will')
  t.equal(toHex(encode(5, connack, { ...bye, reasonCode: 0x8e })), '20 03 00 00 00 e0 01 8e')
})

t.test('what only the native protocol carries is left out', async (t) => {
  t.equal(toHex(encode(5, { type: PacketType.PINGREQ, timestampMs: 5 })), 'c0 00')
  t.equal(
    toHex(
      encode(5, {
        type: PacketType.CONNACK,
        sessionPresent: false,
        reasonCode: 0,
        properties: {},
        durability: 'flush',
        resume: { queuedMessages: 1, lost: [] },
      }),
    ),
    '20 03 00 00 00',
  )
})
