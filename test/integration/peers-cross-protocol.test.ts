/**
 * One broker, three protocols: whoever publishes with whatever, whoever subscribes with whatever gets the same message
 * at the lower QoS. The order of user properties is in peers-paho.test.ts, as MQTT.js groups them by name.
 */
import t, { type Test } from 'tap'
import { connect, type Message } from '../../src/client/index.js'
import { type Arrival, PEER_KINDS, type Peer } from '../support/peers-any.js'
import { Cable } from '../support/peers-cable.js'
import { MqttJs } from '../support/peers-mqttjs.js'
import { startBroker } from '../support/ws-clients.js'

const QOS = [0, 1, 2] as const
const PROPERTIES = {
  contentType: 'application/json; charset=utf-8',
  responseTopic: 'answers/é',
  correlationData: new Uint8Array([0, 255, 128]),
  payloadFormatIndicator: 1,
  userProperties: [
    ['a', '1'],
    ['a', '2'],
    ['b', ''],
  ],
} as const
const ARRIVED = {
  contentType: PROPERTIES.contentType,
  responseTopic: PROPERTIES.responseTopic,
  correlationData: '00ff80',
  isText: true,
  userProperties: { a: ['1', '2'], b: '' },
}

t.test('every publisher, every subscriber, every pair of QoS: 225 pairs, with what they carry', async (t) => {
  const urls = await startBroker(t)
  const publishers = await Promise.all(PEER_KINDS.map((open) => open(t, urls)))
  const subscribers: { peer: Peer; granted: number }[] = []
  for (const open of PEER_KINDS) {
    for (const granted of QOS) {
      const peer = await open(t, urls)
      await peer.subscribe('pairs/#', granted)
      subscribers.push({ peer, granted })
    }
  }
  for (const [index, publisher] of publishers.entries()) {
    for (const qos of QOS)
      await publisher.publish(`pairs/${index}/${qos}`, `grüße ${qos}`, { qos, properties: PROPERTIES })
  }
  for (const { peer, granted } of subscribers) {
    const arrivals = await peer.arrivals.count(publishers.length * QOS.length)
    const expected = publishers.flatMap(({ hasProperties }, index) =>
      QOS.map((qos) => ({
        topicName: `pairs/${index}/${qos}`,
        text: `grüße ${qos}`,
        qos: Math.min(qos, granted),
        retain: false,
        properties: hasProperties && peer.hasProperties ? ARRIVED : {},
      })),
    )
    t.same(sorted(arrivals), sorted(expected), `${peer.name}, QoS ${granted}`)
  }
})

t.test('retained in any protocol, read in every other, with the time that has passed taken off', async (t) => {
  const urls = await startBroker(t)
  const publishers = await Promise.all(PEER_KINDS.map((open) => open(t, urls)))
  const properties = { ...PROPERTIES, messageExpiryIntervalSec: 1_000 }
  for (const [index, publisher] of publishers.entries()) {
    await publisher.publish(`kept/${index}`, 'state', { qos: 1, retain: true, properties })
  }
  await twoSecondsLater(t, urls.mqttUrl as string)
  for (const open of PEER_KINDS) {
    const reader = await open(t, urls)
    await reader.subscribe('kept/#', 2)
    const arrivals = await reader.arrivals.count(publishers.length)
    for (const { topicName, qos, retain, properties } of arrivals) {
      const publisher = publishers[Number(topicName.split('/')[1])] as Peer
      t.same([qos, retain], [1, true])
      const { messageExpiryIntervalSec: left, ...rest } = properties
      const isComplete = publisher.hasProperties && reader.hasProperties
      t.same(rest, isComplete ? ARRIVED : {}, `${publisher.name} to ${reader.name}`)
      if (isComplete) t.ok((left as number) <= 998 && (left as number) > 900, `${left} s are left`)
    }
  }
})

t.test('the retain flag of a live message is kept for who asked for Retain As Published only', async (t) => {
  const urls = await startBroker(t)
  const publishers = await Promise.all(PEER_KINDS.map((open) => open(t, urls)))
  const plain = await Promise.all(PEER_KINDS.map((open) => open(t, urls)))
  const asPublished = await Promise.all(PEER_KINDS.map((open) => open(t, urls)))
  for (const peer of plain) await peer.subscribe('live/#', 1)
  for (const peer of asPublished) await peer.subscribe('live/#', 1, { retainAsPublished: true })
  for (const [index, publisher] of publishers.entries()) {
    await publisher.publish(`live/${index}/no`, 'x', { qos: 1 })
    await publisher.publish(`live/${index}/yes`, 'x', { qos: 1, retain: true })
  }
  const retained = async ({ arrivals }: Peer) =>
    (await arrivals.count(publishers.length * 2))
      .filter(({ retain }) => retain)
      .map(({ topicName }) => topicName)
      .sort()
  for (const peer of plain) t.same(await retained(peer), [], peer.name)
  const yes = publishers.map((_, index) => `live/${index}/yes`)
  // MQTT 3.1.1 cannot ask for it [3.1.1 MQTT-3.3.1-9].
  for (const peer of asPublished) t.same(await retained(peer), peer.hasProperties ? yes : [], peer.name)
})

for (const protocolVersion of [4, 5] as const) {
  const name = protocolVersion === 5 ? 'MQTT 5' : 'MQTT 3.1.1'
  const kept = protocolVersion === 5 ? { properties: { sessionExpiryInterval: 600 } } : {}
  const persistent = { protocolVersion, clean: false, reconnectPeriod: 10, resubscribe: false, ...kept }
  const texts = Array.from({ length: 400 }, (_, index) => `${index}`)
  const cutsAtBytes = [2_000, 3_500, 5_001, 7_000, 9_002]
  const reconnect = { minDelayMs: 5, maxDelayMs: 20 }

  t.test(`QoS 2 from native to ${name}, both cables pulled in the middle: exactly once, in order`, async (t) => {
    const { httpUrl, mqttUrl } = await startBroker(t)
    const mqttCable = await Cable.lay(t, mqttUrl as string, { cutsAtBytes })
    const nativeCable = await Cable.lay(t, httpUrl, { cutsAtBytes })
    const url = `mqtt://127.0.0.1:${mqttCable.port}`
    const reader = await MqttJs.start(t, url, { ...persistent, clientId: 'reader' })
    await reader.client.subscribeAsync('bill/#', { qos: 2 })
    const writer = await connect({ url: `ws://127.0.0.1:${nativeCable.port}`, clientId: 'writer', reconnect })
    t.teardown(() => writer.close())
    await Promise.all(texts.map((text) => writer.publish('bill/1', text, { qos: 2 })))
    await reader.messages.count(texts.length)
    t.same(reader.texts, texts)
    t.same([mqttCable.cuts, nativeCable.cuts > 0], [cutsAtBytes.length, true])
  })

  t.test(`QoS 2 from ${name} to native, both cables pulled in the middle: exactly once, in order`, async (t) => {
    const { httpUrl, mqttUrl } = await startBroker(t)
    const mqttCable = await Cable.lay(t, mqttUrl as string, { cutsAtBytes })
    const nativeCable = await Cable.lay(t, httpUrl, { cutsAtBytes })
    const reader = await connect({ url: `ws://127.0.0.1:${nativeCable.port}`, clientId: 'reader', reconnect })
    t.teardown(() => reader.close())
    const got: string[] = []
    const all = new Promise<void>((resolve) => {
      const onMessage = (message: Message) => {
        got.push(message.text())
        if (got.length === texts.length) resolve()
      }
      void reader.subscribe('bill/#', { qos: 2, onMessage })
    })
    await reader.ping()
    const url = `mqtt://127.0.0.1:${mqttCable.port}`
    const writer = await MqttJs.start(t, url, { ...persistent, clientId: 'writer' })
    await Promise.all(texts.map((text) => writer.client.publishAsync('bill/1', text, { qos: 2 })))
    await all
    t.same(got, texts)
    t.same([mqttCable.cuts, nativeCable.cuts > 0], [cutsAtBytes.length, true])
  })
}

const byTopic = (a: Arrival, b: Arrival) => (a.topicName < b.topicName ? -1 : 1)
const sorted = (arrivals: readonly Arrival[]) => [...arrivals].sort(byTopic)

/** A Will with a delay of two seconds is the clock: nobody here sleeps. */
async function twoSecondsLater(t: Test, url: string): Promise<void> {
  const watcher = await MqttJs.start(t, url, { protocolVersion: 5 })
  await watcher.client.subscribeAsync('two/seconds/later')
  const properties = { willDelayInterval: 2 }
  const { client } = await MqttJs.start(t, url, {
    protocolVersion: 5,
    properties: { sessionExpiryInterval: 600 },
    will: { topic: 'two/seconds/later', payload: Buffer.from('now'), qos: 0, retain: false, properties },
  })
  client.stream.destroy()
  await watcher.messages.count(1)
}
