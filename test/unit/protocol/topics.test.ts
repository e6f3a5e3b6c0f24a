/** Topic names and filters: which are allowed, and what `$share/…` means. */
import t from 'tap'
import { hasWildcard, parseFilter, topicFilterProblem, topicNameProblem } from '../../../src/protocol/topics.js'

const limits = { topicBytesMax: 64, topicLevelsMax: 8 }

t.test('a valid topic name has no problem', async (t) => {
  for (const topicName of [
    'a',
    '/',
    '//',
    'a/b',
    'a/',
    '/a',
    'a b',
    '$SYS/x',
    'Ä/ö/😀',
    '$share/g/a',
    'a/b/c/d/e/f/g/h',
  ]) {
    t.equal(topicNameProblem(topicName, limits), undefined, topicName)
  }
})

t.test('a topic name that may not be says why', async (t) => {
  t.match(topicNameProblem('', limits), /at least one character/)
  for (const topicName of ['+', '#', 'a/+', 'a/#', 'a+b', 'a#', '+/b']) {
    t.match(topicNameProblem(topicName, limits), /no wildcard/, topicName)
  }
  t.match(topicNameProblem('a\u0000b', limits), /U\+0000/)
})

t.test('a valid topic filter has no problem', async (t) => {
  const filters = [
    'a',
    '#',
    '+',
    '/',
    '+/+',
    '/+',
    '+/',
    '/#',
    'a/#',
    'a/+/b',
    'a/+/#',
    '+/a/#',
    '$SYS/#',
    'a//b',
    '//#',
  ]
  for (const topicFilter of filters) t.equal(topicFilterProblem(topicFilter, limits), undefined, topicFilter)
})

t.test('a topic filter that may not be says why', async (t) => {
  t.match(topicFilterProblem('', limits), /at least one character/)
  for (const topicFilter of ['#/', '#/a', 'a/#/b', '##', '/#/', 'a/#b']) {
    t.match(topicFilterProblem(topicFilter, limits), /must be the last character/, topicFilter)
  }
  for (const topicFilter of ['a#', 'a/b#', 'a+', '+a', 'a/b+', 'a/+b/c', '++', '+#', 'a/+#']) {
    t.match(topicFilterProblem(topicFilter, limits), /stand alone/, topicFilter)
  }
  t.match(topicFilterProblem('a/\u0000', limits), /U\+0000/)
})

t.test('bytes and levels are bounded, each to the last one', async (t) => {
  for (const problem of [topicNameProblem, topicFilterProblem]) {
    t.equal(problem('a'.repeat(64), limits), undefined)
    t.match(problem('a'.repeat(65), limits), /at most 64 bytes here, this one has 65/)
    t.equal(problem('ä'.repeat(32), limits), undefined)
    t.match(problem('ä'.repeat(33), limits), /at most 64 bytes here, this one has 66/)
    t.equal(problem('/'.repeat(7), limits), undefined)
    t.match(problem('/'.repeat(8), limits), /at most 8 levels here, this one has 9/)
  }
})

t.test('a shared subscription is taken apart, everything else stays whole', async (t) => {
  const cases: readonly [requested: string, shareName: string | null, topicFilter: string][] = [
    ['a/b', null, 'a/b'],
    ['#', null, '#'],
    ['$share/g/a/b', 'g', 'a/b'],
    ['$share/g/#', 'g', '#'],
    ['$share/g//', 'g', '/'],
    ['$share/g//a', 'g', '/a'],
    ['$share/a group/+/x', 'a group', '+/x'],
    ['$share/g/$SYS/#', 'g', '$SYS/#'],
    ['$share/$share/$share/x/y', '$share', '$share/x/y'],
    ['$SHARE/g/a', null, '$SHARE/g/a'],
    ['$shared/g/a', null, '$shared/g/a'],
    ['/$share/g/a', null, '/$share/g/a'],
  ]
  for (const [requested, shareName, topicFilter] of cases) {
    t.same(parseFilter(requested), { shareName, topicFilter }, requested)
  }
})

t.test('a broken shared subscription is none', async (t) => {
  for (const requested of [
    '$share',
    '$share/',
    '$share//',
    '$share//a',
    '$share/g',
    '$share/g/',
    '$share/+/a',
    '$share/g#/a',
    '$share/#',
  ]) {
    t.equal(parseFilter(requested), undefined, requested)
  }
})

t.test('a share name is bounded as a topic is, and holds no U+0000', async (t) => {
  t.equal(parseFilter('$share/g\u0000/a', limits), undefined)
  t.equal(parseFilter(`$share/${'g'.repeat(65)}/a`, limits), undefined)
  t.equal(parseFilter(`$share/${'ö'.repeat(33)}/a`, limits), undefined)
  t.equal(parseFilter(`$share/${'g'.repeat(64)}/a`, limits)?.shareName?.length, 64)
})

t.test('only + and # are wildcards', async (t) => {
  for (const topicFilter of ['#', '+', 'a/+/b', 'a/#']) t.equal(hasWildcard(topicFilter), true, topicFilter)
  for (const topicFilter of ['', 'a', 'a/*', '$SYS/a', '?']) t.equal(hasWildcard(topicFilter), false, topicFilter)
})
