/**
 * Random and damaged streams into the MQTT decoder: it answers with packets or with a ProtocolError and nothing else,
 * in the same way wherever the chunks break, in bounded time and memory; and what it accepts survives being written
 * and read again. 100 000 inputs by default, TALLYMQ_FUZZ_RUNS for more, TALLYMQ_FUZZ_SEED to repeat a run.
 */
import fc from 'fast-check'
import t from 'tap'
import type { CodecLimits } from '../../src/protocol/codec.js'
import { mqttCodec } from '../../src/protocol/mqtt/codec.js'
import { type Packet, PacketType, type ProtocolLevel } from '../../src/protocol/packets.js'
import { ProtocolError } from '../../src/protocol/protocol-error.js'
import { canonical, packetOf } from '../unit/protocol/mqtt/arbitrary-packets.js'
import { PACKETS } from '../unit/protocol/mqtt/packet-table.js'
import { decodeAll, encode, toHex } from '../unit/protocol/mqtt/wire.js'

const RUNS = Number(process.env.TALLYMQ_FUZZ_RUNS ?? 100_000)
const SEED = Number(process.env.TALLYMQ_FUZZ_SEED ?? 20_251_104)
const LIMITS: CodecLimits = {
  maximumPacketSize: 100_000,
  userPropertiesMax: 4,
  connectPacketSizeMax: 2_000,
  acceptMqtt31: true,
}
const LEGAL_REASONS = [0x81, 0x82, 0x84, 0x94, 0x95, 0x97]
const LEVELS = [0, 3, 4, 5] as const

/** xorshift32: fast, and the whole run follows from the seed. */
let state = SEED | 1
function random(below: number): number {
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  return (state >>> 0) % below
}

function corpusOf(level: ProtocolLevel): Uint8Array[] {
  const generated = fc.sample(packetOf(level), { numRuns: 300, seed: SEED }).map((packet) => encode(level, packet))
  const fromTable = PACKETS.filter((row) => row.levels.includes(level)).map((row) => row.bytes)
  return [...fromTable, ...fromTable, ...generated.filter((bytes) => bytes.length < 600)]
}
const CORPUS = { 3: corpusOf(3), 4: corpusOf(4), 5: corpusOf(5) }
const CONNECTS = [3, 4, 5].flatMap((level) =>
  CORPUS[level as ProtocolLevel].filter((bytes) => (bytes[0] as number) >>> 4 === PacketType.CONNECT),
)
const INTERESTING = [0x00, 0x01, 0x02, 0x7f, 0x80, 0xff, 0xc0, 0xed, 0x0b, 0x23, 0x26]

function randomStream(): Uint8Array {
  const bytes = new Uint8Array(1 + random(60)).map(() => random(256))
  // Mostly a plausible header, or hardly anything would come past it.
  if (random(8) > 0) {
    const type = 1 + random(15)
    bytes[0] = (type << 4) | (type === 3 ? random(16) : type === 6 || type === 8 || type === 10 ? 2 : 0)
    bytes[1] = bytes.length > 2 && random(4) > 0 ? bytes.length - 2 : (bytes[1] as number)
  }
  return bytes
}

function pick(corpus: readonly Uint8Array[]): Uint8Array {
  return (corpus[random(corpus.length)] as Uint8Array).slice()
}

function mutatedStream(level: ProtocolLevel | 0): Uint8Array {
  const parts: Uint8Array[] = []
  if (level === 0 || random(20) === 0) parts.push(pick(CONNECTS))
  for (let count = random(3); count >= 0; count -= 1) {
    parts.push(pick(CORPUS[level === 0 ? ((3 + random(3)) as ProtocolLevel) : level]))
  }
  let bytes = new Uint8Array(Buffer.concat(parts))
  for (let count = random(4); count > 0; count -= 1) bytes = mutated(bytes)
  return bytes
}

function mutated(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const at = random(bytes.length + 1)
  switch (random(6)) {
    case 0:
      if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << random(8))
      return bytes
    case 1:
      if (at < bytes.length) bytes[at] = INTERESTING[random(INTERESTING.length)] as number
      return bytes
    case 2:
      if (at < bytes.length) bytes[at] = random(256)
      return bytes
    case 3:
      return bytes.slice(0, Math.max(1, at))
    case 4: {
      const end = Math.min(bytes.length, at + 1 + random(4))
      return new Uint8Array(Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]))
    }
    default: {
      const piece = bytes.subarray(at, at + 1 + random(12))
      return new Uint8Array(Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]))
    }
  }
}

interface Outcome {
  readonly packets: readonly Packet[]
  /** 0: no error. */
  readonly reasonCode: number
}

function decode(level: ProtocolLevel | 0, chunks: readonly Uint8Array[]): Outcome {
  const decoder = mqttCodec.decoder(LIMITS)
  if (level !== 0) decoder.connectAccepted(level)
  const packets: Packet[] = []
  try {
    for (const chunk of chunks) {
      decoder.decode(chunk, (packet) => {
        packets.push(packet)
      })
    }
    return { packets, reasonCode: 0 }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return { packets, reasonCode: error.reasonCode }
  }
}

function broken(bytes: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = []
  let at = 0
  while (at < bytes.length) {
    const end = at + 1 + random(random(3) === 0 ? 3 : 80)
    chunks.push(bytes.slice(at, end))
    at = end
  }
  return chunks
}

/** @returns what is wrong, undefined when all is well. */
function problemWith(level: ProtocolLevel | 0, bytes: Uint8Array, checkDeeply: boolean): string | undefined {
  const whole = decode(level, [bytes])
  if (whole.reasonCode !== 0 && !LEGAL_REASONS.includes(whole.reasonCode)) return `reason code ${whole.reasonCode}`
  if (whole.packets.length * 2 > bytes.length) return 'more packets than bytes allow'
  const pieces = decode(level, broken(bytes))
  if (pieces.reasonCode !== whole.reasonCode) return `${whole.reasonCode} whole, ${pieces.reasonCode} in pieces`
  if (pieces.packets.length !== whole.packets.length) return 'other packets in pieces'
  if (!checkDeeply) return undefined
  if (canonical(pieces.packets) !== canonical(whole.packets)) return 'other packets in pieces'
  let current = level
  for (const packet of whole.packets) {
    if (packet.type === PacketType.CONNECT && current === 0) current = packet.protocolLevel
    const own = packet.type === PacketType.CONNECT ? packet.protocolLevel : (current as ProtocolLevel)
    const again = decodeAll(packet.type === PacketType.CONNECT ? 0 : own, [encode(own, packet)])
    if (canonical(again) !== canonical([packet])) return `packet type ${packet.type} changes when written again`
  }
  return undefined
}

// A long run is started by hand and takes as long as it takes.
if (RUNS > 100_000) t.setTimeout(86_400_000)

t.test(`${RUNS} streams, seed ${SEED}: packets or a ProtocolError, and nothing else`, async (t) => {
  const seen = { accepted: 0, refused: 0, packets: new Set<number>(), reasons: new Set<number>() }
  const start = process.hrtime.bigint()
  let slowestMs = 0
  for (let run = 0; run < RUNS; run += 1) {
    const level = LEVELS[random(4)] as ProtocolLevel | 0
    const bytes = run % 3 === 0 ? randomStream() : mutatedStream(level)
    const before = process.hrtime.bigint()
    const problem = problemWith(level, bytes, run % 4 === 0)
    slowestMs = Math.max(slowestMs, Number(process.hrtime.bigint() - before) / 1e6)
    if (problem !== undefined) t.fail(`level ${level}, ${toHex(bytes)}: ${problem}`)
    const { packets, reasonCode } = decode(level, [bytes])
    if (reasonCode === 0) seen.accepted += 1
    else seen.refused += 1
    seen.reasons.add(reasonCode)
    for (const packet of packets) seen.packets.add(packet.type)
  }
  t.comment(`${RUNS} streams in ${Number(process.hrtime.bigint() - start) / 1e9} s, the slowest ${slowestMs} ms`)
  t.comment(
    `${seen.accepted} accepted, ${seen.refused} refused with ${[...seen.reasons].map((code) => code.toString(16))}`,
  )
  t.ok(seen.accepted > RUNS / 10 && seen.refused > RUNS / 10, 'both outcomes are common')
  t.equal(seen.packets.size, 15, 'every packet type came through')
  for (const reasonCode of [0x81, 0x82, 0x84, 0x95]) t.ok(seen.reasons.has(reasonCode), 'the usual reasons were given')
})

t.test('memory follows the bytes that came, whatever they announce', async (t) => {
  const limits = { ...LIMITS, maximumPacketSize: 268_435_455 }
  const decoders = Array.from({ length: 2_000 }, () => mqttCodec.decoder(limits))
  const before = process.memoryUsage()
  for (const decoder of decoders) {
    decoder.connectAccepted(5)
    const header = Uint8Array.of(0x30 + random(2), 0xff, 0xff, 0xff, 0x7e, ...new Uint8Array(random(200)))
    for (const chunk of broken(header)) decoder.decode(chunk, () => {})
  }
  const after = process.memoryUsage()
  t.ok(after.arrayBuffers + after.heapUsed - before.arrayBuffers - before.heapUsed < 50_000_000)
})
