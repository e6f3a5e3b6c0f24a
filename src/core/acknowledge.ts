/**
 * The second halves of the QoS flows: PUBACK, PUBREC, PUBCOMP for copies we sent, PUBREL for messages we took
 * [v5 4.3.2, 4.3.3]. Whatever promises something leaves after the commit that makes it true.
 */
import { unreachable } from '../base/assert.js'
import { type AckPacket, nextPacketId, PACKET_ID_MAX, PacketType } from '../protocol/packets.js'
import { ProtocolError } from '../protocol/protocol-error.js'
import { isFailure, ReasonCode } from '../protocol/reason-codes.js'
import { acknowledge } from './answer.js'
import type { ClientConnection } from './connection.js'
import { pump } from './deliver.js'
import type { Copy } from './message.js'
import type { Session } from './session.js'
import type { BrokerState } from './state.js'

const UNKNOWN = 'no QoS 2 message with this packet identifier is under way here'

export function receiveAck(
  state: BrokerState,
  connection: ClientConnection,
  session: Session,
  packet: AckPacket,
  nowMs: number,
): void {
  const { type, packetId, lastPacketId, reasonCode } = packet
  if (lastPacketId === undefined) handle(state, connection, session, type, packetId, reasonCode)
  else handleRange(state, connection, session, packet, lastPacketId)
  if (connection.isConnected) pump(state, session, nowMs)
}

function handleRange(
  state: BrokerState,
  connection: ClientConnection,
  session: Session,
  packet: AckPacket,
  last: number,
): void {
  const { type, reasonCode } = packet
  for (let packetId = packet.packetId; ; packetId = nextPacketId(packetId)) {
    if (!handle(state, connection, session, type, packetId, reasonCode)) countUnawaited(connection)
    if (packetId === last) return
  }
}

/** A range of six bytes can name every identifier there is: once around is what a resume may need, no more. */
function countUnawaited(connection: ClientConnection): void {
  connection.unawaitedAcks += 1
  if (connection.unawaitedAcks <= PACKET_ID_MAX) return
  throw new ProtocolError(ReasonCode.PROTOCOL_ERROR, 'ranges name packet identifiers that wait for no acknowledgement')
}

/** @returns whether this acknowledgement was waited for. */
function handle(
  state: BrokerState,
  connection: ClientConnection,
  session: Session,
  type: AckPacket['type'],
  packetId: number,
  reasonCode: number,
): boolean {
  switch (type) {
    case PacketType.PUBACK:
      return receivePuback(state, connection, session, packetId)
    case PacketType.PUBREC:
      return receivePubrec(state, connection, session, packetId, reasonCode)
    case PacketType.PUBREL:
      return receivePubrel(state, connection, session, packetId)
    case PacketType.PUBCOMP:
      return receivePubcomp(state, connection, session, packetId)
    default:
      return unreachable(type, 'acknowledgement')
  }
}

/** Unknown ids are ignored: the copy was acknowledged before, on a connection whose answer got lost. */
function receivePuback(state: BrokerState, connection: ClientConnection, session: Session, packetId: number): boolean {
  const copy = session.inflight.get(packetId)
  if (copy === undefined || copy.qos !== 1) return false
  finish(connection, session, copy)
  state.counters.deliveriesAcknowledged += 1
  state.ledger.delivered(copy)
  if (!session.isDurable) return true
  state.touch(session)
  state.record.acknowledged(session.number, packetId, copy.messageId)
  state.messages.release(copy.messageId, state.recordNumber)
  return true
}

function receivePubrec(
  state: BrokerState,
  connection: ClientConnection,
  session: Session,
  packetId: number,
  reasonCode: number,
): boolean {
  const copy = session.inflight.get(packetId)
  if (copy === undefined || copy.qos !== 2) {
    answerUnknown(state, connection, PacketType.PUBREL, packetId)
    return false
  }
  const isAwaited = copy.state === 'sent'
  if (isAwaited) {
    state.ledger.delivered(copy)
    if (session.isDurable) {
      state.touch(session)
      const { record } = state
      if (isFailure(reasonCode)) record.acknowledged(session.number, packetId, copy.messageId)
      else record.released(session.number, packetId, copy.messageId)
      state.messages.release(copy.messageId, state.recordNumber)
    }
    copy.state = 'released'
    copy.message = null
  } else if (isFailure(reasonCode) && session.isDurable) {
    // Taken first and refused later: the packet id is free again, and the journal must know.
    state.touch(session)
    state.record.completed(session.number, packetId)
  }
  // A refusal ends the exchange: no PUBREL follows [v5 MQTT-4.3.3-4].
  if (isFailure(reasonCode)) finish(connection, session, copy)
  else acknowledge(state, connection, PacketType.PUBREL, packetId, ReasonCode.SUCCESS)
  return isAwaited
}

function receivePubcomp(state: BrokerState, connection: ClientConnection, session: Session, packetId: number): boolean {
  const copy = session.inflight.get(packetId)
  if (copy === undefined || copy.state !== 'released') return false
  finish(connection, session, copy)
  state.counters.deliveriesAcknowledged += 1
  if (!session.isDurable) return true
  state.touch(session)
  state.record.completed(session.number, packetId)
  return true
}

function receivePubrel(state: BrokerState, connection: ClientConnection, session: Session, packetId: number): boolean {
  const isKnown = session.removeReceipt(packetId)
  // One of an earlier connection may come off too: then the client has a little more room than it was promised.
  if (isKnown && connection.unreleased > 0) connection.unreleased -= 1
  if (isKnown && session.isDurable) {
    state.touch(session)
    state.record.receiptRemoved(session.number, packetId)
  }
  // An unknown id is answered all the same, or the client would ask for ever [v5 4.3.3, figure 4.3]. In a resumed
  // session it is no error: PUBCOMP got lost [v5 3.7.2.1]. MQTT.js takes 0x92 for a failed publish.
  const isExpected = isKnown || session.isResumed
  if (isExpected) acknowledge(state, connection, PacketType.PUBCOMP, packetId, ReasonCode.SUCCESS)
  else answerUnknown(state, connection, PacketType.PUBCOMP, packetId)
  return isKnown
}

function answerUnknown(
  state: BrokerState,
  connection: ClientConnection,
  type: typeof PacketType.PUBREL | typeof PacketType.PUBCOMP,
  packetId: number,
): void {
  // In the native protocol these become ranges again: six bytes must not call forth 65,535 sentences.
  const detail = connection.link.description.protocol === 'mqtt' ? UNKNOWN : null
  acknowledge(state, connection, type, packetId, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND, detail)
}

/**
 * The client comes back and has handled all up to `deliverySequence`, whatever became of its acknowledgements: copies
 * in flight up to there are delivered.
 */
export function endHandled(state: BrokerState, session: Session, deliverySequence: number): void {
  for (const copy of session.inflight.inOrder()) {
    if (copy.deliverySequence > deliverySequence) return
    session.removeInflight(copy.packetId)
    state.counters.deliveriesAcknowledged += 1
    if (copy.state === 'sent') state.ledger.delivered(copy)
    if (!session.isDurable) continue
    state.touch(session)
    if (copy.state === 'released') state.record.completed(session.number, copy.packetId)
    else {
      state.record.acknowledged(session.number, copy.packetId, copy.messageId)
      state.messages.release(copy.messageId, state.recordNumber)
    }
  }
}

function finish(connection: ClientConnection, session: Session, copy: Copy): void {
  session.removeInflight(copy.packetId)
  if (!copy.isOnWire) return
  copy.isOnWire = false
  connection.outstanding -= 1
}
