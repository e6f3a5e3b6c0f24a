/**
 * Native deliveries at QoS 1 and 2 are numbered without a gap, a number means one message for ever, and what a cursor
 * says is handled does not come again.
 */
import type { Arrival, Books, SessionBook } from '../books.js'

export function deliverySequence(books: Books): string[] {
  const found: string[] = []
  for (const book of books.sessions) if (book.protocol === 'tally.v1') checkSession(book, found)
  return found
}

function checkSession(book: SessionBook, found: string[]): void {
  const known = new Map<number, Arrival>()
  let next = book.isFromItsBeginning ? 1 : 0
  for (const arrival of book.arrivals) {
    const sequence = arrival.deliverySequence
    if (arrival.qos === 0) continue
    if (next === 0) next = sequence
    if (sequence <= arrival.cursor) {
      found.push(`${book.clientId}: sequence ${sequence} came on a connection whose cursor was ${arrival.cursor}`)
    }
    const before = known.get(sequence)
    if (before !== undefined) {
      const isSame = before.key === arrival.key && before.packetId === arrival.packetId && before.qos === arrival.qos
      if (!isSame) found.push(`${book.clientId}: sequence ${sequence} was '${before.key}' and came as '${arrival.key}'`)
      continue
    }
    if (sequence !== next) {
      found.push(`${book.clientId}: delivery sequence ${sequence} where ${next} was due ('${arrival.key}')`)
    }
    known.set(sequence, arrival)
    next = sequence + 1
  }
}
