/** SHA-256 against Node's own, in one piece and in random pieces. */
import { createHash } from 'node:crypto'
import t from 'tap'
import { Sha256, sha256 } from '../../../src/base/sha256.js'
import { Random, seedsOfThisRun } from '../../support/random.js'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const expected = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

t.test('the vectors of the standard', async (t) => {
  const text = (value: string) => hex(sha256(new TextEncoder().encode(value)))
  t.equal(text(''), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  t.equal(text('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  t.equal(
    text('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq'),
    '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
  )
})

t.test('every length up to three blocks is as Node says', async (t) => {
  const random = new Random(1)
  for (let length = 0; length <= 192; length += 1) {
    const bytes = Uint8Array.from({ length }, () => random.below(256))
    if (hex(sha256(bytes)) !== expected(bytes)) t.fail(`${length} bytes`)
  }
})

t.test('random pieces', async (t) => {
  for (const seed of seedsOfThisRun(300)) {
    const random = new Random(seed)
    const hash = new Sha256()
    const all = createHash('sha256')
    for (let pieces = random.below(30); pieces > 0; pieces -= 1) {
      const buffer = Uint8Array.from({ length: random.below(random.pick([2, 70, 400])) + 3 }, () => random.below(256))
      // A view that does not begin where its buffer does, as everything from the wire.
      const piece = buffer.subarray(random.below(3))
      hash.update(piece)
      all.update(piece)
    }
    if (hex(hash.digest()) !== all.digest('hex')) t.fail(`TALLYMQ_SEED=${seed}`)
  }
})
