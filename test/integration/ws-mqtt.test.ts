/** MQTT over WebSocket as clients send it: cut anywhere, empty frames, the subprotocol of 3.1; Keep Alive on TCP. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import mqtt from 'mqtt'
import t from 'tap'
import { WebSocket } from 'ws'
import type { RunningBroker } from '../../src/main.js'
import { PacketType } from '../../src/protocol/packets.js'
import { connectPacket, encode, packets, publish, startBroker, subscribe } from '../support/ws-clients.js'
import { tcpConnection, WsClient } from '../support/ws-clients.js'

const urlOf = (broker: RunningBroker) => `${broker.httpUrl.replace('http', 'ws')}/mqtt`

t.test('packets cut at every byte, with empty frames between, are the same packets', async (t) => {
  const broker = await startBroker(t)
  const client = await WsClient.open(broker)
  client.ws.send(Buffer.of())
  const bytes = [connectPacket('bytes'), subscribe('a'), publish('a', Buffer.from('x'), 7)].map(encode)
  for (const byte of Buffer.concat(bytes)) {
    client.ws.send(Uint8Array.of(byte))
    client.ws.send(Buffer.of())
  }
  for (const type of [PacketType.CONNACK, PacketType.SUBACK, PacketType.PUBACK, PacketType.PUBLISH]) {
    t.match(await client.packet(type), { type })
  }
})

t.test('several packets in one frame, and one packet over several fragments of a message', async (t) => {
  const broker = await startBroker(t)
  const client = await WsClient.open(broker)
  client.send(connectPacket('many'), subscribe('a'), publish('a', Buffer.from('1')), publish('a', Buffer.from('2')))
  await client.count(PacketType.PUBLISH, 2)
  const large = encode(publish('a', Buffer.alloc(50_000, 'x')))
  client.ws.send(large.subarray(0, 3), { fin: false })
  client.ws.send(large.subarray(3, 30_000), { fin: false })
  client.ws.send(large.subarray(30_000), { fin: true })
  await client.count(PacketType.PUBLISH, 3)
})

t.test('what leaves is whole packets in whole messages, several together where they come together', async (t) => {
  const broker = await startBroker(t)
  const client = await WsClient.connect(broker, 'whole')
  await client.subscribe('a')
  let messages = 0
  client.ws.on('message', () => {
    messages += 1
  })
  const many = Array.from({ length: 100 }, (_, index) => publish('a', Buffer.from(String(index))))
  client.send(...many)
  await client.count(PacketType.PUBLISH, 100)
  t.ok(messages < 100, `${messages} messages for 100 packets`)
})

t.test('text is refused with 1003, compression is not taken up', async (t) => {
  const broker = await startBroker(t)
  const client = await WsClient.open(broker, { perMessageDeflate: true })
  t.equal(client.ws.extensions, '')
  client.ws.send('text')
  t.match(await client.closed(), { code: 1003 })
})

t.test('mqttv3.1 is a subprotocol where MQTT 3.1 is let in, and mqtt goes before it', async (t) => {
  const broker = await startBroker(t, { mqtt: { acceptMqtt31: true } })
  for (const [offered, chosen] of [
    [['mqttv3.1'], 'mqttv3.1'],
    [['mqttv3.1', 'mqtt'], 'mqtt'],
  ] as const) {
    const ws = new WebSocket(urlOf(broker), [...offered])
    await once(ws, 'open')
    t.equal(ws.protocol, chosen)
    ws.terminate()
  }
  const client = await mqtt.connectAsync(urlOf(broker), { protocolId: 'MQIsdp', protocolVersion: 3 })
  await client.subscribeAsync('a', { qos: 1 })
  await client.publishAsync('a', 'x', { qos: 1 })
  await client.endAsync()

  const strict = await startBroker(t)
  const refused = new WebSocket(urlOf(strict), ['mqttv3.1'])
  const [error] = (await once(refused, 'error')) as [Error]
  t.match(error.message, '400')
})

t.test('Keep Alive on TCP: one and a half times it, counted from the last packet', async (t) => {
  const broker = await startBroker(t)
  const socket: Socket = await tcpConnection(broker)
  socket.write(encode(connectPacket('silent', { keepAliveSec: 1 })))
  await packets(socket, 1)
  const fromMs = performance.now()
  socket.resume()
  const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  await gone
  const lastedMs = performance.now() - fromMs
  t.ok(lastedMs > 1_400 && lastedMs < 5_000, `closed after ${Math.round(lastedMs)} ms`)
})
