/** Frames written in place are the frames `ws` would have written. */
import t from 'tap'
import * as ws from 'ws'
import { canWriteFrames, frameInPlace } from '../../../src/transport/ws-frames.js'

function written(length: number) {
  const buffer = new Uint8Array(10 + length)
  for (let index = 0; index < length; index += 1) buffer[10 + index] = index & 0xff
  return { buffer, headroom: 10 }
}

t.test('the header is the one that ws makes, at every boundary of its length', async (t) => {
  for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]) {
    const ours = frameInPlace(written(length))
    const payload = Buffer.from(written(length).buffer.subarray(10))
    const theirs = frameOfWs(payload)
    t.ok(ours?.equals(theirs), `${length} bytes`)
  }
})

t.test('without room in front there is no frame', async (t) => {
  t.equal(frameInPlace({ buffer: new Uint8Array(100), headroom: 1 }), undefined)
  t.equal(frameInPlace({ buffer: new Uint8Array(200), headroom: 3 }), undefined)
  t.ok(frameInPlace({ buffer: new Uint8Array(100), headroom: 2 }))
})

t.test('the private parts of this version of ws are as expected', async (t) => {
  t.equal(canWriteFrames(), true)
})

function frameOfWs(payload: Buffer): Buffer {
  const frame = (ws as unknown as { Sender: { frame(data: Buffer, options: object): Buffer[] } }).Sender.frame
  return Buffer.concat(frame(payload, { fin: true, opcode: 2, mask: false, rsv1: false, readOnly: true }))
}
