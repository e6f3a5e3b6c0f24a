/**
 * Nothing comes twice: QoS 2 and what producers send once per session and once per share group, QoS 1 as often as it
 * was sent; nothing comes that was never sent, never asked for, or refused.
 */
import { type Books, countLive, isInGroup, isMatch, type SentMessage, type SessionBook } from '../books.js'

export function exactlyOnce(books: Books): string[] {
  const found: string[] = []
  for (const book of books.sessions) {
    checkCounts(books, book, found)
    checkWanted(books, book, found)
  }
  checkGroup(books, found)
  return found
}

function checkCounts(books: Books, book: SessionBook, found: string[]): void {
  for (const [key, count] of countLive(book)) {
    const message = books.messages.get(key)
    if (message === undefined) {
      found.push(`${book.clientId} got '${key}', which was never published`)
      continue
    }
    if (message.kind === 'will') continue
    const allowed = message.isRefused && message.attempts === 1 ? 0 : timesAllowed(message)
    if (count <= allowed) continue
    found.push(`${book.clientId} got '${key}' ${count} times, ${allowed} allowed (QoS ${message.qos})`)
  }
}

/** A resend at QoS 1 is a publication of its own. */
function timesAllowed({ kind, qos, attempts }: SentMessage): number {
  return qos === 1 && kind === 'publish' ? attempts : 1
}

function checkWanted(books: Books, book: SessionBook, found: string[]): void {
  for (const { key, topicName, at } of book.arrivals) {
    if (key === '') continue
    const message = books.messages.get(key)
    if (message === undefined) continue
    if (message.topicName !== topicName) found.push(`${book.clientId} got '${key}' on ${topicName}`)
    const isWanted = book.windows.some(
      ({ topicFilter, askedAt, goneAt }) =>
        isMatch(topicFilter, topicName) && askedAt <= at && goneAt >= message.sentAt,
    )
    // What an unseen session subscribed to is not in its book.
    if (!isWanted && book.isFromItsBeginning) found.push(`${book.clientId} got '${key}' without a subscription`)
  }
}

function checkGroup(books: Books, found: string[]): void {
  const members = books.sessions.filter(isInGroup)
  if (members.some(({ isCurrent }) => !isCurrent)) return
  const counts = new Map<string, number>()
  for (const book of members) for (const [key, n] of countLive(book)) counts.set(key, (counts.get(key) ?? 0) + n)
  for (const [key, count] of counts) {
    const message = books.messages.get(key)
    if (message === undefined || message.qos !== 2 || message.kind === 'will' || count <= 1) continue
    found.push(`the share group got '${key}' ${count} times`)
  }
}
