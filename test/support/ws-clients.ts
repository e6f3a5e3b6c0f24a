/**
 * Clients for tests with real sockets that can misbehave: raw bytes, no reading, no answers. They speak MQTT 5 through
 * the codec and wait for events, never for time.
 */
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { type OptionsInput, parseOptions } from '../../src/config/options.js'
import { createBroker, type RunningBroker } from '../../src/main.js'
import type { PacketDecoder } from '../../src/protocol/codec.js'
import { mqttCodec } from '../../src/protocol/mqtt/codec.js'
import { type ConnectPacket, type Packet, PacketType } from '../../src/protocol/packets.js'

const LIMITS = { maximumPacketSize: 10_000_000, userPropertiesMax: 64, connectPacketSizeMax: 10_000_000 }

/** In memory, silent, on free ports; stopped when the test ends. */
export async function startBroker(t: Test, input: OptionsInput = {}): Promise<RunningBroker> {
  const broker = await createBroker(
    parseOptions({
      store: 'memory',
      log: { level: 'silent' },
      ...input,
      listen: { httpPort: 0, mqttPort: 0, ...input.listen },
    }),
  )
  t.teardown(() => broker.stop())
  return broker
}

export function encode(packet: Packet): Buffer {
  const writer = mqttCodec.writer(5)
  writer.write(packet)
  const written = writer.take()
  if (written === null) throw new Error('nothing was written')
  return Buffer.from(written.buffer.subarray(written.headroom))
}

export function connectPacket(clientId: string, change: Partial<ConnectPacket> = {}): ConnectPacket {
  return {
    type: PacketType.CONNECT,
    protocolLevel: 5,
    clientId,
    cleanStart: true,
    keepAliveSec: 0,
    properties: {},
    ...change,
  }
}

export function publish(topicName: string, payload: Uint8Array, packetId = 0): Packet {
  const qos = packetId === 0 ? 0 : 1
  return { type: PacketType.PUBLISH, topicName, payload, qos, retain: false, dup: false, packetId, properties: null }
}

export function subscribe(topicFilter: string, qos: 0 | 1 | 2 = 0): Packet {
  const subscription = { topicFilter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
  return { type: PacketType.SUBSCRIBE, packetId: 1, subscriptions: [subscription], properties: {} }
}

/** MQTT 5 over a WebSocket, packet by packet. */
export class WsClient {
  readonly ws: WebSocket
  readonly received: Packet[] = []
  readonly #decoder: PacketDecoder
  #wake: () => void = () => {}

  private constructor(ws: WebSocket) {
    this.ws = ws
    this.#decoder = mqttCodec.decoder(LIMITS)
    this.#decoder.connectAccepted(5)
    ws.on('message', (data: Buffer) => {
      this.#decoder.decode(data, (packet) => this.received.push(packet))
      this.#wake()
    })
    ws.on('error', () => {})
  }

  /** Open, with CONNECT not sent yet. */
  static async open(broker: RunningBroker, options: object = {}): Promise<WsClient> {
    const ws = new WebSocket(`${broker.httpUrl.replace('http', 'ws')}/mqtt`, 'mqtt', options)
    const client = new WsClient(ws)
    await once(ws, 'open')
    return client
  }

  static async connect(broker: RunningBroker, clientId: string, options: object = {}): Promise<WsClient> {
    const client = await WsClient.open(broker, options)
    client.send(connectPacket(clientId))
    await client.packet(PacketType.CONNACK)
    return client
  }

  send(...packets: Packet[]): void {
    this.ws.send(Buffer.concat(packets.map(encode)))
  }

  async subscribe(topicFilter: string, qos: 0 | 1 | 2 = 0): Promise<void> {
    this.send(subscribe(topicFilter, qos))
    await this.packet(PacketType.SUBACK)
  }

  /** Removes and returns the first packet of this type that has come or will come. */
  async packet(type: PacketType): Promise<Packet> {
    for (;;) {
      const index = this.received.findIndex((packet) => packet.type === type)
      if (index >= 0) return this.received.splice(index, 1)[0] as Packet
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Resolves when so many packets of this type have come. */
  async count(type: PacketType, packets: number): Promise<void> {
    while (this.received.filter((packet) => packet.type === type).length < packets) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async closed(): Promise<{ code: number; reason: string }> {
    const [code, reason] = (await once(this.ws, 'close')) as [number, Buffer]
    return { code, reason: reason.toString() }
  }
}

/** A TCP socket to the HTTP port that has become a WebSocket and does nothing by itself: no pong, no close. */
export async function rawWebSocket(broker: { httpUrl: string }, path = '/mqtt', subprotocol = 'mqtt'): Promise<Socket> {
  const { hostname, port } = new URL(broker.httpUrl)
  const socket = connectTcp(Number(port), hostname)
  socket.on('error', () => {})
  socket.write(
    [
      `GET ${path} HTTP/1.1`,
      `Host: ${hostname}:${port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      `Sec-WebSocket-Protocol: ${subprotocol}`,
      '\r\n',
    ].join('\r\n'),
  )
  let head = ''
  while (!head.includes('\r\n\r\n')) head += ((await once(socket, 'data')) as [Buffer])[0].toString('latin1')
  if (!head.startsWith('HTTP/1.1 101')) throw new Error(head)
  return socket
}

/** A binary message as a client sends it, with a mask of zeros. */
export function maskedFrame(payload: Uint8Array): Buffer {
  const header =
    payload.length < 126
      ? [0x82, 0x80 | payload.length, 0, 0, 0, 0]
      : [0x82, 0x80 | 126, payload.length >>> 8, payload.length & 0xff, 0, 0, 0, 0]
  return Buffer.concat([Uint8Array.from(header), payload])
}

/** MQTT over TCP, bytes only. */
export async function tcpConnection(broker: RunningBroker): Promise<Socket> {
  const { hostname, port } = new URL(broker.mqttUrl as string)
  const socket = connectTcp(Number(port), hostname)
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** Resolves with everything that came once it is at least so many bytes. */
export async function read(socket: Socket, bytesMin: number): Promise<Buffer> {
  let bytes = Buffer.alloc(0)
  while (bytes.length < bytesMin) bytes = Buffer.concat([bytes, ((await once(socket, 'data')) as [Buffer])[0]])
  return bytes
}

/** Resolves with the first packets that come on a TCP connection. */
export async function packets(socket: Socket, count: number): Promise<Packet[]> {
  const decoder = mqttCodec.decoder(LIMITS)
  decoder.connectAccepted(5)
  const received: Packet[] = []
  while (received.length < count) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    decoder.decode(chunk, (packet) => received.push(packet))
  }
  return received
}
