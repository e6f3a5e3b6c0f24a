/** Python's paho, the client of Home Assistant and of most scripts: both versions, TCP and WebSocket. */
import t from 'tap'
import { connect } from '../../src/client/index.js'
import { needsPaho, Paho, type PahoOptions } from '../support/peers-paho.js'
import { startBroker } from '../support/ws-clients.js'

const peer = needsPaho()
const WAYS = [
  { level: 4, transport: 'tcp' },
  { level: 4, transport: 'websockets' },
  { level: 5, transport: 'tcp' },
  { level: 5, transport: 'websockets' },
] as const
const QOS = [0, 1, 2] as const

for (const way of WAYS) {
  const name = `MQTT ${way.level === 5 ? '5' : '3.1.1'} over ${way.transport}`

  t.test(`${name}: every QoS, a kept session, a Will when the process vanishes`, peer, async (t) => {
    const { httpUrl, mqttUrl } = await startBroker(t)
    const port = Number(new URL(way.transport === 'tcp' ? (mqttUrl as string) : httpUrl).port)
    const kept: PahoOptions = { ...way, port, clientId: 'kept', clean: false }
    const options: PahoOptions = way.level === 5 ? { ...kept, properties: { sessionExpiryIntervalSec: 600 } } : kept
    const first = await Paho.start(t, options)
    t.equal(first.sessionPresent, false)
    t.same(await first.subscribe('a/#', 2), [2])
    const will = { topicName: 'a/will', payload: 'gone', qos: 1, retain: false }
    const other = await Paho.start(t, { ...way, port, clientId: 'other', will })
    for (const qos of QOS) await other.publish(`a/${qos}`, `grüße ${qos}`, { qos })
    t.match(
      await first.messages.count(3),
      QOS.map((qos) => ({ topicName: `a/${qos}`, payload: `grüße ${qos}`, qos })),
    )
    await first.close()
    for (let index = 0; index < 40; index += 1) await other.publish('a/away', `${index}`, { qos: 1 + (index % 2) })
    await other.vanish()
    const second = await Paho.start(t, options)
    t.equal(second.sessionPresent, true)
    const messages = await second.messages.count(41)
    // paho hands QoS 2 over at PUBREL, so there is an order for each QoS.
    const payloads = (qos: number) => messages.filter((message) => message.qos === qos).map(({ payload }) => payload)
    t.same(payloads(1), [...Array.from({ length: 20 }, (_, index) => `${index * 2}`), 'gone'])
    t.same(
      payloads(2),
      Array.from({ length: 20 }, (_, index) => `${index * 2 + 1}`),
    )
  })
}

t.test(
  'properties pass between paho and the native protocol, user properties in order with repeats',
  peer,
  async (t) => {
    const { httpUrl, mqttUrl } = await startBroker(t)
    const port = Number(new URL(mqttUrl as string).port)
    const native = await connect({ url: httpUrl.replace('http', 'ws') })
    t.teardown(() => native.close())
    const paho = await Paho.start(t, { level: 5, transport: 'tcp', port, clientId: 'paho' })
    await paho.subscribe('to/paho', 2)
    const subscription = await native.subscribe('to/native', { qos: 2 })
    const properties = {
      contentType: 'application/json',
      responseTopic: 'answers/é',
      correlationData: 'order 66',
      payloadFormatIndicator: 1,
      messageExpiryIntervalSec: 1_000,
      userProperties: [
        ['a', '1'],
        ['b', '2'],
        ['a', '3'],
        ['', ''],
        ['a', '1'],
      ],
    } as const
    const correlationData = new TextEncoder().encode(properties.correlationData)
    await paho.publish('to/native', '{}', { qos: 2, properties })
    await native.publish('to/paho', '{}', { qos: 2, properties: { ...properties, correlationData } })
    for await (const message of subscription) {
      const { correlationData, ...rest } = message.properties
      t.equal(new TextDecoder().decode(correlationData), properties.correlationData)
      const { correlationData: _, ...expected } = properties
      t.same(rest, expected)
      break
    }
    t.same((await paho.messages.count(1))[0]?.properties, properties)
  },
)

t.test('a Will of MQTT 5 brings its properties and waits for its delay', peer, async (t) => {
  const { mqttUrl } = await startBroker(t)
  const port = Number(new URL(mqttUrl as string).port)
  const watcher = await Paho.start(t, { level: 5, transport: 'tcp', port, clientId: 'watcher' })
  await watcher.subscribe('will', 1)
  const mortal = await Paho.start(t, {
    level: 5,
    transport: 'tcp',
    port,
    clientId: 'mortal',
    properties: { sessionExpiryIntervalSec: 600 },
    will: {
      topicName: 'will',
      payload: 'gone',
      qos: 1,
      retain: false,
      properties: { willDelayIntervalSec: 1, contentType: 'text/plain', userProperties: [['cause', 'power']] },
    },
  })
  const vanishedAt = performance.now()
  await mortal.vanish()
  const [message] = await watcher.messages.count(1)
  t.ok(performance.now() - vanishedAt >= 900, 'not before its delay is over')
  t.same(message?.properties, { contentType: 'text/plain', userProperties: [['cause', 'power']] })
})
