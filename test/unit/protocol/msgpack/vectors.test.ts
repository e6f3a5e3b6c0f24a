/** Every vector of `tally.v1` against the codec: decode, encode, refuse. */
import t from 'tap'
import { FRAME_HEADROOM } from '../../../../src/protocol/codec.js'
import { nativeCodec } from '../../../../src/protocol/msgpack/codec.js'
import type { Packet } from '../../../../src/protocol/packets.js'
import { ProtocolError } from '../../../../src/protocol/protocol-error.js'
import { bytesOf, fromJson, hexOf, type InvalidVector, loadVectors, VECTOR_LIMITS, withoutViews } from './vectors.js'

const files = loadVectors('tally.v1')

function decode(hex: string, vector?: InvalidVector): Packet[] {
  const decoder = nativeCodec.decoder({ ...VECTOR_LIMITS, ...vector?.limits })
  if (vector?.connectAccepted !== false) decoder.connectAccepted(5)
  const packets: Packet[] = []
  // A Buffer inside a larger one, as a socket gives it: offsets that are not 0 must not matter.
  const padded = Buffer.concat([Buffer.alloc(7, 0xc1), bytesOf(hex), Buffer.alloc(5, 0xc1)])
  const chunk = padded.subarray(7, padded.length - 5)
  try {
    decoder.decode(chunk, (packet) => packets.push(packet))
  } catch (error) {
    if (error instanceof ProtocolError) throw Object.assign(error, { packets })
    throw error
  }
  return packets
}

t.test('the vectors are many and their names are unique', async (t) => {
  const valid = files.flatMap((file) => file.valid)
  const invalid = files.flatMap((file) => file.invalid)
  t.ok(valid.length >= 60, `${valid.length} valid`)
  t.ok(invalid.length >= 80, `${invalid.length} invalid`)
  const names = [...valid, ...invalid].map((vector) => vector.name)
  t.equal(new Set(names).size, names.length)
})

for (const { file, valid, invalid } of files) {
  t.test(`${file}: valid bytes decode to the packets beside them`, async (t) => {
    for (const vector of valid)
      t.strictSame(decode(vector.hex).map(withoutViews), vector.packets.map(fromJson), vector.name)
  })

  t.test(`${file}: packets encode to the bytes beside them`, async (t) => {
    for (const vector of valid) {
      if (vector.decodeOnly === true) continue
      const writer = nativeCodec.writer(5)
      let size = 0
      for (const packet of vector.packets.map(fromJson)) {
        writer.write(packet)
        size += nativeCodec.packetSize(packet, 5)
      }
      t.equal(writer.byteLength, vector.hex.length / 2, `byteLength of ${vector.name}`)
      const isShared = vector.hasRuns === true
      t.equal(size > vector.hex.length / 2, isShared, `${vector.name} is shorter than its packets where they share one`)
      if (!isShared) t.equal(size, vector.hex.length / 2, `packetSize of ${vector.name}`)
      const written = writer.take()
      t.equal(written?.headroom, FRAME_HEADROOM)
      t.equal(hexOf(written?.buffer.subarray(FRAME_HEADROOM) ?? new Uint8Array()), vector.hex, vector.name)
    }
  })

  t.test(`${file}: bytes that may be written shorter encode to something else that decodes the same`, async (t) => {
    for (const vector of valid) {
      if (vector.decodeOnly !== true) continue
      const writer = nativeCodec.writer(5)
      for (const packet of vector.packets.map(fromJson)) writer.write(packet)
      const hex = hexOf(writer.take()?.buffer.subarray(FRAME_HEADROOM) ?? new Uint8Array())
      t.not(hex, vector.hex, vector.name)
      t.strictSame(decode(hex).map(withoutViews), vector.packets.map(fromJson), vector.name)
    }
  })

  t.test(`${file}: invalid bytes are refused with their reason code`, async (t) => {
    for (const vector of invalid) {
      try {
        decode(vector.hex, vector)
        t.fail(`${vector.name} was accepted: ${vector.why}`)
      } catch (error) {
        if (!t.type(error, ProtocolError, vector.name)) continue
        const refusal = error as ProtocolError & { packets: Packet[] }
        t.equal(refusal.reasonCode, vector.reasonCode, `${vector.name}: ${vector.why}; got ${refusal.message}`)
        t.equal(refusal.packets.length, vector.packetsBefore ?? 0, `packets before ${vector.name}`)
        t.ok(refusal.detail.length > 10, `${vector.name} says what is wrong`)
      }
    }
  })
}

t.test('every valid vector cut short anywhere is refused, or is a message of fewer packets', async (t) => {
  for (const { valid } of files) {
    for (const vector of valid) {
      for (let length = 0; length < Math.min(vector.hex.length, 400); length += 2) {
        try {
          const packets = decode(vector.hex.slice(0, length))
          t.ok(packets.length < vector.packets.length, `${vector.name} cut to ${length / 2} bytes`)
        } catch (error) {
          if (!(error instanceof ProtocolError) || error.reasonCode !== 0x81) throw error
        }
      }
    }
  }
})
