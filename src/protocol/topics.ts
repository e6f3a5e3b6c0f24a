/** Topic names and filters as values: which are allowed, and what `$share/…` means. No tree here. */
import { utf8ByteLength } from '../base/utf8.js'

export interface TopicLimits {
  readonly topicBytesMax: number
  readonly topicLevelsMax: number
}

/**
 * @returns undefined when the topic name may be published to, else what is wrong with it
 * [v5 MQTT-4.7.1-1, 4.7.3-1, 4.7.3-2].
 */
export function topicNameProblem(topicName: string, limits: TopicLimits): string | undefined {
  if (topicName.length === 0) return 'a topic name has at least one character'
  for (let index = 0; index < topicName.length; index += 1) {
    const unit = topicName.charCodeAt(index)
    if (unit === 0x2b || unit === 0x23) return 'a topic name holds no wildcard (+ or #)'
    if (unit === 0) return 'a topic name holds no U+0000'
  }
  return sizeProblem(topicName, limits)
}

/** The same for a topic filter without its `$share/{name}/` prefix [v5 MQTT-4.7.1-1, 4.7.1-2]. */
export function topicFilterProblem(topicFilter: string, limits: TopicLimits): string | undefined {
  if (topicFilter.length === 0) return 'a topic filter has at least one character'
  for (let index = 0; index < topicFilter.length; index += 1) {
    const unit = topicFilter.charCodeAt(index)
    if (unit === 0) return 'a topic filter holds no U+0000'
    if (unit === 0x23 && index !== topicFilter.length - 1) return '# must be the last character of a topic filter'
    if (unit !== 0x23 && unit !== 0x2b) continue
    if (index > 0 && topicFilter.charCodeAt(index - 1) !== 0x2f) return '+ and # must stand alone in their level'
    if (index < topicFilter.length - 1 && topicFilter.charCodeAt(index + 1) !== 0x2f) {
      return '+ and # must stand alone in their level'
    }
  }
  return sizeProblem(topicFilter, limits)
}

export interface ParsedFilter {
  /** null: not a shared subscription. */
  readonly shareName: string | null
  /** What is matched, without the share prefix. */
  readonly topicFilter: string
}

/**
 * @param limits bounds the share name, which is kept as long as the subscription, to the bytes of a topic.
 * @returns undefined when it begins with `$share/` but is no valid shared subscription [v5 MQTT-4.8.2-1, 4.8.2-2].
 */
export function parseFilter(requested: string, limits?: TopicLimits): ParsedFilter | undefined {
  if (!requested.startsWith('$share/')) {
    return requested === '$share' ? undefined : { shareName: null, topicFilter: requested }
  }
  const slash = requested.indexOf('/', 7)
  if (slash <= 7 || slash === requested.length - 1) return undefined
  const shareName = requested.slice(7, slash)
  if (hasWildcard(shareName) || shareName.includes('\u0000')) return undefined
  if (limits !== undefined && utf8ByteLength(shareName) > limits.topicBytesMax) return undefined
  return { shareName, topicFilter: requested.slice(slash + 1) }
}

export function hasWildcard(topicFilter: string): boolean {
  return topicFilter.includes('+') || topicFilter.includes('#')
}

/** The levels of a filter; '+' and '#' are wildcards, everything else is literal. */
export type FilterLevels = readonly string[]

export function filterLevels(topicFilter: string): FilterLevels {
  return topicFilter.split('/')
}

/** @param topicName a topic name without wildcards. */
export function matchesTopic(filter: FilterLevels, topicName: string): boolean {
  const first = filter[0] as string
  // [v5 MQTT-4.7.2-1] Wildcards at the first level do not match topics that begin with $.
  if (topicName.charCodeAt(0) === 0x24 && (first === '+' || first === '#')) return false
  let start = 0
  for (const [index, level] of filter.entries()) {
    // `a/#` matches `a` too: then the topic was used up one level earlier [v5 4.7.1.2].
    if (level === '#') return true
    if (start < 0) return false
    const slash = topicName.indexOf('/', start)
    const end = slash < 0 ? topicName.length : slash
    if (level !== '+' && (level.length !== end - start || !topicName.startsWith(level, start))) return false
    start = slash < 0 ? -1 : slash + 1
    if (start < 0 && index === filter.length - 1) return true
  }
  return false
}

function sizeProblem(topic: string, limits: TopicLimits): string | undefined {
  const bytes = utf8ByteLength(topic)
  if (bytes > limits.topicBytesMax)
    return `a topic has at most ${limits.topicBytesMax} bytes here, this one has ${bytes}`
  let levels = 1
  for (let index = 0; index < topic.length; index += 1) if (topic.charCodeAt(index) === 0x2f) levels += 1
  if (levels > limits.topicLevelsMax)
    return `a topic has at most ${limits.topicLevelsMax} levels here, this one has ${levels}`
  return undefined
}
