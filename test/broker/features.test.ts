/** What can be switched off: CONNACK says so, and who uses it all the same is answered as the standard has it. */
import t from 'tap'
import { type BrokerFeatures, DEFAULT_FEATURES } from '../../src/core/limits.js'
import { PacketType, type QoS, type WillMessage } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { type TestBroker, testBroker, type TestClient } from '../support/test-broker.js'

const brokerWith = (features: Partial<BrokerFeatures>): TestBroker => testBroker({ features })
const will = (qos: QoS, retain: boolean): WillMessage => {
  return { topicName: 'w', payload: new Uint8Array(1), qos, retain, properties: {} }
}
const propertiesOf = (client: TestClient) => client.take('CONNACK')[0]?.properties

t.test('CONNACK tells each thing that is off, and nothing of what is on', async (t) => {
  const plain = propertiesOf(brokerWith({}).connect('a'))
  for (const name of Object.keys(DEFAULT_FEATURES)) t.notOk(Object.hasOwn(plain ?? {}, name), name)
  const off = {
    retainAvailable: false,
    wildcardSubscriptionAvailable: false,
    subscriptionIdentifiersAvailable: false,
    sharedSubscriptionAvailable: false,
  }
  t.match(propertiesOf(brokerWith({ ...off, maximumQoS: 0 }).connect('a')), {
    maximumQoS: 0,
    retainAvailable: 0,
    wildcardSubscriptionAvailable: 0,
    subscriptionIdentifiersAvailable: 0,
    sharedSubscriptionAvailable: 0,
  })
  t.equal(propertiesOf(brokerWith({ maximumQoS: 1 }).connect('a'))?.maximumQoS, 1)
})

t.test('a publication above the Maximum QoS closes with 0x9B; one at it is taken', async (t) => {
  for (const maximumQoS of [0, 1] as const) {
    const host = brokerWith({ maximumQoS })
    const watcher = host.connect('w').subscribe('t', 2)
    t.same(watcher.take('SUBACK')[0]?.reasonCodes, [maximumQoS], 'a subscription is granted with the maximum')
    const client = host.connect('a', { will: will(maximumQoS, false) })
    client.publish('t', 'taken', maximumQoS)
    host.settle()
    t.match(watcher.take('PUBLISH'), [{ qos: maximumQoS }])
    client.publish('t', 'refused', (maximumQoS + 1) as QoS)
    host.settle()
    t.match(client.take('DISCONNECT'), [{ reasonCode: ReasonCode.QOS_NOT_SUPPORTED }])
    t.same(watcher.payloads(), [])
    const old = host.connect('b', { protocolLevel: 4 })
    old.publish('t', 'refused', 2)
    host.settle()
    t.same(
      old.link.arrived.filter(({ type }) => type !== PacketType.CONNACK),
      [],
      'MQTT 3.1.1 is just closed',
    )
    t.equal(old.connection.state, 'closed')
  }
})

t.test('a Will above the Maximum QoS, or retained where that is off, refuses the CONNECT', async (t) => {
  for (const [features, message, reasonCode] of [
    [{ maximumQoS: 1 }, will(2, false), ReasonCode.QOS_NOT_SUPPORTED],
    [{ maximumQoS: 0 }, will(1, false), ReasonCode.QOS_NOT_SUPPORTED],
    [{ retainAvailable: false }, will(0, true), ReasonCode.RETAIN_NOT_SUPPORTED],
  ] as const) {
    const host = brokerWith(features)
    const client = host.connect('a', { will: message })
    t.match(client.link.arrived, [{ type: PacketType.CONNACK, reasonCode, sessionPresent: false }])
    t.equal(client.connection.state, 'closed')
    t.equal(host.core.sessionCount, 0)
  }
})

t.test('without retained messages RETAIN 1 closes with 0x9A, and none that is still stored is sent', async (t) => {
  const before = testBroker()
  before.connect('p').publish('t', 'old', 1, { retain: true })
  before.settle()
  const host = before.crash({ features: { retainAvailable: false } })
  t.equal(host.core.retainedCount, 1)
  t.same(host.connect('w').subscribe('#').payloads(), [])
  const client = host.connect('a')
  client.publish('t', 'x', 0, { retain: true })
  host.settle()
  t.match(client.take('DISCONNECT'), [{ reasonCode: ReasonCode.RETAIN_NOT_SUPPORTED }])
})

t.test('what SUBSCRIBE may not have is refused filter by filter', async (t) => {
  const host = brokerWith({ wildcardSubscriptionAvailable: false, sharedSubscriptionAvailable: false })
  const client = host.connect('a')
  const request = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
  const filters = ['a/+', 'a/b', '#', '$share/g/a', '$share/g/#']
  client.send({
    type: PacketType.SUBSCRIBE,
    packetId: 1,
    subscriptions: filters.map((topicFilter) => ({ topicFilter, ...request })),
    properties: {},
  })
  host.settle()
  t.same(client.take('SUBACK')[0]?.reasonCodes, [0xa2, 1, 0xa2, 0x9e, 0x9e])
  t.equal(host.core.subscriptionCount, 1)
  t.equal(client.connection.state, 'connected')

  const plain = brokerWith({ wildcardSubscriptionAvailable: false }).connect('a')
  t.same(plain.subscribe('$share/g/a').take('SUBACK')[0]?.reasonCodes, [0])
  t.same(plain.subscribe('$share/g/+').take('SUBACK')[0]?.reasonCodes, [0xa2], 'a wildcard behind a share name')

  const unnamed = brokerWith({ subscriptionIdentifiersAvailable: false }).connect('a')
  t.same(unnamed.subscribe('a', 1, { identifier: 7 }).take('SUBACK')[0]?.reasonCodes, [0xa1])
  t.same(unnamed.subscribe('a', 1).take('SUBACK')[0]?.reasonCodes, [1])
})

t.test('Response Information goes to who asks, if it is configured, fits, and can stand in a topic', async (t) => {
  const asking = { requestResponseInformation: 1 } as const
  const host = brokerWith({ responseInformationPrefix: 'replies' })
  const informationOf = (client: TestClient) => propertiesOf(client)?.responseInformation
  t.equal(informationOf(host.connect('a', { properties: asking })), 'replies/a')
  t.equal(informationOf(host.connect('', { properties: asking })), 'replies/auto-id-1')
  t.equal(informationOf(host.connect('a')), undefined)
  t.equal(informationOf(host.connect('a', { properties: { requestResponseInformation: 0 } })), undefined)
  for (const odd of ['a/b', 'a+', '#']) t.equal(informationOf(host.connect(odd, { properties: asking })), undefined)
  t.equal(informationOf(testBroker().connect('a', { properties: asking })), undefined)
  const narrow = { ...asking, maximumPacketSize: 200 }
  const long = brokerWith({ responseInformationPrefix: 'r'.repeat(200) })
  const connack = long.connect('a', { properties: narrow }).take('CONNACK')[0]
  t.match(connack, { reasonCode: 0, properties: { responseInformation: undefined } }, 'the rest of CONNACK is sent')
})
