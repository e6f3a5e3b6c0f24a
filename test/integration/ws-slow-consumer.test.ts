/** Peers that stop reading or stop answering, beside a hundred that do neither. */
import { once } from 'node:events'
import t from 'tap'
import { PacketType, type PublishPacket } from '../../src/protocol/packets.js'
import {
  connectPacket,
  encode,
  maskedFrame,
  publish,
  rawWebSocket,
  read,
  startBroker,
  subscribe,
  WsClient,
} from '../support/ws-clients.js'

const OUTPUT_BUFFER_BYTES_MAX = 1_048_576

t.test('one frozen subscriber is bounded and then disconnected; a hundred healthy ones get everything', async (t) => {
  const broker = await startBroker(t, {
    heartbeat: { writeTimeoutMs: 1_000, pingIntervalMs: 60_000 },
    presence: { enabled: false },
    limits: { outputBufferBytesMax: OUTPUT_BUFFER_BYTES_MAX },
  })
  const frozen = await rawWebSocket(broker)
  frozen.write(maskedFrame(encode(connectPacket('frozen'))))
  await once(frozen, 'data')
  frozen.write(maskedFrame(Buffer.concat([subscribe('flood'), subscribe('all', 1)].map(encode))))
  await once(frozen, 'data')
  frozen.pause()

  const healthy = await Promise.all(Array.from({ length: 100 }, (_, index) => WsClient.connect(broker, `h${index}`)))
  await Promise.all(healthy.map((client) => client.subscribe('all', 1)))
  const publisher = await WsClient.connect(broker, 'publisher')

  const stuck = [...broker.shell.connections()].find(({ client }) => client.clientId === 'frozen')
  const chunk = Buffer.alloc(65_000, 1)
  let packetId = 1
  const flood = async () => {
    publisher.send(...Array.from({ length: 10 }, () => publish('flood', chunk)), publish('nobody', chunk, packetId++))
    await publisher.packet(PacketType.PUBACK)
  }
  // The kernel takes megabytes on behalf of a peer that does not read; only then does anybody notice.
  while (stuck?.pendingBytes === 0) await flood()
  for (let round = 0; round < 5; round += 1) await flood()
  t.ok(broker.counters.dropped['slow-consumer'] > 0, 'QoS 0 was dropped and counted')
  t.ok((stuck?.bufferedBytes ?? 0) <= OUTPUT_BUFFER_BYTES_MAX + 65_100, `${stuck?.bufferedBytes} bytes wait`)

  const messages = 200
  for (let index = 0; index < messages; index += 1) {
    publisher.send(publish('all', Uint8Array.of(index), packetId++))
    await publisher.packet(PacketType.PUBACK)
  }
  await Promise.all(healthy.map((client) => client.count(PacketType.PUBLISH, messages)))
  const inOrder = Array.from({ length: messages }, (_, index) => index)
  for (const client of healthy) {
    const got = client.received.filter((packet): packet is PublishPacket => packet.type === PacketType.PUBLISH)
    if (got.map(({ payload }) => payload[0]).join() !== inOrder.join()) t.fail(`${client.ws.url} lost its order`)
  }
  t.pass('all delivered, in order')

  while (broker.broker.connectionCount > 101) {
    publisher.send(publish('nobody', chunk, packetId++))
    await publisher.packet(PacketType.PUBACK)
  }
  t.pass('the frozen one was disconnected')
  for (const client of healthy) t.equal(client.ws.readyState, client.ws.OPEN)
  frozen.destroy()
  for (const client of healthy) client.ws.terminate()
})

t.test(
  'a socket that stops answering pings is closed with 3012, its Will is sent, one that answers stays',
  async (t) => {
    const broker = await startBroker(t, { heartbeat: { pingIntervalMs: 100, pongTimeoutMs: 200 } })
    const watcher = await WsClient.connect(broker, 'watcher')
    await watcher.subscribe('wills/#', 1)
    const dead = await rawWebSocket(broker)
    const willMessage = {
      topicName: 'wills/dead',
      payload: Buffer.from('gone'),
      qos: 1,
      retain: false,
      properties: {},
    } as const
    dead.write(maskedFrame(encode(connectPacket('dead', { will: willMessage }))))
    const connack = await read(dead, 5)
    t.equal(connack[2], 0x20)
    const bytes: Buffer[] = []
    dead.on('data', (chunk: Buffer) => bytes.push(chunk))
    const will = (await watcher.packet(PacketType.PUBLISH)) as PublishPacket
    t.equal(will.topicName, 'wills/dead')
    await once(dead, 'close')
    const received = Buffer.concat(bytes)
    t.equal(received.subarray(0, 2).toString('hex'), '8900', 'a ping')
    const close = received.indexOf(Buffer.from([3012 >>> 8, 3012 & 0xff]))
    t.equal(received[close - 2], 0x88, 'then a close frame with code 3012')
    t.equal(watcher.ws.readyState, watcher.ws.OPEN)
    const link = [...broker.shell.connections()].find(({ client }) => client.clientId === 'watcher')
    t.ok((link?.roundTrip?.lastMs ?? -1) >= 0, 'the round-trip time of the other is known')
  },
)
