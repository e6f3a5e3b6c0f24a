/** After everything has settled, a new subscriber gets the last accepted retained message of each topic, or none. */
import type { Books, SentMessage } from '../books.js'

/** @param present key by topic, as a client that subscribed at the end got them. */
export function retainedIsLastAccepted(books: Books, present: ReadonlyMap<string, string>): string[] {
  const found: string[] = []
  for (const [topicName, sent] of books.retained) {
    const allowed = allowedKeys(sent, books.isLossy)
    const key = present.get(topicName) ?? ''
    if (allowed.has(key)) continue
    found.push(`retained on ${topicName}: '${key}', but the last accepted was one of '${[...allowed].join("', '")}'`)
  }
  for (const topicName of present.keys()) {
    if (!books.retained.has(topicName)) found.push(`something is retained on ${topicName}, where nobody published`)
  }
  return found
}

/**
 * The last that was promised, and whatever came behind it without anybody having been told. Where a publication may be
 * refused for a full queue, and the refusal may get lost, what is sent again may be accepted behind a newer one.
 */
function allowedKeys(sent: readonly SentMessage[], mayBeRefused: boolean): Set<string> {
  const resent = sent.filter(({ attempts, isRefused }) => attempts > 1 && !isRefused)
  const allowed = new Set(mayBeRefused ? resent.map(({ key }) => key) : [])
  for (let index = sent.length - 1; index >= 0; index -= 1) {
    const message = sent[index] as SentMessage
    if (message.isRefused) continue
    allowed.add(message.key)
    if (message.mayExpire) allowed.add('')
    if (message.promisedAt > 0) return allowed
  }
  allowed.add('')
  return allowed
}
