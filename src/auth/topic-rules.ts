/**
 * Topic filters as sets: does a filter match a topic name, does it cover another filter, and what becomes of `%c` and
 * `%u` in a rule. Nothing is ever built from a client's words but one literal level [CVE-2017-7650].
 */

/** The levels of a filter; '+' and '#' are wildcards, everything else is literal. */
export type FilterLevels = readonly string[]

export function filterLevels(topicFilter: string): FilterLevels {
  return topicFilter.split('/')
}

/** A name that may stand for one level of a topic. */
export function isPlainName(name: string): boolean {
  if (name.length === 0) return false
  for (let index = 0; index < name.length; index += 1) {
    const unit = name.charCodeAt(index)
    // NUL # + /
    if (unit === 0 || unit === 0x23 || unit === 0x2b || unit === 0x2f) return false
  }
  return true
}

/** Replaces the levels `%c` and `%u`. @returns null when the rule needs a name that this client does not have. */
export function fillIn(levels: FilterLevels, clientId: string, username: string | null): FilterLevels | null {
  if (!levels.includes('%c') && !levels.includes('%u')) return levels
  if (levels.includes('%c') && !isPlainName(clientId)) return null
  if (levels.includes('%u') && (username === null || !isPlainName(username))) return null
  return levels.map((level) => (level === '%c' ? clientId : level === '%u' ? (username as string) : level))
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

/** True when every topic that `inner` matches is matched by `outer` too. */
export function covers(outer: FilterLevels, inner: FilterLevels): boolean {
  for (const [index, level] of outer.entries()) {
    const asked = inner[index]
    const isDollar = index === 0 && asked?.startsWith('$') === true
    if (level === '#') return !isDollar
    // `inner` ended: only `outer/#` still covers it, and that was the line above.
    if (asked === undefined || asked === '#') return false
    if (level === '+' ? isDollar : level !== asked) return false
  }
  return inner.length === outer.length
}
