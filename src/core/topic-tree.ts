/**
 * Who gets a message: all subscriptions, found by topic name. Decides nothing about delivery, access or quotas.
 * Filters without wildcard sit in a flat Map, the trie holds the rest, a bounded cache remembers answers.
 * The one idea: the answer for a topic is an immutable list with one match per session, the same object as long as
 * no subscription that concerns it has changed, so a publish is one Map lookup and a loop.
 * Filters and topic names come in valid (`protocol/topics.ts`).
 */
import { hasWildcard } from '../protocol/topics.js'
import { MatchCache } from './topic-tree-cache.js'
import {
  collapse,
  FilterEntry,
  type FilterValue,
  isSameSubscription,
  type Matches,
  matchesAlone,
  type ShareGroup,
  type Subscription,
} from './topic-tree-entry.js'
import { WildcardTrie } from './topic-tree-wildcards.js'

export { type Match, type Matches, matchForPublisher, type ShareGroup, type Subscription } from './topic-tree-entry.js'

/** Subscriptions that keep what they match alone; then all of them forget it. */
const KEEPING_MAX = 16_384

export interface TopicTreeOptions {
  /** Topics whose matches are remembered; default 65 536, 0 switches the cache off. */
  readonly matchCacheEntriesMax?: number
  /** Sessions named in remembered matches, all topics together; default 1 048 576. */
  readonly matchCacheSessionsMax?: number
}

export class TopicTree<S> {
  readonly #exact = new Map<string, FilterValue<S>>()
  readonly #wildcards = new WildcardTrie<FilterValue<S>>()
  readonly #cache: MatchCache<Matches<S>>
  /** Scratch of `match`. */
  readonly #found: FilterValue<S>[] = []
  /** Those whose `alone` is not null. */
  readonly #keeping: Subscription<S>[] = []
  #wake: (topicName: string) => void = () => undefined
  #subscriptionCount = 0
  #sharedSubscriptionCount = 0

  constructor(options: TopicTreeOptions = {}) {
    this.#cache = new MatchCache({
      entriesMax: options.matchCacheEntriesMax ?? 65_536,
      weightMax: options.matchCacheSessionsMax ?? 1_048_576,
    })
  }

  /** @param wake before the filters of a topic are looked for: adds those without wildcard that are not here yet. */
  wakeBefore(wake: (topicName: string) => void): void {
    this.#wake = wake
  }

  /** Shared ones included. */
  get subscriptionCount(): number {
    return this.#subscriptionCount
  }

  get sharedSubscriptionCount(): number {
    return this.#sharedSubscriptionCount
  }

  /**
   * Replaces the one with the same session, share name and topic filter; in a share group it keeps its place.
   * When it asks for nothing new, the object held before stays: clients subscribe again after every reconnect, and that
   * must not make the tree forget its answers.
   * @returns the one it replaces.
   */
  add(subscription: Subscription<S>): Subscription<S> | undefined {
    const { session, shareName, topicFilter } = subscription
    const value = this.#get(topicFilter)
    const previous = value === undefined ? undefined : find(value, session, shareName)
    if (previous !== undefined && isSameSubscription(previous, subscription)) return previous
    if (previous === undefined) this.#count(shareName, 1)
    if (value instanceof FilterEntry) {
      if (value.put(subscription)) this.#invalidate(topicFilter)
      return previous
    }
    if (shareName === null && (value === undefined || previous !== undefined)) {
      this.#set(topicFilter, subscription)
    } else {
      const entry = new FilterEntry<S>()
      if (value !== undefined) entry.put(value)
      entry.put(subscription)
      this.#set(topicFilter, entry)
    }
    this.#invalidate(topicFilter)
    return previous
  }

  /** @returns what was removed. */
  remove(session: S, shareName: string | null, topicFilter: string): Subscription<S> | undefined {
    const value = this.#get(topicFilter)
    const removed = value === undefined ? undefined : find(value, session, shareName)
    if (removed === undefined) return undefined
    this.#count(shareName, -1)
    const isChanged = value instanceof FilterEntry ? value.remove(removed) : true
    if (!(value instanceof FilterEntry) || value.isEmpty) this.#delete(topicFilter)
    if (isChanged) this.#invalidate(topicFilter)
    return removed
  }

  /** The same object as last time, if it is remembered, while nothing that concerns this topic has changed. */
  match(topicName: string): Matches<S> {
    const cached = this.#cache.get(topicName)
    if (cached !== undefined) return cached
    this.#wake(topicName)
    const found = this.#found
    const exact = this.#exact.get(topicName)
    if (exact !== undefined) found.push(exact)
    this.#wildcards.collect(topicName, found)
    const matches = collapse(found, this.#matchesOf)
    // What one filter alone matches is a list shared by all its topics.
    const weight = found.length > 1 ? matches.plain.length + matches.groups.length : 1
    // Setting its length is a call into the engine, for an element or two.
    while (found.length > 0) found.pop()
    this.#cache.set(topicName, matches, weight)
    return matches
  }

  /**
   * The same list for all topics of a filter. Made anew for each of them it would be most of the garbage of topics that
   * are not remembered; kept for every filter, it would be as much memory again as the filters themselves.
   */
  readonly #matchesOf = (value: FilterValue<S>): Matches<S> => {
    if (value instanceof FilterEntry) return value.matches
    if (value.alone !== null) return value.alone
    if (this.#keeping.length === KEEPING_MAX) for (const one of this.#keeping.splice(0)) one.alone = null
    this.#keeping.push(value)
    value.alone = matchesAlone(value)
    return value.alone
  }

  group(shareName: string, topicFilter: string): ShareGroup<S> | undefined {
    const value = this.#get(topicFilter)
    return value instanceof FilterEntry ? value.group(shareName) : undefined
  }

  #get(topicFilter: string): FilterValue<S> | undefined {
    return hasWildcard(topicFilter) ? this.#wildcards.get(topicFilter) : this.#exact.get(topicFilter)
  }

  #set(topicFilter: string, value: FilterValue<S>): void {
    if (hasWildcard(topicFilter)) this.#wildcards.set(topicFilter, value)
    else this.#exact.set(topicFilter, value)
  }

  #delete(topicFilter: string): void {
    if (hasWildcard(topicFilter)) this.#wildcards.delete(topicFilter)
    else this.#exact.delete(topicFilter)
  }

  #invalidate(topicFilter: string): void {
    if (hasWildcard(topicFilter)) this.#cache.invalidateFilter(topicFilter)
    else this.#cache.invalidateTopic(topicFilter)
  }

  #count(shareName: string | null, change: 1 | -1): void {
    this.#subscriptionCount += change
    if (shareName !== null) this.#sharedSubscriptionCount += change
  }
}

function find<S>(value: FilterValue<S>, session: S, shareName: string | null): Subscription<S> | undefined {
  if (value instanceof FilterEntry) return value.find(session, shareName)
  return shareName === null && value.session === session ? value : undefined
}
