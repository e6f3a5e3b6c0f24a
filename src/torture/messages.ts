/**
 * The messages of the torture: each says who published it and as which, and its length and filling follow from that, so
 * that a damaged or an invented one shows. Nothing here knows who sends them how.
 */

export interface MessageId {
  readonly publisher: string
  /** From 1, in the order of publishing, over all topics of the publisher. */
  readonly order: number
}

/** Mostly some hundred bytes, now and then more than a page. */
export function payloadOf(publisher: string, order: number): string {
  const length = order % 97 === 0 ? 6_000 : (order * 7_919) % 1_500
  return `${publisher}:${order}:${'x'.repeat(length)}`
}

/** @returns a sentence when nobody can have sent this. */
export function readPayload(payload: Uint8Array): MessageId | string {
  const text = Buffer.from(payload).toString()
  const [publisher = '', number = ''] = text.split(':', 2)
  const order = Number(number)
  if (text !== payloadOf(publisher, order)) return `a damaged message came: ${text.slice(0, 60)}`
  return { publisher, order }
}
