/** Habits of real devices that are legal, or nearly, and that a broker must live with. */
import t from 'tap'
import { type ConnectPacket, type Packet, PacketType, type PublishPacket } from '../../src/protocol/packets.js'
import { BrokerProcess } from '../support/broker-process.js'
import { Device } from '../support/peers-device.js'
import { MqttJs } from '../support/peers-mqttjs.js'
import { encode, startBroker, WsClient } from '../support/ws-clients.js'

t.test('two clients with one id: the storm is limited, told, in the log, and harmless to a third', async (t) => {
  const flags = ['--log-level', 'info']
  const environment = { TALLYMQ_LIMITS__TAKEOVERS_PER_MINUTE_MAX: '20' }
  const broker = await BrokerProcess.start(t, { directory: t.testdir(), flags, environment })
  const third = await MqttJs.start(t, broker.mqttUrl, { protocolVersion: 4 })
  await third.client.subscribeAsync('third', { qos: 1 })
  // Each comes back at once, as badly written clients do.
  const both: MqttJs[] = []
  const told: Promise<{ code: number; refused: MqttJs }>[] = []
  for (const protocolVersion of [4, 5] as const) {
    const options = { protocolVersion, clientId: 'same', reconnectPeriod: 1 }
    const one = await MqttJs.start(t, broker.mqttUrl, options)
    both.push(one)
    told.push(refusal(one))
  }
  const texts = Array.from({ length: 50 }, (_, index) => `${index}`)
  for (const text of texts) await third.client.publishAsync('third', text, { qos: 1 })
  await third.messages.count(texts.length)
  t.same(third.texts, texts)
  // Whoever is refused first is the one who is out; the other keeps the session and is left in peace.
  const { code, refused } = await Promise.race(told)
  t.ok(code === 3 || code === 0x9f, `refused with ${code}`)
  const other = both.find((one) => one !== refused) as MqttJs
  if (!other.client.connected) await other.next('connect')
  await Promise.all(both.map(({ client }) => client.endAsync(true)))
  await broker.stop()
  const lines = broker.errors
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
  const refusals = lines.filter(({ msg, clientId }) => msg === 'connect-refused' && clientId === 'same')
  t.match(refusals[0], { level: 40, reason: /0x9F/i, detail: /two clients share this identifier/ })
  t.ok(lines.some(({ msg, clientId }) => msg === 'session-taken-over' && clientId === 'same'))
  t.ok(lines.length < 500, `${lines.length} lines for a storm`)
})

t.test(
  'a device that may not be quicker: Keep Alive of a second, ten devices stay, a silent one is given up',
  async (t) => {
    const { mqttUrl } = await startBroker(t)
    const url = mqttUrl as string
    const watcher = await MqttJs.start(t, url, { protocolVersion: 4 })
    await watcher.client.subscribeAsync('tele/+/LWT', { qos: 1 })
    const lwt = (name: string) => ({
      topic: `tele/${name}/LWT`,
      payload: Buffer.from('Offline'),
      qos: 1 as const,
      retain: true,
    })
    const devices: MqttJs[] = []
    for (let index = 0; index < 10; index += 1) {
      const name = `tasmota-${index}`
      const device = await MqttJs.start(t, url, { protocolVersion: 4, clientId: name, keepalive: 1, will: lwt(name) })
      await device.client.subscribeAsync(`cmnd/${name}/#`)
      devices.push(device)
    }
    const silent = await Device.open(t, url, 4)
    const will = {
      topicName: 'tele/silent/LWT',
      payload: Buffer.from('Offline'),
      qos: 1,
      retain: true,
      properties: {},
    } as const
    silent.send(connectPacket('silent', { keepAliveSec: 1, will }))
    await silent.connack()
    const silentSince = performance.now()
    await watcher.messages.count(1)
    const waitedMs = performance.now() - silentSince
    t.ok(
      waitedMs > 1_400 && waitedMs < 3_000,
      `given up after ${Math.round(waitedMs)} ms: one and a half times Keep Alive`,
    )
    t.ok(devices.every(({ client }) => client.connected))
    t.same(
      watcher.messages.items.map(({ topic }) => topic),
      ['tele/silent/LWT'],
      'nobody else was given up',
    )
    await watcher.client.publishAsync('cmnd/tasmota-7/POWER', 'ON', { qos: 1 })
    await devices[7]?.messages.count(1)
  },
)

t.test('Keep Alive 0 is legal: connected, and told nothing else in 3.1.1', async (t) => {
  const { mqttUrl } = await startBroker(t)
  for (const level of [4, 5] as const) {
    const device = await Device.open(t, mqttUrl as string, level)
    device.send(connectPacket(`zero-${level}`, { protocolLevel: level, keepAliveSec: 0 }))
    t.match(await device.connack(), { reasonCode: 0 })
    device.send(PINGREQ)
    await device.packet(PacketType.PINGRESP)
  }
})

t.test(
  'Telegraf: a thousand messages unacknowledged, pings meanwhile, acks in one burst, none sent twice',
  async (t) => {
    const { mqttUrl } = await startBroker(t)
    const url = mqttUrl as string
    const writer = await MqttJs.start(t, url, { protocolVersion: 4 })
    const session = { cleanStart: false, keepAliveSec: 60 }
    const first = await Device.open(t, url, 4)
    first.send(connectPacket('telegraf', session), subscribePacket('metrics/#', 1))
    await first.packet(PacketType.SUBACK)
    const texts = Array.from({ length: 1_000 }, (_, index) => `${index}`)
    await Promise.all(texts.map((text) => writer.client.publishAsync('metrics/cpu', text, { qos: 1 })))
    await first.publishes.count(1_000)
    first.send(PINGREQ)
    await first.packet(PacketType.PINGRESP)
    // Its output is flushed: half of it is acknowledged, then it crashes.
    first.send(...first.publishes.items.slice(0, 500).map(puback))
    first.send(PINGREQ)
    await first.packet(PacketType.PINGRESP)
    first.socket.destroy()
    const second = await Device.open(t, url, 4)
    second.send(connectPacket('telegraf', session))
    t.match(await second.connack(), { sessionPresent: true })
    const again = await second.publishes.count(500)
    t.same(again.map(textOf), texts.slice(500))
    t.ok(again.every(({ dup }) => dup))
    second.send(...again.map(puback))
    await writer.client.publishAsync('metrics/cpu', 'last', { qos: 1 })
    t.same((await second.publishes.count(501)).slice(500).map(textOf), ['last'])
  },
)

t.test('ESPEasy: back after a power cut, its backlog comes no faster than its window allows, in order', async (t) => {
  const windowSize = 20
  const { mqttUrl } = await startBroker(t, { limits: { inflightMax: windowSize } })
  const url = mqttUrl as string
  const hub = await MqttJs.start(t, url, { protocolVersion: 4 })
  await hub.client.subscribeAsync('esp/+/LWT', { qos: 1 })
  const payload = Buffer.from('Connection Lost')
  const will = { topicName: 'esp/plug/LWT', payload, qos: 1, retain: true, properties: {} } as const
  const connect = connectPacket('plug', { cleanStart: false, keepAliveSec: 10, will })
  const before = await Device.open(t, url, 4)
  before.send(connect, subscribePacket('esp/plug/cmd', 1))
  await before.packet(PacketType.SUBACK)
  before.socket.destroy()
  t.match((await hub.messages.count(1))[0], { topic: 'esp/plug/LWT', payload })
  const texts = Array.from({ length: 1_000 }, (_, index) => `${index}`)
  await Promise.all(texts.map((text) => hub.client.publishAsync('esp/plug/cmd', text, { qos: 1 })))
  const after = await Device.open(t, url, 4)
  after.send(connect)
  t.match(await after.connack(), { sessionPresent: true })
  await after.publishes.count(windowSize)
  after.send(PINGREQ)
  await after.packet(PacketType.PINGRESP)
  let widest = after.publishes.items.length
  for (let done = 0; done < texts.length; done += 1) {
    await after.publishes.count(done + 1)
    widest = Math.max(widest, after.publishes.items.length - done)
    after.send(puback(after.publishes.items[done] as PublishPacket))
  }
  t.equal(widest, windowSize, 'never more than it can hold')
  t.same(after.publishes.items.map(textOf), texts)
})

t.test('SUBACK comes before the retained messages, which simple devices do not expect earlier', async (t) => {
  const { mqttUrl } = await startBroker(t)
  const writer = await MqttJs.start(t, mqttUrl as string, { protocolVersion: 4 })
  for (let index = 0; index < 20; index += 1) {
    await writer.client.publishAsync(`state/${index}`, 'x', { qos: 1, retain: true })
  }
  for (const level of [4, 5] as const) {
    const device = await Device.open(t, mqttUrl as string, level)
    device.send(connectPacket('simple', { protocolLevel: level }), subscribePacket('state/#', 1))
    await device.publishes.count(20)
    t.same(device.order.slice(0, 3), [PacketType.CONNACK, PacketType.SUBACK, PacketType.PUBLISH])
  }
})

t.test('a whole conversation in one segment, and in segments of one byte', async (t) => {
  const { mqttUrl } = await startBroker(t)
  for (const level of [4, 5] as const) {
    const packets: Packet[] = [
      connectPacket('talker', { protocolLevel: level }),
      subscribePacket('own/#', 2),
      ...Array.from({ length: 50 }, (_, index) => publishPacket('own/1', `${index}`, 1, index + 10)),
      PINGREQ,
    ]
    const eager = await Device.open(t, mqttUrl as string, level)
    eager.send(...packets)
    await eager.packet(PacketType.PINGRESP)
    const types = (await eager.packets.count(53)).map(({ type }) => type)
    t.same(types.slice(0, 2), [PacketType.CONNACK, PacketType.SUBACK])
    t.equal(types.filter((type) => type === PacketType.PUBACK).length, 50)
    t.same(
      (await eager.publishes.count(50)).map(textOf),
      Array.from({ length: 50 }, (_, index) => `${index}`),
    )
    const slow = await Device.open(t, mqttUrl as string, level)
    for (const byte of slow.encode(...packets)) {
      await new Promise<void>((resolve) => slow.socket.write(Buffer.of(byte), () => resolve()))
    }
    await slow.packets.count(53)
    t.same((await slow.publishes.count(50)).map(textOf), (await eager.publishes.count(50)).map(textOf))
  }
})

t.test('a browser’s CONNECT in a frame of one byte and the rest, empty frames, several packets in one', async (t) => {
  const broker = await startBroker(t)
  const client = await WsClient.open(broker)
  const connect = encode(connectPacket('split', { protocolLevel: 5 }))
  client.ws.send(connect.subarray(0, 1))
  client.ws.send(Buffer.alloc(0))
  client.ws.send(connect.subarray(1, 9))
  client.ws.send(connect.subarray(9), { fin: false })
  client.ws.send(Buffer.concat([encode(subscribePacket('a', 1)), encode(publishPacket('a', 'x', 1, 7)).subarray(0, 3)]))
  client.ws.send(encode(publishPacket('a', 'x', 1, 7)).subarray(3))
  t.match(await client.packet(PacketType.CONNACK), { reasonCode: 0 })
  await client.packet(PacketType.SUBACK)
  await client.packet(PacketType.PUBACK)
  t.match(await client.packet(PacketType.PUBLISH), { topicName: 'a' })
})

/** Resolves with the code of the first CONNACK that says no. */
function refusal(refused: MqttJs): Promise<{ code: number; refused: MqttJs }> {
  return new Promise((resolve) => {
    refused.client.on('error', (error) => {
      const { code } = error as { code?: unknown }
      if (typeof code === 'number') resolve({ code, refused })
    })
  })
}

const PINGREQ: Packet = { type: PacketType.PINGREQ }
const textOf = ({ payload }: { payload: Uint8Array }) => Buffer.from(payload).toString()

function connectPacket(clientId: string, change: Partial<ConnectPacket> = {}): ConnectPacket {
  const packet = { type: PacketType.CONNECT, protocolLevel: 4, clientId, cleanStart: true, keepAliveSec: 60 } as const
  return { ...packet, properties: {}, ...change }
}

function subscribePacket(topicFilter: string, qos: 0 | 1 | 2): Packet {
  const subscription = { topicFilter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
  return { type: PacketType.SUBSCRIBE, packetId: 1, subscriptions: [subscription], properties: {} }
}

function publishPacket(topicName: string, text: string, qos: 0 | 1 | 2, packetId: number): PublishPacket {
  const flags = { qos, retain: false, dup: false, packetId, properties: null }
  return { type: PacketType.PUBLISH, topicName, payload: new TextEncoder().encode(text), ...flags }
}

function puback({ packetId }: PublishPacket): Packet {
  return { type: PacketType.PUBACK, packetId, reasonCode: 0, properties: null }
}
