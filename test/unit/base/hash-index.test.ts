/** Places by hash: a text and its bytes hash alike, every entry is found; texts are hashed and compared in place. */
import t from 'tap'
import { ByteReader } from '../../../src/base/byte-reader.js'
import { ByteWriter } from '../../../src/base/byte-writer.js'
import { HashIndex, hashOfBytes, hashOfText } from '../../../src/base/hash-index.js'
import { NumberColumn } from '../../../src/base/number-column.js'
import { utf8Encode } from '../../../src/base/utf8.js'

const TEXTS = ['', 'a', 'meters/7', 'Zähler/µ', 'a\u0000b', '€ 1 '.repeat(40), '😀']

t.test('a text hashes as its bytes do', async (t) => {
  for (const text of TEXTS) {
    const bytes = utf8Encode(text)
    t.equal(hashOfText(text), hashOfBytes(bytes, 0, bytes.length), JSON.stringify(text))
  }
  t.equal(new Set(TEXTS.map(hashOfText)).size, TEXTS.length)
})

t.test('every entry is found, those of one hash together, also when more are added later', async (t) => {
  const index = new HashIndex()
  t.same(index.find(1), [])
  for (let place = 0; place < 5_000; place += 1) index.add(hashOfText(`topic/${place % 4_000}`), place)
  t.same(index.find(hashOfText('topic/4000')), [])
  for (const place of [0, 999, 1_000, 3_999]) {
    const expected = place < 1_000 ? [place, place + 4_000] : [place]
    t.same(
      index.find(hashOfText(`topic/${place}`)).sort((one, other) => one - other),
      expected,
    )
  }
  index.add(hashOfText('topic/4000'), 9)
  t.same(index.find(hashOfText('topic/4000')), [9])
})

t.test('stored texts are hashed, compared and passed in place', async (t) => {
  const writer = new ByteWriter(16)
  for (const text of ['a/b', 'a/+', 'a/#', 'class', 'class']) writer.text(text)
  writer.varint(300)
  const reader = new ByteReader(writer.take())
  t.equal(reader.textHash(0x2b, 0x23), hashOfText('a/b'))
  t.equal(reader.textHash(0x2b, 0x23), -1)
  t.equal(reader.textHash(), hashOfText('a/#'))
  t.equal(reader.skipText('clasp'), false)
  t.equal(reader.skipText('class'), true)
  t.equal(reader.skipText(''), false)
  t.equal(reader.text(), 'class')
  t.equal(reader.varint(), 300)
})

t.test('a column grows, and finds in ascending numbers', async (t) => {
  const column = new NumberColumn()
  t.equal(column.find(1), -1)
  for (let index = 0; index < 5_000; index += 1) column.push(index * 3)
  t.equal(column.length, 5_000)
  for (const index of [0, 1, 2_500, 4_999]) t.equal(column.find(index * 3), index)
  for (const value of [-1, 1, 7_501, 15_000]) t.equal(column.find(value), -1)
  column.pushZeros(20_000)
  t.equal(column.length, 25_000)
  t.equal(column.at(24_999), 0)
  column.set(24_999, 8)
  t.equal(column.at(24_999), 8)
})
