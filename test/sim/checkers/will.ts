/**
 * A Will comes once when its connection is lost, and not at all when the client has said goodbye and that is on disk.
 */
import { type Books, countLive, covers, fits } from '../books.js'

export function willExactlyOnce(books: Books): string[] {
  const found: string[] = []
  const wills = [...books.messages.values()].filter(({ kind }) => kind === 'will')
  for (const book of books.sessions) {
    const counts = countLive(book)
    for (const will of wills) {
      const count = counts.get(will.key) ?? 0
      if (count > 1) found.push(`${book.clientId} got the Will '${will.key}' ${count} times`)
      if (count > 0 && will.isForbidden) found.push(`${book.clientId} got the Will '${will.key}', which was discarded`)
      const isOwed = will.promisedAt > 0 && !will.isForbidden && book.isCurrent && !books.isLossy && fits(book, will)
      if (count === 0 && isOwed && book.windows.some((window) => covers(window, will))) {
        found.push(`${book.clientId} never got the Will '${will.key}'`)
      }
    }
  }
  return found
}
