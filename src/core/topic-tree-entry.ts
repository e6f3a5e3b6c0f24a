/**
 * What hangs on one topic filter, and how several filters that match one topic become one copy per session.
 * No matching here: `topic-tree.ts` finds the filters. The one idea: most filters have exactly one plain subscription,
 * so that one is held without a wrapper; only the second one, or a share group, costs a `FilterEntry`.
 */
import type { QoS } from '../protocol/packets.js'

/** One client's subscription as the tree holds it. The core's session object is opaque here. */
export interface Subscription<S> {
  readonly session: S
  /** Without the `$share/{name}/` prefix. */
  readonly topicFilter: string
  readonly shareName: string | null
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0: none. */
  readonly subscriptionIdentifier: number
  /** Scratch of the tree: `matchesAlone`, once it has been asked for. Everything else leaves it null. */
  alone: Matches<S> | null
}

/** One session's collapsed match: overlapping subscriptions give one copy. */
export interface Match<S> {
  readonly session: S
  /** The highest of the matching subscriptions [v5 MQTT-3.3.4-2]. */
  readonly qos: QoS
  /** True when any of them asks for it. */
  readonly retainAsPublished: boolean
  /** One per matching subscription that has one, repeated when used twice; null: none [v5 MQTT-3.3.4-4]. */
  readonly subscriptionIdentifiers: readonly number[] | null
  /** Every one of them is No Local: the session's own publications are not sent to it [v5 MQTT-3.8.3-3]. */
  readonly noLocal: boolean
  readonly subscriptions: readonly Subscription<S>[]
}

/** Lives as long as it has members; `members` changes in place, so a cached match always sees who is in it now. */
export interface ShareGroup<S> {
  readonly shareName: string
  readonly topicFilter: string
  /** In order of joining. */
  readonly members: readonly Subscription<S>[]
  /** Round-robin position, owned by whoever picks; the tree never changes it. */
  next: number
}

export interface Matches<S> {
  readonly plain: readonly Match<S>[]
  readonly groups: readonly ShareGroup<S>[]
}

/** What a filter holds: one plain subscription, or an entry for more than that. */
export type FilterValue<S> = Subscription<S> | FilterEntry<S>

interface GrowingGroup<S> extends ShareGroup<S> {
  readonly members: Subscription<S>[]
}

const SCANNED_MAX = 8
const NONE: readonly never[] = Object.freeze([])
export const NO_MATCHES: Matches<never> = Object.freeze({ plain: NONE, groups: NONE })

/** All subscriptions of one topic filter. Its match lists are built once and shared by every topic it matches alone. */
export class FilterEntry<S> {
  /** A Map and not an array: 100 000 dashboards on one filter leave one by one. */
  readonly #plain = new Map<S, Subscription<S>>()
  #groups: Map<string, GrowingGroup<S>> | null = null
  #matches: Matches<S> | null = null

  get isEmpty(): boolean {
    return this.#plain.size === 0 && this.#groups === null
  }

  get matches(): Matches<S> {
    this.#matches ??= {
      plain: this.#plain.size === 0 ? NONE : Array.from(this.#plain.values(), matchOf),
      groups: this.#groups === null ? NONE : [...this.#groups.values()],
    }
    return this.#matches
  }

  find(session: S, shareName: string | null): Subscription<S> | undefined {
    if (shareName === null) return this.#plain.get(session)
    return this.#groups?.get(shareName)?.members.find((member) => member.session === session)
  }

  group(shareName: string): ShareGroup<S> | undefined {
    return this.#groups?.get(shareName)
  }

  /** @returns whether matches built before are out of date. */
  put(subscription: Subscription<S>): boolean {
    const { session, shareName, topicFilter } = subscription
    if (shareName === null) {
      this.#plain.set(session, subscription)
      this.#matches = null
      return true
    }
    this.#groups ??= new Map()
    const group = this.#groups.get(shareName)
    if (group === undefined) {
      this.#groups.set(shareName, { shareName, topicFilter, members: [subscription], next: 0 })
      this.#matches = null
      return true
    }
    const index = group.members.findIndex((member) => member.session === session)
    if (index === -1) group.members.push(subscription)
    else group.members[index] = subscription
    return false
  }

  /** Of a subscription that `find` has found. @returns whether matches built before are out of date. */
  remove(subscription: Subscription<S>): boolean {
    const { session, shareName } = subscription
    if (shareName !== null) {
      const members = this.#groups?.get(shareName)?.members ?? []
      members.splice(members.indexOf(subscription), 1)
      if (members.length > 0) return false
      this.#groups?.delete(shareName)
      if (this.#groups?.size === 0) this.#groups = null
    } else {
      this.#plain.delete(session)
    }
    this.#matches = null
    return true
  }
}

/** Where a session stands in a list under construction; a Map only once looking through the list would be slower. */
class SessionPlaces<S> {
  readonly #plain: Match<S>[]
  #bySession: Map<S, number> | null = null

  constructor(plain: Match<S>[]) {
    this.#plain = plain
  }

  /** @returns -1 when it is not in the list. */
  find(session: S): number {
    if (this.#bySession !== null) return this.#bySession.get(session) ?? -1
    return this.#plain.findIndex((match) => match.session === session)
  }

  append(match: Match<S>): void {
    const place = this.#plain.push(match) - 1
    if (this.#bySession !== null) this.#bySession.set(match.session, place)
    else if (place >= SCANNED_MAX) this.#bySession = new Map(this.#plain.map((one, index) => [one.session, index]))
  }
}

/** Joins what the matching filters hold, `matchesOf` says it for each, into one match per session. */
export function collapse<S>(
  values: readonly FilterValue<S>[],
  matchesOf: (value: FilterValue<S>) => Matches<S>,
): Matches<S> {
  if (values.length === 0) return NO_MATCHES
  if (values.length === 1) return matchesOf(values[0] as FilterValue<S>)
  const plain: Match<S>[] = []
  const places = new SessionPlaces<S>(plain)
  let groups: ShareGroup<S>[] | null = null
  for (const value of values) {
    const matches = matchesOf(value)
    for (const match of matches.plain) {
      const place = places.find(match.session)
      if (place === -1) places.append(match)
      else plain[place] = joined(plain[place] as Match<S>, match.subscriptions[0] as Subscription<S>)
    }
    for (const group of matches.groups) {
      groups ??= []
      groups.push(group)
    }
  }
  return { plain, groups: groups ?? NONE }
}

/**
 * What of a match goes to the publisher itself: its subscriptions that are not No Local [v5 MQTT-3.8.3-3].
 * @returns the match itself when none is No Local, null when all are.
 */
export function matchForPublisher<S>(match: Match<S>): Match<S> | null {
  if (match.noLocal) return null
  if (!match.subscriptions.some((subscription) => subscription.noLocal)) return match
  let collapsed: Match<S> | null = null
  for (const subscription of match.subscriptions) {
    if (subscription.noLocal) continue
    collapsed = collapsed === null ? matchOf(subscription) : joined(collapsed, subscription)
  }
  return collapsed
}

/** True when replacing one by the other changes nothing: a client that subscribes again after each reconnect. */
export function isSameSubscription<S>(one: Subscription<S>, other: Subscription<S>): boolean {
  return (
    one.qos === other.qos &&
    one.noLocal === other.noLocal &&
    one.retainAsPublished === other.retainAsPublished &&
    one.subscriptionIdentifier === other.subscriptionIdentifier
  )
}

interface JoinedMatch<S> extends Match<S> {
  qos: QoS
  retainAsPublished: boolean
  subscriptionIdentifiers: number[] | null
  noLocal: boolean
  readonly subscriptions: Subscription<S>[]
}

function matchOf<S>(subscription: Subscription<S>): Match<S> {
  const { session, qos, retainAsPublished, noLocal, subscriptionIdentifier } = subscription
  return {
    session,
    qos,
    retainAsPublished,
    subscriptionIdentifiers: subscriptionIdentifier === 0 ? null : [subscriptionIdentifier],
    noLocal,
    subscriptions: [subscription],
  }
}

/** What it matches where no other filter does. */
export function matchesAlone<S>(subscription: Subscription<S>): Matches<S> {
  return { plain: [matchOf(subscription)], groups: NONE }
}

/** A match of one subscription may be shared with other topics and is copied; a longer one is ours and grows. */
function joined<S>(match: Match<S>, subscription: Subscription<S>): Match<S> {
  const target: JoinedMatch<S> = match.subscriptions.length > 1 ? (match as JoinedMatch<S>) : copyOf(match)
  target.subscriptions.push(subscription)
  if (subscription.qos > target.qos) target.qos = subscription.qos
  if (subscription.retainAsPublished) target.retainAsPublished = true
  if (!subscription.noLocal) target.noLocal = false
  if (subscription.subscriptionIdentifier !== 0) {
    target.subscriptionIdentifiers ??= []
    target.subscriptionIdentifiers.push(subscription.subscriptionIdentifier)
  }
  return target
}

function copyOf<S>(match: Match<S>): JoinedMatch<S> {
  const { session, qos, retainAsPublished, subscriptionIdentifiers, noLocal, subscriptions } = match
  return {
    session,
    qos,
    retainAsPublished,
    subscriptionIdentifiers: subscriptionIdentifiers === null ? null : [...subscriptionIdentifiers],
    noLocal,
    subscriptions: [...subscriptions],
  }
}
