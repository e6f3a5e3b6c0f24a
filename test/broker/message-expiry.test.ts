/** Message Expiry Interval: counted down, obeyed in the queue, not in flight [v5 MQTT-3.3.2-5, 3.3.2-6]. */
import t from 'tap'
import { PacketType } from '../../src/protocol/packets.js'
import { testBroker } from '../support/test-broker.js'

const expiring = (messageExpiryIntervalSec: number) => ({ properties: { messageExpiryIntervalSec } })

t.test('a live copy carries the interval as it came', async (t) => {
  for (const qos of [0, 1, 2] as const) {
    const host = testBroker()
    const client = host.connect('a').subscribe('t', qos)
    host.connect('b').publish('t', 'x', qos, expiring(100))
    host.settle()
    t.equal(client.take('PUBLISH')[0]?.properties?.messageExpiryIntervalSec, 100, `QoS ${qos}`)
  }
})

t.test('a queued copy carries what is left; an expired one is dropped, counted, and told', async (t) => {
  let host = testBroker()
  host.resume('a').subscribe('t', 1).cut()
  const publisher = host.connect('publisher')
  publisher.publish('t', 'short', 1, expiring(10))
  publisher.publish('t', 'long', 1, expiring(100))
  publisher.publish('t', 'for ever', 1)
  host.settle()
  host.advance(5_000)
  host = host.crash()
  host.advance(35_000)
  const client = host.resume('a')
  const publishes = client.take('PUBLISH')
  t.same(
    publishes.map(({ properties }) => properties?.messageExpiryIntervalSec),
    [60, undefined],
  )
  t.equal(host.core.counters.dropped.expired, 1)
  for (const { packetId } of publishes) client.ack(PacketType.PUBACK, packetId)
  client.cut()
  t.same(host.resume('a').take('CONNACK')[0]?.resume, {
    queuedMessages: 0,
    lost: [{ reason: 'expired', messages: 1 }],
  })
})

t.test('expired ones that wait behind a full window make way for the rest', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const client = host.connect('a', { properties: { receiveMaximum: 1 } }).subscribe('t', 1)
  publisher.publish('t', 'first', 1)
  for (let index = 0; index < 5; index += 1) publisher.publish('t', 'expires', 1, expiring(1))
  publisher.publish('t', 'last', 1)
  host.settle()
  host.advance(1_000)
  t.same(client.drain(), ['first', 'last'])
  t.equal(host.core.counters.dropped.expired, 5)
})

t.test('what is in flight does not expire: QoS 1 and 2 are finished, also after a reconnect', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  const client = host.resume('a').subscribe('t', 2)
  publisher.publish('t', 'one', 1, expiring(1))
  publisher.publish('t', 'two', 2, expiring(1))
  host.settle()
  host.advance(60_000)
  client.cut()
  t.same(host.resume('a').drain(), ['one', 'two'])
  t.equal(host.core.counters.dropped.expired, 0)
})

t.test('an interval of 0 reaches who is there now, and nobody later', async (t) => {
  for (const qos of [0, 1, 2] as const) {
    const host = testBroker()
    const client = host.connect('a').subscribe('t', qos)
    host.resume('later').subscribe('t', qos).cut()
    host.connect('b').publish('t', 'x', qos, { ...expiring(0), retain: true })
    host.settle()
    t.same(
      client.take('PUBLISH').map(({ properties }) => properties?.messageExpiryIntervalSec),
      [0],
      `QoS ${qos}`,
    )
    host.advance(1)
    t.same(host.resume('later').take('PUBLISH'), [])
    t.same(host.connect('c').subscribe('t', qos).take('PUBLISH'), [])
  }
})

t.test('the broker’s bound shortens what is longer or endless', async (t) => {
  const host = testBroker({ limits: { messageExpiryIntervalMaxSec: 60 } })
  const client = host.connect('a').subscribe('t', 1)
  const publisher = host.connect('b')
  publisher.publish('t', 'x', 1)
  publisher.publish('t', 'x', 1, expiring(100))
  publisher.publish('t', 'x', 0, expiring(10))
  host.settle()
  const intervals = client.take('PUBLISH').map(({ properties }) => properties?.messageExpiryIntervalSec)
  t.same(intervals.sort(), [10, 60, 60])
})
