/**
 * Who a client is: one answer of the access port to user name and password, or a conversation of AUTH packets with a
 * method that CONNECT names, also again on a live connection [v5 4.12]. Nothing here waits: an answer that takes its
 * time comes back through `authenticated`, and until then nothing more is read from the client.
 */
import { assert } from '../base/assert.js'
import { type AuthPacket, type ConnectPacket, PacketType } from '../protocol/packets.js'
import { ProtocolError } from '../protocol/protocol-error.js'
import { isReasonCodeLegal, ReasonCode } from '../protocol/reason-codes.js'
import { explain, fits } from './answer.js'
import { accept, refuseConnect } from './connect.js'
import type { ClientConnection } from './connection.js'
import type { AuthenticationResult, AuthenticationStep } from './ports/access.js'
import { dismiss } from './session-life.js'
import type { BrokerState } from './state.js'

const NO_DATA = new Uint8Array(0)
const CHALLENGED = 'the answer to this is expected as AUTH 0x18'
const AUTHENTICATED_AGAIN = 'authenticated again'

/** CONNECT is in order so far; `accept` or a refusal follows, now or later. */
export function authenticate(
  state: BrokerState,
  connection: ClientConnection,
  packet: ConnectPacket,
  nowMs: number,
): void {
  const { access } = state.ports
  const link = connection.link.description
  const method = packet.properties.authenticationMethod ?? null
  const exchange =
    method === null ? null : (access.beginExchange?.(method, { clientId: packet.clientId, link }) ?? null)
  connection.authentication = { method, exchange, connect: packet, isPending: false, finalData: null }
  if (method === null) return handle(state, connection, access.authenticate({ connect: packet, link }), nowMs)
  if (exchange === null) {
    const detail = 'this Authentication Method is not available here' // [v5 MQTT-4.12.0-1]
    return refuse(state, connection, ReasonCode.BAD_AUTHENTICATION_METHOD, detail, nowMs)
  }
  handle(state, connection, exchange.step(packet.properties.authenticationData ?? NO_DATA), nowMs)
}

/** Refused by a ProtocolError: as CONNACK before, as DISCONNECT after the client was accepted [v5 MQTT-3.14.0-1]. */
export function receiveAuth(state: BrokerState, connection: ClientConnection, packet: AuthPacket, nowMs: number): void {
  const { authentication, clientId } = connection
  if (authentication === null || authentication.method === null) {
    throw violation('AUTH needs an Authentication Method in CONNECT') // [v5 MQTT-4.12.0-7]
  }
  if (packet.properties.authenticationMethod !== authentication.method) {
    throw violation('AUTH names the Authentication Method of CONNECT') // [v5 MQTT-4.12.0-5, 4.12.1-1]
  }
  if (authentication.isPending) throw violation('the AUTH before this one has not been answered')
  const isNew = authentication.exchange === null
  if (packet.reasonCode !== (isNew ? ReasonCode.REAUTHENTICATE : ReasonCode.CONTINUE_AUTHENTICATION)) {
    throw violation(isNew ? 'AUTH begins with reason code 0x19' : 'AUTH goes on with reason code 0x18')
  }
  if (isNew) {
    const link = connection.link.description
    authentication.exchange = state.ports.access.beginExchange?.(authentication.method, { clientId, link }) ?? null
  }
  if (authentication.exchange === null) {
    const detail = 'this Authentication Method is no longer available here'
    return refuse(state, connection, ReasonCode.BAD_AUTHENTICATION_METHOD, detail, nowMs)
  }
  handle(state, connection, authentication.exchange.step(packet.properties.authenticationData ?? NO_DATA), nowMs)
}

/** The answer that the access port promised; late ones are ignored. */
export function authenticated(
  state: BrokerState,
  connection: ClientConnection,
  step: AuthenticationStep,
  nowMs: number,
): void {
  const { authentication } = connection
  if (connection.state === 'closed' || authentication === null || !authentication.isPending) return
  authentication.isPending = false
  take(state, connection, step, nowMs)
  // `take` may have closed it, which the type checker cannot see.
  if ((connection.state as string) !== 'closed') connection.link.resumeReading()
}

function handle(
  state: BrokerState,
  connection: ClientConnection,
  answer: AuthenticationStep | Promise<AuthenticationStep>,
  nowMs: number,
): void {
  if (!(answer instanceof Promise)) return take(state, connection, answer, nowMs)
  const { authentication } = connection
  assert(authentication !== null, 'somebody is being authenticated')
  authentication.isPending = true
  connection.link.pauseReading()
  state.ports.authenticating(connection, answer)
}

function take(state: BrokerState, connection: ClientConnection, step: AuthenticationStep, nowMs: number): void {
  const { authentication } = connection
  assert(authentication !== null, 'somebody is being authenticated')
  if (step.accepted === 'continue') {
    return sendAuth(state, connection, ReasonCode.CONTINUE_AUTHENTICATION, step.authenticationData, nowMs)
  }
  const { connect, method } = authentication
  authentication.exchange = null
  authentication.connect = null
  if (connect === null) return reauthenticated(state, connection, step, nowMs)
  if (step.accepted) authentication.finalData = step.authenticationData ?? null
  accept(state, connection, connect, step, nowMs)
  authentication.finalData = null
  if (method === null) connection.authentication = null
}

function reauthenticated(
  state: BrokerState,
  connection: ClientConnection,
  result: AuthenticationResult,
  nowMs: number,
): void {
  if (!result.accepted) return refuse(state, connection, result.reasonCode, result.detail, nowMs)
  if (connection.session?.username !== result.username) {
    // Everything the session holds was granted to the other one.
    const detail = 'a re-authentication does not change the user: connect again for that'
    return refuse(state, connection, ReasonCode.NOT_AUTHORIZED, detail, nowMs)
  }
  sendAuth(state, connection, ReasonCode.SUCCESS, result.authenticationData ?? NO_DATA, nowMs)
}

function sendAuth(
  state: BrokerState,
  connection: ClientConnection,
  reasonCode: number,
  authenticationData: Uint8Array,
  nowMs: number,
): void {
  const { link, authentication } = connection
  const properties: AuthPacket['properties'] = { authenticationMethod: authentication?.method as string }
  if (authenticationData.length > 0) properties.authenticationData = authenticationData
  const packet: AuthPacket = { type: PacketType.AUTH, reasonCode, properties }
  if (!fits(connection, packet)) {
    const detail = 'the Maximum Packet Size leaves no room for the authentication' // [v5 MQTT-3.1.2-24]
    return refuse(state, connection, ReasonCode.PACKET_TOO_LARGE, detail, nowMs)
  }
  explain(state, connection, packet, reasonCode === ReasonCode.SUCCESS ? AUTHENTICATED_AGAIN : CHALLENGED)
  link.send(packet)
}

/** [v5 MQTT-4.12.0-4, 4.12.1-2] */
function refuse(
  state: BrokerState,
  connection: ClientConnection,
  reasonCode: number,
  detail: string,
  nowMs: number,
): void {
  if (!connection.isConnected) return refuseConnect(state, connection, connection.clientId, reasonCode, detail)
  const isLegal = isReasonCodeLegal(PacketType.DISCONNECT, reasonCode)
  dismiss(state, connection, isLegal ? reasonCode : ReasonCode.NOT_AUTHORIZED, detail, nowMs)
}

function violation(detail: string): ProtocolError {
  return new ProtocolError(ReasonCode.PROTOCOL_ERROR, detail)
}
