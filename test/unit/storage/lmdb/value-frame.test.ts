/** Framing and checksum: every single flipped bit of key or value is noticed. */
import fc from 'fast-check'
import t from 'tap'
import { crc32, tableCrc32 } from '../../../../src/storage/lmdb/checksum.js'
import { describeKey, FRAME_BYTES, readFrame, writeFrame } from '../../../../src/storage/lmdb/value-frame.js'

const ascii = (text: string) => new Uint8Array(Buffer.from(text))

function framed(key: Uint8Array, value: Uint8Array): Uint8Array {
  const target = new Uint8Array(FRAME_BYTES + value.length)
  writeFrame(key, value, target, 0)
  return target
}

t.test('crc32 has the published check value, in tables and in native code', async (t) => {
  t.equal(crc32(ascii('123456789')), 0xcbf4_3926)
  t.equal(tableCrc32(ascii('123456789')), 0xcbf4_3926)
  t.equal(crc32(new Uint8Array(0)), 0)
})

t.test('tables and native code agree, also when a checksum is continued', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 700 }), fc.nat(700), (bytes, cut) => {
      const whole = tableCrc32(bytes)
      const before = crc32(bytes.subarray(0, cut))
      const from = Math.min(cut, bytes.length)
      if (crc32(bytes, before, from) !== whole || tableCrc32(bytes, before, from) !== whole) return false
      return crc32(bytes) === whole && crc32(bytes.subarray(cut), before) === whole
    }),
    { numRuns: 500 },
  )
  t.pass('500 runs')
})

t.test('a value comes back as it went in, as a plain Uint8Array', async (t) => {
  for (const length of [0, 1, 11, 255, 256, 5_000]) {
    const value = Uint8Array.from({ length }, (_, index) => index * 13)
    const back = readFrame('meta', ascii('k'), Buffer.from(framed(ascii('k'), value)))
    t.ok(Buffer.from(value).equals(back))
    t.equal(back.constructor, Uint8Array)
  }
})

t.test('every flipped bit of the frame, of the value and of the key is found', async (t) => {
  for (const value of [new Uint8Array(0), ascii('pay 100 to bob'), new Uint8Array(300)]) {
    const key = ascii('key')
    const good = framed(key, value)
    let missed = 0
    for (let bit = 0; bit < good.length * 8; bit += 1) {
      const bad = Uint8Array.from(good)
      bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7))
      if (!isRefused(key, bad)) missed += 1
    }
    for (let bit = 0; bit < key.length * 8; bit += 1) {
      const bad = Uint8Array.from(key)
      bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7))
      if (!isRefused(bad, good)) missed += 1
    }
    for (let length = 0; length < good.length; length += 1) if (!isRefused(key, good.subarray(0, length))) missed += 1
    t.equal(missed, 0)
  }
})

t.test('the error names table and key, in hexadecimal and printable', async (t) => {
  const key = Uint8Array.of(0, 0x62, 0x69, 0x6c, 0x6c, 0xff)
  t.throws(() => readFrame('retained', key, new Uint8Array(3)), {
    code: 'STORE_CORRUPT',
    message: /row 0x0062696c6cff "\.bill\." \(6 bytes\) of table retained is damaged: only 3 bytes/,
  })
  t.match(describeKey(new Uint8Array(100)), /^0x(00){64}… "\.{64}" \(100 bytes\)$/)
})

function isRefused(key: Uint8Array, bytes: Uint8Array): boolean {
  try {
    readFrame('meta', key, bytes)
    return false
  } catch (error) {
    return (error as { code?: string }).code === 'STORE_CORRUPT'
  }
}
