/**
 * Topic tree against a naive model: a list of subscriptions and a matcher on split levels. Few levels and few names,
 * so that filters overlap; small caches, so that every way of forgetting is taken. A failure prints its seed.
 */
import fc from 'fast-check'
import t from 'tap'
import { type Match, matchForPublisher, type Subscription, TopicTree } from '../../src/core/topic-tree.js'

const RUNS = 2_000

const nameLevel = fc.constantFrom('a', 'b', '', '$s', 'ab')
const topicName = fc
  .array(nameLevel, { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join('/'))
  .filter((name) => name.length > 0)
const topicFilter = fc
  .tuple(
    fc.array(fc.oneof({ weight: 3, arbitrary: nameLevel }, { weight: 1, arbitrary: fc.constant('+') }), {
      maxLength: 5,
    }),
    fc.boolean(),
  )
  .map(([levels, isOpen]) => [...levels, ...(isOpen ? ['#'] : [])].join('/'))
  .filter((filter) => filter.length > 0)

const subscription: fc.Arbitrary<Subscription<string>> = fc.record({
  session: fc.constantFrom('s1', 's2', 's3'),
  topicFilter,
  shareName: fc.constantFrom(null, null, 'g', 'h'),
  qos: fc.constantFrom(0, 1, 2),
  noLocal: fc.boolean(),
  retainAsPublished: fc.boolean(),
  subscriptionIdentifier: fc.constantFrom(0, 1, 2),
  alone: fc.constant(null),
})

type Step =
  | { kind: 'add'; subscription: Subscription<string> }
  | { kind: 'remove'; index: number }
  | { kind: 'match'; topicName: string }
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('add' as const), subscription }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), index: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('match' as const), topicName }) },
)

function isMatch(filter: string, name: string): boolean {
  if (name.startsWith('$') && /^[+#]/.test(filter)) return false
  const filterLevels = filter.split('/')
  const nameLevels = name.split('/')
  if (filterLevels.at(-1) === '#') {
    filterLevels.pop()
    if (nameLevels.length < filterLevels.length) return false
    nameLevels.length = filterLevels.length
  }
  return (
    nameLevels.length === filterLevels.length &&
    filterLevels.every((level, index) => level === '+' || level === nameLevels[index])
  )
}

/** Comparable whatever the order, which the tree leaves open between filters. */
function describe(subscriptions: readonly Subscription<string>[]): string[] {
  return subscriptions.map((one) => JSON.stringify(one, withoutScratch)).sort()
}

function expectedFacts(subscriptions: readonly Subscription<string>[]) {
  const identifiers = subscriptions.map((one) => one.subscriptionIdentifier).filter((identifier) => identifier !== 0)
  return {
    qos: Math.max(...subscriptions.map((one) => one.qos)),
    retainAsPublished: subscriptions.some((one) => one.retainAsPublished),
    noLocal: subscriptions.every((one) => one.noLocal),
    subscriptionIdentifiers: identifiers.length === 0 ? null : identifiers.sort(),
    subscriptions: describe(subscriptions),
  }
}

function actualFacts(match: Match<string>) {
  const { qos, retainAsPublished, noLocal, subscriptionIdentifiers, subscriptions } = match
  return {
    qos,
    retainAsPublished,
    noLocal,
    subscriptionIdentifiers: subscriptionIdentifiers === null ? null : [...subscriptionIdentifiers].sort(),
    subscriptions: describe(subscriptions),
  }
}

class Model {
  readonly subscriptions: Subscription<string>[] = []

  add(added: Subscription<string>): void {
    const index = this.subscriptions.findIndex(
      (one) =>
        one.session === added.session && one.shareName === added.shareName && one.topicFilter === added.topicFilter,
    )
    if (index === -1) this.subscriptions.push(added)
    else this.subscriptions[index] = added
  }

  check(tree: TopicTree<string>, name: string, isCached: boolean): void {
    const matching = this.subscriptions.filter((one) => isMatch(one.topicFilter, name))
    const matches = tree.match(name)
    // Once the cache has been full, a topic is remembered the second time.
    const again = tree.match(name)
    if (isCached && tree.match(name) !== again) throw new Error(`${name}: not the same object twice`)
    const plain = matching.filter((one) => one.shareName === null)
    const bySession = new Map(matches.plain.map((match) => [match.session, match]))
    if (bySession.size !== matches.plain.length) throw new Error(`${name}: a session twice`)
    if (new Set(plain.map((one) => one.session)).size !== bySession.size) throw new Error(`${name}: other sessions`)
    for (const [session, match] of bySession) {
      const own = plain.filter((one) => one.session === session)
      same(actualFacts(match), expectedFacts(own), name)
      const back = matchForPublisher(match)
      const local = own.filter((one) => !one.noLocal)
      if (local.length === 0 || back === null) same([back, local.length], [null, 0], `${name} back to ${session}`)
      else same(actualFacts(back), expectedFacts(local), `${name} back to ${session}`)
    }
    const shared = matching.filter((one) => one.shareName !== null)
    const groups = new Map(matches.groups.map((group) => [`${group.shareName} ${group.topicFilter}`, group.members]))
    same(groups.size, matches.groups.length, `${name}: a group twice`)
    const expectedGroups = new Map<string, Subscription<string>[]>()
    for (const one of shared) {
      const key = `${one.shareName} ${one.topicFilter}`
      expectedGroups.set(key, [...(expectedGroups.get(key) ?? []), one])
    }
    same([...groups].sort(byKey), [...expectedGroups].sort(byKey), `${name}: groups, members in order`)
  }
}

function byKey(one: readonly [string, unknown], other: readonly [string, unknown]): number {
  return one[0] < other[0] ? -1 : 1
}

/** The tree's scratch, which holds what holds it. */
const withoutScratch = (key: string, value: unknown) => (key === 'alone' ? undefined : value)

/** Throws, so that fast-check sees it and shrinks. */
function same(actual: unknown, expected: unknown, what: string): void {
  const [one, other] = [JSON.stringify(actual, withoutScratch), JSON.stringify(expected, withoutScratch)]
  if (one !== other) throw new Error(`${what}: ${one} instead of ${other}`)
}

for (const matchCacheEntriesMax of [0, 4, 1_000]) {
  t.test(`the tree agrees with a list of filters, cache of ${matchCacheEntriesMax}`, async () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const tree = new TopicTree<string>({ matchCacheEntriesMax, matchCacheSessionsMax: 6 })
        const model = new Model()
        for (const one of steps) {
          if (one.kind === 'add') {
            tree.add(one.subscription)
            model.add(one.subscription)
          } else if (one.kind === 'match') {
            model.check(tree, one.topicName, matchCacheEntriesMax > 0)
          } else if (model.subscriptions.length > 0) {
            const [removed] = model.subscriptions.splice(one.index % model.subscriptions.length, 1)
            if (removed === undefined) continue
            same(tree.remove(removed.session, removed.shareName, removed.topicFilter), removed, 'removed')
          }
          const shared = model.subscriptions.filter((each) => each.shareName !== null).length
          same([tree.subscriptionCount, tree.sharedSubscriptionCount], [model.subscriptions.length, shared], 'counts')
        }
      }),
      { numRuns: RUNS },
    )
  })
}
