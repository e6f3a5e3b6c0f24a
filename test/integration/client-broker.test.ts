/** The SDK against the real broker over real sockets: every protocol and transport, resume, back-pressure, outbox. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  type Client,
  type ClientState,
  type ConnectOptions,
  connect,
  type Message,
  openLmdbOutbox,
} from '../../src/client/index.js'
import { createBroker, type OptionsInput, parseOptions, type RunningBroker } from '../../src/index.js'

type Way = { name: string; options: (broker: RunningBroker) => ConnectOptions }
const WAYS: Way[] = [
  { name: 'tally.v1', options: ({ httpUrl }) => ({ url: httpUrl.replace('http', 'ws') }) },
  {
    name: 'MQTT 5 over WebSocket',
    options: ({ httpUrl }) => ({ url: `${httpUrl.replace('http', 'ws')}?protocol=mqtt` }),
  },
  { name: 'MQTT 5 over TCP', options: ({ mqttUrl }) => ({ url: mqttUrl as string }) },
  { name: 'MQTT 3.1.1 over TCP', options: ({ mqttUrl }) => ({ url: mqttUrl as string, protocolLevel: 4 }) },
]

for (const way of WAYS) {
  t.test(`${way.name}: every QoS arrives once and in order, with what it carries`, async (t) => {
    const broker = await running(t)
    const subscriber = await opened(t, way.options(broker))
    const publisher = await opened(t, way.options(broker))
    const subscription = await subscriber.subscribe('sensor/+/state', { qos: 2 })
    t.same(subscription.reasonCodes, [2])
    for (let index = 0; index < 30; index += 1) {
      const qos = (index % 3) as 0 | 1 | 2
      const result = await publisher.publish('sensor/1/state', `n=${index}`, { qos })
      t.equal(result.qos, qos)
    }
    const texts: string[] = []
    for await (const message of subscription) {
      texts.push(`${message.qos} ${message.text()}`)
      if (texts.length === 30) break
    }
    t.same(
      texts,
      Array.from({ length: 30 }, (_, index) => `${index % 3} n=${index}`),
    )
    t.ok((await publisher.ping()) >= 0)
  })

  t.test(`${way.name}: retained messages, properties and an empty payload`, async (t) => {
    const broker = await running(t)
    const publisher = await opened(t, way.options(broker))
    await publisher.publish('kept', new Uint8Array(), { qos: 1 })
    await publisher.publish('kept', new Uint8Array([0, 255]), {
      qos: 1,
      retain: true,
      properties: { contentType: 'x/y', userProperties: [['a', 'é']], correlationData: new Uint8Array([7]) },
    })
    const subscription = await publisher.subscribe('kept', { qos: 1 })
    const message = await one(subscription)
    t.equal(message.retain, true)
    t.same([...message.payload], [0, 255])
    const isMqtt311 = way.name.includes('3.1.1')
    if (!isMqtt311) t.match(message.properties, { contentType: 'x/y', userProperties: [['a', 'é']] })
  })
}

t.test('native: delivery sequence, message id, durability and resume result', async (t) => {
  const broker = await running(t)
  const url = broker.httpUrl.replace('http', 'ws')
  const identity = { url, clientId: 'consumer', sessionExpiryIntervalSec: 60 }
  const first = await opened(t, identity)
  t.equal(first.connack.durability, 'memory')
  await first.subscribe('a', { qos: 1 })
  await first.close()
  const publisher = await opened(t, { url })
  for (const text of ['1', '2', '3']) await publisher.publish('a', text, { qos: 1 })
  const second = await connect(identity)
  t.teardown(() => second.close())
  t.equal(second.connack.sessionPresent, true)
  t.same(second.connack.resume, { queuedMessages: 3, lost: [] })
  const subscription = await second.subscribe('a', { qos: 1, retainHandling: 2 })
  const sequences: (number | undefined)[] = []
  for await (const message of subscription) {
    sequences.push(message.deliverySequence)
    t.type(message.messageId, 'number')
    if (sequences.length === 3) break
  }
  t.same(sequences, [1, 2, 3])
})

t.test('a taken-over client stops and says why', async (t) => {
  const broker = await running(t)
  const url = broker.httpUrl.replace('http', 'ws')
  const first = await opened(t, { url, clientId: 'same' })
  const closed = stateNamed(first, 'closed')
  await opened(t, { url, clientId: 'same' })
  t.match(await closed, { reason: { kind: 'failed', error: { reasonCode: 0x8e, retryable: false } } })
})

t.test('a wrong path is refused for good, a dead port is tried again', async (t) => {
  const broker = await running(t)
  const url = broker.httpUrl.replace('http', 'ws')
  await t.rejects(connect({ url: `${url}/nowhere` }), { code: 'CONNECT_FAILED', retryable: false, message: /HTTP 4/ })
  const states: ClientState[] = []
  const signal = AbortSignal.timeout(5_000)
  const twice = new Promise<void>((resolve) => {
    const onState = (state: ClientState) => {
      states.push(state)
      if (state.name === 'reconnecting' && state.attempt === 2) resolve()
    }
    const options = { url: 'mqtt://127.0.0.1:1', onState, signal, reconnect: { minDelayMs: 1, maxDelayMs: 2 } }
    t.rejects(connect(options), { code: 'ABORTED' })
  })
  await twice
  t.match(states[1], { name: 'reconnecting', reason: { code: 'CONNECT_FAILED', message: /ECONNREFUSED/ } })
})

t.test('a broker that is away for a while: publishes wait in the outbox and arrive once', async (t) => {
  const directory = t.testdir()
  const stores: OptionsInput = { store: 'lmdb', dataDirectory: join(directory, 'data') }
  const outbox = openLmdbOutbox(join(directory, 'outbox'))
  const first = await running(t, stores)
  const port = Number(new URL(first.httpUrl).port)
  const url = `ws://127.0.0.1:${port}`
  const seen: string[] = []
  const consumer = await opened(t, { url, clientId: 'consumer', reconnect: { minDelayMs: 20, maxDelayMs: 50 } })
  const all = new Promise<void>((resolve) => {
    const onMessage = (message: Message) => {
      seen.push(message.text())
      if (seen.length === 200) resolve()
    }
    void consumer.subscribe('bill/#', { qos: 2, onMessage })
  })
  const producer = await opened(t, { url, clientId: 'producer', outbox, reconnect: { minDelayMs: 20, maxDelayMs: 50 } })
  const published: Promise<unknown>[] = []
  const texts = Array.from({ length: 200 }, (_, index) => `${index}`)
  for (const text of texts.slice(0, 100)) published.push(producer.publish('bill/1', text, { qos: 2 }))
  const away = stateNamed(producer, 'reconnecting')
  await first.stop()
  await away
  for (const text of texts.slice(100)) published.push(producer.publish('bill/1', text, { qos: 2 }))
  const second = await running(t, { ...stores, listen: { host: '127.0.0.1', httpPort: port, mqttPort: null } })
  await Promise.all(published)
  await all
  t.same(seen, texts)
  t.equal(producer.unfinishedPublishes, 0)
  await producer.close()
  await consumer.close()
  await second.stop()
  await outbox.close()
})

t.test('a slow loop holds the broker back by Receive Maximum and loses nothing', async (t) => {
  const broker = await running(t)
  const url = broker.httpUrl.replace('http', 'ws')
  const slow = await opened(t, { url, receiveMaximum: 5 })
  const subscription = await slow.subscribe('#', { qos: 1 })
  const publisher = await opened(t, { url })
  const texts = Array.from({ length: 100 }, (_, index) => `${index}`)
  await Promise.all(texts.map((text) => publisher.publish('a', text, { qos: 1 })))
  const got: string[] = []
  for await (const message of subscription) {
    got.push(message.text())
    if (got.length === 100) break
  }
  t.same(got, texts)
})

t.test('100 000 QoS 0 messages in a loop with back-pressure all arrive', async (t) => {
  // Sender, broker and receiver take turns in one process, so much waits at the broker: it must not drop it as slow.
  const broker = await running(t, { limits: { outputBufferBytesMax: 67_108_864 } })
  const url = broker.httpUrl.replace('http', 'ws')
  const subscriber = await opened(t, { url })
  const publisher = await opened(t, { url })
  let count = 0
  const all = new Promise<void>((resolve) => {
    const onMessage = () => {
      count += 1
      if (count === 100_000) resolve()
    }
    void subscriber.subscribe('a', { onMessage })
  })
  await subscriber.ping()
  const payload = new Uint8Array(64)
  const start = performance.now()
  for (let sent = 0; sent < 100_000; ) {
    if (publisher.publishNow('a', payload)) sent += 1
    else await publisher.drained()
  }
  await all
  t.comment(`${Math.round(100_000 / ((performance.now() - start) / 1_000))} messages/s, all in one process`)
  t.equal(count, 100_000)
})

async function running(t: Test, options: OptionsInput = {}): Promise<RunningBroker> {
  const listen = { host: '127.0.0.1', httpPort: 0, mqttPort: 0 }
  const defaults: OptionsInput = { store: 'memory', durability: 'memory', listen, log: { level: 'silent' } }
  const broker = await createBroker(parseOptions({ ...defaults, ...options }))
  let stopped: Promise<void> | null = null
  const stop = () => {
    stopped ??= broker.stop()
    return stopped
  }
  t.teardown(stop)
  return { ...broker, stop }
}

async function opened(t: Test, options: ConnectOptions): Promise<Client> {
  const client = await connect(options)
  t.teardown(() => client.close())
  return client
}

async function one(subscription: AsyncIterable<Message>): Promise<Message> {
  for await (const message of subscription) return message
  throw new Error('the subscription ended')
}

function stateNamed(client: Client, name: ClientState['name']): Promise<ClientState> {
  return new Promise((resolve) => {
    client.on('state', (state) => {
      if (state.name === name) resolve(state)
    })
  })
}
