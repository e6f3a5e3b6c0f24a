/** Buffers of writers: small for who is silent, as large as last time for who is not, never less than needed. */
import t from 'tap'
import { firstCapacity, grownCapacity } from '../../../src/protocol/first-capacity.js'

t.test('a buffer is born with an eighth more than last time, between 256 bytes and 128 KiB', async (t) => {
  t.equal(firstCapacity(0), 256)
  t.equal(firstCapacity(8_000), 9_000)
  t.equal(firstCapacity(1_000_000), 131_072)
})

t.test('one that is full grows once to what the last turn took, and doubles beyond that', async (t) => {
  t.equal(grownCapacity(131_072, 800_000, 131_100), 900_000)
  t.equal(grownCapacity(131_072, 0, 131_100), 262_144)
  t.equal(grownCapacity(256, 0, 70_000), 70_000)
  t.equal(grownCapacity(900_000, 800_000, 900_001), 1_800_000)
})
