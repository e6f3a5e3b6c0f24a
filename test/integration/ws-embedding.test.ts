/** `createBroker` as another program uses it: what it refuses, MQTT over TCP, access rules, stopping itself. */
import { once } from 'node:events'
import { scryptSync } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import t from 'tap'
import { createBroker, parseOptions } from '../../src/index.js'
import { PacketType } from '../../src/protocol/packets.js'
import { connectPacket, encode, packets, publish, startBroker, tcpConnection, WsClient } from '../support/ws-clients.js'

const salt = Buffer.alloc(16, 3)
const unpadded = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
const passwordHash = `$scrypt$ln=10,r=8,p=1$${unpadded(salt)}$${unpadded(scryptSync('pw', salt, 32, { N: 1_024 }))}`

t.test('an open broker is refused on a public address, and nothing is left behind', async (t) => {
  const dataDirectory = `${t.testdir({})}/data`
  // The configuration refuses this already; whoever builds options in another way is refused here.
  const sound = parseOptions({ dataDirectory, listen: { httpPort: 0, mqttPort: null } })
  const options = { ...sound, listen: { ...sound.listen, host: '0.0.0.0' } }
  await t.rejects(createBroker(options), { code: 'PUBLIC_WITHOUT_ACCESS_RULES', message: /--allow-public-anonymous/ })
  await t.rejects(readdir(dataDirectory), { code: 'ENOENT' })
})

t.test('a port that is taken closes everything that was opened for it', async (t) => {
  const first = await startBroker(t)
  const dataDirectory = t.testdir({})
  const mqttPort = Number(new URL(first.mqttUrl as string).port)
  const input = { dataDirectory, log: { level: 'silent' as const }, listen: { httpPort: 0, mqttPort } }
  await t.rejects(createBroker(parseOptions(input)), { code: 'EADDRINUSE', port: mqttPort })
  const second = await createBroker(parseOptions({ ...input, listen: { httpPort: 0, mqttPort: null } }))
  t.equal(second.mqttUrl, null)
  await second.stop()
})

t.test('MQTT over TCP, byte by byte, on a real disk', async (t) => {
  const broker = await startBroker(t, { store: 'lmdb', dataDirectory: t.testdir({}) })
  const socket = await tcpConnection(broker)
  const bytes = Buffer.concat([encode(connectPacket('c')), encode(publish('a', Uint8Array.of(1), 9))])
  for (const byte of bytes) socket.write(Uint8Array.of(byte))
  const answers = await packets(socket, 2)
  t.match(answers, [
    { type: PacketType.CONNACK, reasonCode: 0 },
    { type: PacketType.PUBACK, packetId: 9 },
  ])
  socket.end(encode({ type: PacketType.DISCONNECT, reasonCode: 0, properties: null }))
  await once(socket, 'close')
})

t.test('access rules: the password is checked while packets behind CONNECT wait', async (t) => {
  const broker = await startBroker(t, {
    access: {
      mode: 'rules',
      users: [{ username: 'anna', passwordHash }],
      rules: [{ action: 'publish', topicFilter: 'devices/%c/#', effect: 'allow' }],
    },
  })
  const client = await WsClient.open(broker)
  const credentials = { username: 'anna', password: Buffer.from('pw') }
  client.send(
    connectPacket('c1', credentials),
    publish('devices/c1/x', Uint8Array.of(1), 1),
    publish('devices/c2/x', Uint8Array.of(1), 2),
  )
  t.match(await client.packet(PacketType.CONNACK), { reasonCode: 0 })
  t.match(await client.packet(PacketType.PUBACK), { packetId: 1 })
  t.match(await client.packet(PacketType.PUBACK), { packetId: 2, reasonCode: 0x87 })
  const stranger = await WsClient.open(broker)
  const closed = stranger.closed()
  stranger.send(connectPacket('c2', { ...credentials, password: Buffer.from('no') }))
  t.match(await stranger.packet(PacketType.CONNACK), { reasonCode: 0x86 })
  t.equal((await closed).code, 3500)
})

t.test('a broker that stops itself tells its clients, then its owner', async (t) => {
  const broker = await startBroker(t)
  const client = await WsClient.connect(broker, 'c')
  const closed = client.closed()
  broker.shell.fail(new Error('the disk is gone'))
  t.match(await client.packet(PacketType.DISCONNECT), { reasonCode: 0x83 })
  t.equal((await closed).code, 3004)
  t.equal((await broker.fatal).message, 'the disk is gone')
  t.equal((await fetch(`${broker.httpUrl}/readyz`)).status, 503)
  await broker.stop()
})
