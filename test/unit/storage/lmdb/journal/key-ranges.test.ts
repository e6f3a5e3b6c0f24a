/** Which numbers the journal file holds: beside a plain list, over random additions and removals. */
import t from 'tap'
import { KeyRanges } from '../../../../../src/storage/lmdb/journal/key-ranges.js'
import { Random, seedsOfThisRun } from '../../../../support/random.js'

for (const seed of seedsOfThisRun(3)) {
  t.test(`ranges hold what a list holds, seed ${seed}`, async (t) => {
    const random = new Random(seed)
    const ranges = new KeyRanges()
    const list: number[] = []
    let next = 0
    for (let step = 0; step < 20_000; step += 1) {
      if (random.chance(step % 5_000 < 2_500 ? 0.7 : 0.3)) {
        next += random.chance(0.5) ? 1 : 1 + random.below(5)
        ranges.add(next)
        list.push(next)
      } else if (list.length > 0) {
        ranges.removeOldest(list.shift() as number)
      }
      if (step % 97 !== 0) continue
      const found = [ranges.oldest, ranges.newest, ranges.size, ranges.isEmpty]
      t.same(found, [list[0] ?? -1, list.at(-1) ?? -1, list.length, list.length === 0])
      const probe = random.below(next + 2)
      t.equal(ranges.has(probe), list.includes(probe))
      t.equal(ranges.areOldest(list.slice(0, 30)), true)
      t.equal(ranges.areOldest([...list.slice(0, 3), 0]), false)
    }
  })
}

t.test('what is not a journal is refused', async (t) => {
  const ranges = new KeyRanges()
  ranges.add(5)
  t.throws(() => ranges.add(5), { code: 'ASSERTION' })
  ranges.add(6)
  t.throws(() => ranges.removeOldest(6), { code: 'ASSERTION' })
})
