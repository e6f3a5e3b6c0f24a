/** Producers and cursors of the SDK with the real broker, over real sockets, on a real disk. */
import t, { type Test } from 'tap'
import { connect, openLmdbProducerOutbox, openMemoryProducerOutbox, type TallyError } from '../../src/client/index.js'
import { createBroker, parseOptions, type RunningBroker } from '../../src/index.js'

const RECONNECT = { minDelayMs: 5, maxDelayMs: 20 }

async function start(data: string, port = 0): Promise<RunningBroker> {
  const listen = { host: '127.0.0.1', httpPort: port, mqttPort: null }
  return createBroker(parseOptions({ dataDirectory: data, listen, log: { level: 'silent' } }))
}

const urlOf = (broker: RunningBroker) => broker.httpUrl.replace('http', 'ws')

t.test('every message once and in order, through restarts of the broker', async (t) => {
  const directory = t.testdir()
  let broker = await start(`${directory}/data`)
  const url = urlOf(broker)
  const port = Number(new URL(url).port)
  const consumer = await connect({ url, clientId: 'consumer', deliveryCursor: null, reconnect: RECONNECT })
  const heard: string[] = []
  const all = new Promise<void>((resolve) => {
    void consumer.subscribe('orders/#', {
      qos: 1,
      onMessage: (message) => {
        heard.push(message.text())
        if (heard.length === 600) resolve()
      },
    })
  })
  const publisher = await connect({ url, clientId: 'publisher', reconnect: RECONNECT })
  const outbox = openLmdbProducerOutbox(`${directory}/outbox`)
  const producer = await publisher.openProducer({ outbox })
  const published: Promise<unknown>[] = []
  for (let round = 0; round < 3; round += 1) {
    for (let index = 0; index < 100; index += 1) published.push(producer.publish('orders/a', `${published.length + 1}`))
    await producer.stored()
    await broker.stop()
    for (let index = 0; index < 100; index += 1) published.push(producer.publish('orders/b', `${published.length + 1}`))
    broker = await start(`${directory}/data`, port)
  }
  await Promise.all(published)
  await all
  t.same(
    heard,
    Array.from({ length: 600 }, (_, index) => `${index + 1}`),
  )
  t.equal(producer.answeredSequence, 600)
  await producer.close()
  await Promise.all([publisher.close(), consumer.close()])
  await outbox.close()
  await broker.stop()
})

t.test('two processes on one outbox: the first is fenced, and stays so', async (t) => {
  const { url } = await running(t)
  const outbox = openMemoryProducerOutbox()
  const [one, two] = [await connect({ url }), await connect({ url })]
  const first = await one.openProducer({ outbox })
  await first.publish('a', '1')
  const errors: TallyError[] = []
  const fenced = new Promise<void>((resolve) => {
    one.on('error', (error) => {
      errors.push(error)
      resolve()
    })
  })
  const second = await two.openProducer({ outbox })
  await fenced
  t.match(errors, [{ code: 'FENCED' }])
  await t.rejects(first.publish('a', '2'), { code: 'FENCED' })
  t.same(await second.publish('a', '2'), { firstSequence: 2, lastSequence: 2 })
  await Promise.all([one.close(), two.close()])
})

t.test('what is refused, alone and in a batch', async (t) => {
  const { url } = await running(t, { mqtt: { retainAvailable: false } })
  const client = await connect({ url })
  const producer = await client.openProducer({ outbox: openMemoryProducerOutbox() })
  const bad = { topicName: 'a', payload: '', retain: true }
  const good = { topicName: 'a', payload: '' }
  t.same(await producer.publishBatch([good, good]), { firstSequence: 1, lastSequence: 2 })
  await t.rejects(producer.publish('a', '', { retain: true }), { code: 'PUBLISH_REFUSED', reasonCode: 0x9a })
  await t.rejects(producer.publishBatch([good, bad, good]), { code: 'PUBLISH_REFUSED', reasonCode: 0x9a, message: /5/ })
  t.same(await producer.publish('a', ''), { firstSequence: 7, lastSequence: 7 })
  await client.close()
})

t.test('a broker with other data does not know the producer', async (t) => {
  const outbox = openMemoryProducerOutbox()
  const first = await running(t)
  const one = await connect({ url: first.url })
  const producer = await one.openProducer({ outbox })
  await producer.publish('a', '')
  await one.close()
  const second = await running(t)
  const two = await connect({ url: second.url })
  await t.rejects(two.openProducer({ outbox }), { code: 'UNKNOWN_PRODUCER', reasonCode: 0xc0 })
  t.not(two.connack.incarnation, one.connack.incarnation)
  await two.close()
})

t.test('a session that is gone is not resumed in silence', async (t) => {
  const { url } = await running(t)
  const one = await connect({ url, clientId: 'c', deliveryCursor: null })
  const { sessionNumber = 0 } = one.connack
  await one.close({ sessionExpiryIntervalSec: 0 })
  const deliveryCursor = { sessionNumber, deliverySequence: 0 }
  await t.rejects(connect({ url, clientId: 'c', deliveryCursor }), { code: 'SESSION_REPLACED' })
})

async function running(t: Test, options: object = {}): Promise<{ url: string }> {
  const listen = { host: '127.0.0.1', httpPort: 0, mqttPort: null }
  const broker = await createBroker(
    parseOptions({ store: 'memory', durability: 'memory', listen, log: { level: 'silent' }, ...options }),
  )
  t.teardown(() => broker.stop())
  return { url: urlOf(broker) }
}
