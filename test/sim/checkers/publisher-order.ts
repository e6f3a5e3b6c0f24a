/**
 * What one publisher sends on one topic comes in that order [v5 4.6]; of something that comes several times, the first
 * arrival counts. Not said of share groups, whose members run at their own pace.
 */
import { type Arrival, type Books, isInGroup, isMatch, type SentMessage, type SessionBook } from '../books.js'

export function publisherOrder(books: Books): string[] {
  const found: string[] = []
  for (const book of books.sessions) if (!isInGroup(book)) checkSession(books, book, found)
  return found
}

function checkSession(books: Books, book: SessionBook, found: string[]): void {
  const seen = new Set<string>()
  const last = new Map<string, SentMessage>()
  for (const arrival of book.arrivals) {
    const { key, retain, qos } = arrival
    if (retain || key === '' || seen.has(key)) continue
    seen.add(key)
    const message = books.messages.get(key)
    if (message === undefined || !isInOrder(books, book, message, arrival)) continue
    // Each QoS is ordered in itself; what waits for the disk or in a queue may be overtaken by what does not.
    const stream = `${message.publisher} ${message.topicName} ${message.qos === 0 ? 0 : 1} ${qos === 0 ? 0 : 1}`
    const before = last.get(stream)
    if (before !== undefined && before.order > message.order) {
      found.push(`${book.clientId} got '${before.key}' before '${key}' on ${message.topicName}`)
    }
    last.set(stream, message)
  }
}

function isInOrder(books: Books, book: SessionBook, message: SentMessage, { at, qos }: Arrival): boolean {
  if (message.kind === 'will') return false
  // Its first copy was lost in its turn: this one is a resend at QoS 1, a publication of its own.
  const mayBeResent = message.qos === 1 && message.attempts > 1
  const isBounded = book.maximumPacketSize < Number.POSITIVE_INFINITY
  if (mayBeResent && (message.mayExpire || books.isLossy || isBounded || qos === 0)) return false
  // Subscribed all the time, from before it was sent until now.
  return book.windows.some(
    ({ topicFilter, grantedAt, endedAt }) =>
      grantedAt < message.sentAt && endedAt > at && isMatch(topicFilter, message.topicName),
  )
}
