/**
 * Topic filters as sets: does a filter match a topic name, does it cover another filter, and what becomes of `%c` and
 * `%u` in a rule. Nothing is ever built from a client's words but one literal level [CVE-2017-7650].
 */
import type { FilterLevels } from '../protocol/topics.js'

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
