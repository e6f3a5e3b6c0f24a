/**
 * Collects the MQTT packets that go out on one connection. Packets that the connection's version does not have are
 * left out without a word, so that the core need not know who speaks which version.
 */
import { assert, unreachable } from '../../base/assert.js'
import type { Delivery, PacketWriter, Publication, WrittenBytes } from '../codec.js'
import { type AckPacketType, type Packet, PacketType, type ProtocolLevel } from '../packets.js'
import { encodeAck, encodeShortAck } from './ack.js'
import { encodeAuth } from './auth.js'
import { encodeConnack } from './connack.js'
import { encodeConnect } from './connect.js'
import { encodeDisconnect } from './disconnect.js'
import { PacketBuffer } from './packet-buffer.js'
import { encodePing } from './ping.js'
import { encodePublication, encodePublish } from './publish.js'
import { encodeSuback } from './suback.js'
import { encodeSubscribe } from './subscribe.js'
import { encodeUnsuback } from './unsuback.js'
import { encodeUnsubscribe } from './unsubscribe.js'

export class MqttWriter implements PacketWriter {
  readonly #protocolLevel: ProtocolLevel
  readonly #out = new PacketBuffer()
  #isServer = false

  constructor(protocolLevel: ProtocolLevel) {
    this.#protocolLevel = protocolLevel
  }

  get byteLength(): number {
    return this.#out.byteLength
  }

  /** @throws ProtocolError 0x95 when MQTT has no room for a value; nothing of the packet is left behind. */
  write(packet: Packet): void {
    if (packet.type === PacketType.CONNACK) this.#isServer = true
    // Before MQTT 5 a server has no DISCONNECT: it just closes.
    else if (packet.type === PacketType.DISCONNECT && this.#isServer && this.#protocolLevel < 5) return
    const length = this.#out.byteLength
    try {
      encodePacket(this.#out, packet, this.#protocolLevel)
    } catch (error) {
      this.#out.truncate(length)
      throw error
    }
  }

  writePublication(publication: Publication, delivery: Delivery): void {
    const length = this.#out.byteLength
    try {
      encodePublication(this.#out, publication, delivery, this.#protocolLevel)
    } catch (error) {
      this.#out.truncate(length)
      throw error
    }
  }

  writeAck(type: AckPacketType, packetId: number, reasonCode: number): void {
    encodeShortAck(this.#out, type, packetId, reasonCode, this.#protocolLevel)
  }

  take(): WrittenBytes | null {
    return this.#out.take()
  }
}

export function encodePacket(out: PacketBuffer, packet: Packet, protocolLevel: ProtocolLevel): void {
  switch (packet.type) {
    case PacketType.PUBLISH:
      encodePublish(out, packet, protocolLevel)
      break
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      encodeAck(out, packet, protocolLevel)
      break
    case PacketType.CONNECT:
      encodeConnect(out, packet)
      break
    case PacketType.CONNACK:
      encodeConnack(out, packet, protocolLevel)
      break
    case PacketType.SUBSCRIBE:
      encodeSubscribe(out, packet, protocolLevel)
      break
    case PacketType.SUBACK:
      encodeSuback(out, packet, protocolLevel)
      break
    case PacketType.UNSUBSCRIBE:
      encodeUnsubscribe(out, packet, protocolLevel)
      break
    case PacketType.UNSUBACK:
      encodeUnsuback(out, packet, protocolLevel)
      break
    case PacketType.PINGREQ:
    case PacketType.PINGRESP:
      encodePing(out, packet)
      break
    case PacketType.DISCONNECT:
      encodeDisconnect(out, packet, protocolLevel)
      break
    case PacketType.AUTH:
      if (protocolLevel === 5) encodeAuth(out, packet)
      break
    case PacketType.PRODUCER_OPEN:
    case PacketType.PRODUCER_OPENED:
    case PacketType.PRODUCE:
    case PacketType.PRODUCED:
      assert(false, 'producers speak the native protocol')
      break
    default:
      unreachable(packet, 'packet type')
  }
}
