/** The bounds of one session's queue, and both policies for what a full one cannot take. */
import t from 'tap'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { testBroker } from '../support/test-broker.js'

t.test('drop-new: the publisher succeeds, the newest are dropped and counted, the session is told', async (t) => {
  const host = testBroker({ limits: { queueMessagesMax: 3 } })
  host.resume('a').subscribe('t', 1).cut()
  const publisher = host.connect('publisher')
  for (let index = 0; index < 5; index += 1) publisher.publish('t', `${index}`, 1)
  host.settle()
  t.ok(publisher.take('PUBACK').every(({ reasonCode }) => reasonCode === 0))
  t.equal(host.core.counters.dropped['queue-full'], 2)
  t.equal(host.events.filter(({ type }) => type === 'queue-full').length, 2)
  const again = host.resume('a')
  t.same(again.take('CONNACK')[0]?.resume, { queuedMessages: 3, lost: [{ reason: 'queue-full', messages: 2 }] })
  t.same(again.drain(), ['0', '1', '2'])
})

t.test('bytes are a bound of their own: topic name and payload count', async (t) => {
  const host = testBroker({ limits: { queueBytesMax: 100 } })
  host.resume('a').subscribe('t', 1).cut()
  const publisher = host.connect('publisher')
  publisher.publish('t', 'x'.repeat(99), 1)
  publisher.publish('t', '', 1)
  host.settle()
  t.equal(host.core.counters.dropped['queue-full'], 1)
  t.equal(host.resume('a').drain().length, 1)
})

t.test('what is in flight does not count, and what was taken makes room', async (t) => {
  const host = testBroker({ limits: { queueMessagesMax: 2, inflightMax: 2 } })
  const client = host.connect('a').subscribe('t', 1)
  const publisher = host.connect('publisher')
  for (let round = 0; round < 3; round += 1) {
    for (let index = 0; index < 4; index += 1) publisher.publish('t', `${index}`, 1)
    t.equal(client.drain().length, 4)
  }
  t.equal(host.core.counters.dropped['queue-full'], 0)
})

t.test('refuse-publish: 0x97 to the publisher, and nobody gets any of it', async (t) => {
  const host = testBroker({ limits: { queueMessagesMax: 2, queueFull: 'refuse-publish' } })
  host.resume('full').subscribe('t', 2).cut()
  const other = host.connect('other').subscribe('t', 2)
  const publisher = host.connect('publisher')
  for (let index = 0; index < 4; index += 1) publisher.publish('t', `${index}`, index % 2 === 0 ? 1 : 2)
  publisher.publish('t', 'QoS 0 is not refused', 0)
  host.settle()
  t.same(
    publisher.take('PUBACK').map(({ reasonCode }) => reasonCode),
    [0, ReasonCode.QUOTA_EXCEEDED],
  )
  t.same(
    publisher.take('PUBREC').map(({ reasonCode }) => reasonCode),
    [0, ReasonCode.QUOTA_EXCEEDED],
  )
  t.same(other.drain().sort(), ['0', '1', 'QoS 0 is not refused'])
  t.equal(host.core.counters.dropped['queue-full'], 0)
  t.equal(host.core.counters.publishesRefused, 2)
  host.resume('full').drain()
  publisher.publish('t', 'again', 1)
  host.settle()
  t.equal(publisher.take('PUBACK')[0]?.reasonCode, 0)
})

t.test('refuse-publish counts the bytes as the queue does', async (t) => {
  const host = testBroker({ limits: { queueBytesMax: 100, queueFull: 'refuse-publish' } })
  host.resume('a').subscribe('t', 1).cut()
  const publisher = host.connect('publisher')
  publisher.publish('t', 'x'.repeat(100), 1)
  host.settle()
  t.equal(publisher.take('PUBACK')[0]?.reasonCode, ReasonCode.QUOTA_EXCEEDED)
  t.equal(host.core.counters.dropped['queue-full'], 0)
})

t.test('refuse-publish looks past who would not get the message anyway', async (t) => {
  const host = testBroker({ limits: { queueMessagesMax: 1, queueFull: 'refuse-publish', inflightMax: 1 } })
  const own = host.connect('own').subscribe('t', 1, { noLocal: true }).subscribe('u', 1)
  for (let index = 0; index < 2; index += 1) host.connect('publisher').publish('u', 'x', 1)
  host.settle()
  own.publish('t', 'x', 1)
  host.settle()
  t.not(own.take('PUBACK')[0]?.reasonCode, ReasonCode.QUOTA_EXCEEDED)
})

t.test('refuse-publish: a share group refuses only when no member has room', async (t) => {
  const host = testBroker({ limits: { queueMessagesMax: 1, queueFull: 'refuse-publish' } })
  for (const clientId of ['a', 'b']) host.resume(clientId).subscribe('$share/g/t', 1).cut()
  const publisher = host.connect('publisher')
  for (let index = 0; index < 3; index += 1) publisher.publish('t', `${index}`, 1)
  host.settle()
  t.same(
    publisher.take('PUBACK').map(({ reasonCode }) => reasonCode),
    [0, 0, ReasonCode.QUOTA_EXCEEDED],
  )
  t.equal(host.core.counters.dropped['queue-full'], 0)
})

t.test('QoS 0 for who is away is counted, not kept', async (t) => {
  const host = testBroker()
  host.resume('a').subscribe('t', 2).subscribe('u', 0).cut()
  const publisher = host.connect('publisher')
  publisher.publish('t', 'x', 0)
  publisher.publish('u', 'x', 2)
  host.settle()
  t.equal(host.core.counters.dropped.offline, 2)
  t.equal(host.resume('a').take('CONNACK')[0]?.resume?.queuedMessages, 0)
})
