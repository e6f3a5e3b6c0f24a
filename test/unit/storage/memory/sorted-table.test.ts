/** SortedTable against a plain map that is sorted when asked. */
import fc from 'fast-check'
import t from 'tap'
import { compareKeys, SortedTable } from '../../../../src/storage/memory/sorted-table.js'

const key = fc.uint8Array({ minLength: 1, maxLength: 3, max: 40 })

t.test('answers like a sorted map, whatever is put and removed', async (t) => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.tuple(fc.constant('put' as const), key) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('remove' as const), key) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), key, key, (steps, from, until) => {
      const table = new SortedTable()
      const model = new Map<string, Uint8Array>()
      for (const [kind, at] of steps) {
        if (kind === 'put') {
          table.put(at, at)
          model.set(Buffer.from(at).toString('hex'), at)
        } else {
          table.remove(at)
          model.delete(Buffer.from(at).toString('hex'))
        }
      }
      const sorted = [...model.values()].sort(compareKeys)
      const expected = sorted.filter((row) => compareKeys(row, from) >= 0 && compareKeys(row, until) < 0)
      const walked = Array.from(table.walk(from, until), ([walkedKey]) => walkedKey)
      if (table.rows !== sorted.length) return false
      if (walked.length !== expected.length) return false
      if (!walked.every((row, index) => compareKeys(row, expected[index] as Uint8Array) === 0)) return false
      return sorted.every((row) => table.get(row) !== undefined)
    }),
    { numRuns: 500 },
  )
  t.pass('500 runs')
})

t.test('compareKeys orders bytes unsigned, and a prefix first', async (t) => {
  const order = [[0], [0, 0], [0, 255], [1], [127], [128], [255], [255, 0]].map((bytes) => Uint8Array.from(bytes))
  for (const [index, a] of order.entries()) {
    for (const [other, b] of order.entries()) t.equal(Math.sign(compareKeys(a, b)), Math.sign(index - other))
  }
})

t.test('200 000 rows, put in order and then out of order, split into chunks and stay sorted', async (t) => {
  const table = new SortedTable()
  const rows = 100_000
  const rowKey = (row: number) => Uint8Array.of(row >>> 16, row >>> 8, row)
  for (let row = 0; row < rows; row += 1) table.put(rowKey(row * 2), rowKey(row))
  for (let row = 0; row < rows; row += 1) {
    const shuffled = (row * 7_919) % rows
    table.put(rowKey(shuffled * 2 + 1), rowKey(row))
  }
  t.equal(table.rows, 2 * rows)
  let before: Uint8Array | null = null
  let disorder = 0
  let walked = 0
  for (const [at] of table.walk(undefined, undefined)) {
    if (before !== null && compareKeys(before, at) >= 0) disorder += 1
    before = at
    walked += 1
  }
  t.equal(disorder, 0)
  t.equal(walked, 2 * rows)
  for (let row = 0; row < 2 * rows; row += 1) table.remove(rowKey(row))
  t.equal(table.rows, 0)
  t.equal(table.get(rowKey(7)), undefined)
})
