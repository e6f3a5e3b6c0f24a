/** A socket that takes nothing: bounded, told, and of no concern to anybody else. */
import t from 'tap'
import { DEFAULT_LIMITS } from '../../src/core/limits.js'
import { testBroker } from '../support/test-broker.js'

const STALLED = 2 * DEFAULT_LIMITS.outputBufferBytesMax

t.test('QoS 0 is dropped and counted, QoS 1 waits, and both flow again when there is room', async (t) => {
  const host = testBroker()
  const slow = host.connect('slow').subscribe('t', 1)
  const fast = host.connect('fast').subscribe('t', 1)
  const publisher = host.connect('publisher')
  slow.link.stalledBytes = STALLED
  for (let index = 0; index < 10; index += 1) {
    publisher.publish('t', `q0 ${index}`, 0)
    publisher.publish('t', `q1 ${index}`, 1)
  }
  t.equal(fast.drain().length, 20, 'the other one does not notice')
  t.same(slow.payloads(), [])
  t.equal(host.core.counters.dropped['slow-consumer'], 10)
  t.equal(host.events.filter(({ type }) => type === 'slow-consumer').length, 1, 'said once, not per message')
  slow.link.stalledBytes = 0
  host.core.drained(slow.connection, host.clock.nowMs())
  t.same(
    slow.drain(),
    Array.from({ length: 10 }, (_, index) => `q1 ${index}`),
  )
  publisher.publish('t', 'q0', 0)
  host.settle()
  t.same(slow.payloads(), ['q0'])
})

t.test('a second stall is said again', async (t) => {
  const host = testBroker()
  const slow = host.connect('slow').subscribe('t')
  const publisher = host.connect('publisher')
  for (let round = 1; round <= 3; round += 1) {
    slow.link.stalledBytes = STALLED
    publisher.publish('t', 'x')
    publisher.publish('t', 'x')
    slow.link.stalledBytes = 0
    host.core.drained(slow.connection, host.clock.nowMs())
    t.equal(host.events.filter(({ type }) => type === 'slow-consumer').length, round)
  }
})

t.test('one frozen subscriber beside 100 healthy ones: they get everything, its queue stays in bounds', async (t) => {
  const host = testBroker({ limits: { queueMessagesMax: 50 } })
  const frozen = host.resume('frozen').subscribe('t', 1)
  frozen.link.stalledBytes = STALLED
  const healthy = Array.from({ length: 100 }, (_, index) => host.connect(`healthy ${index}`).subscribe('t', 1))
  const publisher = host.connect('publisher')
  for (let index = 0; index < 100; index += 1) publisher.publish('t', `${index}`, 1)
  for (const client of healthy) t.equal(client.drain().length, 100)
  t.equal(host.core.counters.dropped['queue-full'], 50)
  frozen.cut()
  const [connack] = host.resume('frozen').take('CONNACK')
  t.same(connack?.resume, { queuedMessages: 50, lost: [{ reason: 'queue-full', messages: 50 }] })
})

t.test('acknowledgements of a stalled client are still taken, and answered when it reads', async (t) => {
  const host = testBroker()
  const slow = host.connect('slow').subscribe('t', 2)
  const publisher = host.connect('publisher')
  publisher.publish('t', 'one', 2)
  host.settle()
  slow.link.stalledBytes = STALLED
  slow.ack(5, slow.take('PUBLISH')[0]?.packetId ?? 0)
  slow.publish('u', 'x', 1)
  host.settle()
  t.equal(slow.take('PUBREL').length, 1)
  t.equal(slow.take('PUBACK').length, 1)
})

t.test('in a share group the stalled member is passed over', async (t) => {
  const host = testBroker()
  const slow = host.connect('slow').subscribe('$share/g/t', 0)
  const fast = host.connect('fast').subscribe('$share/g/t', 0)
  slow.link.stalledBytes = STALLED
  const publisher = host.connect('publisher')
  for (let index = 0; index < 6; index += 1) publisher.publish('t', `${index}`)
  host.settle()
  t.equal(fast.payloads().length, 6)
  t.equal(host.core.counters.dropped['slow-consumer'], 0)
})
