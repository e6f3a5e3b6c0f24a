/** Deadline queue: against a plain Map that is scanned. */
import fc from 'fast-check'
import t from 'tap'
import { DeadlineQueue } from '../../../src/core/deadline-queue.js'

t.test('an empty queue waits for ever', async (t) => {
  const queue = new DeadlineQueue<string>()
  t.equal(queue.nextMs(), Number.POSITIVE_INFINITY)
  t.equal(queue.popDue(Number.MAX_SAFE_INTEGER), undefined)
  t.equal(queue.popDue(Number.POSITIVE_INFINITY), undefined)
  t.equal(queue.delete('a'), false)
  t.equal(queue.get('a'), undefined)
})

t.test('what is due comes out earliest first, what is not stays', async (t) => {
  const queue = new DeadlineQueue<string>()
  queue.set('c', 30)
  queue.set('a', 10)
  queue.set('b', 20)
  t.equal(queue.nextMs(), 10)
  t.equal(queue.popDue(9), undefined)
  t.equal(queue.popDue(20), 'a')
  t.equal(queue.popDue(20), 'b')
  t.equal(queue.popDue(20), undefined)
  t.equal(queue.size, 1)
  t.equal(queue.nextMs(), 30)
})

t.test('a deadline moves both ways and never is the same as deleted', async (t) => {
  const queue = new DeadlineQueue<string>()
  queue.set('a', 10)
  queue.set('b', 20)
  queue.set('a', 30)
  t.equal(queue.nextMs(), 20)
  queue.set('a', 5)
  t.equal(queue.nextMs(), 5)
  t.equal(queue.get('a'), 5)
  queue.set('a', Number.POSITIVE_INFINITY)
  t.equal(queue.get('a'), undefined)
  t.equal(queue.size, 1)
  t.throws(() => queue.set('a', Number.NaN), { code: 'ASSERTION' })
})

t.test('it agrees with a scanned list', async () => {
  const step = fc.record({
    kind: fc.constantFrom('set', 'set', 'set', 'delete', 'pop'),
    key: fc.nat(30),
    deadlineMs: fc.oneof(fc.nat(50), fc.constant(Number.POSITIVE_INFINITY)),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new DeadlineQueue<number>()
      const model = new Map<number, number>()
      for (const { kind, key, deadlineMs } of steps) {
        if (kind === 'set') {
          queue.set(key, deadlineMs)
          if (deadlineMs === Number.POSITIVE_INFINITY) model.delete(key)
          else model.set(key, deadlineMs)
        } else if (kind === 'delete') {
          if (queue.delete(key) !== model.delete(key)) throw new Error('delete differs')
        } else {
          const nextMs = Math.min(Number.POSITIVE_INFINITY, ...model.values())
          const popped = queue.popDue(deadlineMs)
          if ((popped === undefined) !== (model.size === 0 || nextMs > deadlineMs)) throw new Error('due or not')
          if (popped !== undefined && model.get(popped) !== nextMs) throw new Error('not the earliest')
          if (popped !== undefined) model.delete(popped)
        }
        if (queue.nextMs() !== Math.min(Number.POSITIVE_INFINITY, ...model.values())) throw new Error('next differs')
        if (queue.size !== model.size || queue.get(key) !== model.get(key)) throw new Error('content differs')
      }
    }),
    { numRuns: 2_000 },
  )
})
