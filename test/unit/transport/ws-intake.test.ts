/** Frames read around the stream of `ws` come to what they come to through it: messages, pings, errors, in order. */
import t from 'tap'
import { webSocketInMemory } from '../../../src/transport/ws-frames.js'
import { canReadFrames, readAround } from '../../../src/transport/ws-intake.js'
import { Random, seedsOfThisRun } from '../../support/random.js'

const BINARY = 0x82
const MASKED = 0x80

interface FrameTerms {
  readonly firstByte: number
  readonly payload: Buffer
  readonly isMasked?: boolean
}

function frame({ firstByte, payload, isMasked = true }: FrameTerms): Buffer {
  const { length } = payload
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head[0] = firstByte
  head[1] = (isMasked ? MASKED : 0) | (length < 126 ? length : length < 65_536 ? 126 : 127)
  if (head.length === 4) head.writeUInt16BE(length, 2)
  if (head.length === 10) head.writeUInt32BE(length, 6)
  if (!isMasked) return Buffer.concat([head, payload])
  const mask = Buffer.of(length & 255, 0x5a, 0xc3, 0x0f)
  return Buffer.concat([head, mask, payload.map((byte, index) => byte ^ (mask[index & 3] as number))])
}

const MESSAGE_BYTES_MAX = 70_000

/** What a peer of these chunks sees. @param isStream null: without the road around. */
async function eventsOf(chunks: readonly Buffer[], isStream: boolean | null, isNew = false): Promise<string[]> {
  const events: string[] = []
  const reader = {
    isNew,
    received: (bytes: Uint8Array) => void events.push(`message ${Buffer.from(bytes).toString('hex')}`),
  }
  webSocketInMemory((ws, socket) => {
    ;(ws as unknown as { _receiver: { _maxPayload: number } })._receiver._maxPayload = MESSAGE_BYTES_MAX
    ws.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary) reader.received(data)
      else events.push(`text ${data}`)
    })
    ws.on('ping', (data: Buffer) => events.push(`ping ${data.toString('hex')}`))
    ws.on('pong', (data: Buffer) => events.push(`pong ${data.toString('hex')}`))
    ws.on('error', (error: Error & { code?: string }) => events.push(`error ${error.code}`))
    ws.on('close', (code: number) => events.push(`close ${code}`))
    if (isStream !== null) readAround(ws, reader, isStream)
    for (const [index, chunk] of chunks.entries()) socket.emit('data', copyAt(index & 3, chunk))
  })
  await new Promise((resolve) => setImmediate(resolve))
  return events
}

/** A copy that begins so many bytes behind where a word may begin. */
function copyAt(offset: number, bytes: Buffer): Buffer {
  const copy = Buffer.alloc(offset + bytes.length)
  copy.set(bytes, offset)
  return copy.subarray(offset)
}

const bytesOf = (events: readonly string[]) => events.join(' ').replaceAll(' message ', '')

t.test('this version of ws is as expected', async (t) => {
  t.equal(canReadFrames(), true)
})

t.test('any frames in any chunks come to what ws makes of them', async (t) => {
  for (const seed of seedsOfThisRun(400)) {
    const random = new Random(seed)
    const below = (count: number) => random.below(count)
    const frames = Array.from({ length: 1 + below(12) }, () => frame(anyFrame(below)))
    const stream = Buffer.concat(frames)
    const chunks: Buffer[] = []
    const sizeMax = [2_000, 100_000, 3, 40][below(stream.length > 8_000 ? 2 : 4)] as number
    for (let at = 0; at < stream.length; ) {
      const size = 1 + below(sizeMax)
      chunks.push(stream.subarray(at, at + size))
      at += size
    }
    const expected = await eventsOf(chunks, null)
    const what = `seed ${seed}`
    t.strictSame(await eventsOf(chunks, false), expected, what)
    t.strictSame(await eventsOf(chunks, true, true), expected, what)
    t.equal(bytesOf(await eventsOf(chunks, true)), bytesOf(expected), what)
  }
})

function anyFrame(below: (count: number) => number): FrameTerms {
  const length = [below(20), 100 + below(60), 65_500 + below(60), below(3_000)][[0, 0, 1, 1, 2, 3][below(6)] as number]
  const payload = Buffer.alloc(length as number, below(256))
  const choice = below(40)
  if (choice < 28) return { firstByte: BINARY, payload }
  if (choice < 31) return { firstByte: [0x02, 0x00, 0x80][choice - 28] as number, payload }
  if (choice < 36) return { firstByte: choice < 34 ? 0x89 : 0x8a, payload: payload.subarray(0, 100) }
  if (choice === 36) return { firstByte: 0x81, payload: Buffer.from('text') }
  if (choice === 37) return { firstByte: 0x88, payload: Buffer.of(3, 232) }
  if (choice === 38) return { firstByte: BINARY, payload: Buffer.alloc(MESSAGE_BYTES_MAX + 1) }
  return { firstByte: [0xc2, 0x83, 0x92, 0x09][below(4)] as number, payload, isMasked: below(2) === 0 }
}

t.test('what is wrong is refused with the byte that shows it', async (t) => {
  for (const bytes of [
    [BINARY, 0],
    [0xc2, MASKED],
    [0x09, MASKED],
    [0x80, MASKED],
    [BINARY, MASKED | 127, 0, 0, 0, 0, 0, 2, 0, 0],
  ]) {
    const events = await eventsOf([Buffer.from(bytes)], true)
    t.match(events[0], /^error WS_ERR/, bytes.join())
    t.strictSame(events, await eventsOf([Buffer.from(bytes)], null), bytes.join())
  }
})

t.test('the messages of a chunk are one piece for a stream, and each its own otherwise', async (t) => {
  const chunk = Buffer.concat([1, 2, 3].map((byte) => frame({ firstByte: BINARY, payload: Buffer.alloc(9, byte) })))
  t.equal((await eventsOf([chunk], true)).filter((event) => event.startsWith('message')).length, 1)
  t.equal((await eventsOf([chunk], true, true)).filter((event) => event.startsWith('message')).length, 3)
  t.equal((await eventsOf([chunk], false)).filter((event) => event.startsWith('message')).length, 3)
})

t.test('a frame that is cut reserves room for what has come, not for what it announces', async (t) => {
  const beginning = frame({ firstByte: BINARY, payload: Buffer.alloc(MESSAGE_BYTES_MAX) }).subarray(0, 100)
  const before = process.memoryUsage().arrayBuffers
  webSocketInMemory((ws, socket) => {
    ;(ws as unknown as { _receiver: { _maxPayload: number } })._receiver._maxPayload = MESSAGE_BYTES_MAX
    readAround(ws, { isNew: false, received: () => t.fail('nothing is whole') }, false)
    socket.emit('data', Buffer.from(beginning))
    t.ok(process.memoryUsage().arrayBuffers - before < MESSAGE_BYTES_MAX / 10)
  })
})
