/**
 * Valid packets of every kind and version for property tests: every field the model has, at the edges of its range.
 */
import fc from 'fast-check'
import { type Packet, PacketType, type ProtocolLevel } from '../../../../src/protocol/packets.js'
import { REASON_CODES } from '../../../../src/protocol/reason-codes.js'

/** Any text that MQTT can carry: every code point but U+0000, astral ones and U+FEFF included. */
export const text = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: 'grapheme-ascii', maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc.string({ unit: 'binary', maxLength: 12 }).map((value) => value.replaceAll('\u0000', '\ufeff')),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('', '\ufeff', 'é'.repeat(70), 'x'.repeat(300), '__proto__', 'constructor', '7'),
  },
)
const someText = text.filter((value) => value.length > 0)
export const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.integer({ min: 100, max: 20_000 }).map((length) => new Uint8Array(length).fill(length)),
)
const flag = fc.constantFrom(0 as const, 1 as const)
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const)
const twoBytes = fc.oneof(fc.integer({ min: 0, max: 65_535 }), fc.constantFrom(0, 1, 255, 256, 65_535))
const positiveTwoBytes = twoBytes.map((value) => Math.max(1, value))
const fourBytes = fc.oneof(
  fc.integer({ min: 0, max: 0xffff_ffff }),
  fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff),
)
const positiveFourBytes = fourBytes.map((value) => Math.max(1, value))
const subscriptionIdentifier = fc.oneof(
  fc.integer({ min: 1, max: 268_435_455 }),
  fc.constantFrom(1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455),
)
export const packetId = positiveTwoBytes
const userProperties = fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 6 })

const willProperties = optional({
  willDelayIntervalSec: fourBytes,
  payloadFormatIndicator: flag,
  messageExpiryIntervalSec: fourBytes,
  contentType: text,
  responseTopic: text,
  correlationData: bytes,
  userProperties,
})
const connectProperties = fc
  .tuple(
    optional({
      sessionExpiryIntervalSec: fourBytes,
      receiveMaximum: positiveTwoBytes,
      maximumPacketSize: positiveFourBytes,
      topicAliasMaximum: twoBytes,
      requestResponseInformation: flag,
      requestProblemInformation: flag,
      userProperties,
    }),
    fc.oneof(
      fc.constant({}),
      fc.record({ authenticationMethod: text, authenticationData: bytes }, { requiredKeys: ['authenticationMethod'] }),
    ),
  )
  .map(([properties, authentication]) => ({ ...properties, ...authentication }))
const connackProperties = optional({
  sessionExpiryIntervalSec: fourBytes,
  receiveMaximum: positiveTwoBytes,
  maximumQoS: flag,
  retainAvailable: flag,
  maximumPacketSize: positiveFourBytes,
  assignedClientIdentifier: text,
  topicAliasMaximum: twoBytes,
  reasonString: text,
  userProperties,
  wildcardSubscriptionAvailable: flag,
  subscriptionIdentifiersAvailable: flag,
  sharedSubscriptionAvailable: flag,
  serverKeepAliveSec: twoBytes,
  responseInformation: text,
  serverReference: text,
  authenticationMethod: text,
  authenticationData: bytes,
})
export const publishProperties = optional({
  payloadFormatIndicator: flag,
  messageExpiryIntervalSec: fourBytes,
  topicAlias: positiveTwoBytes,
  responseTopic: text,
  correlationData: bytes,
  userProperties,
  subscriptionIdentifiers: fc.array(subscriptionIdentifier, { minLength: 1, maxLength: 4 }),
  contentType: text,
})
const ackProperties = optional({ reasonString: text, userProperties })
const disconnectProperties = optional({
  sessionExpiryIntervalSec: fourBytes,
  reasonString: text,
  userProperties,
  serverReference: text,
})

function optional<T extends Record<string, fc.Arbitrary<unknown>>>(
  fields: T,
): fc.Arbitrary<{ [K in keyof T]?: T[K] extends fc.Arbitrary<infer V> ? V : never }> {
  return fc.record(fields, { requiredKeys: [] }) as never
}

/** An empty set of properties decodes to null where the model says so. */
function orNull<T extends object>(properties: fc.Arbitrary<T>): fc.Arbitrary<T | null> {
  return properties.map((value) => (Object.keys(value).length === 0 ? null : value))
}

function codesOf(packet: string): number[] {
  return Object.values(REASON_CODES)
    .filter((row) => (row.packets as readonly string[]).includes(packet))
    .map((row) => row.value)
}

function connect(level: ProtocolLevel): fc.Arbitrary<Packet> {
  const is5 = level === 5
  const will = fc.record({
    topicName: text,
    payload: bytes,
    qos,
    retain: fc.boolean(),
    properties: is5 ? willProperties : fc.constant({}),
  })
  const credentials = fc.oneof(
    fc.constant({}),
    fc.record({ username: text }),
    fc.record({ username: text, password: bytes }),
    is5 ? fc.record({ password: bytes }) : fc.constant({}),
  )
  return fc
    .tuple(
      fc.record({
        type: fc.constant(PacketType.CONNECT),
        protocolLevel: fc.constant(level),
        clientId: text,
        cleanStart: fc.boolean(),
        keepAliveSec: twoBytes,
        properties: is5 ? connectProperties : fc.constant({}),
      }),
      fc.oneof(fc.constant({}), fc.record({ will })),
      credentials,
    )
    .map(([fields, withWill, withCredentials]) => ({ ...fields, ...withWill, ...withCredentials }) as Packet)
}

function publish(level: ProtocolLevel): fc.Arbitrary<Packet> {
  return fc
    .record({
      topicName: text,
      payload: bytes,
      qos,
      retain: fc.boolean(),
      dup: fc.boolean(),
      packetId,
      properties: level === 5 ? orNull(publishProperties) : fc.constant(null),
    })
    .map((fields) => ({
      type: PacketType.PUBLISH,
      ...fields,
      topicName: fields.topicName === '' && fields.properties?.topicAlias === undefined ? 'a' : fields.topicName,
      dup: fields.dup && fields.qos > 0,
      packetId: fields.qos > 0 ? fields.packetId : 0,
    })) as fc.Arbitrary<Packet>
}

function ack(level: ProtocolLevel): fc.Arbitrary<Packet> {
  const types = [
    [PacketType.PUBACK, 'PUBACK'],
    [PacketType.PUBREC, 'PUBREC'],
    [PacketType.PUBREL, 'PUBREL'],
    [PacketType.PUBCOMP, 'PUBCOMP'],
  ] as const
  return fc.constantFrom(...types).chain(([type, name]) =>
    fc.record({
      type: fc.constant(type),
      packetId,
      reasonCode: level === 5 ? fc.constantFrom(...codesOf(name)) : fc.constant(0),
      properties: level === 5 ? orNull(ackProperties) : fc.constant(null),
    }),
  ) as fc.Arbitrary<Packet>
}

function subscribe(level: ProtocolLevel): fc.Arbitrary<Packet> {
  const is5 = level === 5
  return fc.record({
    type: fc.constant(PacketType.SUBSCRIBE),
    packetId,
    subscriptions: fc.array(
      fc.record({
        topicFilter: text,
        qos,
        noLocal: is5 ? fc.boolean() : fc.constant(false),
        retainAsPublished: is5 ? fc.boolean() : fc.constant(false),
        retainHandling: is5 ? qos : fc.constant(0 as const),
      }),
      { minLength: 1, maxLength: 5 },
    ),
    properties: is5 ? optional({ subscriptionIdentifier, userProperties }) : fc.constant({}),
  }) as fc.Arbitrary<Packet>
}

function answers(level: ProtocolLevel): fc.Arbitrary<Packet>[] {
  const is5 = level === 5
  const many = { minLength: 1, maxLength: 6 }
  const properties = is5 ? orNull(ackProperties) : fc.constant(null)
  return [
    fc.record({
      type: fc.constant(PacketType.SUBACK),
      packetId,
      reasonCodes: fc.array(fc.constantFrom(...(is5 ? codesOf('SUBACK') : [0, 1, 2, 0x80])), many),
      properties,
    }),
    fc.record({
      type: fc.constant(PacketType.UNSUBACK),
      packetId,
      reasonCodes: is5 ? fc.array(fc.constantFrom(...codesOf('UNSUBACK')), many) : fc.constant([]),
      properties,
    }),
    fc
      .record({
        type: fc.constant(PacketType.CONNACK),
        sessionPresent: level === 3 ? fc.constant(false) : fc.boolean(),
        reasonCode: fc.constantFrom(...(is5 ? codesOf('CONNACK') : [0, 0x84, 0x85, 0x88, 0x86, 0x87])),
        properties: is5 ? connackProperties : fc.constant({}),
      })
      .map((packet) => ({ ...packet, sessionPresent: packet.sessionPresent && packet.reasonCode === 0 })),
  ] as fc.Arbitrary<Packet>[]
}

/** Any packet that the version has. */
export function packetOf(level: ProtocolLevel): fc.Arbitrary<Packet> {
  const is5 = level === 5
  return fc.oneof(
    connect(level),
    publish(level),
    ack(level),
    subscribe(level),
    ...answers(level),
    fc.record({
      type: fc.constant(PacketType.UNSUBSCRIBE),
      packetId,
      topicFilters: fc.array(text, { minLength: 1, maxLength: 5 }),
      properties: is5 ? optional({ userProperties }) : fc.constant({}),
    }) as fc.Arbitrary<Packet>,
    fc.constantFrom<Packet>({ type: PacketType.PINGREQ }, { type: PacketType.PINGRESP }),
    fc.record({
      type: fc.constant(PacketType.DISCONNECT),
      reasonCode: fc.constantFrom(...(is5 ? codesOf('DISCONNECT') : [0])),
      properties: is5 ? orNull(disconnectProperties) : fc.constant(null),
    }) as fc.Arbitrary<Packet>,
    ...(is5
      ? [
          fc.record({
            type: fc.constant(PacketType.AUTH),
            reasonCode: fc.constantFrom(...codesOf('AUTH')),
            properties: fc
              .tuple(someText, optional({ authenticationData: bytes, reasonString: text, userProperties }))
              .map(([authenticationMethod, rest]) => ({ authenticationMethod, ...rest })),
          }) as fc.Arbitrary<Packet>,
        ]
      : []),
  )
}

/** One text for equal values: keys sorted, bytes in hex, absent the same as undefined. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (inner instanceof Uint8Array) return `hex:${Array.from(inner, (byte) => byte.toString(16)).join(' ')}`
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner)) return inner
    if ((inner as { type?: string }).type === 'Buffer')
      return `hex:${(inner as { data: number[] }).data.map((byte) => byte.toString(16)).join(' ')}`
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
