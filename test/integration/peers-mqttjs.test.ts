/** MQTT.js in Node, the client of Node-RED, Zigbee2MQTT and most dashboards: both versions, TCP and WebSocket. */
import type { IClientOptions } from 'mqtt'
import t from 'tap'
import { Cable } from '../support/peers-cable.js'
import { MqttJs } from '../support/peers-mqttjs.js'
import { startBroker } from '../support/ws-clients.js'

const WAYS = [
  { name: 'MQTT 3.1.1 over TCP', protocolVersion: 4, isTcp: true },
  { name: 'MQTT 3.1.1 over WebSocket', protocolVersion: 4, isTcp: false },
  { name: 'MQTT 5 over TCP', protocolVersion: 5, isTcp: true },
  { name: 'MQTT 5 over WebSocket', protocolVersion: 5, isTcp: false },
] as const
const QOS = [0, 1, 2] as const

interface Urls {
  readonly httpUrl: string
  readonly mqttUrl: string | null
}
const urlOf = (broker: Urls, isTcp: boolean) =>
  isTcp ? (broker.mqttUrl as string) : `${broker.httpUrl.replace('http', 'ws')}/mqtt`

function persistent(protocolVersion: 4 | 5, clientId: string): IClientOptions {
  const properties = protocolVersion === 5 ? { properties: { sessionExpiryInterval: 600 } } : {}
  return { protocolVersion, clientId, clean: false, ...properties }
}

for (const { name, protocolVersion, isTcp } of WAYS) {
  t.test(`${name}: every QoS, retained, large and empty payloads`, async (t) => {
    const url = urlOf(await startBroker(t), isTcp)
    const reader = await MqttJs.start(t, url, { protocolVersion })
    const writer = await MqttJs.start(t, url, { protocolVersion })
    await reader.client.subscribeAsync('a/+', { qos: 2 })
    const payloads = ['', 'grüße', 'x'.repeat(300_000)]
    for (const qos of QOS)
      for (const payload of payloads) await writer.client.publishAsync(`a/${qos}`, payload, { qos })
    const expected = QOS.flatMap((qos) => payloads.map((payload) => [`a/${qos}`, qos, payload]))
    const got = (await reader.messages.count(9)).map(({ topic, qos, payload }) => [topic, qos, payload.toString()])
    t.same(got, expected)
    await writer.client.publishAsync('kept', 'still here', { qos: 1, retain: true })
    await reader.client.subscribeAsync('kept', { qos: 1 })
    t.match((await reader.messages.count(10))[9], { topic: 'kept', retain: true })
  })

  t.test(`${name}: a pulled cable loses, repeats and mixes up nothing at QoS 2`, async (t) => {
    const cutsAtBytes = [2_000, 3_000, 4_333, 6_000, 8_001, 10_000]
    const cable = await Cable.lay(t, urlOf(await startBroker(t), isTcp), { cutsAtBytes })
    const url = isTcp ? `mqtt://127.0.0.1:${cable.port}` : `ws://127.0.0.1:${cable.port}/mqtt`
    const options = { reconnectPeriod: 10, resubscribe: false }
    const reader = await MqttJs.start(t, url, { ...persistent(protocolVersion, 'reader'), ...options })
    const writer = await MqttJs.start(t, url, { ...persistent(protocolVersion, 'writer'), ...options })
    await reader.client.subscribeAsync('bill/#', { qos: 2 })
    const texts = Array.from({ length: 300 }, (_, index) => `${index}`)
    const published = texts.map((text) => writer.client.publishAsync('bill/1', text, { qos: 2 }))
    await Promise.all(published)
    await reader.messages.count(300)
    t.same(reader.texts, texts)
    t.equal(cable.cuts, cutsAtBytes.length)
    t.ok(cable.connections > cutsAtBytes.length)
  })

  t.test(`${name}: one byte per segment in both directions`, async (t) => {
    const cable = await Cable.lay(t, urlOf(await startBroker(t), isTcp), { shreds: true })
    const url = isTcp ? `mqtt://127.0.0.1:${cable.port}` : `ws://127.0.0.1:${cable.port}/mqtt`
    const will = { topic: 'will', payload: Buffer.from('gone'), qos: 1, retain: true } as const
    const { client, messages } = await MqttJs.start(t, url, { protocolVersion, will, username: 'é', password: 'x' })
    await client.subscribeAsync(['a/#', 'b/+/c'], { qos: 2 })
    for (const qos of QOS) await client.publishAsync('a/1', `payload ${qos} ${'x'.repeat(200)}`, { qos })
    t.same(
      (await messages.count(3)).map(({ qos }) => qos),
      [0, 1, 2],
    )
  })
}

t.test('MQTT 5: what MQTT.js asks for is what it gets', async (t) => {
  const { mqttUrl } = await startBroker(t)
  const url = mqttUrl as string
  const { client, messages } = await MqttJs.start(t, url, {
    protocolVersion: 5,
    // The broker's aliases come back as topic names: MQTT.js resolves them.
    properties: { topicAliasMaximum: 10, receiveMaximum: 2, requestProblemInformation: true },
    autoUseTopicAlias: true,
    autoAssignTopicAlias: true,
  })
  await client.subscribeAsync('a', { qos: 1, rap: true, rh: 0, properties: { subscriptionIdentifier: 7 } })
  const properties = {
    contentType: 'text/plain',
    responseTopic: 'r',
    correlationData: Buffer.from([0, 255]),
    payloadFormatIndicator: true,
    userProperties: { a: ['1', '2'], b: '3' },
  }
  for (let index = 0; index < 5; index += 1) {
    await client.publishAsync('a', `${index}`, { qos: 1, retain: true, properties: { ...properties } })
  }
  const received = await messages.count(5)
  for (const message of received) {
    t.match(message, { topic: 'a', retain: true, properties: { ...properties, subscriptionIdentifier: 7 } })
  }
  await client.unsubscribeAsync('a')
  await t.rejects(client.publishAsync('$SYS/mine', 'x', { qos: 1 }), { code: 0x87 })
})

t.test('Node-RED: many flows with one id, each with the others’ session, take turns without harm', async (t) => {
  const { mqttUrl } = await startBroker(t)
  const url = mqttUrl as string
  const witness = await MqttJs.start(t, url, { protocolVersion: 4 })
  await witness.client.subscribeAsync('#', { qos: 1 })
  const flows: MqttJs[] = []
  const closed: Promise<unknown>[] = []
  for (let index = 0; index < 5; index += 1) {
    const flow = await MqttJs.start(t, url, persistent(5, 'flow'))
    t.equal(flow.sessionPresent, index > 0)
    flows.push(flow)
    closed.push(flow.next('close'))
  }
  await Promise.all(closed.slice(0, 4))
  await flows[4]?.client.publishAsync('from/flow', 'last', { qos: 2 })
  t.match(await witness.messages.count(1), [{ topic: 'from/flow' }])
  t.same(
    flows.map(({ client }) => client.connected),
    [false, false, false, false, true],
  )
})
