/** A packet as a few words, for the trace of a failing seed. */
import { type Packet, PacketType } from '../../src/protocol/packets.js'

const NAMES = new Map<number, string>(Object.entries(PacketType).map(([name, type]) => [type, name]))
const PAYLOAD_SHOWN = 24

export function describePacket(packet: Packet): string {
  const name = NAMES.get(packet.type) ?? `type ${packet.type}`
  switch (packet.type) {
    case PacketType.CONNECT: {
      const will = packet.will === undefined ? '' : ` will ${packet.will.topicName} '${text(packet.will.payload)}'`
      const cursor = packet.deliveryCursor === undefined ? '' : ` cursor ${packet.deliveryCursor.deliverySequence}`
      return `${name} clean ${packet.cleanStart ? 1 : 0} ${JSON.stringify(packet.properties)}${will}${cursor}`
    }
    case PacketType.CONNACK:
      return `${name} present ${packet.sessionPresent ? 1 : 0} code ${packet.reasonCode}`
    case PacketType.PUBLISH: {
      const flags = `${packet.dup ? ' dup' : ''}${packet.retain ? ' retain' : ''}`
      const sequence = packet.deliverySequence === undefined ? '' : ` sequence ${packet.deliverySequence}`
      const head = `${name} QoS ${packet.qos}${flags} #${packet.packetId}${sequence}`
      return `${head} ${packet.topicName} '${text(packet.payload)}'`
    }
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP: {
      const range = packet.lastPacketId === undefined ? '' : `..${packet.lastPacketId}`
      return `${name} #${packet.packetId}${range}${packet.reasonCode === 0 ? '' : ` code ${packet.reasonCode}`}`
    }
    case PacketType.SUBSCRIBE:
      return `${name} #${packet.packetId} ${packet.subscriptions.map((one) => `${one.topicFilter}:${one.qos}`).join()}`
    case PacketType.UNSUBSCRIBE:
      return `${name} #${packet.packetId} ${packet.topicFilters.join()}`
    case PacketType.SUBACK:
    case PacketType.UNSUBACK:
      return `${name} #${packet.packetId} ${packet.reasonCodes.join()}`
    case PacketType.PRODUCER_OPEN:
      return `${name} confirmed ${packet.confirmedSequence}`
    case PacketType.PRODUCER_OPENED:
      return `${name} code ${packet.reasonCode} epoch ${packet.epoch} sequence ${packet.sequence}`
    case PacketType.PRODUCE: {
      const keys = packet.messages.map(({ payload }) => text(payload)).join()
      return `${name} from ${packet.firstSequence}${packet.isAtomic ? ' atomic' : ''} ${keys}`
    }
    case PacketType.PRODUCED: {
      const refused = packet.refusals.map(({ sequence, reasonCode }) => `${sequence}:${reasonCode}`).join()
      return `${name} code ${packet.reasonCode} sequence ${packet.sequence} ${refused}`
    }
    case PacketType.DISCONNECT:
      return `${name} code ${packet.reasonCode}`
    default:
      return name
  }
}

function text(payload: Uint8Array): string {
  const shown = Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('latin1', 0, PAYLOAD_SHOWN)
  return payload.length > PAYLOAD_SHOWN ? `${shown}…` : shown
}
