/**
 * What an answer says beyond its code: a sentence for people, and for a client that asked for it the durability behind
 * every acknowledgement. Each is added if there is room for it and the client wants to know; nothing is left out to
 * make room. A client that did not ask gets the short acknowledgements and pays nothing.
 */
import {
  type AckPacket,
  type AckPacketType,
  type AckProperties,
  type AuthPacket,
  type ConnackPacket,
  type ConnectPacket,
  type DisconnectPacket,
  type Durability,
  type Packet,
  PacketType,
  type SubackPacket,
  type UnsubackPacket,
  type UserProperties,
} from '../protocol/packets.js'
import type { ClientConnection } from './connection.js'
import type { BrokerState } from './state.js'

export type Answer = ConnackPacket | AckPacket | SubackPacket | UnsubackPacket | DisconnectPacket | AuthPacket

/** The user property of CONNECT that asks; further values may ask for more one day. */
const REQUEST_NAME = 'tallymq-acknowledgement'
const REQUEST_VALUE = 'durability'

/** @returns what goes on the answers to this client; null: it did not ask. */
export function durabilityWanted({ properties }: ConnectPacket, durability: Durability): UserProperties | null {
  const isAsked = properties.userProperties?.some(([name, value]) => name === REQUEST_NAME && value === REQUEST_VALUE)
  return isAsked === true ? [['durability', durability]] : null
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP, after the commit. */
export function acknowledge(
  state: BrokerState,
  connection: ClientConnection,
  type: AckPacketType,
  packetId: number,
  reasonCode: number,
  reasonString: string | null = null,
): void {
  const { link } = connection
  if (reasonString !== null || connection.durability !== null) {
    const packet: AckPacket = { type, packetId, reasonCode, properties: null }
    explain(state, connection, packet, reasonString)
    if (packet.properties !== null) return link.sendAfterCommit(packet, promisesIn(type, reasonCode))
  }
  link.acknowledgeAfterCommit(type, packetId, reasonCode)
}

/** @returns 1 when the acknowledgement says that a publication is safe. */
export function promisesIn(type: number, reasonCode: number): 0 | 1 {
  return (type === PacketType.PUBACK || type === PacketType.PUBREC) && reasonCode < 0x80 ? 1 : 0
}

/** The sentence first: it helps most. With Request Problem Information 0 only two packets may have any of this. */
export function explain(
  state: BrokerState,
  connection: ClientConnection,
  packet: Answer,
  reasonString: string | null,
): void {
  const { link, protocolLevel, isProblemInformationWanted, durability } = connection
  if (protocolLevel < 5) return
  const isEither = packet.type === PacketType.CONNACK || packet.type === PacketType.DISCONNECT
  if (!isProblemInformationWanted && !isEither) return // [v5 MQTT-3.1.2-29]
  // Short requests must not call forth sentences that nobody reads.
  const isRead = isEither || link.bufferedBytes <= state.limits.outputBufferBytesMax
  if (reasonString !== null && isRead) add(connection, packet, { reasonString })
  if (durability !== null) add(connection, packet, { userProperties: durability })
}

/**
 * [v5 MQTT-3.2.2-19, 3.2.2-20, 3.4.2-2, 3.4.2-3, 3.5.2-2, 3.5.2-3, 3.6.2-2, 3.6.2-3, 3.7.2-2, 3.7.2-3, 3.9.2-1,
 * 3.9.2-2, 3.11.2-1, 3.11.2-2, 3.14.2-3, 3.14.2-4, 3.15.2-2, 3.15.2-3]
 */
function add(connection: ClientConnection, packet: Answer, words: AckProperties): void {
  const { properties } = packet
  packet.properties = { ...properties, ...words }
  if (!fits(connection, packet)) packet.properties = properties
}

export function fits({ link, maximumPacketSize }: ClientConnection, packet: Packet): boolean {
  return maximumPacketSize === Number.POSITIVE_INFINITY || link.packetSize(packet) <= maximumPacketSize
}
