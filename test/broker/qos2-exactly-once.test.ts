/** QoS 2 and QoS 1 through the whole core, broken off at every step, with and without a restart of the broker. */
import t from 'tap'
import type { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { PacketType } from '../../src/protocol/packets.js'
import { testBroker } from '../support/test-broker.js'

t.test('no acknowledgement leaves before its commit is done', async (t) => {
  const host = testBroker()
  const publisher = host.resume('publisher')
  const consumer = host.resume('consumer')
  consumer.subscribe('bill/#', 2)
  publisher.publish('bill/1', 'one', 2)
  host.turn()
  t.equal(publisher.take('PUBREC').length, 0, 'PUBREC waits for the disk')
  t.equal(consumer.take('PUBLISH').length, 0, 'so does the delivery')
  host.settle()
  t.equal(publisher.take('PUBREC').length, 1)
  t.same(consumer.payloads(), ['one'])
})

t.test(
  'a broker that dies before the commit has acknowledged nothing and delivers once after the resend',
  async (t) => {
    const host = testBroker()
    const publisher = host.resume('publisher')
    host.resume('consumer').subscribe('bill/#', 2)
    publisher.publish('bill/1', 'one', 2, { packetId: 7 })
    host.turn()
    const next = host.crash()
    const again = next.resume('publisher')
    t.equal(again.take('CONNACK')[0]?.sessionPresent, true)
    const consumer = next.resume('consumer')
    again.publish('bill/1', 'one', 2, { packetId: 7, dup: true })
    next.settle()
    again.ack(PacketType.PUBREL, 7)
    t.same(consumer.drain(), ['one'])
    t.equal(again.take('PUBCOMP').length, 1)
  },
)

t.test('a broker that dies after the commit refuses the resend as a duplicate and still delivers', async (t) => {
  const host = testBroker()
  const publisher = host.resume('publisher')
  host.resume('consumer').subscribe('bill/#', 2)
  publisher.publish('bill/1', 'one', 2, { packetId: 7 })
  host.settle()
  const next = host.crash()
  const again = next.resume('publisher')
  again.publish('bill/1', 'one', 2, { packetId: 7, dup: true })
  next.settle()
  t.equal(again.take('PUBREC').length, 1)
  t.equal(next.core.counters.duplicatesRefused, 1)
  t.same(next.resume('consumer').drain(), ['one'])
})

t.test('a consumer that dies after PUBREC gets PUBREL, not the message, from the restarted broker', async (t) => {
  const host = testBroker()
  const publisher = host.resume('publisher')
  const consumer = host.resume('consumer')
  consumer.subscribe('bill/#', 2)
  publisher.publish('bill/1', 'one', 2)
  host.settle()
  const [first] = consumer.take('PUBLISH')
  consumer.ack(PacketType.PUBREC, first?.packetId ?? 0)
  host.settle()
  const next = host.crash()
  const again = next.resume('consumer')
  t.same(again.take('PUBLISH'), [])
  t.same(
    again.take('PUBREL').map(({ packetId }) => packetId),
    [first?.packetId],
  )
})

t.test('a consumer that dies before its ack gets the same packet id with DUP, in order, after a restart', async (t) => {
  const host = testBroker()
  const publisher = host.resume('publisher')
  const consumer = host.resume('consumer')
  consumer.subscribe('bill/#', 2)
  for (let index = 1; index <= 5; index += 1) publisher.publish(`bill/${index}`, `m${index}`, index % 2 === 0 ? 1 : 2)
  host.settle()
  const sent = consumer.take('PUBLISH')
  const next = host.crash()
  const again = next.resume('consumer').take('PUBLISH')
  t.same(
    again.map(({ packetId, deliverySequence, messageId }) => ({ packetId, deliverySequence, messageId })),
    sent.map(({ packetId, deliverySequence, messageId }) => ({ packetId, deliverySequence, messageId })),
  )
  t.ok(again.every(({ dup }) => dup))
})

t.test('a backlog larger than the window survives checkpoints and restarts in order', async (t) => {
  let host = testBroker({ limits: { queueWindowMessages: 8, inflightMax: 4 } })
  host.resume('consumer').subscribe('t/#', 2)
  const expected: string[] = []
  for (let round = 0; round < 6; round += 1) {
    const publisher = host.resume('publisher')
    for (let index = 0; index < 200; index += 1) {
      expected.push(`${round}-${index}`)
      publisher.publish('t/x', `${round}-${index}`, 2, { packetId: index + 1 })
      if (index % 50 === 0) host.settle()
    }
    host.settle()
    for (let index = 0; index < 200; index += 1) publisher.ack(PacketType.PUBREL, index + 1)
    host.core.checkpoint()
    if (round % 2 === 0) host.settle()
    else for (let turns = 0; turns < round; turns += 1) host.turn()
    host.settle()
    host = host.crash()
  }
  t.same(host.resume('consumer').drain(), expected)
  const store = host.store as MemoryStore
  host.core.checkpoint()
  host.settle()
  t.equal([...store.entries({ table: 'messages' })].length, 0, 'no message row is left behind')
  t.equal([...store.entries({ table: 'queues' })].length, 0, 'no queue row is left behind')
})
