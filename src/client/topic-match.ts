/** Does a topic name match a topic filter? Levels are compared in place, nothing is split or allocated. */
import { parseFilter } from '../protocol/topics.js'

/** The part of a requested filter that is matched: without `$share/{name}/`. */
export function matchedFilter(requested: string): string {
  return parseFilter(requested)?.topicFilter ?? requested
}

export function topicMatches(topicFilter: string, topicName: string): boolean {
  // A wildcard in the first level does not match names that begin with $ [v5 MQTT-4.7.2-1].
  if (topicName.startsWith('$') && (topicFilter.startsWith('#') || topicFilter.startsWith('+'))) return false
  let f = 0
  let n = 0
  for (;;) {
    if (topicFilter[f] === '#') return true
    const filterEnd = levelEnd(topicFilter, f)
    const nameEnd = levelEnd(topicName, n)
    if (topicFilter[f] !== '+' || filterEnd !== f + 1) {
      if (filterEnd - f !== nameEnd - n || !topicName.startsWith(topicFilter.slice(f, filterEnd), n)) return false
    }
    if (nameEnd === topicName.length) {
      // `sport/#` matches `sport` too [v5 4.7.1.2].
      return filterEnd === topicFilter.length || topicFilter.slice(filterEnd) === '/#'
    }
    if (filterEnd === topicFilter.length) return false
    f = filterEnd + 1
    n = nameEnd + 1
  }
}

function levelEnd(text: string, from: number): number {
  const slash = text.indexOf('/', from)
  return slash === -1 ? text.length : slash
}
