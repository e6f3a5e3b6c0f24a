/**
 * What a house or a fleet notices when the broker restarts: a real process, killed with -9 and started again on its
 * data. Retained state and waiting commands must be there before anybody asks a device again.
 */
import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { connect } from '../../src/client/index.js'
import { BrokerProcess } from '../support/broker-process.js'
import { MqttJs } from '../support/peers-mqttjs.js'
import { needsPaho, Paho } from '../support/peers-paho.js'

const MIB = 1_048_576

t.test('Home Assistant: 500 discovery topics after a restart, complete and retained', needsPaho(), async (t) => {
  const directory = t.testdir()
  const first = await BrokerProcess.start(t, { directory })
  const zigbee2mqtt = await MqttJs.start(t, first.mqttUrl, { protocolVersion: 4 })
  const configs = new Map<string, string>()
  for (let index = 0; index < 500; index += 1) {
    const id = `0x${index.toString(16).padStart(16, '0')}`
    const config = {
      unique_id: id,
      state_topic: `zigbee2mqtt/${id}`,
      device: { name: `Gerät ${index}` },
      x: 'y'.repeat(400),
    }
    configs.set(`homeassistant/${index % 2 === 0 ? 'sensor' : 'light'}/${id}/config`, JSON.stringify(config))
  }
  const published = [...configs].map(([topicName, config]) =>
    zigbee2mqtt.client.publishAsync(topicName, config, { qos: 1, retain: true }),
  )
  await Promise.all(published)
  // A device that was removed stays removed.
  await zigbee2mqtt.client.publishAsync('homeassistant/sensor/gone/config', 'x', { qos: 1, retain: true })
  await zigbee2mqtt.client.publishAsync('homeassistant/sensor/gone/config', '', { qos: 1, retain: true })
  const second = await restarted(t, first, directory)
  const port = Number(new URL(second.mqttUrl).port)
  for (const level of [4, 5] as const) {
    const homeAssistant = await Paho.start(t, { level, transport: 'tcp', port, clientId: `homeassistant-${level}` })
    t.same(await homeAssistant.subscribe('homeassistant/+/+/config', 0), [0])
    const messages = await homeAssistant.messages.count(500)
    t.ok(messages.every(({ retain }) => retain))
    t.same(new Map(messages.map(({ topicName, payload }) => [topicName, payload])), configs)
    // Its birth message, for which the devices wait, is not retained and comes to those who are there.
    await homeAssistant.subscribe('homeassistant/status', 0)
    await homeAssistant.publish('homeassistant/status', 'online', { qos: 0 })
    t.match((await homeAssistant.messages.count(501))[500], { payload: 'online', retain: false })
  }
})

t.test('ESPHome: 200 sessions with clean_session false find their commands after a restart, in order', async (t) => {
  const directory = t.testdir()
  const first = await BrokerProcess.start(t, { directory })
  const ids = Array.from({ length: 200 }, (_, index) => `esp-${index}`)
  const device = (url: string, clientId: string) =>
    MqttJs.start(t, url, { protocolVersion: 4, clientId, clean: false, resubscribe: false })
  const fleet = await Promise.all(ids.map((id) => device(first.mqttUrl, id)))
  await Promise.all(fleet.map(({ client }, index) => client.subscribeAsync(`${ids[index]}/command`, { qos: 1 })))
  // The lights go out: no DISCONNECT.
  await Promise.all(fleet.map(({ client }) => client.endAsync(true)))
  const hub = await connect({ url: first.url })
  const commands = ['on', 'brighter', 'brighter', 'red', 'off']
  for (const command of commands) {
    await Promise.all(ids.map((id) => hub.publish(`${id}/command`, command, { qos: 1 })))
  }
  await hub.close()
  const second = await restarted(t, first, directory)
  const back = await Promise.all(ids.map((id) => device(second.mqttUrl, id)))
  t.ok(back.every(({ sessionPresent }) => sessionPresent))
  for (const one of back) {
    await one.messages.count(commands.length)
    if (one.texts.join() !== commands.join()) t.same(one.texts, commands)
  }
  t.ok(
    back.every(({ texts }) => texts.join() === commands.join()),
    'every device has got every command in order',
  )
})

t.test('Zigbee2MQTT: retained payloads of 1 MiB are stored, and delivered after a restart', async (t) => {
  const directory = t.testdir()
  const first = await BrokerProcess.start(t, { directory })
  const writer = await MqttJs.start(t, first.mqttUrl, { protocolVersion: 5 })
  const payloads = Array.from({ length: 4 }, () => randomBytes(MIB))
  for (const [index, payload] of payloads.entries()) {
    await writer.client.publishAsync(`bridge/devices/${index}`, payload, { qos: 1, retain: true })
  }
  // The smaller one that replaces it is what is kept.
  await writer.client.publishAsync('bridge/devices/0', 'short', { qos: 1, retain: true })
  const second = await restarted(t, first, directory)
  for (const url of [second.mqttUrl, `${second.url}/mqtt`]) {
    const reader = await MqttJs.start(t, url, { protocolVersion: 4 })
    await reader.client.subscribeAsync('bridge/#', { qos: 1 })
    for (const { topic, payload, retain } of await reader.messages.count(4)) {
      const index = Number(topic.split('/')[2])
      t.ok(
        retain && (payload as Buffer).equals(index === 0 ? Buffer.from('short') : (payloads[index] as Buffer)),
        topic,
      )
    }
  }
  const native = await connect({ url: second.url })
  t.teardown(() => native.close())
  const subscription = await native.subscribe('bridge/devices/3', { qos: 1 })
  for await (const message of subscription) {
    t.ok(payloads[3]?.equals(message.payload))
    break
  }
})

/** Power loss: nothing is flushed or told to anybody. */
async function restarted(t: Test, broker: BrokerProcess, directory: string): Promise<BrokerProcess> {
  broker.kill()
  await broker.ended
  return BrokerProcess.start(t, { directory })
}
