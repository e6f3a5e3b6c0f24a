/** The last packet to a client when the disk or an invariant broke: what its version of the protocol can say. */
import { type Packet, PacketType, type ProtocolLevel } from '../protocol/packets.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import type { CoreConnection } from './core-api.js'

/** @param isConnackHeld its CONNECT was accepted, but the answer waits for a commit that will not come. */
export function farewellAfterFailure(
  state: CoreConnection['state'],
  isConnackHeld: boolean,
  protocolLevel: ProtocolLevel,
): Packet | null {
  if (isConnackHeld) {
    const reasonCode = ReasonCode.SERVER_UNAVAILABLE
    return { type: PacketType.CONNACK, sessionPresent: false, reasonCode, properties: {} }
  }
  // Before MQTT 5 a server cannot say why, it just closes.
  if (state !== 'connected' || protocolLevel !== 5) return null
  return { type: PacketType.DISCONNECT, reasonCode: ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, properties: null }
}
