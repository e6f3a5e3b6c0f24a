/** The table of a trie node's children: finds what a Map finds, after removals too, and refuses levels that collide. */
import fc from 'fast-check'
import t from 'tap'
import { hashOf, LevelTable } from '../../../src/core/level-table.js'
import { TopicTree } from '../../../src/core/topic-tree.js'

const node = (level: string) => ({ level })
const find = (table: LevelTable<{ level: string }>, level: string) => table.find(`a/${level}/x`, 2, 2 + level.length)

t.test('what was added and not removed is found, and nothing else', async (t) => {
  const level = fc.oneof(fc.nat(40).map(String), fc.string({ maxLength: 3 }))
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), level), { maxLength: 300 }), (steps) => {
      const model = new Map<string, { level: string }>()
      const table = new LevelTable<{ level: string }>(2)
      for (const [isAdded, name] of steps) {
        const known = model.get(name)
        if (isAdded && known === undefined) {
          const one = node(name)
          model.set(name, one)
          if (!table.add(one)) return false
        } else if (!isAdded && known !== undefined) {
          model.delete(name)
          table.remove(known)
        }
      }
      for (const [, name] of steps) if (find(table, name) !== (model.get(name) ?? null)) return false
      return table.size === model.size && [...table].length === model.size
    }),
    { numRuns: 500 },
  )
  t.pass('500 runs')
})

/** Levels whose place is the same in a table of up to 8 192 places. */
function colliding(count: number): string[] {
  const levels: string[] = []
  const place = hashOf('0', 0, 1) & 0x1fff
  for (let index = 0; levels.length < count; index += 1) {
    const level = String(index)
    if ((hashOf(level, 0, level.length) & 0x1fff) === place) levels.push(level)
  }
  return levels
}

t.test('levels that collide by design are refused, and what was there stays', async (t) => {
  const levels = colliding(400)
  const nodes = levels.map(node)
  t.equal(LevelTable.of(nodes, nodes.length), null)
  const table = new LevelTable<{ level: string }>(4_096)
  const taken = nodes.filter((one) => table.add(one))
  t.ok(taken.length > 200 && taken.length < 400, `${taken.length} taken`)
  t.equal(table.size, taken.length)
  for (const one of nodes) t.equal(find(table, one.level), taken.includes(one) ? one : null)
})

t.test(
  'a tree with thousands of filters at one level matches as a small one does, and so it does shrunk again',
  async (t) => {
    const crafted = colliding(600)
    const levels = [...Array.from({ length: 3_000 }, (_, index) => `n${index}`), ...crafted]
    const tree = new TopicTree<string>({ matchCacheEntriesMax: 0 })
    const base = {
      shareName: null,
      qos: 0 as const,
      noLocal: false,
      retainAsPublished: false,
      subscriptionIdentifier: 0,
      alone: null,
    }
    for (const level of levels) tree.add({ ...base, session: level, topicFilter: `a/${level}/#` })
    const matched = (level: string) => tree.match(`a/${level}/x`).plain.map(({ session }) => session)
    for (const level of levels) if (matched(level)[0] !== level) t.fail(`${level} is not found`)
    t.same(matched('nobody'), [])
    for (const level of levels.slice(0, -10)) tree.remove(level, null, `a/${level}/#`)
    t.same(
      levels.filter((level) => matched(level).length > 0),
      crafted.slice(-10),
    )
    for (const level of levels) tree.add({ ...base, session: `${level}'`, topicFilter: `a/${level}/+` })
    t.same(
      levels.filter((level) => !matched(level).includes(`${level}'`)),
      [],
    )
  },
)
