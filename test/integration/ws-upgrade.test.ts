/** The HTTP port from outside: statuses of refused upgrades, health, limits, text frames, the CONNECT deadline. */
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import t from 'tap'
import type { RunningBroker } from '../../src/main.js'
import { PacketType } from '../../src/protocol/packets.js'
import { connectPacket, encode, startBroker, tcpConnection, WsClient } from '../support/ws-clients.js'

const UPGRADE = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  'Sec-WebSocket-Protocol': 'mqtt',
}

async function answer(broker: RunningBroker, path: string, headers: object, method = 'GET') {
  const sent = request(broker.httpUrl + path, { method, headers: { ...UPGRADE, ...headers } })
  sent.end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  let body = ''
  for await (const chunk of response) body += String(chunk)
  return { status: response.statusCode, body, headers: response.headers }
}

t.test('an upgrade that is refused gets a status and a sentence', async (t) => {
  const broker = await startBroker(t)
  const refused = async (status: number, path: string, headers: object, method?: string) => {
    const { body, ...got } = await answer(broker, path, headers, method)
    t.equal(got.status, status, `${method ?? 'GET'} ${path} ${JSON.stringify(headers)}`)
    t.match(body, /^[^\n]{10,120}\n$/)
    return got.headers
  }
  await refused(404, '/elsewhere', {})
  await refused(400, '/tally', {})
  await refused(400, '/mqtt', { 'Sec-WebSocket-Protocol': 'chat' })
  await refused(400, '/mqtt', { 'Sec-WebSocket-Key': 'x' })
  await refused(400, '/mqtt', {}, 'POST')
  await refused(403, '/mqtt', { Origin: 'https://evil.example' })
  t.equal((await refused(426, '/mqtt', { 'Sec-WebSocket-Version': '8' }))['sec-websocket-version'], '13')
  t.equal((await refused(426, '/', { Upgrade: 'h2c' })).upgrade, 'websocket')
  t.equal(broker.shell.connectionCount, 0, 'no connection was made of any of them')
})

t.test('one connection too many is refused with 503, and comes in when there is room', async (t) => {
  const broker = await startBroker(t, { limits: { connectionsMax: 1 } })
  const first = await WsClient.connect(broker, 'first')
  const { status, headers } = await answer(broker, '/mqtt', {})
  t.equal(status, 503)
  t.ok(headers['retry-after'])
  const refused = await tcpConnection(broker)
  await once(refused, 'close')
  first.ws.close()
  await first.closed()
  await WsClient.connect(broker, 'second')
})

t.test('health, and what is not served', async (t) => {
  const broker = await startBroker(t)
  const get = async (path: string, init?: RequestInit) => {
    const response = await fetch(broker.httpUrl + path, init)
    return [response.status, await response.json()]
  }
  t.same(await get('/healthz'), [200, { status: 'ok' }])
  t.same(await get('/readyz'), [200, { status: 'ready', unflushed: 0 }])
  t.match(await get('/tally'), [426, {}])
  t.match(await get('/nothing'), [404, {}])
  t.match(await get('/healthz', { method: 'POST', body: 'x' }), [405, {}])
})

t.test('headers that are too large, and bytes that are no HTTP', async (t) => {
  const broker = await startBroker(t)
  const send = async (text: string) => {
    const { hostname, port } = new URL(broker.httpUrl)
    const socket = connect(Number(port), hostname)
    socket.write(text)
    const [bytes] = (await once(socket, 'data')) as [Buffer]
    return bytes.toString('latin1').split('\r\n')[0]
  }
  t.equal(
    await send(`GET / HTTP/1.1\r\nX: ${'x'.repeat(9_000)}\r\n\r\n`),
    'HTTP/1.1 431 Request Header Fields Too Large',
  )
  t.equal(await send('\u0010\u000e\u0000\u0004MQTT'), 'HTTP/1.1 400 Bad Request')
})

t.test('a text message closes with 1003', async (t) => {
  const broker = await startBroker(t)
  const client = await WsClient.connect(broker, 'c')
  client.ws.send('hello')
  t.equal((await client.closed()).code, 1003)
  t.equal(broker.broker.connectionCount, 0)
})

t.test('before CONNECT nobody makes the broker buffer much', async (t) => {
  const broker = await startBroker(t)
  const client = await WsClient.open(broker)
  client.ws.send(Buffer.alloc(200_000, 0x10))
  t.equal((await client.closed()).code, 1009)
  const other = await WsClient.connect(broker, 'c')
  const payload = Buffer.alloc(1_000_000)
  other.send({
    ...connectPacket('c'),
    ...{ type: PacketType.PUBLISH, topicName: 'a', payload, qos: 1, packetId: 1 },
  } as never)
  await other.packet(PacketType.PUBACK)
})

t.test('who sends no CONNECT is closed: 3014 over WebSocket, without a word over TCP', async (t) => {
  const broker = await startBroker(t, { heartbeat: { connectTimeoutMs: 100 } })
  const client = await WsClient.open(broker)
  const socket = await tcpConnection(broker)
  socket.write(encode(connectPacket('half')).subarray(0, 5))
  const ended = once(socket, 'close')
  socket.resume()
  t.equal((await client.closed()).code, 3014)
  await ended
})

t.test('who has sent no CONNECT yet when the broker stops may come back: 3001', async (t) => {
  const broker = await startBroker(t)
  const client = await WsClient.open(broker)
  const closed = client.closed()
  await broker.stop()
  t.match(await closed, { code: 3001, reason: /shutting down/ })
})

t.test('a CONNECT in a frame of one byte and the rest, and packets that share a frame', async (t) => {
  const broker = await startBroker(t)
  const client = await WsClient.open(broker)
  const bytes = Buffer.concat([encode(connectPacket('c')), encode({ type: PacketType.PINGREQ })])
  client.ws.send(bytes.subarray(0, 1))
  client.ws.send(Buffer.alloc(0))
  client.ws.send(bytes.subarray(1))
  await client.packet(PacketType.CONNACK)
  await client.packet(PacketType.PINGRESP)
})
