/** Filters as sets, checked by example and against a naive enumeration. */
import fc from 'fast-check'
import t from 'tap'
import { filterLevels, matchesTopic } from '../../../src/protocol/topics.js'
import { covers, fillIn, isPlainName } from '../../../src/auth/topic-rules.js'

const matches = (filter: string, topicName: string) => matchesTopic(filterLevels(filter), topicName)
const contains = (outer: string, inner: string) => covers(filterLevels(outer), filterLevels(inner))

t.test('a filter matches as the standard says', async (t) => {
  const table: [filter: string, topicName: string, expected: boolean][] = [
    ['a/b', 'a/b', true],
    ['a/b', 'a/bc', false],
    ['a/b', 'a', false],
    ['a/b', 'a/b/c', false],
    ['a/+', 'a/b', true],
    ['a/+', 'a/', true],
    ['a/+', 'a', false],
    ['a/+/c', 'a/b/c', true],
    ['a/#', 'a', true],
    ['a/#', 'a/b/c', true],
    ['a/#', 'ab', false],
    ['#', 'a/b', true],
    ['#', '$SYS/a', false],
    ['+/a', '$SYS/a', false],
    ['$SYS/#', '$SYS/a', true],
    ['+/+', '/a', true],
    ['/+', '/a', true],
    ['+', '/a', false],
    ['+', '', true],
  ]
  for (const [filter, topicName, expected] of table) {
    t.equal(matches(filter, topicName), expected, `${filter} ${expected ? 'matches' : 'does not match'} ${topicName}`)
  }
})

t.test('a filter covers another one', async (t) => {
  const table: [outer: string, inner: string, expected: boolean][] = [
    ['#', '#', true],
    ['#', 'a/+/#', true],
    ['#', '+', true],
    ['#', '$SYS/#', false],
    ['+/#', '$SYS/#', false],
    ['$SYS/#', '$SYS/a', true],
    ['$SYS/#', '$SYS', true],
    ['a/#', 'a', true],
    ['a/#', 'a/#', true],
    ['a/#', '#', false],
    ['a/#', 'b/#', false],
    ['a/+', 'a/b', true],
    ['a/+', 'a/+', true],
    ['a/+', 'a/#', false],
    ['a/b', 'a/+', false],
    ['a/+', 'a/b/c', false],
    ['a/+/c', 'a/b/c', true],
    ['a/b/c', 'a/b', false],
    ['+/b', 'a/+', false],
    ['a/+/#', 'a/#', false],
    ['a/+/#', 'a/+', true],
  ]
  for (const [outer, inner, expected] of table) {
    t.equal(contains(outer, inner), expected, `${outer} ${expected ? 'covers' : 'does not cover'} ${inner}`)
  }
})

t.test(
  'what a covered filter matches, the covering one matches; and a filter of literals covers as it matches',
  async (t) => {
    const literal = fc.constantFrom('a', 'b', '', '$x')
    const topicName = fc.array(literal, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'))
    const level = fc.oneof(literal, fc.constant('+'))
    const filter = fc
      .tuple(fc.array(level, { maxLength: 3 }), fc.boolean())
      .map(([levels, hash]) => (hash || levels.length === 0 ? [...levels, '#'] : levels).join('/'))
    const holds = () =>
      fc.assert(
        fc.property(filter, filter, topicName, (outer, inner, name) => {
          if (contains(outer, inner) && matches(inner, name) && !matches(outer, name)) return false
          return contains(outer, name) === matches(outer, name)
        }),
        { numRuns: 20_000 },
      )
    t.doesNotThrow(holds)
  },
)

t.test('names are one literal level, or no rule applies', async (t) => {
  const rule = filterLevels('devices/%c/%u/#')
  t.same(fillIn(rule, 'c1', 'u1'), ['devices', 'c1', 'u1', '#'])
  t.same(fillIn(rule, '%u', 'u1'), ['devices', '%u', 'u1', '#'], 'filled in once')
  for (const bad of ['#', '+', 'a/b', '', 'a\u0000', 'x+']) {
    t.notOk(isPlainName(bad))
    t.equal(fillIn(rule, bad, 'u1'), null)
    t.equal(fillIn(rule, 'c1', bad), null)
  }
  t.equal(fillIn(rule, 'c1', null), null)
  t.same(fillIn(filterLevels('a/x%c'), '#', null), ['a', 'x%c'], 'only a whole level is replaced')
})
