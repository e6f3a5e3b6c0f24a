/**
 * A device that speaks raw packets over TCP, in MQTT 3.1.1 or 5: it acknowledges nothing by itself, may say several
 * things in one segment, and may fall silent.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'
import type { PacketDecoder } from '../../src/protocol/codec.js'
import { mqttCodec } from '../../src/protocol/mqtt/codec.js'
import { type ConnackPacket, type Packet, PacketType, type PublishPacket } from '../../src/protocol/packets.js'
import { Inbox } from './peers-inbox.js'

const LIMITS = { maximumPacketSize: 10_000_000, userPropertiesMax: 64, connectPacketSizeMax: 10_000_000 }

export class Device {
  readonly socket: Socket
  readonly packets = new Inbox<Packet>()
  readonly publishes = new Inbox<PublishPacket>()
  /** The types of everything that came. */
  readonly order: PacketType[] = []
  readonly #level: 4 | 5

  private constructor(socket: Socket, level: 4 | 5) {
    this.socket = socket
    this.#level = level
    const decoder: PacketDecoder = mqttCodec.decoder(LIMITS)
    decoder.connectAccepted(level)
    socket.on('error', () => {})
    socket.on('data', (chunk) => decoder.decode(chunk, (packet) => this.#heard(packet)))
  }

  /** A socket; nothing is said yet. */
  static async open(t: Test, mqttUrl: string, level: 4 | 5): Promise<Device> {
    const { hostname, port } = new URL(mqttUrl)
    const device = new Device(connect({ port: Number(port), host: hostname, noDelay: true }), level)
    t.teardown(() => device.socket.destroy())
    await once(device.socket, 'connect')
    return device
  }

  /** In one write. */
  send(...packets: Packet[]): void {
    this.socket.write(this.encode(...packets))
  }

  encode(...packets: Packet[]): Buffer {
    const writer = mqttCodec.writer(this.#level)
    for (const packet of packets) writer.write(packet)
    const written = writer.take()
    if (written === null) throw new Error('nothing was written')
    return Buffer.from(written.buffer.subarray(written.headroom))
  }

  async packet<P extends Packet>(type: P['type']): Promise<P> {
    return (await this.packets.find((packet) => packet.type === type)) as P
  }

  connack(): Promise<ConnackPacket> {
    return this.packet<ConnackPacket>(PacketType.CONNACK)
  }

  #heard(packet: Packet): void {
    this.order.push(packet.type)
    if (packet.type === PacketType.PUBLISH) this.publishes.push({ ...packet, payload: packet.payload.slice() })
    else this.packets.push(packet)
  }
}
