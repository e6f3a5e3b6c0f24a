/** The set of packet ids against a Set that is told the same, and its ends. */
import t from 'tap'
import { Random } from '../../../src/base/random.js'
import { PacketIdSet } from '../../../src/core/packet-id-set.js'

t.test('it says what a Set says, whatever comes and goes', async (t) => {
  const random = new Random(17)
  const set = new PacketIdSet()
  const model = new Set<number>()
  for (let step = 0; step < 20_000; step += 1) {
    // Few ids, so that many are met again; now and then one from the far end.
    const packetId = random.chance(0.05) ? 65_535 - random.below(40) : 1 + random.below(300)
    if (random.chance(0.5)) {
      set.add(packetId)
      model.add(packetId)
    } else if (set.delete(packetId) !== model.delete(packetId)) t.fail(`delete ${packetId} at step ${step}`)
    if (set.has(packetId) !== model.has(packetId)) t.fail(`has ${packetId} at step ${step}`)
    if (set.size !== model.size) t.fail(`size at step ${step}`)
  }
  t.same(
    [...set],
    [...model].sort((one, other) => one - other),
  )
  for (const packetId of [...set]) set.delete(packetId)
  t.equal(set.size, 0)
  t.same([...set], [])
})

t.test('the first and the last packet id', async (t) => {
  const set = new PacketIdSet()
  t.notOk(set.has(65_535))
  set.add(1)
  set.add(65_535)
  set.add(65_535)
  t.same([...set], [1, 65_535])
  t.equal(set.size, 2)
  t.notOk(set.has(65_534))
  t.throws(() => set.add(0), { code: 'ASSERTION' })
  t.throws(() => set.add(65_536), { code: 'ASSERTION' })
})
