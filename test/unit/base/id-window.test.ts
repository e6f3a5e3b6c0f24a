/** IdWindow against a Map: ids that mostly ascend, leave in any order, and sometimes come late. */
import fc from 'fast-check'
import t from 'tap'
import { IdWindow } from '../../../src/base/id-window.js'

interface Item {
  id: number
}

t.test('it holds what a Map would hold, in order and out of order', async (t) => {
  const step = fc.record({ action: fc.constantFrom('next', 'skip', 'late', 'delete', 'deleteFirst'), pick: fc.nat(40) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const window = new IdWindow<Item>()
      const model = new Map<number, Item>()
      let next = 5
      for (const { action, pick } of steps) {
        const known = [...model.keys()].sort((one, other) => one - other)
        if (action === 'next' || action === 'skip') {
          next += action === 'skip' ? pick + 1 : 1
          window.set(next, { id: next })
          model.set(next, { id: next })
        } else if (action === 'late') {
          const id = Math.max(0, next - pick)
          window.set(id, { id })
          model.set(id, { id })
        } else {
          const id = action === 'deleteFirst' ? (known[0] ?? 0) : (known[pick % Math.max(1, known.length)] ?? 0)
          if (window.delete(id) !== model.delete(id)) return false
        }
        if (window.size !== model.size) return false
      }
      const all = [...window.inOrder(), ...window.outOfOrder()].map(({ id }) => id)
      const inOrder = [...window.inOrder()].map(({ id }) => id)
      const sorted = (ids: number[]) => [...ids].sort((one, other) => one - other)
      const same = JSON.stringify(sorted(all)) === JSON.stringify(sorted([...model.keys()]))
      const ascends = JSON.stringify(inOrder) === JSON.stringify(sorted(inOrder))
      return same && ascends && [...model.keys()].every((id) => window.get(id)?.id === id && window.has(id))
    }),
    { numRuns: 2_000 },
  )
  t.pass('2,000 scripts agree')
})

t.test('what was not set is not there', async (t) => {
  const window = new IdWindow<Item>()
  t.equal(window.get(1), undefined)
  t.equal(window.delete(1), false)
  window.set(10, { id: 10 })
  t.equal(window.get(9), undefined)
  t.equal(window.get(11), undefined)
  t.equal(window.has(10), true)
})
