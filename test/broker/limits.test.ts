/**
 * Everything a client can grow has a bound. The table says where each one is tested; a new bound without an entry
 * fails here. What no other file is about is tested below.
 */
import { existsSync } from 'node:fs'
import t from 'tap'
import { type BrokerLimits, DEFAULT_LIMITS } from '../../src/core/limits.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { testBroker } from '../support/test-broker.js'

const HERE = 'limits.test.ts'
const TESTED_IN: Readonly<Record<keyof BrokerLimits, string>> = {
  maximumPacketSize: '../unit/protocol',
  receiveMaximum: 'receive-maximum.test.ts',
  inflightMax: 'receive-maximum.test.ts',
  topicBytesMax: 'matching.test.ts',
  topicLevelsMax: 'matching.test.ts',
  topicAliasMaximum: 'topic-aliases.test.ts',
  clientIdBytesMax: 'connect.test.ts',
  userPropertiesMax: '../unit/protocol',
  filtersPerPacketMax: 'subscribe.test.ts',
  subscriptionsPerSessionMax: 'subscribe.test.ts',
  sessionsMax: 'session.test.ts',
  connectionsMax: '../unit/server',
  connectionsPerAddressMax: '../unit/server/address-limits.test.ts',
  connectsPerAddressPerSecMax: '../unit/server/address-limits.test.ts',
  retainedMessagesMax: 'retained.test.ts',
  retainedBytesMax: 'retained.test.ts',
  queueMessagesMax: 'queue-limits.test.ts',
  queueBytesMax: 'queue-limits.test.ts',
  queueWindowMessages: HERE,
  outputBufferBytesMax: HERE,
  sessionExpiryIntervalMaxSec: 'session.test.ts',
  mqtt311SessionExpiryIntervalSec: 'connect.test.ts',
  messageExpiryIntervalMaxSec: 'message-expiry.test.ts',
  keepAliveMaxSec: 'connect.test.ts',
  retainedPerTurn: 'retained.test.ts',
  takeoversPerMinuteMax: 'takeover.test.ts',
  producersMax: 'producers.test.ts',
  producersPerConnectionMax: 'producers.test.ts',
  producerRefusalsMax: 'producers.test.ts',
  queueFull: 'queue-limits.test.ts',
}

t.test('each bound has a place where it is tested', async (t) => {
  t.same(Object.keys(TESTED_IN).sort(), Object.keys(DEFAULT_LIMITS).sort())
  for (const [limit, place] of Object.entries(TESTED_IN)) {
    t.ok(existsSync(new URL(place, new URL('../../test/broker/', import.meta.url))), `${limit} in ${place}`)
  }
})

t.test('outputBufferBytesMax: up to it QoS 0 is sent, above it dropped', async (t) => {
  const host = testBroker({ limits: { outputBufferBytesMax: 1_000 } })
  const client = host.connect('a').subscribe('t')
  const publisher = host.connect('b')
  client.link.stalledBytes = 1_000
  publisher.publish('t', 'sent')
  client.link.stalledBytes = 1_001
  publisher.publish('t', 'dropped')
  host.settle()
  t.same(client.payloads(), ['sent'])
  t.equal(host.core.counters.dropped['slow-consumer'], 1)
})

t.test('queueWindowMessages: a longer queue goes to disk with a checkpoint and comes back in order', async (t) => {
  for (const queueWindowMessages of [1, 8, 1_000]) {
    const host = testBroker({ limits: { queueWindowMessages } })
    host.resume('a').subscribe('t', 1).cut()
    const publisher = host.connect('b')
    const expected = Array.from({ length: 900 }, (_, index) => `${index}`)
    for (const payload of expected.slice(0, 600)) publisher.publish('t', payload, 1)
    host.settle()
    host.core.checkpoint()
    host.settle()
    for (const payload of expected.slice(600)) publisher.publish('t', payload, 1)
    host.settle()
    t.same(host.resume('a').drain(), expected, `window ${queueWindowMessages}`)
  }
})

t.test('a bound of 1 works wherever it may be set', async (t) => {
  const host = testBroker({
    limits: {
      receiveMaximum: 1,
      inflightMax: 1,
      queueMessagesMax: 1,
      retainedPerTurn: 1,
      subscriptionsPerSessionMax: 1,
    },
  })
  const publisher = host.connect('b')
  for (let index = 0; index < 5; index += 1) {
    publisher.publish(`t/${index}`, `${index}`, 1, { retain: true })
    host.settle()
  }
  const client = host.connect('a').subscribe('t/#', 1)
  t.same(client.drain().sort(), ['0', '1', '2', '3', '4'])
  publisher.publish('t/x', 'live', 1)
  t.same(client.drain(), ['live'])
  t.equal(publisher.take('PUBACK').length, 6)
})

t.test('a client that meets a bound is told, and everybody else goes on', async (t) => {
  const host = testBroker({ limits: { subscriptionsPerSessionMax: 1, retainedMessagesMax: 1, receiveMaximum: 5 } })
  const greedy = host.connect('greedy')
  const other = host.connect('other').subscribe('t', 1)
  greedy.subscribe('a').subscribe('b')
  t.same(greedy.take('SUBACK')[1]?.reasonCodes, [ReasonCode.QUOTA_EXCEEDED])
  for (let index = 0; index < 3; index += 1) greedy.publish(`r/${index}`, 'x', 1, { retain: true })
  host.settle()
  t.same(
    greedy.take('PUBACK').map(({ reasonCode }) => reasonCode),
    [ReasonCode.NO_MATCHING_SUBSCRIBERS, ReasonCode.QUOTA_EXCEEDED, ReasonCode.QUOTA_EXCEEDED],
  )
  for (let index = 0; index < 6; index += 1) greedy.publish('t', 'x', 1)
  host.settle()
  t.equal(greedy.take('DISCONNECT')[0]?.reasonCode, ReasonCode.RECEIVE_MAXIMUM_EXCEEDED)
  t.equal(other.drain().length, 5)
  t.equal(other.connection.state, 'connected')
})
