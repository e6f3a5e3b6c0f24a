/**
 * Every kind of packet as bytes and as fields, for the versions that have it. One table for decoding, encoding,
 * sizes and splits; every row holds in both directions.
 */
import { type Packet, PacketType, type ProtocolLevel, type QoS } from '../../../../src/protocol/packets.js'
import { hex } from './wire.js'

export interface PacketRow {
  readonly name: string
  readonly levels: readonly ProtocolLevel[]
  readonly bytes: Uint8Array
  readonly packet: Packet
}

function row(name: string, levels: readonly ProtocolLevel[], bytes: string, packet: Packet): PacketRow {
  return { name, levels, bytes: hex(bytes), packet }
}

function publish(fields: Partial<Packet & { type: 3 }>): Packet {
  const defaults = { topicName: 'a', payload: hex(''), qos: 0 as QoS, retain: false, dup: false, packetId: 0 }
  return { type: PacketType.PUBLISH, properties: null, ...defaults, ...fields }
}

const BEFORE_5 = [3, 4] as const
const ALL = [3, 4, 5] as const
const NO_OPTIONS = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const

const CONNECTS: readonly PacketRow[] = [
  row('the smallest CONNECT of 3.1.1', [4], "10 0c 00 04 'MQTT' 04 02 00 3c 00 00", {
    type: PacketType.CONNECT,
    protocolLevel: 4,
    clientId: '',
    cleanStart: true,
    keepAliveSec: 60,
    properties: {},
  }),
  row('a CONNECT of 3.1', [3], "10 0f 00 06 'MQIsdp' 03 00 ff ff 00 01 'c'", {
    type: PacketType.CONNECT,
    protocolLevel: 3,
    clientId: 'c',
    cleanStart: false,
    keepAliveSec: 65_535,
    properties: {},
  }),
  row(
    'a 3.1.1 CONNECT with everything',
    [4],
    "10 1a 00 04 'MQTT' 04 f6 00 0a 00 01 'c' | 00 01 'w' | 00 02 00 ff | 00 01 'u' | 00 01 'p'",
    {
      type: PacketType.CONNECT,
      protocolLevel: 4,
      clientId: 'c',
      cleanStart: true,
      keepAliveSec: 10,
      properties: {},
      will: { topicName: 'w', payload: hex('00 ff'), qos: 2, retain: true, properties: {} },
      username: 'u',
      password: hex("'p'"),
    },
  ),
  row(
    'a CONNECT of 5 with every property',
    [5],
    "10 5c 00 04 'MQTT' 05 ee 00 0a" +
      "| 23 11 00 00 00 0a 21 00 05 27 00 01 00 00 22 00 07 19 01 17 00 15 00 01 'm' 16 00 01 ff 26" +
      " 00 01 'k' 00 01 'v'" +
      "| 00 01 'c' | 1f 02 00 00 00 09 01 01 03 00 01 't' 08 00 01 'r' 09 00 01 00 18 ff ff ff ff 26" +
      " 00 01 'k' 00 01 'v'" +
      "| 00 01 'w' | 00 00 | 00 01 'u' | 00 01 'p'",
    {
      type: PacketType.CONNECT,
      protocolLevel: 5,
      clientId: 'c',
      cleanStart: true,
      keepAliveSec: 10,
      properties: {
        sessionExpiryIntervalSec: 10,
        receiveMaximum: 5,
        maximumPacketSize: 65_536,
        topicAliasMaximum: 7,
        requestResponseInformation: 1,
        requestProblemInformation: 0,
        authenticationMethod: 'm',
        authenticationData: hex('ff'),
        userProperties: [['k', 'v']],
      },
      will: {
        topicName: 'w',
        payload: hex(''),
        qos: 1,
        retain: true,
        properties: {
          messageExpiryIntervalSec: 9,
          payloadFormatIndicator: 1,
          contentType: 't',
          responseTopic: 'r',
          correlationData: hex('00'),
          willDelayIntervalSec: 0xffff_ffff,
          userProperties: [['k', 'v']],
        },
      },
      username: 'u',
      password: hex("'p'"),
    },
  ),
]

function connack(reasonCode: number, sessionPresent: boolean): Packet {
  return { type: PacketType.CONNACK, sessionPresent, reasonCode, properties: {} }
}

const CONNACKS: readonly PacketRow[] = [
  row('CONNACK accepted', BEFORE_5, '20 02 00 00', connack(0, false)),
  row('CONNACK accepted with a session', [4], '20 02 01 00', connack(0, true)),
  row('CONNACK 1 unacceptable version', BEFORE_5, '20 02 00 01', connack(0x84, false)),
  row('CONNACK 2 identifier rejected', BEFORE_5, '20 02 00 02', connack(0x85, false)),
  row('CONNACK 3 server unavailable', BEFORE_5, '20 02 00 03', connack(0x88, false)),
  row('CONNACK 4 bad user name or password', BEFORE_5, '20 02 00 04', connack(0x86, false)),
  row('CONNACK 5 not authorized', BEFORE_5, '20 02 00 05', connack(0x87, false)),
  row('CONNACK of 5 without properties', [5], '20 03 01 00 00', connack(0, true)),
  row('CONNACK of 5, refused', [5], '20 03 00 8a 00', connack(0x8a, false)),
  row(
    'CONNACK of 5 with every property',
    [5],
    '20 47 00 00 44' +
      "| 11 00 00 00 0a 21 00 05 27 00 01 00 00 22 00 07 24 01 25 00 12 00 01 'i' 28 00 29 01 2a 00 13 00 1e" +
      "| 1a 00 01 'r' 1c 00 01 's' 15 00 01 'm' 16 00 01 ff 1f 00 02 'ok' 26 00 01 'b' 00 01 '1' 26" +
      " 00 01 'a' 00 01 '2'",
    {
      type: PacketType.CONNACK,
      sessionPresent: false,
      reasonCode: 0,
      properties: {
        sessionExpiryIntervalSec: 10,
        receiveMaximum: 5,
        maximumPacketSize: 65_536,
        topicAliasMaximum: 7,
        maximumQoS: 1,
        retainAvailable: 0,
        assignedClientIdentifier: 'i',
        wildcardSubscriptionAvailable: 0,
        subscriptionIdentifiersAvailable: 1,
        sharedSubscriptionAvailable: 0,
        serverKeepAliveSec: 30,
        responseInformation: 'r',
        serverReference: 's',
        authenticationMethod: 'm',
        authenticationData: hex('ff'),
        reasonString: 'ok',
        userProperties: [
          ['b', '1'],
          ['a', '2'],
        ],
      },
    },
  ),
]

const PUBLISHES: readonly PacketRow[] = [
  row('an empty QoS 0 PUBLISH', BEFORE_5, "30 03 00 01 'a'", publish({})),
  row('a QoS 0 PUBLISH of 5', [5], "31 07 00 01 'a' 00 'xyz'", publish({ retain: true, payload: hex("'xyz'") })),
  row(
    'a repeated QoS 1 PUBLISH',
    BEFORE_5,
    "3a 08 00 01 'a' 00 0a 'xyz'",
    publish({ qos: 1, dup: true, packetId: 10, payload: hex("'xyz'") }),
  ),
  row('a QoS 2 PUBLISH of 5', [5], "34 06 00 01 'a' ff ff 00", publish({ qos: 2, packetId: 65_535 })),
  row(
    'a topic in many scripts, byte order mark kept',
    [4],
    '30 10 00 0e ef bb bf c3 a9 e2 82 ac f0 9f 98 80 2f 62',
    publish({ topicName: '\ufeffé€😀/b' }),
  ),
  row(
    'a PUBLISH of 5 with every property',
    [5],
    "32 2e 00 00 00 0a 29 02 00 00 00 09 23 00 03 0b 01 0b 80 01 01 01 03 00 01 't' 08 00 01 'r' 09 00 02 00 ff" +
      "26 00 01 'b' 00 00 26 00 01 'a' 00 01 '2'",
    publish({
      topicName: '',
      qos: 1,
      packetId: 10,
      properties: {
        messageExpiryIntervalSec: 9,
        topicAlias: 3,
        subscriptionIdentifiers: [1, 128],
        payloadFormatIndicator: 1,
        contentType: 't',
        responseTopic: 'r',
        correlationData: hex('00 ff'),
        userProperties: [
          ['b', ''],
          ['a', '2'],
        ],
      },
    }),
  ),
  row(
    'a PUBLISH whose length takes two bytes',
    ALL.slice(0, 2),
    `30 80 01 00 01 'a' ${'ab'.repeat(125)}`,
    publish({ payload: hex('ab'.repeat(125)) }),
  ),
  row(
    'a PUBLISH of 127 bytes',
    ALL.slice(0, 2),
    `30 7f 00 01 'a' ${'ab'.repeat(124)}`,
    publish({ payload: hex('ab'.repeat(124)) }),
  ),
]

const ACKS: readonly PacketRow[] = [
  ...([PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBREL, PacketType.PUBCOMP] as const).flatMap((type) => {
    const first = ((type << 4) | (type === PacketType.PUBREL ? 2 : 0)).toString(16)
    const failure = type === PacketType.PUBACK || type === PacketType.PUBREC ? 0x97 : 0x92
    return [
      row(`acknowledgement ${type}`, ALL, `${first} 02 12 34`, {
        type,
        packetId: 0x1234,
        reasonCode: 0,
        properties: null,
      }),
      row(`acknowledgement ${type} with a reason`, [5], `${first} 03 00 01 ${failure.toString(16)}`, {
        type,
        packetId: 1,
        reasonCode: failure,
        properties: null,
      }),
      row(
        `acknowledgement ${type} with properties`,
        [5],
        `${first} 11 00 01 00 0d 1f 00 03 'why' 26 00 01 'k' 00 01 'v'`,
        { type, packetId: 1, reasonCode: 0, properties: { reasonString: 'why', userProperties: [['k', 'v']] } },
      ),
    ]
  }),
]

const SUBSCRIPTIONS: readonly PacketRow[] = [
  row('SUBSCRIBE', BEFORE_5, "82 0c 00 01 00 01 'a' 00 00 03 '#/b' 02", {
    type: PacketType.SUBSCRIBE,
    packetId: 1,
    subscriptions: [
      { topicFilter: 'a', qos: 0, ...NO_OPTIONS },
      { topicFilter: '#/b', qos: 2, ...NO_OPTIONS },
    ],
    properties: {},
  }),
  row(
    'SUBSCRIBE of 5 with options and properties',
    [5],
    "82 16 00 01 0c 0b ff ff ff 7f 26 00 01 'k' 00 01 'v' | 00 01 'a' 2d | 00 00 00",
    {
      type: PacketType.SUBSCRIBE,
      packetId: 1,
      subscriptions: [
        { topicFilter: 'a', qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 },
        { topicFilter: '', qos: 0, ...NO_OPTIONS },
      ],
      properties: { subscriptionIdentifier: 268_435_455, userProperties: [['k', 'v']] },
    },
  ),
  row('SUBACK', BEFORE_5, '90 06 00 01 00 01 02 80', {
    type: PacketType.SUBACK,
    packetId: 1,
    reasonCodes: [0, 1, 2, 0x80],
    properties: null,
  }),
  row('SUBACK of 5', [5], '90 06 00 01 00 00 87 a2', {
    type: PacketType.SUBACK,
    packetId: 1,
    reasonCodes: [0, 0x87, 0xa2],
    properties: null,
  }),
  row('SUBACK of 5 with properties', [5], "90 08 00 01 04 1f 00 01 'y' 02", {
    type: PacketType.SUBACK,
    packetId: 1,
    reasonCodes: [2],
    properties: { reasonString: 'y' },
  }),
  row('UNSUBSCRIBE', BEFORE_5, "a2 08 00 01 00 01 'a' 00 01 'b'", {
    type: PacketType.UNSUBSCRIBE,
    packetId: 1,
    topicFilters: ['a', 'b'],
    properties: {},
  }),
  row('UNSUBSCRIBE of 5', [5], "a2 0d 00 01 07 26 00 01 'k' 00 01 'v' 00 01 'a'", {
    type: PacketType.UNSUBSCRIBE,
    packetId: 1,
    topicFilters: ['a'],
    properties: { userProperties: [['k', 'v']] },
  }),
  row('UNSUBACK', BEFORE_5, 'b0 02 00 01', {
    type: PacketType.UNSUBACK,
    packetId: 1,
    reasonCodes: [],
    properties: null,
  }),
  row('UNSUBACK of 5', [5], 'b0 05 00 01 00 00 11', {
    type: PacketType.UNSUBACK,
    packetId: 1,
    reasonCodes: [0, 0x11],
    properties: null,
  }),
]

const OTHERS: readonly PacketRow[] = [
  row('PINGREQ', ALL, 'c0 00', { type: PacketType.PINGREQ }),
  row('PINGRESP', ALL, 'd0 00', { type: PacketType.PINGRESP }),
  row('DISCONNECT', ALL, 'e0 00', { type: PacketType.DISCONNECT, reasonCode: 0, properties: null }),
  row('DISCONNECT with a reason', [5], 'e0 01 8e', { type: PacketType.DISCONNECT, reasonCode: 0x8e, properties: null }),
  row(
    'DISCONNECT with every property',
    [5],
    "e0 16 04 14 11 00 00 00 00 1c 00 01 's' 1f 00 01 'y' 26 00 01 'k' 00 01 'v'",
    {
      type: PacketType.DISCONNECT,
      reasonCode: 4,
      properties: {
        sessionExpiryIntervalSec: 0,
        serverReference: 's',
        reasonString: 'y',
        userProperties: [['k', 'v']],
      },
    },
  ),
  row('AUTH', [5], "f0 0b 18 09 15 00 01 'm' 16 00 02 00 ff", {
    type: PacketType.AUTH,
    reasonCode: 0x18,
    properties: { authenticationMethod: 'm', authenticationData: hex('00 ff') },
  }),
]

export const PACKETS: readonly PacketRow[] = [
  ...CONNECTS,
  ...CONNACKS,
  ...PUBLISHES,
  ...ACKS,
  ...SUBSCRIPTIONS,
  ...OTHERS,
]
