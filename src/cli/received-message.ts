/** A message as `sub` prints it: what the SDK handed over and when it came. */
import type { Message } from '../client/api.js'

export interface ReceivedMessage
  extends Pick<Message, 'topicName' | 'payload' | 'qos' | 'retain' | 'properties' | 'subscriptionIdentifiers'> {
  /** 0 when the protocol has none or the SDK does not tell. */
  readonly packetId: number
  readonly receivedAt: Date
}

/**
 * Text as a string of its UTF-8 bytes, one character each. All printing goes through such strings, so that payloads
 * that are no text come out byte for byte.
 */
export function bytesText(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** On one line, and without what a terminal would take for a command: names are chosen by clients. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '?')
}

export function payloadText(payload: Uint8Array): string {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('latin1')
}
