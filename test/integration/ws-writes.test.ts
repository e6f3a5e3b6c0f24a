/** Bytes on a real socket: one write for each flush, and the same bytes with and without our own framing. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, Socket } from 'node:net'
import t, { type Test } from 'tap'
import type { TransportPeer, TransportSocket } from '../../src/core/ports/transport.js'
import { mqttCodec } from '../../src/protocol/mqtt/codec.js'
import { nativeCodec } from '../../src/protocol/msgpack/codec.js'
import { PacketType } from '../../src/protocol/packets.js'
import { WsTransport } from '../../src/transport/ws.js'
import { connectPacket, publish, rawWebSocket, startBroker, WsClient } from '../support/ws-clients.js'

const PEER: TransportPeer = { received() {}, ponged() {}, drained() {}, closed() {} }

async function transport(
  t: Test,
  writeFrames: boolean,
): Promise<{ httpUrl: string; opened: Promise<TransportSocket> }> {
  let tell: (socket: TransportSocket) => void = () => {}
  const opened = new Promise<TransportSocket>((resolve) => {
    tell = resolve
  })
  const acceptor = {
    refusal: () => null,
    opened: (socket: TransportSocket) => {
      tell(socket)
      return PEER
    },
  }
  const limits = { messageBytesMax: 1_000_000, connectMessageBytesMax: 100_000, closeTimeoutMs: 1_000 }
  const codecs = { native: nativeCodec, mqtt: mqttCodec }
  const ws = new WsTransport(acceptor, codecs, { ...limits, allowedOrigins: [], writeFrames })
  const server: Server = createServer().on('upgrade', ws.upgrade)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { httpUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, opened }
}

/** What a peer gets when the same messages are written. */
async function bytesOf(t: Test, writeFrames: boolean, messages: readonly Buffer[]): Promise<Buffer> {
  const { httpUrl, opened } = await transport(t, writeFrames)
  const peer = await rawWebSocket({ httpUrl })
  const socket = await opened
  const chunks: Buffer[] = []
  peer.on('data', (chunk: Buffer) => chunks.push(chunk))
  for (const message of messages) {
    const buffer = new Uint8Array(10 + message.length)
    buffer.set(message, 10)
    socket.write({ buffer, headroom: 10 })
  }
  socket.sendPing()
  socket.end(1000, 'done')
  peer.end()
  await once(peer, 'close')
  return Buffer.concat(chunks)
}

t.test('frames of our own and frames by ws.send are the same bytes', async (t) => {
  const messages = [1, 125, 126, 60_000, 70_000].map((length) => Buffer.alloc(length, length & 0xff))
  const [direct, fallback] = [await bytesOf(t, true, messages), await bytesOf(t, false, messages)]
  t.ok(direct.length > 130_000)
  t.ok(direct.equals(fallback))
})

t.test('what one read of a publisher causes is one write for each subscriber', async (t) => {
  const broker = await startBroker(t, { presence: { enabled: false } })
  const subscribers = await Promise.all([1, 2, 3].map((index) => WsClient.connect(broker, `s${index}`)))
  for (const client of subscribers) await client.subscribe('a', 0)
  const publisher = await WsClient.connect(broker, 'p')
  const serverPorts = new Set([Number(new URL(broker.httpUrl).port)])
  const writes = new Map<Socket, number>()
  const original = Socket.prototype.write
  Socket.prototype.write = function (this: Socket, ...args: Parameters<typeof original>) {
    if (serverPorts.has(this.localPort ?? 0)) writes.set(this, (writes.get(this) ?? 0) + 1)
    return original.apply(this, args)
  } as typeof original
  t.teardown(() => {
    Socket.prototype.write = original
  })
  publisher.send(...Array.from({ length: 100 }, (_, index) => publish('a', Uint8Array.of(index))))
  for (const client of subscribers) await client.count(PacketType.PUBLISH, 100)
  t.same([...writes.values()], [1, 1, 1])
})

for (const farewell of [
  { reasonCode: 0x8b, closeCode: 3001 },
  // Who is told where to go is told to go there [v5 4.11].
  { reasonCode: 0x9c, closeCode: 3011, serverReference: 'other.example' },
]) {
  const { reasonCode, closeCode, serverReference } = farewell
  t.test(`stopping acknowledges what was accepted, says goodbye with ${closeCode}, and is one promise`, async (t) => {
    const broker = await startBroker(t)
    const client = await WsClient.open(broker)
    client.send(connectPacket('c'), publish('a', Uint8Array.of(1), 7))
    await client.packet(PacketType.CONNACK)
    const closed = client.closed()
    const stopped = broker.stop(serverReference)
    t.equal(broker.stop(), stopped)
    t.match(await client.packet(PacketType.PUBACK), { packetId: 7 })
    t.match(await client.packet(PacketType.DISCONNECT), { reasonCode })
    t.equal((await closed).code, closeCode)
    await stopped
    await t.rejects(fetch(`${broker.httpUrl}/readyz`))
  })
}
