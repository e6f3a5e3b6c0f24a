/** Behind a load balancer: headers of both versions before MQTT, TLS and HTTP, and who does not bring one. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import t from 'tap'
import type { RunningBroker } from '../../src/main.js'
import { PacketType } from '../../src/protocol/packets.js'
import { needs } from '../support/peers.js'
import { makeCertificate } from '../support/tls-files.js'
import { connectPacket, encode, maskedFrame, packets, publish, read, startBroker } from '../support/ws-clients.js'

const LINE = Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 49152 1883\r\n')
const BINARY = Buffer.from('0d0a0d0a000d0a515549540a2111000cc0000207070707070707075b', 'hex')
const LOCAL = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex')
const UPGRADE = [
  'GET /mqtt HTTP/1.1',
  'Host: broker',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  'Sec-WebSocket-Protocol: mqtt',
]

const gone = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()))

async function dial(url: string | null): Promise<Socket> {
  const { hostname, port } = new URL(url as string)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

function addressOf(broker: RunningBroker, clientId: string): string | undefined {
  return broker.broker.state.sessions.get(clientId)?.connection?.link.description.remoteAddress
}

t.test('MQTT behind a header, in one piece or byte by byte, has the address of the client', async (t) => {
  const broker = await startBroker(t, { listen: { proxyProtocol: true } })
  const whole = await dial(broker.mqttUrl)
  whole.write(Buffer.concat([LINE, encode(connectPacket('whole')), encode(publish('a', Buffer.from('x'), 1))]))
  t.match(await packets(whole, 2), [{ type: PacketType.CONNACK }, { type: PacketType.PUBACK }])
  t.equal(addressOf(broker, 'whole'), '192.0.2.7:49152')

  const pieces = await dial(broker.mqttUrl)
  const bytes = Buffer.concat([BINARY, encode(connectPacket('pieces'))])
  for (const byte of bytes) await new Promise((resolve) => pieces.write(Uint8Array.of(byte), resolve))
  await packets(pieces, 1)
  t.equal(addressOf(broker, 'pieces'), '192.0.2.7:1799')

  const balancer = await dial(broker.mqttUrl)
  balancer.write(Buffer.concat([LOCAL, encode(connectPacket('balancer'))]))
  await packets(balancer, 1)
  t.equal(addressOf(broker, 'balancer'), `127.0.0.1:${balancer.localPort}`)
})

t.test('HTTP and WebSocket behind a header; a page of localhost is then no page of this machine', async (t) => {
  const broker = await startBroker(t, { listen: { proxyProtocol: true } })
  const health = await dial(broker.httpUrl)
  health.write(Buffer.concat([LINE, Buffer.from('GET /healthz HTTP/1.1\r\nHost: broker\r\n\r\n')]))
  t.match((await read(health, 12)).toString(), /^HTTP\/1.1 200/)

  const socket = await dial(broker.httpUrl)
  socket.write(Buffer.concat([BINARY, Buffer.from([...UPGRADE, '\r\n'].join('\r\n'))]))
  t.match((await read(socket, 12)).toString(), /^HTTP\/1.1 101/)
  socket.write(maskedFrame(encode(connectPacket('ws'))))
  await read(socket, 4)
  t.equal(addressOf(broker, 'ws'), '192.0.2.7:1799')

  const page = await dial(broker.httpUrl)
  page.write(Buffer.concat([LINE, Buffer.from([...UPGRADE, 'Origin: http://localhost', '\r\n'].join('\r\n'))]))
  t.match((await read(page, 12)).toString(), /^HTTP\/1.1 403/)
})

t.test(
  'one address may take so much and no more, over TCP and WebSocket together; the balancer is not it',
  async (t) => {
    const limits = { connectionsPerAddressMax: 1 }
    const broker = await startBroker(t, { limits, listen: { proxyProtocol: true } })
    const first = await dial(broker.mqttUrl)
    first.write(Buffer.concat([LINE, encode(connectPacket('first'))]))
    await packets(first, 1)
    const second = await dial(broker.mqttUrl)
    second.write(Buffer.concat([LINE, encode(connectPacket('second'))]))
    await gone(second)
    const third = await dial(broker.httpUrl)
    third.write(Buffer.concat([BINARY, Buffer.from([...UPGRADE, '\r\n'].join('\r\n'))]))
    t.match((await read(third, 12)).toString(), /^HTTP\/1.1 503/)
    for (const clientId of ['a', 'b']) {
      const local = await dial(broker.mqttUrl)
      local.write(Buffer.concat([LOCAL, encode(connectPacket(clientId))]))
      await packets(local, 1)
    }
    first.destroy()
    await gone(first)
    const health = await dial(broker.httpUrl)
    health.write(Buffer.concat([LINE, Buffer.from('GET /healthz HTTP/1.1\r\nHost: broker\r\n\r\n')]))
    t.match((await read(health, 12)).toString(), /^HTTP\/1.1 200/, 'the broker is well')
  },
)

t.test('a slow request behind a header is watched over as everywhere', async (t) => {
  const broker = await startBroker(t, { listen: { proxyProtocol: true } })
  const slow = await dial(broker.httpUrl)
  slow.write(Buffer.concat([LINE, Buffer.from('GET /healthz HTTP/1.1\r\n')]))
  t.match((await read(slow, 12)).toString(), /^HTTP\/1.1 408/)
})

t.test('TLS behind a header', needs('openssl'), async (t) => {
  const files = makeCertificate(t.testdir(), 'broker')
  const broker = await startBroker(t, { listen: { proxyProtocol: true, httpTls: true, tls: { port: 0, ...files } } })
  const ca = readFileSync(files.certificateFile)
  const raw = await dial(broker.mqttsUrl)
  raw.write(LINE)
  const socket = connectTls({ socket: raw, ca, host: '127.0.0.1' })
  socket.write(encode(connectPacket('tls')))
  await packets(socket, 1)
  t.equal(addressOf(broker, 'tls'), '192.0.2.7:49152')

  const rawHttp = await dial(broker.httpUrl)
  rawHttp.write(BINARY)
  const https = connectTls({ socket: rawHttp, ca, host: '127.0.0.1' })
  https.write([...UPGRADE, '\r\n'].join('\r\n'))
  t.match((await read(https, 12)).toString(), /^HTTP\/1.1 101/)
  https.write(maskedFrame(encode(connectPacket('wss'))))
  await read(https, 4)
  t.equal(addressOf(broker, 'wss'), '192.0.2.7:1799')
})

t.test('without a header, with a wrong one, and without one in time nobody comes in', async (t) => {
  const broker = await startBroker(t, { listen: { proxyProtocol: true }, heartbeat: { connectTimeoutMs: 100 } })
  for (const first of [encode(connectPacket('direct')), Buffer.from('PROXY TCP9'), LINE.subarray(0, 20), Buffer.of()]) {
    for (const url of [broker.mqttUrl, broker.httpUrl]) {
      const socket = await dial(url)
      socket.write(first)
      await gone(socket)
    }
  }
  const half = await dial(broker.mqttUrl)
  half.end(LINE.subarray(0, 10))
  await gone(half)
  t.equal(broker.shell.connectionCount, 0)
  t.equal(broker.broker.sessionCount, 0)
})

t.test('where it is off a header is not read: it is no MQTT', async (t) => {
  const broker = await startBroker(t)
  const socket = await dial(broker.mqttUrl)
  socket.write(Buffer.concat([LINE, encode(connectPacket('liar'))]))
  await gone(socket)
  t.equal(broker.broker.sessionCount, 0)
})
