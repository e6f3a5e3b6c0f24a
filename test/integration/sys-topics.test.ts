/** `$SYS/broker` on a running broker: beside Mosquitto's own tree, refreshed on its interval, and without a commit. */
import { join } from 'node:path'
import mqtt from 'mqtt'
import t, { type Test } from 'tap'
import { startMosquitto } from '../support/mosquitto-broker.js'
import { needs } from '../support/peers.js'
import { startBroker } from '../support/ws-clients.js'

/** What every refresh changes, so that it tells when one is complete. */
const UPTIME = '$SYS/broker/uptime'
/** In newer versions of Mosquitto only, and what only we can say. */
const NEWER = ['$SYS/broker/connections/socket/count', '$SYS/broker/messages/unflushed']

/** Stays until brokers have closed their stores. */
const parent = t.testdir()

/** Every topic under `$SYS/broker` with its last text, once it has been refreshed so many times. */
async function topicsOf(t: Test, url: string, refreshes: number): Promise<Map<string, string>> {
  const client = await mqtt.connectAsync(url, { protocolVersion: 5, reconnectPeriod: 50 })
  t.teardown(() => client.endAsync(true))
  const topics = new Map<string, string>()
  let uptimes = 0
  const done = new Promise<void>((resolve) => {
    client.on('message', (topicName, payload) => {
      topics.set(topicName, payload.toString())
      if (topicName === UPTIME) uptimes += 1
      if (uptimes > refreshes) resolve()
    })
  })
  await client.subscribeAsync('$SYS/broker/#', { qos: 2 })
  await done
  return topics
}

t.test('the topics are those of Mosquitto, and what stands in them looks alike', needs('mosquitto'), async (t) => {
  const lines = ([port]: readonly number[]) => [`listener ${port} 127.0.0.1`, 'allow_anonymous true', 'sys_interval 1']
  const [port] = await startMosquitto(t, 1, lines)
  const theirs = await topicsOf(t, `mqtt://127.0.0.1:${port}`, 3)
  const broker = await startBroker(t, { sys: { intervalSec: 1 } })
  const ours = await topicsOf(t, broker.mqttUrl as string, 3)
  const names = [...ours.keys()].filter((name) => !NEWER.includes(name))
  t.same(names.sort(), [...theirs.keys()].sort())
  const shape = (text: string | undefined) => text?.replace(/mosquitto|tallymq/, 'name').replace(/[\d.]+/g, '0')
  for (const [name, text] of theirs) t.equal(shape(ours.get(name)), shape(text), name)
})

t.test('refreshed every interval with what has happened, and the disk is left alone', async (t) => {
  const broker = await startBroker(t, { store: 'lmdb', dataDirectory: t.testdir(), sys: { intervalSec: 1 } })
  const publisher = await mqtt.connectAsync(broker.mqttUrl as string, { protocolVersion: 5 })
  t.teardown(() => publisher.endAsync(true))
  await publisher.publishAsync('kept', 'twelve bytes', { qos: 1, retain: true })
  await topicsOf(t, broker.mqttUrl as string, 1)
  const { recordNumber } = broker.broker.state
  const topics = await topicsOf(t, broker.mqttUrl as string, 2)
  t.equal(broker.broker.state.recordNumber, recordNumber, 'no record was written')
  const figure = (name: string) => Number(topics.get(`$SYS/broker/${name}`))
  t.equal(figure('clients/connected'), 3)
  t.equal(figure('publish/messages/received'), 1)
  t.equal(figure('publish/bytes/received'), 12)
  t.equal(figure('messages/stored'), 1)
  t.equal(figure('store/messages/bytes'), 16)
  t.equal(figure('messages/unflushed'), 0, 'acknowledged, and on the disk')
  t.equal(figure('subscriptions/count'), 2)
  t.ok(figure('messages/received') >= 5, 'CONNECT, PUBLISH, CONNECT, SUBSCRIBE, CONNECT, SUBSCRIBE')
  t.ok(figure('bytes/sent') > figure('publish/bytes/sent'))
  t.ok(figure('heap/maximum') >= figure('heap/current'))
})

t.test('without flushing it says how many acknowledged messages a power cut would take', async (t) => {
  const storage = { store: 'lmdb', durability: 'os', dataDirectory: join(parent, 'os') } as const
  const broker = await startBroker(t, { ...storage, sys: { intervalSec: 1 } })
  const publisher = await mqtt.connectAsync(broker.mqttUrl as string, { protocolVersion: 5 })
  t.teardown(() => publisher.endAsync(true))
  for (const qos of [0, 1, 2, 2] as const) await publisher.publishAsync('a', 'x', { qos })
  const topics = await topicsOf(t, broker.mqttUrl as string, 2)
  t.equal(topics.get('$SYS/broker/messages/unflushed'), '3')
  const ready = await (await fetch(`${broker.httpUrl}/readyz`)).json()
  t.same(ready, { status: 'ready', unflushed: 3 })
})

t.test('with sys.intervalSec 0 there are none', async (t) => {
  const broker = await startBroker(t, { sys: { intervalSec: 0 } })
  t.equal(broker.broker.state.systemTopics.size, 0)
})
