/**
 * What answers say beyond their code: the durability, for MQTT 5 clients that ask for it, and a sentence for people.
 * Both keep to Maximum Packet Size and Request Problem Information.
 */
import t from 'tap'
import { StaticRules } from '../../src/auth/static-rules.js'
import { type ConnectProperties, type Packet, PacketType } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { ScramClient, scramCredential } from '../support/scram-client.js'
import { type TestBroker, type TestBrokerOptions, testBroker, type TestClient } from '../support/test-broker.js'

const ASKED = { userProperties: [['tallymq-acknowledgement', 'durability']] } as const
const DURABILITY = [['durability', 'flush']]
const METHOD = 'SCRAM-SHA-256'
const SIZE_MAX = 100_000

function connect(host: TestBroker, properties: ConnectProperties, protocolLevel: 3 | 4 | 5 = 5): TestClient {
  const client = host.open()
  client.link.description = { ...client.link.description, protocol: 'mqtt' }
  const clientId = `client-${host.links.size}`
  client.send({ type: PacketType.CONNECT, protocolLevel, clientId, cleanStart: true, keepAliveSec: 0, properties })
  host.settle()
  return client
}

const rules = () =>
  new StaticRules({
    users: [{ username: 'anna', scramSha256: scramCredential('pencil') }],
    rules: [{ action: 'all', topicFilter: '#', effect: 'allow' }],
  })

/** How a client gets each of the answers; those that refuse have a sentence. */
const ANSWERS: readonly {
  name: string
  type: PacketType
  says: RegExp | null
  options?: TestBrokerOptions
  properties?: ConnectProperties
  provoke(client: TestClient, host: TestBroker): void
}[] = [
  { name: 'CONNACK', type: PacketType.CONNACK, says: null, provoke: () => {} },
  {
    name: 'CONNACK that refuses',
    type: PacketType.CONNACK,
    says: /not available here/,
    properties: { authenticationMethod: 'X-NONE' },
    provoke: () => {},
  },
  { name: 'PUBACK', type: PacketType.PUBACK, says: null, provoke: (client) => client.publish('t', 'x', 1) },
  {
    name: 'PUBACK that refuses',
    type: PacketType.PUBACK,
    says: /written by the server only/,
    provoke: (client) => client.publish('$SYS/x', 'x', 1),
  },
  { name: 'PUBREC', type: PacketType.PUBREC, says: null, provoke: (client) => client.publish('t', 'x', 2) },
  {
    name: 'PUBREC for a message that came before',
    type: PacketType.PUBREC,
    says: null,
    provoke: (client) => {
      client.publish('t', 'x', 2, { packetId: 5 })
      client.host.settle()
      client.take('PUBREC')
      client.publish('t', 'x', 2, { packetId: 5, dup: true })
    },
  },
  {
    name: 'PUBREC that refuses',
    type: PacketType.PUBREC,
    says: /written by the server only/,
    provoke: (client) => client.publish('$SYS/x', 'x', 2),
  },
  {
    name: 'PUBREL',
    type: PacketType.PUBREL,
    says: null,
    provoke: (client) => {
      client.subscribe('t', 2).publish('t', 'x', 2)
      client.host.settle()
      client.ack(PacketType.PUBREC, client.take('PUBLISH')[0]?.packetId ?? 0)
    },
  },
  {
    name: 'PUBREL 0x92',
    type: PacketType.PUBREL,
    says: /no QoS 2 message with this packet identifier/,
    provoke: (client) => client.ack(PacketType.PUBREC, 77),
  },
  {
    name: 'PUBCOMP',
    type: PacketType.PUBCOMP,
    says: null,
    provoke: (client) => client.ack(PacketType.PUBREL, client.publish('t', 'x', 2)),
  },
  {
    name: 'PUBCOMP 0x92',
    type: PacketType.PUBCOMP,
    says: /no QoS 2 message with this packet identifier/,
    provoke: (client) => client.ack(PacketType.PUBREL, 77),
  },
  { name: 'SUBACK', type: PacketType.SUBACK, says: null, provoke: (client) => client.subscribe('t', 1) },
  {
    name: 'SUBACK that refuses',
    type: PacketType.SUBACK,
    says: /^topic filter 1: \+ and # must stand alone/,
    provoke: (client) => client.subscribe('a+', 1),
  },
  {
    name: 'UNSUBACK',
    type: PacketType.UNSUBACK,
    says: null,
    provoke: (client) => client.subscribe('t').unsubscribe('t'),
  },
  {
    name: 'UNSUBACK for what was not there',
    type: PacketType.UNSUBACK,
    says: /^topic filter 1: there is no subscription to it$/,
    provoke: (client) => client.unsubscribe('t'),
  },
  {
    name: 'DISCONNECT',
    type: PacketType.DISCONNECT,
    says: /is not allowed while connected/,
    provoke: (client) => client.send(CONNECT_AGAIN),
  },
  {
    name: 'AUTH 0x18',
    type: PacketType.AUTH,
    says: /expected as AUTH 0x18/,
    options: { access: rules() },
    properties: { authenticationMethod: METHOD },
    provoke: () => {},
  },
]
const CONNECT_AGAIN: Packet = {
  type: PacketType.CONNECT,
  protocolLevel: 5,
  clientId: 'again',
  cleanStart: true,
  keepAliveSec: 0,
  properties: {},
}
const isAllowedWithout = (type: PacketType) => type === PacketType.CONNACK || type === PacketType.DISCONNECT

/** @returns the answer under test, and what it takes on the wire. */
function answer(each: (typeof ANSWERS)[number], properties: ConnectProperties, level: 3 | 4 | 5 = 5) {
  const host = testBroker(each.options)
  const client = connect(host, { ...each.properties, ...properties }, level)
  each.provoke(client, host)
  host.settle()
  const packet = client.link.arrived.filter(({ type }) => type === each.type).pop()
  return { packet, size: packet === undefined ? 0 : client.link.packetSize(packet) }
}
const wordsOf = (packet: Packet | undefined) => {
  const { reasonString, userProperties } = (packet as { properties: ConnectProperties & { reasonString?: string } })
    .properties ?? { reasonString: undefined, userProperties: undefined }
  return { reasonString, userProperties }
}

for (const each of ANSWERS) {
  const { name, says, type } = each
  t.test(`${name}: durability for who asked, ${says === null ? 'no sentence' : 'and a sentence'}`, (t) => {
    const plain = wordsOf(answer(each, {}).packet)
    t.equal(plain.userProperties, undefined, 'nobody asked')
    if (says === null) t.equal(plain.reasonString, undefined)
    else t.match(plain.reasonString, says)

    const full = answer(each, ASKED)
    t.same(wordsOf(full.packet), { reasonString: plain.reasonString, userProperties: DURABILITY })

    const other = { userProperties: [['tallymq-acknowledgement', 'colour']] } as const
    t.equal(wordsOf(answer(each, other).packet).userProperties, undefined, 'another wish is none')

    const quiet = wordsOf(answer(each, { ...ASKED, requestProblemInformation: 0 }).packet)
    const allowed = isAllowedWithout(type)
      ? wordsOf(full.packet)
      : { reasonString: undefined, userProperties: undefined }
    t.same(quiet, allowed, 'Request Problem Information 0')
    t.end()
  })

  t.test(`${name}: what does not fit the Maximum Packet Size is left out, and only that`, (t) => {
    const full = answer(each, { ...ASKED, maximumPacketSize: SIZE_MAX })
    const fits = answer(each, { ...ASKED, maximumPacketSize: full.size })
    t.same(fits.packet, full.packet, 'all of it just fits')
    const less = answer(each, { ...ASKED, maximumPacketSize: full.size - 1 })
    t.same(wordsOf(less.packet), { ...wordsOf(full.packet), userProperties: undefined }, 'the durability does not')
    t.ok(less.size < full.size)
    if (says !== null) {
      const said = answer(each, { maximumPacketSize: less.size })
      t.same(said.packet, less.packet, 'the sentence just fits')
      const bare = answer(each, { maximumPacketSize: less.size - 1 })
      t.same(wordsOf(bare.packet), { reasonString: undefined, userProperties: undefined }, 'it does not')
      t.not(bare.packet, undefined, 'the answer comes all the same')
    }
    t.end()
  })
}

t.test('MQTT 3.1.1 has no words, whatever is asked', (t) => {
  for (const each of ANSWERS) {
    if (each.properties !== undefined || each.type === PacketType.DISCONNECT) continue
    const { packet } = answer(each, {}, 4)
    t.same(wordsOf(packet), { reasonString: undefined, userProperties: undefined }, each.name)
  }
  t.end()
})

t.test('a native client reads the durability in CONNACK: the property is not for it, ranges stay ranges', (t) => {
  const host = testBroker()
  const client = host.connect('native', { properties: ASKED })
  t.equal(client.take('CONNACK')[0]?.durability, 'flush')
  client.ack(PacketType.PUBREL, 77).publish('t', 'x', 1)
  host.settle()
  t.match(client.take('PUBCOMP'), [{ reasonCode: ReasonCode.PACKET_IDENTIFIER_NOT_FOUND, properties: null }])
  t.match(client.take('PUBACK'), [{ properties: null }])
  t.end()
})

t.test('a PUBREL that is sent again says it too', (t) => {
  const host = testBroker()
  const properties = { ...ASKED, sessionExpiryIntervalSec: 60 }
  const first = connect(host, properties)
  first.subscribe('t', 2).publish('t', 'x', 2)
  host.settle()
  first.ack(PacketType.PUBREC, first.take('PUBLISH')[0]?.packetId ?? 0)
  host.settle()
  const { clientId } = first.connection
  first.cut()
  const again = host.open()
  again.link.description = { ...again.link.description, protocol: 'mqtt' }
  again.send({ ...CONNECT_AGAIN, clientId, cleanStart: false, properties })
  host.settle()
  t.same(again.take('PUBREL')[0]?.properties, { userProperties: DURABILITY })
  t.end()
})

t.test('the sentence names the first of several filters that was refused', (t) => {
  const host = testBroker({ limits: { subscriptionsPerSessionMax: 2 } })
  const client = connect(host, {})
  const request = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
  const subscriptions = ['a', 'b', 'c', '#/d'].map((topicFilter) => ({ ...request, topicFilter }))
  client.send({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions, properties: {} })
  client.unsubscribe('a', 'x', '$share//t')
  t.match(client.take('SUBACK'), [
    {
      reasonCodes: [1, 1, ReasonCode.QUOTA_EXCEEDED, ReasonCode.TOPIC_FILTER_INVALID],
      properties: { reasonString: 'topic filter 3: a session has at most 2 subscriptions here' },
    },
  ])
  t.match(client.take('UNSUBACK'), [
    {
      reasonCodes: [0, ReasonCode.NO_SUBSCRIPTION_EXISTED, ReasonCode.TOPIC_FILTER_INVALID],
      properties: { reasonString: 'topic filter 2: there is no subscription to it' },
    },
  ])
  client.unsubscribe('$share//t')
  t.match(client.take('UNSUBACK')[0]?.properties, { reasonString: /^topic filter 1: a shared subscription is \$share/ })
  t.end()
})

t.test('the end of a re-authentication says so', async (t) => {
  const host = testBroker({ access: rules() })
  const scram = new ScramClient('anna', 'pencil')
  const client = connect(host, { ...ASKED, authenticationMethod: METHOD, authenticationData: scram.first() })
  const auth = (reasonCode: number, authenticationData: Uint8Array) =>
    client.send({ type: PacketType.AUTH, reasonCode, properties: { authenticationMethod: METHOD, authenticationData } })
  auth(ReasonCode.CONTINUE_AUTHENTICATION, scram.final(client.take('AUTH')[0]?.properties.authenticationData))
  host.settle()
  t.match(client.take('CONNACK'), [{ reasonCode: 0, properties: { userProperties: DURABILITY } }])
  const again = new ScramClient('anna', 'pencil')
  auth(ReasonCode.REAUTHENTICATE, again.first())
  auth(ReasonCode.CONTINUE_AUTHENTICATION, again.final(challengeOf(client)))
  host.settle()
  const success = { reasonCode: 0, properties: { reasonString: 'authenticated again', userProperties: DURABILITY } }
  t.match(client.take('AUTH').pop(), success)
})

function challengeOf(client: TestClient): Uint8Array | undefined {
  client.host.settle()
  return client.take('AUTH')[0]?.properties.authenticationData
}

t.test('who reads nothing gets short answers: sentences are not a way to fill the buffer', (t) => {
  const host = testBroker({ limits: { outputBufferBytesMax: 1_000 } })
  const client = connect(host, {})
  client.link.stalledBytes = 1_001
  client.ack(PacketType.PUBREL, 77)
  host.settle()
  t.match(client.take('PUBCOMP'), [{ reasonCode: ReasonCode.PACKET_IDENTIFIER_NOT_FOUND, properties: null }])
  client.link.stalledBytes = 1_000
  client.ack(PacketType.PUBREL, 77)
  host.settle()
  t.match(client.take('PUBCOMP'), [{ properties: { reasonString: /under way/ } }])
  t.end()
})
