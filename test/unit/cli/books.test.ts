/** The books of the demo must be able to say that something is wrong. */
import t from 'tap'
import { Book, readingOf, readingText } from '../../../src/cli/demo/books.js'

t.test('lost, duplicated and late readings are told apart', async (t) => {
  const book = new Book(2)
  for (const [device, sequence] of [
    [0, 1],
    [0, 3],
    [0, 2],
    [0, 3],
    [0, 3],
    [1, 2],
  ] as const) {
    book.enter(readingOf(readingText({ device, sequence })))
  }
  t.same(book.balance([4, 2]), { published: 6, delivered: 4, lost: 2, duplicated: 2, outOfOrder: 1 })
})

t.test('everything once and in order is a clean balance', async (t) => {
  const book = new Book(1)
  for (let sequence = 1; sequence <= 5; sequence += 1) book.enter({ device: 0, sequence })
  t.same(book.balance([5]), { published: 5, delivered: 5, lost: 0, duplicated: 0, outOfOrder: 0 })
  t.throws(() => book.enter({ device: 1, sequence: 1 }), RangeError)
})
