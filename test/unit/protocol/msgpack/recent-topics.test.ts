/** A topic is found again by its bytes, all of them, and what is not there is not made up. */
import t from 'tap'
import { utf8Encode } from '../../../../src/base/utf8.js'
import { RecentTopics } from '../../../../src/protocol/msgpack/recent-topics.js'

/** Somewhere in a chunk. */
function inChunk(text: string): [bytes: Uint8Array, start: number, end: number] {
  const encoded = utf8Encode(text)
  const bytes = new Uint8Array(encoded.length + 7).fill(0x61)
  bytes.set(encoded, 3)
  return [bytes, 3, 3 + encoded.length]
}

t.test('what was put in is found, in other bytes too', async (t) => {
  const recent = new RecentTopics()
  for (const text of ['a', 'plant/7/temperature', 'größe/°C', 'x'.repeat(256)]) {
    t.equal(recent.get(...inChunk(text)), null)
    recent.set(...inChunk(text), text)
    t.equal(recent.get(...inChunk(text)), text)
  }
})

t.test('one that differs in any byte, or in length, is another', async (t) => {
  const text = 'plant/7/temperature'
  const recent = new RecentTopics()
  recent.set(...inChunk(text), text)
  for (let at = 0; at < text.length; at += 1) {
    t.equal(recent.get(...inChunk(`${text.slice(0, at)}~${text.slice(at + 1)}`)), null, `byte ${at}`)
  }
  t.equal(recent.get(...inChunk(text.slice(0, -1))), null)
  t.equal(recent.get(...inChunk(`${text}e`)), null)
})

t.test('of two topics with one place the newer stays, whichever is longer', async (t) => {
  // The same length modulo 16, the same bytes in the middle and at the end.
  const [short, long] = ['a/'.padEnd(20, 'm'), 'b/'.padEnd(36, 'm')]
  const recent = new RecentTopics()
  for (const [newer, older] of [
    [short, long],
    [long, short],
    [short, long],
  ] as const) {
    recent.set(...inChunk(newer), newer)
    t.equal(recent.get(...inChunk(newer)), newer)
    t.equal(recent.get(...inChunk(older)), null)
  }
})

t.test('a topic of more than 256 bytes is not kept', async (t) => {
  const text = 'y'.repeat(257)
  const recent = new RecentTopics()
  recent.set(...inChunk(text), text)
  t.equal(recent.get(...inChunk(text)), null)
})
