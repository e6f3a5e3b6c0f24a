/**
 * A broker made of a script: the client's sockets end here, in memory, and a test says what comes back. Real codec,
 * fake time. `open` connects a client; `at(n)` is the nth connection it made; `next('PUBLISH')` is what it sent.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { Client, ConnectOptions } from '../../src/client/api.js'
import { openClient } from '../../src/client/open-client.js'
import type { OpenTransport, Transport, TransportHandler } from '../../src/client/transport.js'
import type { Codec, PacketDecoder, PacketWriter } from '../../src/protocol/codec.js'
import { mqttCodec } from '../../src/protocol/mqtt/codec.js'
import { nativeCodec } from '../../src/protocol/msgpack/codec.js'
import {
  type AckPacketType,
  type ConnackPacket,
  type ConnectPacket,
  type Packet,
  PacketType,
  type ProtocolLevel,
  type PublishPacket,
} from '../../src/protocol/packets.js'
import { FakeClock } from './fake-clock.js'

export type TypeName = keyof typeof PacketType
export type Sent<Name extends TypeName> = Extract<Packet, { type: (typeof PacketType)[Name] }>

const LIMITS = { maximumPacketSize: 1 << 24, userPropertiesMax: 64, connectPacketSizeMax: 1 << 24 }
/** Every delay before a reconnect is below this, unless a test says otherwise. */
const DELAY_MS_MAX = 100
const NAMES = new Map<number, string>(Object.entries(PacketType).map(([name, value]) => [value, name]))

export class ScriptedBroker {
  readonly clock = new FakeClock()
  readonly connections: ScriptedConnection[] = []
  /** What CONNECT is answered with; null: nothing, the test answers. */
  answer: ((connect: ConnectPacket) => Partial<ConnackPacket>) | null = () => ({})
  /** Set: the socket does not open, and ends with this close code. */
  refusesWith: number | null = null
  random = 0.5
  readonly #protocol: 'tally.v1' | 'mqtt'
  readonly #level: ProtocolLevel

  constructor(protocol: 'tally.v1' | 'mqtt' = 'tally.v1', level: ProtocolLevel = 5) {
    this.#protocol = protocol
    this.#level = level
  }

  open(options: Partial<ConnectOptions> = {}): Promise<Client> {
    return openClient(
      {
        url: 'ws://broker.example',
        protocol: this.#protocol,
        ...(this.#protocol === 'mqtt' && this.#level !== 5 ? { protocolLevel: this.#level as 3 | 4 } : {}),
        timers: this.clock,
        random: () => this.random,
        openTransport: this.#openTransport,
        keepAliveSec: 0,
        reconnect: { minDelayMs: DELAY_MS_MAX, maxDelayMs: DELAY_MS_MAX },
        ...options,
      },
      { webSocket: () => this.#openTransport, tcp: undefined },
    )
  }

  /** The nth connection, once its CONNECT has come. */
  async at(index: number): Promise<ScriptedConnection> {
    for (let turns = 0; turns < 50; turns += 1) {
      const connection = this.connections[index]
      if (connection?.connect !== undefined) return connection
      await turn()
    }
    throw new Error(`connection ${index} was not made`)
  }

  /** The client's delay passes, and it comes again. */
  async comesBack(index: number): Promise<ScriptedConnection> {
    await turn()
    this.clock.advance(DELAY_MS_MAX)
    return this.at(index)
  }

  readonly #openTransport: OpenTransport = (target, handler) => {
    const codec = this.#protocol === 'mqtt' ? mqttCodec : nativeCodec
    const connection = new ScriptedConnection(this, target.url, handler, codec, this.#level)
    this.connections.push(connection)
    return connection.transport
  }
}

export class ScriptedConnection {
  readonly url: string
  readonly packets: Packet[] = []
  readonly transport: Transport
  connect: ConnectPacket | undefined
  closeCode: number | undefined
  /** Bytes that the client's transport claims to hold back. */
  bufferedBytes = 0
  /** WebSocket messages the client has written. */
  writes = 0
  readonly #broker: ScriptedBroker
  readonly #handler: TransportHandler
  readonly #decoder: PacketDecoder
  readonly #writer: PacketWriter
  #isEnded = false

  constructor(broker: ScriptedBroker, url: string, handler: TransportHandler, codec: Codec, level: ProtocolLevel) {
    this.url = url
    this.#broker = broker
    this.#handler = handler
    this.#decoder = codec.decoder(LIMITS)
    this.#writer = codec.writer(level)
    const connection = this
    this.transport = {
      get bufferedBytes() {
        return connection.bufferedBytes
      },
      write: (bytes) => this.#receive(bytes),
      close: (code) => queueMicrotask(() => this.drop(code)),
      destroy: () => queueMicrotask(() => this.drop(1006)),
    }
    queueMicrotask(() => {
      if (broker.refusesWith === null) handler.opened()
      else this.drop(broker.refusesWith)
    })
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  send(...packets: Packet[]): void {
    for (const packet of packets) this.#writer.write(packet)
    const bytes = this.#writer.take()
    if (bytes !== null && !this.#isEnded) this.#handler.received(bytes.buffer.subarray(bytes.headroom))
  }

  sendBytes(bytes: Uint8Array): void {
    this.#handler.received(bytes)
  }

  ack(type: 'PUBACK' | 'PUBREC' | 'PUBREL' | 'PUBCOMP', packetId: number, reasonCode = 0, lastPacketId?: number): void {
    const range = lastPacketId === undefined ? {} : { lastPacketId }
    const ackType = PacketType[type] as AckPacketType
    this.send({ type: ackType, packetId, reasonCode, properties: null, ...range })
  }

  publish(topicName: string, options: Partial<PublishPacket> = {}): void {
    const qos = options.qos ?? 0
    const packet: PublishPacket = {
      type: PacketType.PUBLISH,
      topicName,
      payload: new TextEncoder().encode(topicName),
      qos,
      retain: false,
      dup: false,
      packetId: qos === 0 ? 0 : 1,
      properties: null,
      ...options,
    }
    this.send(packet)
  }

  /** The network goes: both ends lose what they had not read. */
  drop(code = 1006, detail = 'dropped'): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.closeCode = code
    this.#handler.closed(code, detail)
  }

  drained(): void {
    this.bufferedBytes = 0
    this.#handler.drained()
  }

  /** What the client sent next; it must be of this type. */
  async next<Name extends TypeName>(name: Name): Promise<Sent<Name>> {
    for (let turns = 0; turns < 50 && this.packets.length === 0; turns += 1) await turn()
    const packet = this.packets.shift()
    if (packet === undefined) throw new Error(`the client sent nothing; expected ${name}`)
    if (packet.type !== PacketType[name]) throw new Error(`the client sent ${NAMES.get(packet.type)}, not ${name}`)
    return packet as Sent<Name>
  }

  /** Everything the client has sent by now, as `PUBLISH 1 dup` and `PUBACK 1..3`. */
  async sent(): Promise<string[]> {
    await turn()
    await turn()
    return this.packets.splice(0).map(describe)
  }

  #receive(bytes: Uint8Array): void {
    if (this.#isEnded) return
    this.writes += 1
    // Copied: what the client writes is its own to reuse once it is sent.
    this.#decoder.decode(bytes.slice(), (packet) => {
      if (packet.type === PacketType.CONNECT) this.#connected(packet)
      else this.packets.push(packet)
    })
  }

  #connected(connect: ConnectPacket): void {
    this.connect = connect
    this.#decoder.connectAccepted(connect.protocolLevel)
    const { answer } = this.#broker
    if (answer === null) return
    const connack = answer(connect)
    queueMicrotask(() => this.send(connackPacket(connack)))
  }
}

export function connackPacket(connack: Partial<ConnackPacket> = {}): ConnackPacket {
  return { type: PacketType.CONNACK, sessionPresent: false, reasonCode: 0, properties: {}, ...connack }
}

function describe(packet: Packet): string {
  const name = NAMES.get(packet.type) ?? ''
  if (packet.type === PacketType.PUBLISH) {
    return `${name} ${packet.topicName} id=${packet.packetId}${packet.dup ? ' dup' : ''}`
  }
  if ('packetId' in packet && 'reasonCode' in packet) {
    const last = packet.lastPacketId
    const range = last === undefined || last === packet.packetId ? '' : `..${last}`
    return `${name} ${packet.packetId}${range}${packet.reasonCode === 0 ? '' : ` 0x${packet.reasonCode.toString(16)}`}`
  }
  return name
}

/** Lets everything that is ready to run, run. */
export async function settle(): Promise<void> {
  for (let turns = 0; turns < 5; turns += 1) await turn()
}

/** How a promise stands after everything that is ready has run. */
export async function stateOf(promise: Promise<unknown>): Promise<'pending' | 'resolved' | 'rejected'> {
  let state: 'pending' | 'resolved' | 'rejected' = 'pending'
  promise.then(
    () => {
      state = 'resolved'
    },
    () => {
      state = 'rejected'
    },
  )
  await settle()
  return state
}
