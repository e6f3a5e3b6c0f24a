/** Topic tree: which subscriptions match, how they collapse, and when a remembered answer is forgotten. */
import t from 'tap'
import { type Match, matchForPublisher, type Subscription, TopicTree } from '../../../src/core/topic-tree.js'

function subscription(
  session: string,
  topicFilter: string,
  options: Partial<Subscription<string>> = {},
): Subscription<string> {
  return {
    session,
    topicFilter,
    shareName: null,
    qos: 0,
    noLocal: false,
    retainAsPublished: false,
    subscriptionIdentifier: 0,
    alone: null,
    ...options,
  }
}

function sessions(tree: TopicTree<string>, topicName: string): string[] {
  return tree
    .match(topicName)
    .plain.map((match) => match.session)
    .sort()
}

t.test('a filter matches the topic names the standard says', async (t) => {
  const cases: readonly [topicFilter: string, matching: readonly string[], other: readonly string[]][] = [
    ['sport/tennis', ['sport/tennis'], ['sport', 'sport/tennis/', 'Sport/tennis', 'sport/tennis/player1']],
    [
      'sport/tennis/#',
      ['sport/tennis', 'sport/tennis/', 'sport/tennis/a/b'],
      ['sport', 'sport/tennisx', '$sport/tennis'],
    ],
    ['sport/+', ['sport/', 'sport/a'], ['sport', 'sport/a/b', 'sports/a']],
    ['+', ['sport', 'a'], ['/a', 'a/', '$SYS']],
    ['+/+', ['/finance', 'a/b', '/'], ['finance', '$SYS/a', 'a/b/c']],
    ['/+', ['/finance', '/'], ['finance', 'a/finance', '//']],
    ['+/tennis/#', ['a/tennis', '/tennis', 'a/tennis/b'], ['tennis', '$a/tennis', 'a/b/tennis']],
    ['#', ['a', '/', 'a/b/c', 'a/$SYS'], ['$SYS', '$SYS/a', '$']],
    ['+/#', ['a', 'a/b', '/'], ['$SYS', '$SYS/a']],
    ['$SYS/#', ['$SYS', '$SYS/a', '$SYS/a/b'], ['$SYSX', 'SYS/a']],
    ['$SYS/+/load', ['$SYS/a/load'], ['$SYS/load', 'a/b/load']],
    ['$SYS', ['$SYS'], ['$SYS/']],
    ['a/+/c/#', ['a//c', 'a/b/c', 'a/b/c/d'], ['a/c', 'a/b/d']],
    ['a//b', ['a//b'], ['a/b', 'a/x/b']],
    ['a/+/+', ['a//', 'a/b/c'], ['a/b', 'a/b/c/d']],
  ]
  for (const [topicFilter, matching, other] of cases) {
    const tree = new TopicTree<string>()
    tree.add(subscription('s', topicFilter))
    tree.add(subscription('else', 'never/here'))
    for (const topicName of matching) t.same(sessions(tree, topicName), ['s'], `${topicFilter} matches ${topicName}`)
    for (const topicName of other) t.same(sessions(tree, topicName), [], `${topicFilter} does not match ${topicName}`)
    tree.remove('s', null, topicFilter)
    for (const topicName of matching) t.same(sessions(tree, topicName), [], `${topicFilter} is gone for ${topicName}`)
  }
})

t.test('overlapping subscriptions of a session become one copy at the highest QoS with all identifiers', async (t) => {
  const tree = new TopicTree<string>()
  tree.add(subscription('s', 'a/b', { qos: 1, subscriptionIdentifier: 7 }))
  tree.add(subscription('s', 'a/+', { qos: 2, noLocal: true, subscriptionIdentifier: 7 }))
  tree.add(subscription('s', 'a/#', { qos: 0, retainAsPublished: true, subscriptionIdentifier: 9 }))
  tree.add(subscription('s', '#', { qos: 1 }))
  tree.add(subscription('other', 'a/+', { qos: 1 }))
  const { plain } = tree.match('a/b')
  t.equal(plain.length, 2)
  const match = plain.find((one) => one.session === 's') as Match<string>
  t.equal(match.qos, 2)
  t.equal(match.retainAsPublished, true)
  t.equal(match.noLocal, false)
  t.same([...(match.subscriptionIdentifiers ?? [])].sort(), [7, 7, 9])
  t.equal(match.subscriptions.length, 4)
  const other = plain.find((one) => one.session === 'other') as Match<string>
  t.equal(other.qos, 1)
  t.equal(other.subscriptionIdentifiers, null)
  t.equal(other.subscriptions.length, 1)
  t.same(tree.match('a/x').plain.find((one) => one.session === 's')?.subscriptions.length, 3)
})

t.test('a list shared by topics is not changed when another topic joins it with a second filter', async (t) => {
  const tree = new TopicTree<string>()
  for (const session of ['s', 'r']) tree.add(subscription(session, 'a/#', { subscriptionIdentifier: 1 }))
  const alone = tree.match('a/x')
  tree.add(subscription('s', '+/y', { qos: 2, subscriptionIdentifier: 2 }))
  tree.add(subscription('s', 'a/y', { qos: 1, subscriptionIdentifier: 3 }))
  t.equal(tree.match('a/y').plain.find((one) => one.session === 's')?.subscriptions.length, 3)
  for (const matches of [alone, tree.match('a/x')]) {
    t.same(
      matches.plain.map((one) => [one.session, one.qos, one.subscriptionIdentifiers]),
      [
        ['s', 0, [1]],
        ['r', 0, [1]],
      ],
    )
  }
})

t.test('what goes back to the publisher leaves out its No Local subscriptions', async (t) => {
  const tree = new TopicTree<string>()
  tree.add(subscription('s', 'a/#', { qos: 2, noLocal: true, retainAsPublished: true, subscriptionIdentifier: 1 }))
  const only = tree.match('a/b').plain[0] as Match<string>
  t.equal(only.noLocal, true)
  t.equal(matchForPublisher(only), null)
  tree.add(subscription('s', 'a/b', { qos: 0, subscriptionIdentifier: 2 }))
  tree.add(subscription('s', 'a/+', { qos: 1, subscriptionIdentifier: 3 }))
  const mixed = tree.match('a/b').plain[0] as Match<string>
  t.equal(mixed.qos, 2)
  const back = matchForPublisher(mixed) as Match<string>
  t.equal(back.qos, 1)
  t.equal(back.retainAsPublished, false)
  t.same([...(back.subscriptionIdentifiers ?? [])].sort(), [2, 3])
  t.equal(back.subscriptions.length, 2)
  t.equal(mixed.subscriptions.length, 3, 'the match itself is untouched')
  tree.remove('s', null, 'a/#')
  const local = tree.match('a/b').plain[0] as Match<string>
  t.equal(matchForPublisher(local), local, 'nothing to leave out: no new object')
})

t.test('the same topic gives the same object until something that concerns it changes', async (t) => {
  const tree = new TopicTree<string>()
  tree.add(subscription('s', 'device/+/up'))
  tree.add(subscription('s', 'device/1/up'))
  const matches = tree.match('device/1/up')
  const other = tree.match('device/2/up')
  const nobody = tree.match('nobody/here')
  t.equal(tree.match('device/1/up'), matches)
  t.equal(tree.match('nobody/here'), nobody)

  tree.add(subscription('x', 'device/77/#'))
  tree.add(subscription('x', 'a/b/c/d'))
  t.equal(tree.match('device/1/up'), matches, 'a filter under another device')
  tree.add(subscription('s', 'device/1/up'))
  t.equal(tree.match('device/1/up'), matches, 'the same subscription again')
  tree.add(subscription('s', 'device/1/up', { qos: 1 }))
  t.not(tree.match('device/1/up'), matches, 'an exact filter on this topic')
  t.equal(tree.match('device/2/up'), other, 'does not concern that one')
  tree.add(subscription('y', '+/2/up'))
  t.not(tree.match('device/2/up'), other, 'a filter that begins with a wildcard')
  t.same(sessions(tree, 'device/2/up'), ['s', 'y'])
})

t.test('every kind of wildcard filter that comes or goes is seen by a remembered topic', async (t) => {
  for (const topicName of ['a', 'a/b', 'a/b/c', 'a/b/c/d', 'a/b/c/d/e', '/', 'a//c']) {
    const levels = topicName.split('/')
    const filters = ['#', '+/#', `${topicName}/#`, topicName]
    for (let depth = 0; depth < levels.length; depth += 1) {
      filters.push([...levels.slice(0, depth), '+', ...levels.slice(depth + 1)].join('/'))
      filters.push([...levels.slice(0, depth), '#'].join('/'))
    }
    const tree = new TopicTree<string>()
    for (const topicFilter of filters) {
      t.same(sessions(tree, topicName), [], `${topicName} before ${topicFilter}`)
      tree.add(subscription('s', topicFilter))
      t.same(sessions(tree, topicName), ['s'], `${topicName} with ${topicFilter}`)
      tree.remove('s', null, topicFilter)
    }
  }
})

t.test('the cache holds no more topics than it may and the answers stay right', async (t) => {
  for (const matchCacheEntriesMax of [0, 2, 8]) {
    const tree = new TopicTree<string>({ matchCacheEntriesMax })
    tree.add(subscription('s', 'a/+'))
    for (let round = 0; round < 3; round += 1) {
      for (let index = 0; index < 20; index += 1)
        t.equal(sessions(tree, `a/${index}`).length, index === 7 ? round + 1 : 1)
      tree.add(subscription(`r${round}`, 'a/7'))
      t.equal(sessions(tree, 'a/7').length, round + 2)
    }
  }
})

t.test('a topic in steady use stays remembered while others come and go', async (t) => {
  const tree = new TopicTree<string>({ matchCacheEntriesMax: 8 })
  tree.add(subscription('s', '#'))
  tree.add(subscription('s', 'busy'))
  const busy = tree.match('busy')
  for (let index = 0; index < 50; index += 1) {
    tree.match(`once/${index}`)
    t.equal(tree.match('busy'), busy)
  }
})

t.test('a full cache lets in what is asked for twice, not what comes once', async (t) => {
  const tree = new TopicTree<string>({ matchCacheEntriesMax: 8 })
  tree.add(subscription('s', '#'))
  tree.add(subscription('s', '+/+'))
  for (let index = 0; index < 8; index += 1) tree.match(`a/${index}`)
  const once = tree.match('b/new')
  const twice = tree.match('b/new')
  t.not(twice, once, 'the first time it was only noted')
  t.equal(tree.match('b/new'), twice)
  t.same(twice, once)
})

t.test(
  'topics that one filter alone matches have one list, which is not kept for more filters than it may',
  async (t) => {
    const tree = new TopicTree<string>({ matchCacheEntriesMax: 0 })
    const all = Array.from({ length: 16_385 }, (_, index) => subscription(`s${index}`, `device/${index}/#`))
    for (const one of all) tree.add(one)
    const first = tree.match('device/0/up')
    t.equal(tree.match('device/0/down'), first)
    t.same(first.plain, [
      {
        session: 's0',
        qos: 0,
        retainAsPublished: false,
        subscriptionIdentifiers: null,
        noLocal: false,
        subscriptions: [all[0]],
      },
    ])
    for (const index of all.keys()) {
      const { plain } = tree.match(`device/${index}/up`)
      if (plain.length !== 1 || plain[0]?.session !== `s${index}`) t.fail(`device ${index}`)
    }
    t.equal(all.filter((one) => one.alone !== null).length, 1, 'all were forgotten when the last came')
    t.not(tree.match('device/0/up'), first)
    tree.add(subscription('s0', 'device/0/#', { qos: 2 }))
    t.equal(tree.match('device/0/up').plain[0]?.qos, 2, 'what replaces it has a list of its own')
    tree.add(subscription('other', 'device/+/up'))
    t.same(sessions(tree, 'device/0/up'), ['other', 's0'])
    t.same(sessions(tree, 'device/0/down'), ['s0'])
    tree.remove('s0', null, 'device/0/#')
    t.same(sessions(tree, 'device/0/down'), [])
  },
)

t.test('one answer larger than the whole cache is still given', async (t) => {
  const tree = new TopicTree<string>({ matchCacheSessionsMax: 4 })
  for (let index = 0; index < 10; index += 1) {
    tree.add(subscription(`s${index}`, '#'))
    tree.add(subscription(`s${index}`, 'a/+'))
  }
  for (const topicName of ['a/1', 'a/2', 'b', 'a/1']) t.equal(tree.match(topicName).plain.length, 10)
})

t.test('many sessions with several matching filters each still get one copy', async (t) => {
  const tree = new TopicTree<string>()
  for (let index = 0; index < 40; index += 1) {
    tree.add(subscription(`s${index}`, 'a/b', { subscriptionIdentifier: 1 }))
    tree.add(subscription(`s${index}`, 'a/+', { subscriptionIdentifier: 2, qos: 2 }))
    if (index % 2 === 0) tree.add(subscription(`s${index}`, '#', { subscriptionIdentifier: 3, qos: 1 }))
  }
  const { plain } = tree.match('a/b')
  t.equal(new Set(plain.map((match) => match.session)).size, 40)
  t.equal(plain.length, 40)
  for (const { session, qos, subscriptionIdentifiers } of plain) {
    t.equal(qos, 2)
    const isEven = Number(session.slice(1)) % 2 === 0
    t.same([...(subscriptionIdentifiers ?? [])].sort(), isEven ? [1, 2, 3] : [1, 2])
  }
})

t.test('share groups', async (t) => {
  const shared = (session: string, shareName: string, options: Partial<Subscription<string>> = {}) =>
    subscription(session, 'jobs/+', { shareName, ...options })

  t.test('members stand in order of joining, groups apart from plain matches', async (t) => {
    const tree = new TopicTree<string>()
    tree.add(shared('a', 'g'))
    tree.add(subscription('a', 'jobs/+', { qos: 2 }))
    tree.add(shared('b', 'g'))
    tree.add(shared('c', 'h'))
    const { plain, groups } = tree.match('jobs/1')
    t.same(
      plain.map((match) => [match.session, match.qos]),
      [['a', 2]],
    )
    t.same(
      groups.map((group) => [group.shareName, group.topicFilter, group.members.map((member) => member.session)]),
      [
        ['g', 'jobs/+', ['a', 'b']],
        ['h', 'jobs/+', ['c']],
      ],
    )
    t.equal(tree.group('g', 'jobs/+'), groups[0])
    t.equal(tree.group('g', 'jobs/1'), undefined)
    t.equal(tree.group('i', 'jobs/+'), undefined)
    t.equal(tree.subscriptionCount, 4)
    t.equal(tree.sharedSubscriptionCount, 3)
  })

  t.test('a remembered match sees who joins, leaves and changes', async (t) => {
    const tree = new TopicTree<string>()
    tree.add(shared('a', 'g'))
    const matches = tree.match('jobs/1')
    const group = tree.group('g', 'jobs/+')
    t.ok(group)
    if (group === undefined) return
    group.next = 5
    tree.add(shared('b', 'g'))
    tree.add(shared('a', 'g', { qos: 2 }))
    t.equal(tree.match('jobs/1'), matches)
    t.same(
      group.members.map((member) => [member.session, member.qos]),
      [
        ['a', 2],
        ['b', 0],
      ],
      'a changed subscription keeps its place',
    )
    t.equal(tree.remove('a', 'g', 'jobs/+')?.qos, 2)
    t.equal(tree.match('jobs/1').groups[0]?.members.length, 1)
    t.equal(group.next, 5, 'the position belongs to whoever picks')
    tree.remove('b', 'g', 'jobs/+')
    t.same(tree.match('jobs/1').groups, [])
    t.equal(tree.group('g', 'jobs/+'), undefined)
  })

  t.test('one group per share name and filter, also over several filters of one topic', async (t) => {
    const tree = new TopicTree<string>()
    tree.add(subscription('a', 'jobs/1', { shareName: 'g' }))
    tree.add(subscription('a', 'jobs/+', { shareName: 'g' }))
    tree.add(subscription('b', 'jobs/#'))
    const { plain, groups } = tree.match('jobs/1')
    t.equal(plain.length, 1)
    t.same(groups.map((group) => group.topicFilter).sort(), ['jobs/+', 'jobs/1'])
  })
})

t.test('adding says what it replaced, removing says what it removed', async (t) => {
  for (const topicFilter of ['a/b', 'a/+', 'a/#']) {
    for (const shareName of [null, 'g']) {
      const tree = new TopicTree<string>()
      const first = subscription('s', topicFilter, { shareName })
      const second = subscription('s', topicFilter, { shareName, qos: 2 })
      t.equal(tree.add(first), undefined)
      t.equal(tree.add(second), first)
      t.equal(tree.subscriptionCount, 1)
      t.equal(tree.remove('other', shareName, topicFilter), undefined)
      t.equal(tree.remove('s', 'no such group', topicFilter), undefined)
      t.equal(tree.remove('s', shareName, 'a/c'), undefined)
      t.equal(tree.remove('s', shareName, 'a/+/c'), undefined)
      t.equal(tree.remove('s', shareName, topicFilter), second)
      t.equal(tree.remove('s', shareName, topicFilter), undefined)
      t.equal(tree.subscriptionCount, 0)
      t.equal(tree.sharedSubscriptionCount, 0)
    }
  }
})

t.test('a filter with # before its end is a mistake of the caller', async (t) => {
  const tree = new TopicTree<string>()
  t.throws(() => tree.add(subscription('s', 'a/#/b')), { code: 'ASSERTION' })
})

t.test('a topic of very many levels needs no deep stack', async (t) => {
  const tree = new TopicTree<string>()
  const levels = 20_000
  const topicName = 'a/'.repeat(levels)
  tree.add(subscription('s', '+/'.repeat(levels)))
  tree.add(subscription('s', `${'a/'.repeat(levels)}+`))
  tree.add(subscription('s', `${'a/'.repeat(levels)}#`))
  t.equal(tree.match(topicName).plain[0]?.subscriptions.length, 3)
  t.ok(tree.remove('s', null, `${'a/'.repeat(levels)}#`))
  t.equal(tree.match(topicName).plain[0]?.subscriptions.length, 2)
})
