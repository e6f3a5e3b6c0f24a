/** Retained tree: what it holds, what a walk finds, and that changes under a resting walk neither lose nor repeat. */
import fc from 'fast-check'
import t from 'tap'
import { RetainedTree } from '../../../src/core/retained-tree.js'

interface Message {
  readonly topicName: string
  readonly version: number
}

function treeOf(...topicNames: readonly string[]): RetainedTree<Message> {
  const tree = new RetainedTree<Message>()
  for (const topicName of topicNames) tree.set({ topicName, version: 0 })
  return tree
}

function found(tree: RetainedTree<Message>, topicFilter: string): string[] {
  return [...tree.iterate(topicFilter)].map((message) => message.topicName).sort()
}

t.test('a topic holds one message until it is removed', async (t) => {
  const tree = new RetainedTree<Message>()
  const first = { topicName: 'a/b', version: 1 }
  const second = { topicName: 'a/b', version: 2 }
  t.equal(tree.set(first), undefined)
  t.equal(tree.get('a/b'), first)
  t.equal(tree.set(second), first)
  t.equal(tree.get('a/b'), second)
  t.equal(tree.size, 1)
  for (const topicName of ['a', 'a/', 'a/b/', 'a/b/c', 'b', '']) {
    t.equal(tree.get(topicName), undefined)
    t.equal(tree.remove(topicName), undefined)
  }
  t.equal(tree.remove('a/b'), second)
  t.equal(tree.remove('a/b'), undefined)
  t.equal(tree.get('a/b'), undefined)
  t.equal(tree.size, 0)
})

t.test('a filter finds the topics the standard says', async (t) => {
  const tree = treeOf('a', 'a/', 'a/b', 'a/b/c', 'b', '/', '/b', '$SYS', '$SYS/a', '$x/b', 'a/$SYS')
  t.same(found(tree, 'a/b'), ['a/b'])
  t.same(found(tree, 'a/x'), [])
  t.same(found(tree, 'a/#'), ['a', 'a/', 'a/$SYS', 'a/b', 'a/b/c'])
  t.same(found(tree, 'a/b/c/#'), ['a/b/c'])
  t.same(found(tree, '#'), ['/', '/b', 'a', 'a/', 'a/$SYS', 'a/b', 'a/b/c', 'b'])
  t.same(found(tree, '+'), ['a', 'b'])
  t.same(found(tree, '+/b'), ['/b', 'a/b'])
  t.same(found(tree, '+/+'), ['/', '/b', 'a/', 'a/$SYS', 'a/b'])
  t.same(found(tree, '+/b/#'), ['/b', 'a/b', 'a/b/c'])
  t.same(found(tree, '$SYS/#'), ['$SYS', '$SYS/a'])
  t.same(found(tree, '$SYS/+'), ['$SYS/a'])
  t.same(found(tree, '$SYS'), ['$SYS'])
  t.same(found(new RetainedTree<Message>(), '#'), [])
  t.same(found(treeOf('$SYS'), '#'), [], 'the only child of the root')
  t.same(found(treeOf('$SYS/a'), '+/a'), [])
  t.same(found(treeOf('$SYS/a'), '$SYS/#'), ['$SYS/a'])
})

t.test('a walk can be asked for a little at a time', async (t) => {
  const tree = treeOf()
  for (let index = 0; index < 1_000; index += 1) tree.set({ topicName: `a/${index}/x`, version: 0 })
  tree.set({ topicName: 'a/500/y', version: 0 })
  const walk = tree.iterate('a/+/y')
  let turns = 0
  const topicNames: string[] = []
  while (!walk.done) {
    turns += 1
    const message = walk.advance(10)
    if (message !== undefined) topicNames.push(message.topicName)
  }
  t.same(topicNames, ['a/500/y'])
  t.ok(turns > 90, 'a step looks at no more nodes than it may')
  t.equal(walk.advance(10), undefined)
  t.same(walk.next(), { done: true, value: undefined })
})

t.test('a topic cleared and set again behind a resting walk does not come twice', async (t) => {
  const tree = treeOf('a/1', 'a/2', 'a/3')
  const walk = tree.iterate('a/#')
  t.equal(walk.next().value?.topicName, 'a/1')
  tree.remove('a/1')
  tree.set({ topicName: 'a/1', version: 1 })
  tree.set({ topicName: 'a/3', version: 1 })
  t.same(
    [...walk].map((message) => [message.topicName, message.version]),
    [
      ['a/2', 0],
      ['a/3', 1],
    ],
  )
  t.same(found(tree, 'a/#'), ['a/1', 'a/2', 'a/3'], 'a later walk finds it')
})

t.test('clearing everything under a resting walk ends it', async (t) => {
  const tree = treeOf('a/1/x', 'a/2/x', 'b')
  const walk = tree.iterate('#')
  walk.next()
  for (const topicName of ['a/1/x', 'a/2/x', 'b']) tree.remove(topicName)
  t.same([...walk], [])
})

t.test('a topic of very many levels needs no deep stack', async (t) => {
  const topicName = 'a/'.repeat(20_000)
  const tree = treeOf(topicName, 'a')
  t.same(found(tree, '#'), ['a', topicName])
  t.ok(tree.remove(topicName))
  t.same(found(tree, '#'), ['a'])
})

const level = fc.constantFrom('a', 'b', 'c', '', '$s')
const topicNames = fc
  .array(level, { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join('/'))
  .filter((name) => name.length > 0)
const topicFilters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
  .map(([levels, isOpen]) => [...levels, ...(isOpen ? ['#'] : [])].join('/'))
  .filter((filter) => filter.length > 0)

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
    filterLevels.every((one, index) => one === '+' || one === nameLevels[index])
  )
}

t.test('walks that rest while the tree changes agree with a list of topics', async () => {
  const step = fc.record({
    kind: fc.constantFrom('set', 'set', 'remove', 'advance', 'advance'),
    topicName: topicNames,
    pick: fc.nat(1_000),
    nodesMax: fc.integer({ min: 1, max: 5 }),
  })
  fc.assert(
    fc.property(
      fc.array(topicNames, { maxLength: 40 }),
      topicFilters,
      fc.array(step, { maxLength: 80 }),
      (names, topicFilter, steps) => {
        const tree = treeOf(...names)
        const model = new Map<string, Message>()
        for (const name of names) model.set(name, { topicName: name, version: 0 })
        const before = new Set(names.filter((name) => isMatch(topicFilter, name)))
        const stayed = new Set(before)
        const delivered = new Set<string>()
        const walk = tree.iterate(topicFilter)
        const advance = (nodesMax: number): void => {
          const message = walk.advance(nodesMax)
          if (message === undefined) return
          if (!before.has(message.topicName)) throw new Error(`${message.topicName} was not there or does not match`)
          if (delivered.has(message.topicName)) throw new Error(`${message.topicName} twice`)
          if (model.get(message.topicName)?.version !== message.version) throw new Error('not the message of now')
          delivered.add(message.topicName)
        }
        steps.forEach(({ kind, topicName, pick, nodesMax }, index) => {
          if (kind === 'set') {
            const message = { topicName, version: index + 1 }
            if ((tree.set(message) !== undefined) !== model.has(topicName)) throw new Error('replaced or not')
            model.set(topicName, message)
          } else if (kind === 'remove') {
            const known = [...model.keys()]
            const gone = known[pick % (known.length + 1)] ?? topicName
            if (tree.remove(gone)?.version !== model.get(gone)?.version) throw new Error('removed another')
            model.delete(gone)
            stayed.delete(gone)
          } else {
            advance(nodesMax)
          }
          if (tree.size !== model.size) throw new Error('size differs')
          if (tree.get(topicName)?.version !== model.get(topicName)?.version) throw new Error('get differs')
        })
        while (!walk.done) advance(100)
        for (const name of stayed) if (!delivered.has(name)) throw new Error(`${name} was there all the time`)
        const later = found(tree, topicFilter).join(' ')
        const expected = [...model.keys()].filter((name) => isMatch(topicFilter, name)).sort()
        if (later !== expected.join(' ')) throw new Error(`${later} instead of ${expected.join(' ')}`)
      },
    ),
    { numRuns: 3_000 },
  )
})
