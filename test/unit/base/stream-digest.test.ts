/** The digest of a stream against its definition, written out a second time with node:crypto. */
import { createHash } from 'node:crypto'
import t from 'tap'
import { StreamDigest } from '../../../src/base/stream-digest.js'
import { Random } from '../../support/random.js'

const platform = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** The definition, word by word. */
function defined(stream: Buffer): string {
  let chained = Buffer.alloc(32)
  let at = 0
  for (; at + 512 <= stream.length; at += 512) {
    chained = createHash('sha256')
      .update(chained)
      .update(stream.subarray(at, at + 512))
      .digest()
  }
  return createHash('sha256').update(chained).update(stream.subarray(at)).digest('hex')
}

t.test('the digest is that of the definition, however the stream is cut and wherever it was put down', (t) => {
  const random = new Random(5)
  for (let round = 0; round < 60; round += 1) {
    const stream = Buffer.from(Array.from({ length: random.below(2_500) }, () => random.below(256)))
    const hash = random.chance(0.5) ? platform : undefined
    let digest = new StreamDigest(hash)
    for (let at = 0; at < stream.length; ) {
      const next = Math.min(stream.length, at + random.below(700))
      digest.update(stream.subarray(at, next))
      at = next
      if (random.chance(0.3)) digest = StreamDigest.restored(digest.save(), random.chance(0.5) ? platform : undefined)
      if (random.chance(0.2)) t.equal(hex(digest.digest()), defined(stream.subarray(0, at)))
    }
    t.equal(hex(digest.digest()), defined(stream))
  }
  t.end()
})

t.test('whole blocks, one byte less and one byte more', (t) => {
  for (const length of [0, 1, 511, 512, 513, 1_023, 1_024, 1_025]) {
    const stream = Buffer.alloc(length, 7)
    t.equal(hex(new StreamDigest().update(stream).digest()), defined(stream), `${length} bytes`)
    t.equal(new StreamDigest().update(stream).save().length, 32 + (length % 512))
  }
  t.end()
})

t.test('what is no saved digest is not taken for one', (t) => {
  t.throws(() => StreamDigest.restored(new Uint8Array(31)), /32 to 543 bytes/)
  t.throws(() => StreamDigest.restored(new Uint8Array(544)), /32 to 543 bytes/)
  t.end()
})
