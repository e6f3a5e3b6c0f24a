/**
 * Our codec against mqtt-packet, both ways, for valid packets of every kind: what ours writes theirs reads, what theirs
 * writes ours reads, and both mean the same. Where they differ and the standard is on our side, the difference has a
 * name and a test at the end. TALLYMQ_FUZZ_RUNS raises the number of packets.
 */
import fc from 'fast-check'
import { generate, type Packet as TheirPacket, parser } from 'mqtt-packet'
import t from 'tap'
import { FRAME_HEADROOM } from '../../src/protocol/codec.js'
import { mqttCodec } from '../../src/protocol/mqtt/codec.js'
import { type Packet, PacketType, type ProtocolLevel, type UserProperty } from '../../src/protocol/packets.js'
import {
  bytes,
  canonical,
  packetId,
  packetOf,
  publishProperties,
  text,
} from '../unit/protocol/mqtt/arbitrary-packets.js'
import { decodeAll, encode, hex, refusal, toHex } from '../unit/protocol/mqtt/wire.js'
import { fromTheirs, toTheirs } from '../unit/protocol/mqtt/their-packets.js'

const numRuns = Math.max(500, Math.floor(Number(process.env.TALLYMQ_FUZZ_RUNS ?? 0) / 50))
// Shrinking packets of this size takes longer than reading the counterexample.
const RUN = { numRuns, endOnFailure: true }
const LEVELS = [3, 4, 5] as const
// A long run is started by hand and takes as long as it takes.
if (numRuns > 500) t.setTimeout(86_400_000)

function parseTheirs(level: ProtocolLevel, data: Uint8Array): TheirPacket[] {
  const theirs = parser({ protocolVersion: level })
  const packets: TheirPacket[] = []
  theirs.on('packet', (packet) => packets.push(packet))
  theirs.on('error', (error) => {
    throw error
  })
  theirs.parse(Buffer.from(data))
  return packets
}

/** mqtt-packet keeps user properties as an object: the order across names is lost, so it is not compared. */
function withoutNameOrder(packet: Packet): Packet {
  const sorted = (holder: { properties?: unknown } | undefined): void => {
    const properties = holder?.properties as { userProperties?: UserProperty[] } | null | undefined
    if (properties?.userProperties === undefined) return
    properties.userProperties = [...properties.userProperties].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  }
  const copy = structuredClone(packet)
  sorted(copy as { properties?: unknown })
  if (copy.type === PacketType.CONNECT) sorted(copy.will)
  return copy
}

function startLevel(packet: Packet, level: ProtocolLevel): ProtocolLevel | 0 {
  return packet.type === PacketType.CONNECT ? 0 : level
}

/** The named differences, as a condition on packets; each is shown by a test below. */
function theirsCanRead(packet: Packet): boolean {
  // 'an empty user property value', 'DISCONNECT 0x8C'
  if (packet.type === PacketType.DISCONNECT && packet.reasonCode === 0x8c) return false
  const sections = [
    packet as { properties?: object | null },
    packet.type === PacketType.CONNECT ? packet.will : undefined,
  ]
  return sections.every((section) => {
    const { userProperties } = (section?.properties ?? {}) as { userProperties?: UserProperty[] }
    return userProperties === undefined || userProperties.every(([, value]) => value !== '')
  })
}

function theirsCanWrite(packet: Packet): boolean {
  if (!theirsCanRead(packet)) return false
  if (packet.type !== PacketType.CONNECT) return true
  // 'a password without a user name', 'an empty client identifier', 'an empty Will topic'
  if (packet.password !== undefined && packet.username === undefined) return false
  if (packet.clientId === '' && (!packet.cleanStart || packet.protocolLevel === 3)) return false
  return packet.will?.topicName !== ''
}

for (const level of LEVELS) {
  t.test(`level ${level}: what ours writes, ours reads back, and its size was known`, async () => {
    fc.assert(
      fc.property(packetOf(level), (packet) => {
        const written = encode(level, packet)
        const [decoded, ...more] = decodeAll(startLevel(packet, level), [written])
        return (
          more.length === 0 &&
          canonical(decoded) === canonical(packet) &&
          written.length === mqttCodec.packetSize(packet, level)
        )
      }),
      RUN,
    )
  })

  t.test(`level ${level}: what ours writes, theirs reads with the same meaning`, async () => {
    fc.assert(
      fc.property(packetOf(level).filter(theirsCanRead), (packet) => {
        const [parsed, ...more] = parseTheirs(level, encode(level, packet))
        if (parsed === undefined || more.length > 0) return false
        return canonical(withoutNameOrder(fromTheirs(parsed, level))) === canonical(withoutNameOrder(packet))
      }),
      RUN,
    )
  })

  t.test(`level ${level}: what theirs writes, ours reads with the same meaning`, async () => {
    fc.assert(
      fc.property(packetOf(level).filter(theirsCanWrite), (packet) => {
        const written = generate(toTheirs(packet, level), { protocolVersion: level })
        const [decoded, ...more] = decodeAll(startLevel(packet, level), [written])
        if (decoded === undefined || more.length > 0) return false
        if (level < 5 && toHex(written) !== toHex(encode(level, packet))) return false
        return canonical(withoutNameOrder(decoded)) === canonical(withoutNameOrder(packet))
      }),
      RUN,
    )
  })

  t.test(`level ${level}: a copy of a publication is the PUBLISH it stands for`, async () => {
    const delivery = fc.record({
      qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
      retain: fc.boolean(),
      dup: fc.boolean(),
      packetId,
      deliverySequence: fc.constant(0),
      subscriptionIdentifiers: fc.option(fc.array(fc.integer({ min: 1, max: 268_435_455 }), { minLength: 1 })),
      messageExpiryIntervalSec: fc.oneof(fc.constant(-1), fc.integer({ min: 0, max: 0xffff_ffff })),
      topicAlias: fc.integer({ min: 0, max: 3 }),
      omitTopicName: fc.boolean(),
      maximumPacketSize: fc.constant(Number.POSITIVE_INFINITY),
    })
    const publication = fc.record({ topicName: text, payload: bytes, properties: fc.option(publishProperties) })
    fc.assert(
      fc.property(publication, fc.array(delivery, { minLength: 1, maxLength: 4 }), (message, deliveries) => {
        const shared = { ...message, messageId: 1, wire: null, topicName: message.topicName || 'a' }
        const writer = mqttCodec.writer(level)
        let size = 0
        for (const copy of deliveries) {
          writer.writePublication(shared, copy)
          size += mqttCodec.publicationSize(shared, copy, level)
        }
        const written = writer.take()?.buffer.subarray(FRAME_HEADROOM) ?? hex('')
        const expected = deliveries.map((copy): Packet => {
          const {
            subscriptionIdentifiers: _,
            topicAlias: __,
            messageExpiryIntervalSec: ___,
            ...own
          } = message.properties ?? {}
          const properties = {
            ...own,
            ...(copy.messageExpiryIntervalSec >= 0 && { messageExpiryIntervalSec: copy.messageExpiryIntervalSec }),
            ...(copy.topicAlias > 0 && { topicAlias: copy.topicAlias }),
            ...(copy.subscriptionIdentifiers !== null && { subscriptionIdentifiers: copy.subscriptionIdentifiers }),
          }
          return {
            type: PacketType.PUBLISH,
            topicName: level === 5 && copy.omitTopicName && copy.topicAlias > 0 ? '' : shared.topicName,
            payload: message.payload,
            qos: copy.qos,
            retain: copy.retain,
            dup: copy.dup && copy.qos > 0,
            packetId: copy.qos > 0 ? copy.packetId : 0,
            properties: level === 5 && Object.keys(properties).length > 0 ? properties : null,
          }
        })
        return written.length === size && canonical(decodeAll(level, [written])) === canonical(expected)
      }),
      { ...RUN, numRuns: Math.ceil(numRuns / 2) },
    )
  })
}

t.test('difference: user properties keep their order with us, mqtt-packet sorts them into an object', async (t) => {
  const packet = decodeAll(5, [hex("30 12 00 01 'a' 0e 26 00 01 '2' 00 01 'x' 26 00 01 '1' 00 01 'y'")])[0] as Packet
  const again = decodeAll(5, [generate(toTheirs(packet, 5), { protocolVersion: 5 })])[0]
  t.match(packet, { properties: { userProperties: [['2'], ['1']] } })
  t.match(again, { properties: { userProperties: [['1'], ['2']] } })
})

t.test('difference: mqtt-packet loses an empty user property value when the name repeats', async (t) => {
  const written = hex("30 11 00 01 'a' 0d 26 00 01 'k' 00 00 26 00 01 'k' 00 01 'v'")
  t.match(decodeAll(5, [written]), [
    {
      properties: {
        userProperties: [
          ['k', ''],
          ['k', 'v'],
        ],
      },
    },
  ])
  t.match(parseTheirs(5, written), [{ properties: { userProperties: { k: 'v' } } }])
})

t.test('difference: mqtt-packet does not know DISCONNECT 0x8C, which table 2-6 of the standard lists', async (t) => {
  t.match(refusal(5, hex('e0 01 8c')), [{ reasonCode: 0x8c }])
  t.throws(() => parseTheirs(5, hex('e0 01 8c')))
})

t.test('difference: mqtt-packet does not write CONNECTs that MQTT 5 allows', async (t) => {
  const connect = { type: PacketType.CONNECT, protocolLevel: 5, keepAliveSec: 0, properties: {} } as const
  const packets: [string, Packet][] = [
    ['a password without a user name', { ...connect, clientId: 'c', cleanStart: true, password: hex("'p'") }],
    ['an empty client identifier', { ...connect, clientId: '', cleanStart: false }],
    [
      'an empty Will topic, which is for the core to refuse',
      {
        ...connect,
        clientId: 'c',
        cleanStart: true,
        will: { topicName: '', payload: hex(''), qos: 0, retain: false, properties: {} },
      },
    ],
  ]
  for (const [name, packet] of packets) {
    t.equal(canonical(decodeAll(0, [encode(5, packet)])), canonical([packet]), name)
    t.throws(() => generate(toTheirs(packet, 5), { protocolVersion: 5 }), name)
  }
})

t.test('difference: mqtt-packet writes a property length of 0 behind a reason code, we leave it out', async (t) => {
  const packet = { type: PacketType.PUBACK, packetId: 1, reasonCode: 0x87, properties: null } as const
  t.equal(toHex(encode(5, packet)), '40 03 00 01 87')
  t.equal(toHex(generate(toTheirs(packet, 5), { protocolVersion: 5 })), '40 04 00 01 87 00')
})
