/**
 * Nothing was acknowledged, and no copy of a stored message had left, before the commit that makes it true had been
 * reported by the disk. Judged from outside: the disk says which record it had when the bytes were written.
 */
import type { Books } from '../books.js'

export function durableBeforeTold(books: Books): string[] {
  const found = books.earlyAnswers.map(
    ({ clientId, what, record, durableRecord }) =>
      `${clientId} was told ${what} when record ${durableRecord} was durable and it was in ${record}`,
  )
  for (const book of books.sessions) {
    for (const { key, processNumber, durableRecord } of book.arrivals) {
      const message = key === '' ? undefined : books.messages.get(key)
      const asked = message?.firstAsked
      if (message === undefined || message.qos === 0 || !asked) continue
      if (asked.processNumber !== processNumber || durableRecord >= asked.record) continue
      found.push(`${book.clientId} got '${key}' when record ${durableRecord} was durable and it was in ${asked.record}`)
    }
  }
  return found
}
