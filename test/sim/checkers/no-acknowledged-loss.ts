/**
 * What was acknowledged arrived: every publication that was promised came to every session that had subscribed before
 * it was sent and stayed subscribed until it was promised; of a share group, to somebody.
 */
import { type Books, countLive, covers, fits, isInGroup, isOwed, type SentMessage, type SessionBook } from '../books.js'

export function noAcknowledgedLoss(books: Books): string[] {
  if (books.isLossy) return []
  const found: string[] = []
  for (const book of books.sessions) if (book.isCurrent && !isInGroup(book)) checkSession(books, book, found)
  checkGroup(books, found)
  return found
}

function checkSession(books: Books, book: SessionBook, found: string[]): void {
  const counts = countLive(book)
  for (const message of books.messages.values()) {
    if (message.kind === 'will' || !isOwed(message) || counts.has(message.key)) continue
    if (!fits(book, message) || !book.windows.some((window) => covers(window, message))) continue
    found.push(`${book.clientId} never got '${message.key}' (${describe(message)})`)
  }
}

function checkGroup(books: Books, found: string[]): void {
  if (books.isGroupLossy) return
  const members = books.sessions.filter(isInGroup)
  const lasting = members.filter(({ isCurrent }) => isCurrent)
  const arrived = new Set<string>()
  for (const book of members) for (const key of countLive(book).keys()) arrived.add(key)
  for (const message of books.messages.values()) {
    if (message.kind === 'will' || !isOwed(message) || arrived.has(message.key)) continue
    if (!members.every((book) => fits(book, message))) continue
    if (!lasting.some(({ windows }) => windows.some((window) => covers(window, message)))) continue
    found.push(`nobody in the share group got '${message.key}' (${describe(message)})`)
  }
}

function describe({ qos, topicName, promisedAt }: SentMessage): string {
  return `QoS ${qos}, ${topicName}, promised at step ${promisedAt}`
}
