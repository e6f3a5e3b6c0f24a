/**
 * `tally.v1` against input nobody meant: random bytes, valid messages with bytes changed, removed, doubled and joined,
 * and msgpack of the wrong shape. Nothing but ProtocolError may come out, and nothing may grow beyond a small multiple
 * of what went in. TALLYMQ_FUZZ_RUNS sets the number of cases, TALLYMQ_FUZZ_SEED repeats a run.
 */
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { FRAME_HEADROOM } from '../../src/protocol/codec.js'
import { nativeCodec } from '../../src/protocol/msgpack/codec.js'
import { pack } from '../../src/protocol/msgpack/packer.js'
import type { Packet } from '../../src/protocol/packets.js'
import { ProtocolError } from '../../src/protocol/protocol-error.js'
import { bytesOf, loadVectors, VECTOR_LIMITS, withoutViews } from '../unit/protocol/msgpack/vectors.js'
import { neighbours, packet } from './msgpack-packets.js'

const runs = Number(process.env.TALLYMQ_FUZZ_RUNS ?? 120_000)
const seed = Number(process.env.TALLYMQ_FUZZ_SEED ?? Date.now() % 2 ** 31)
t.comment(`seed ${seed}, ${runs} cases; repeat with TALLYMQ_FUZZ_SEED=${seed}`)
/** Values of the decoded packets for every byte of input: an empty payload of a run is a packet of 13 in two bytes. */
const VALUES_PER_BYTE_MAX = 7

const vectors = loadVectors('tally.v1').flatMap(({ valid, invalid }) => [...valid, ...valid, ...invalid])
const messages = vectors
  .map((vector) => bytesOf(vector.hex))
  .filter((bytes) => bytes.length > 0 && bytes.length < 1_000)

/** Gives the packets, or the reason code of the refusal; anything else that is thrown fails the property. */
function tryDecode(bytes: Uint8Array): Packet[] | number {
  const decoder = nativeCodec.decoder(VECTOR_LIMITS)
  decoder.connectAccepted(5)
  const packets: Packet[] = []
  try {
    decoder.decode(bytes, (decoded) => packets.push(decoded))
  } catch (error) {
    if (error instanceof ProtocolError) return error.reasonCode
    throw error
  }
  return packets
}

/**
 * Numbers, booleans and nulls count one; text and binaries their length, the same text only once, because the packets
 * of a run share it; containers one more than their contents.
 */
function weigh(value: unknown, texts = new Set<string>()): number {
  if (typeof value === 'string') {
    if (texts.has(value)) return 1
    texts.add(value)
  }
  if (typeof value === 'string' || value instanceof Uint8Array) return 1 + value.length
  if (value === null || typeof value !== 'object') return 1
  let weight = 1
  for (const item of Array.isArray(value) ? value : Object.values(value)) weight += weigh(item, texts)
  return weight
}

/** How the cases of one property ended: a property that only ever saw one end has tested little. */
const ends = { accepted: 0, refused: 0 }

function holds(bytes: Uint8Array): boolean {
  const outcome = tryDecode(bytes)
  ends[typeof outcome === 'number' ? 'refused' : 'accepted'] += 1
  if (typeof outcome === 'number') return [0x81, 0x82, 0x84, 0x94, 0x95, 0x97].includes(outcome)
  return outcome.every((decoded) => decoded !== undefined) && weigh(outcome) <= 64 + bytes.length * VALUES_PER_BYTE_MAX
}

type Mutation = { kind: 'set' | 'insert' | 'remove' | 'repeat' | 'truncate'; at: number; byte: number }
const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom('set', 'set', 'insert', 'remove', 'repeat', 'truncate'),
  at: fc.noBias(fc.nat(999)),
  byte: fc.oneof(fc.nat(255), fc.constantFrom(0xc1, 0xc7, 0xd4, 0x72, 0xdd, 0xdf, 0xdb, 0xc6, 0xcb, 0xc0, 0xff, 0x00)),
})

function mutate(bytes: Uint8Array, mutations: readonly Mutation[]): Uint8Array {
  let list = [...bytes]
  for (const { kind, at, byte } of mutations) {
    const index = list.length === 0 ? 0 : at % list.length
    if (kind === 'set') list[index] = byte
    else if (kind === 'insert') list.splice(index, 0, byte)
    else if (kind === 'remove') list.splice(index, 1)
    else if (kind === 'repeat') list.splice(index, 0, ...list.slice(index, index + 8))
    else list = list.slice(0, index)
  }
  return Uint8Array.from(list)
}

function check<T>(t: Test, share: number, cases: fc.Arbitrary<T>, predicate: (value: T) => boolean): void {
  ends.accepted = 0
  ends.refused = 0
  fc.assert(fc.property(cases, predicate), { seed, numRuns: Math.ceil(runs * share), endOnFailure: true })
  t.comment(`${ends.accepted} accepted, ${ends.refused} refused`)
}

t.test('random bytes are packets or a ProtocolError', async (t) => {
  check(t, 0.2, fc.uint8Array({ minLength: 0, maxLength: 64 }), holds)
  t.ok(ends.refused > 0)
})

t.test('random bytes behind the head of a packet are packets or a ProtocolError', async (t) => {
  const head = fc.tuple(fc.integer({ min: 0x91, max: 0x99 }), fc.nat(20), fc.uint8Array({ maxLength: 48 }))
  check(t, 0.2, head, ([array, type, rest]) => holds(Uint8Array.of(array, type, ...rest)))
  t.ok(ends.refused > 0)
})

t.test('vectors with bytes changed are packets or a ProtocolError', async (t) => {
  const mutated = fc.tuple(fc.constantFrom(...messages), fc.array(mutation, { minLength: 1, maxLength: 2 }))
  check(t, 0.4, mutated, ([bytes, mutations]) => holds(mutate(bytes, mutations)))
  t.ok(ends.refused > ends.accepted && ends.accepted > 0)
})

t.test('vectors joined in the middle are packets or a ProtocolError', async (t) => {
  const pair = fc.tuple(fc.constantFrom(...messages), fc.constantFrom(...messages), fc.nat(999), fc.nat(999))
  const join = ([left, right, from, to]: [Uint8Array, Uint8Array, number, number]) =>
    Uint8Array.from([...left.subarray(0, from % left.length), ...right.subarray(to % right.length)])
  check(t, 0.1, pair, (parts) => holds(join(parts)))
  t.ok(ends.refused > 0 && ends.accepted > 0)
})

t.test('well-formed msgpack of any shape is packets or a ProtocolError', async (t) => {
  const { tree } = fc.letrec((tie) => ({
    leaf: fc.oneof(fc.nat(), fc.constant(null), fc.string({ maxLength: 8 }), fc.uint8Array({ maxLength: 8 })),
    tree: fc.oneof(
      { maxDepth: 5 },
      tie('leaf'),
      fc.array(tie('tree'), { maxLength: 4 }),
      fc.array(fc.tuple(fc.nat(43), tie('tree')), { maxLength: 3 }).map((entries) => new Map(entries)),
    ),
  }))
  const fields = fc.tuple(fc.nat(20), fc.array(tree, { maxLength: 8 }))
  check(t, 0.1, fields, ([type, rest]) => holds(pack([type, ...rest]).slice()))
  t.ok(ends.refused > 0 && ends.accepted > 0)
})

t.test('whatever a packet is, it comes back as it went in', async (t) => {
  const roundTrip = (sent: Packet) => {
    const writer = nativeCodec.writer(5)
    writer.write(sent)
    const bytes = writer.take()?.buffer.subarray(FRAME_HEADROOM) as Uint8Array
    if (nativeCodec.packetSize(sent, 5) !== bytes.length) return false
    const received = tryDecode(bytes)
    if (typeof received === 'number') return false
    return JSON.stringify(received.map(sortable)) === JSON.stringify([sortable(sent)])
  }
  check(t, 0.05, packet, roundTrip)
  t.pass()
})

t.test('publications that may share a packet come back as they went in', async (t) => {
  let shared = 0
  const bytesOfAll = (packets: readonly Packet[]) =>
    packets.reduce((sum, one) => sum + nativeCodec.packetSize(one, 5), 0)
  check(t, 0.05, neighbours, (sent) => {
    const writer = nativeCodec.writer(5)
    for (const one of sent) writer.write(one)
    const bytes = writer.take()?.buffer.subarray(FRAME_HEADROOM) as Uint8Array
    if (bytes.length < bytesOfAll(sent)) shared += 1
    const received = tryDecode(bytes)
    if (typeof received === 'number') return false
    return JSON.stringify(received.map(sortable)) === JSON.stringify(sent.map(sortable))
  })
  t.ok(shared > runs * 0.01, `${shared} messages with runs`)
})

t.test('messages that claim gigabytes cost next to nothing', async (t) => {
  const bombs = [
    'ddffffffff',
    '92ddffffffff',
    '9308dd7fffffff',
    '990101a00100c0c0c0df7fffffff',
    '950300 00a161c6ffffffff',
    '96120101 0000ddffffffff',
    '96120101 0000dd0000000a9301a161c6ffffffff',
  ]
  const before = process.memoryUsage()
  for (let round = 0; round < 2_000; round += 1) {
    for (const bomb of bombs) tryDecode(bytesOf(bomb.replace(' ', '') + '00'.repeat(round % 50)))
  }
  const after = process.memoryUsage()
  const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers
  t.ok(grown < 64 * 2 ** 20, `${Math.round(grown / 2 ** 20)} MiB for 10 000 messages`)
})

/** The same text for the same packet, whatever the order of its fields and the kind of its bytes. */
function sortable(value: unknown): unknown {
  const plain = withoutViews(value)
  if (plain instanceof Uint8Array) return { bytes: [...plain] }
  if (Array.isArray(plain)) return plain.map(sortable)
  if (plain === null || typeof plain !== 'object') return plain
  const entries = Object.entries(plain).sort(([left], [right]) => (left < right ? -1 : 1))
  return Object.fromEntries(entries.map(([key, item]) => [key, sortable(item)]))
}
