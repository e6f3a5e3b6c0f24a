/**
 * The peer broke the rules. Thrown by codecs and by the core's checks, caught in exactly one place per connection,
 * answered with `reasonCode` (DISCONNECT, CONNACK or an ack, as the standard has it) and a close.
 */
import { describeReasonCode } from './reason-codes.js'

export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly code = 'PROTOCOL_ERROR'
  readonly reasonCode: number

  /** @param detail one sentence that tells the peer's author what to change; no payload bytes, no secrets. */
  constructor(reasonCode: number, detail: string) {
    super(`${detail} (${describeReasonCode(reasonCode)})`)
    this.reasonCode = reasonCode
    this.detail = detail
  }

  readonly detail: string
}
