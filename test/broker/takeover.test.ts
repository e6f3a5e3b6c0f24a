/** Two connections, one client identifier [v5 MQTT-3.1.4-3]. */
import t from 'tap'
import { utf8Encode } from '../../src/base/utf8.js'
import { PacketType, type WillProperties } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { testBroker } from '../support/test-broker.js'

const will = (properties: WillProperties = {}) => ({
  topicName: 'w',
  payload: utf8Encode('gone'),
  qos: 1 as const,
  retain: false,
  properties,
})

t.test('the old connection is told 0x8E and closed; the session goes on', async (t) => {
  const host = testBroker()
  const old = host.resume('a').subscribe('t', 1)
  const young = host.resume('a')
  t.equal(old.take('DISCONNECT')[0]?.reasonCode, ReasonCode.SESSION_TAKEN_OVER)
  t.equal(old.link.closedWith?.reasonCode, ReasonCode.SESSION_TAKEN_OVER)
  t.equal(young.take('CONNACK')[0]?.sessionPresent, true)
  t.equal(host.core.connectionCount, 1)
  t.equal(host.events.filter(({ type }) => type === 'session-taken-over').length, 1)
})

t.test('an MQTT 3.1.1 connection is taken over without a packet', async (t) => {
  const host = testBroker()
  const old = host.connect('a', { protocolLevel: 4, cleanStart: false })
  old.link.arrived = []
  host.connect('a', { protocolLevel: 4, cleanStart: false })
  t.same(old.link.arrived, [])
  t.equal(old.connection.state, 'closed')
})

t.test('what the old connection had not been read of yet is discarded', async (t) => {
  const host = testBroker()
  const watcher = host.connect('watcher').subscribe('#', 2)
  const old = host.resume('a')
  const young = host.resume('a')
  old.publish('t', 'too late', 2)
  old.subscribe('x')
  old.disconnect(4)
  old.cut()
  host.settle()
  t.same(watcher.payloads(), [])
  t.equal(host.core.subscriptionCount, 1)
  t.equal(young.connection.state, 'connected')
})

t.test(
  'acknowledgements that waited for the disk do not reach the old connection; the resend is answered',
  async (t) => {
    const host = testBroker()
    host.resume('b').subscribe('t', 2)
    const old = host.resume('a')
    old.publish('t', 'one', 2, { packetId: 5 })
    host.turn()
    const young = host.resume('a')
    t.same(old.take('PUBREC'), [])
    young.publish('t', 'one', 2, { packetId: 5, dup: true })
    host.settle()
    t.same(
      young.take('PUBREC').map(({ packetId, reasonCode }) => [packetId, reasonCode]),
      [[5, 0]],
    )
    t.equal(host.core.counters.duplicatesRefused, 1)
  },
)

t.test('in flight at the takeover: sent again to the new connection with DUP and the same packet id', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const old = host.resume('a').subscribe('t', 1)
  publisher.publish('t', 'one', 1)
  host.settle()
  const [first] = old.take('PUBLISH')
  const [again] = host.resume('a').take('PUBLISH')
  t.equal(again?.packetId, first?.packetId)
  t.equal(first?.dup, false)
  t.equal(again?.dup, true)
})

t.test('a Will without delay is sent at the takeover, once', async (t) => {
  for (const cleanStart of [false, true]) {
    const host = testBroker()
    const watcher = host.connect('watcher').subscribe('w')
    host.resume('a', { will: will() })
    const young = host.connect('a', { cleanStart, properties: { sessionExpiryIntervalSec: 60 } })
    t.same(watcher.payloads(), ['gone'], `clean start ${cleanStart}`)
    young.disconnect()
    host.advance(100_000)
    t.same(watcher.payloads(), [])
  }
})

t.test('a delayed Will is not sent when the session goes on, and is when Clean Start ends it', async (t) => {
  const host = testBroker()
  const watcher = host.connect('watcher').subscribe('w')
  host.resume('a', { will: will({ willDelayIntervalSec: 10 }) })
  host.resume('a', { will: will({ willDelayIntervalSec: 10 }) })
  host.advance(60_000)
  t.same(watcher.payloads(), [])
  host.connect('a', { cleanStart: true })
  t.same(watcher.payloads(), ['gone'])
})

t.test('a session with expiry 0 ends at the takeover: its delayed Will goes out, nothing is resumed', async (t) => {
  const host = testBroker()
  const watcher = host.connect('watcher').subscribe('w')
  host.connect('a', { cleanStart: false, will: will({ willDelayIntervalSec: 10 }) })
  const young = host.connect('a', { cleanStart: false })
  t.equal(young.take('CONNACK')[0]?.sessionPresent, false)
  t.same(watcher.payloads(), ['gone'])
})

t.test('two clients that throw each other out are slowed down: 0x9F, and the one connected stays', async (t) => {
  const host = testBroker({ limits: { takeoversPerMinuteMax: 3 } })
  host.resume('a')
  for (let takeover = 0; takeover < 3; takeover += 1) {
    t.equal(host.resume('a').take('CONNACK')[0]?.reasonCode, 0)
  }
  const connected = [...host.links].filter(({ isOpen }) => isOpen)
  const refused = host.resume('a')
  t.equal(refused.take('CONNACK')[0]?.reasonCode, ReasonCode.CONNECTION_RATE_EXCEEDED)
  t.same(
    connected.map(({ isOpen }) => isOpen),
    [true],
  )
  t.equal(host.resume('b').take('CONNACK')[0]?.reasonCode, 0, 'other clients are not concerned')
  host.advance(60_000)
  t.equal(host.resume('a').take('CONNACK')[0]?.reasonCode, 0)
})

t.test('who comes back after a lost connection is no takeover', async (t) => {
  const host = testBroker({ limits: { takeoversPerMinuteMax: 1 } })
  for (let round = 0; round < 10; round += 1) {
    const client = host.resume('a')
    t.equal(client.take('CONNACK')[0]?.reasonCode, 0)
    client.cut()
  }
})

t.test('a takeover in the middle of a QoS 2 exchange goes on with the same exchange', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const old = host.resume('a').subscribe('t', 2)
  publisher.publish('t', 'one', 2)
  host.settle()
  const packetId = old.take('PUBLISH')[0]?.packetId ?? 0
  old.ack(PacketType.PUBREC, packetId)
  host.settle()
  const young = host.resume('a')
  t.same(young.take('PUBLISH'), [])
  t.same(
    young.take('PUBREL').map((packet) => packet.packetId),
    [packetId],
  )
})
