/** Order per publisher, topic and QoS, through windows, backlogs, reconnects and restarts [v5 4.6]. */
import t from 'tap'
import { testBroker } from '../support/test-broker.js'

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => `${from + index}`)

t.test('live, waiting and queued while away: one sequence', async (t) => {
  for (const qos of [1, 2] as const) {
    let host = testBroker({ limits: { queueWindowMessages: 16, inflightMax: 7 } })
    const publish = (from: number, to: number) => {
      const publisher = host.connect('publisher')
      for (const payload of numbers(from, to)) publisher.publish('t/x', payload, qos)
      host.settle()
      publisher.disconnect()
    }
    let consumer = host.resume('consumer').subscribe('t/#', qos)
    const seen: string[] = []
    const see = (payloads: string[]) => {
      for (const payload of payloads) if (!seen.includes(payload)) seen.push(payload)
    }
    publish(0, 50)
    see(consumer.payloads())
    consumer.cut()
    publish(50, 100)
    host.core.checkpoint()
    host.settle()
    consumer = host.resume('consumer')
    publish(100, 150)
    see(consumer.payloads())
    host = host.crash()
    publish(150, 200)
    see(host.resume('consumer').drain())
    t.same(seen, numbers(0, 200), `QoS ${qos}`)
  }
})

t.test('each publisher has its own sequence, and one that is slow does not disturb another', async (t) => {
  const host = testBroker({ limits: { inflightMax: 3 } })
  const consumer = host.connect('consumer').subscribe('t', 1)
  const publishers = ['a', 'b', 'c'].map((clientId) => ({ clientId, client: host.connect(clientId) }))
  for (let index = 0; index < 20; index += 1) {
    for (const { clientId, client } of publishers)
      if (clientId !== 'c' || index % 4 === 0) client.publish('t', `${clientId}${index}`, 1)
  }
  const payloads = consumer.drain()
  for (const { clientId } of publishers) {
    const own = payloads.filter((payload) => payload.startsWith(clientId)).map((payload) => Number(payload.slice(1)))
    t.same(
      own,
      [...own].sort((a, b) => a - b),
    )
  }
  t.equal(payloads.length, 45)
})

t.test('a new message does not overtake a resend that waits for the socket', async (t) => {
  const host = testBroker({ limits: { outputBufferBytesMax: 1_000 } })
  const publisher = host.connect('publisher')
  host.resume('consumer').subscribe('t', 1)
  for (const payload of numbers(0, 5)) publisher.publish('t', payload, 1)
  host.settle()
  const again = host.open()
  again.link.stalledBytes = 2_000
  again.send({
    type: 1,
    protocolLevel: 5,
    clientId: 'consumer',
    cleanStart: false,
    keepAliveSec: 0,
    properties: { sessionExpiryIntervalSec: 60 },
  })
  host.settle()
  t.same(again.payloads(), [], 'nothing while it is stalled')
  again.link.stalledBytes = 0
  publisher.publish('t', '5', 1)
  host.settle()
  host.core.drained(again.connection, host.clock.nowMs())
  t.same(again.drain(), numbers(0, 6))
})

t.test('a new message does not overtake those that wait in the queue', async (t) => {
  const host = testBroker({ limits: { outputBufferBytesMax: 1_000 } })
  const publisher = host.connect('publisher')
  const consumer = host.connect('consumer').subscribe('t', 1)
  consumer.link.stalledBytes = 2_000
  for (const payload of numbers(0, 5)) publisher.publish('t', payload, 1)
  host.settle()
  consumer.link.stalledBytes = 0
  publisher.publish('t', '5', 1)
  host.settle()
  host.core.drained(consumer.connection, host.clock.nowMs())
  t.same(consumer.drain(), numbers(0, 6))
})
