/** Ring: a queue against a plain array, and what it holds on to. */
import fc from 'fast-check'
import t from 'tap'
import { Ring } from '../../../src/base/ring.js'

t.test('a ring nobody has pushed to holds nothing and answers undefined', async (t) => {
  const ring = new Ring<number>()
  t.equal(ring.capacity, 0)
  t.equal(ring.length, 0)
  t.equal(ring.shift(), undefined)
  t.equal(ring.peek(), undefined)
  t.equal(ring.at(0), undefined)
})

t.test('what was put back in front comes first, also as the very first item', async (t) => {
  const ring = new Ring<string>()
  ring.pushFront('b')
  ring.push('c')
  ring.pushFront('a')
  t.same([ring.shift(), ring.shift(), ring.shift(), ring.shift()], ['a', 'b', 'c', undefined])
})

t.test('a drained backlog gives its memory back, a small swing keeps its array', async (t) => {
  const ring = new Ring<number>()
  for (let index = 0; index < 1_000; index += 1) ring.push(index)
  t.equal(ring.capacity, 1_024)
  for (let index = 0; index < 1_000; index += 1) t.equal(ring.shift(), index)
  t.equal(ring.capacity, 0)
  for (let round = 0; round < 20; round += 1) {
    ring.push(round)
    t.equal(ring.shift(), round)
  }
  t.equal(ring.capacity, 8)
  ring.clear()
  t.equal(ring.capacity, 0)
})

t.test('two rings do not share what they hold', async (t) => {
  const one = new Ring<number>()
  const other = new Ring<number>()
  one.push(1)
  t.equal(other.length, 0)
  other.push(2)
  t.equal(one.peek(), 1)
})

t.test('it behaves as an array does', async () => {
  const step = fc.constantFrom('push', 'push', 'push', 'pushFront', 'shift', 'shift', 'clear')
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.boolean(), (steps, isClearing) => {
      const ring = new Ring<number>()
      const model: number[] = []
      steps.forEach((one, index) => {
        if (one === 'push') model.push(index)
        if (one === 'push') ring.push(index)
        if (one === 'pushFront') model.unshift(index)
        if (one === 'pushFront') ring.pushFront(index)
        if (one === 'shift' && ring.shift() !== model.shift()) throw new Error('shift differs')
        if (one === 'clear' && isClearing) {
          model.length = 0
          ring.clear()
        }
        const items = model.map((_, at) => ring.at(at))
        if (ring.length !== model.length || String(items) !== String(model)) throw new Error(`${items} not ${model}`)
        if (ring.peek() !== model[0] || ring.at(-1) !== undefined || ring.at(model.length) !== undefined) {
          throw new Error('peek or at differs')
        }
      })
    }),
    { numRuns: 1_000 },
  )
})
