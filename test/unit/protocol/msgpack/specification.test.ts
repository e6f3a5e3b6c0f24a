/** `conformance/native-protocol.md` and the code say the same, in both directions. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { StreamDigest } from '../../../../src/base/stream-digest.js'
import { DEFAULT_LIMITS } from '../../../../src/core/limits.js'
import { CLOSE_CODE_BY_REASON, CloseCode, isReconnectAllowed } from '../../../../src/protocol/close-codes.js'
import { nativeCodec } from '../../../../src/protocol/msgpack/codec.js'
import { PRODUCE_MESSAGES_MAX } from '../../../../src/protocol/msgpack/produce.js'
import { PROPERTIES } from '../../../../src/protocol/msgpack/properties.js'
import { DELIVER, DEPTH_MAX, VALUES_MAX } from '../../../../src/protocol/msgpack/wire.js'
import { type Packet, PacketType, ProducerReason } from '../../../../src/protocol/packets.js'
import { PRODUCER_REASONS } from '../../../../src/protocol/producer-reasons.js'
import { bytesOf, hexOf, VECTOR_LIMITS } from './vectors.js'

const page = readFileSync(new URL('../../../../conformance/native-protocol.md', import.meta.url), 'utf8')

/** Cells of the table whose head begins with these cells. */
function table(...head: string[]): string[][] {
  const lines = page.split('\n')
  const start = lines.findIndex((line) => line.startsWith(`| ${head.join(' | ')} |`))
  if (start < 0) throw new Error(`no table with the head ${head.join(', ')}`)
  const end = lines.findIndex((line, index) => index > start && !line.startsWith('|'))
  return lines.slice(start + 2, end).map((line) =>
    line
      .slice(1, -1)
      .split(' | ')
      .map((cell) => cell.trim().replaceAll('`', '')),
  )
}

function list(cell: string | undefined): string[] {
  return (cell ?? '').split(',').flatMap((item) => (item.trim() === '' ? [] : [item.trim()]))
}

t.test('the table of properties is the one in the code', async (t) => {
  const written = table('identifier', 'name', 'type', 'packets')
  const isNumber = (kind: string) => ['bit', 'uint16', 'uint32'].includes(kind)
  const coded = PROPERTIES.map(({ identifier, name, kind, owners, zeroReasonCode }) => [
    String(identifier),
    name,
    kind,
    [...owners].sort().join(),
    zeroReasonCode === undefined ? (isNumber(kind) ? 'allowed' : '') : `0x${zeroReasonCode.toString(16)}`,
  ])
  t.strictSame(
    written.map(([identifier, name, kind, packets, zero]) => [
      identifier,
      name,
      kind,
      list(packets).sort().join(),
      (zero ?? '').replace('|', '').trim(),
    ]),
    coded,
  )
})

t.test('the table of close codes is the one in the code', async (t) => {
  const rows = table('code', 'meaning', 'then', 'reason codes')
  const reasons = new Map<number, number>()
  for (const [code, meaning, then, reasonCodes] of rows) {
    t.equal(then, isReconnectAllowed(Number(code)) ? 'reconnect' : 'stop', `${code} ${meaning}`)
    for (const reasonCode of list(reasonCodes?.replace('|', ''))) reasons.set(Number(reasonCode), Number(code))
  }
  t.strictSame(rows.map(([code]) => Number(code)).sort(), [...Object.values(CloseCode)].sort())
  const sorted = (map: ReadonlyMap<number, number>) => [...map].sort(([left], [right]) => left - right)
  t.strictSame(sorted(reasons), sorted(CLOSE_CODE_BY_REASON))
})

t.test('the table of reason codes of producers is the one in the code', async (t) => {
  const written = table('reason code', 'name', 'where', 'meaning')
  const hex = (value: number) => `0x${value.toString(16).padStart(2, '0')}`
  t.strictSame(
    written,
    PRODUCER_REASONS.map(({ name, value, places, meaning }) => [hex(value), name, places.join(', '), meaning]),
  )
  const own = new Map(PRODUCER_REASONS.map(({ name, value }) => [name, value]))
  for (const [name, value] of Object.entries(ProducerReason)) t.equal(own.get(name), value, name)
  t.ok(page.includes(`${PRODUCE_MESSAGES_MAX} messages without properties`))
})

t.test('the table of packets has every packet type and its number', async (t) => {
  const rows = table('type', 'packet', 'array')
  const names = new Map(
    rows.filter(([, name]) => /^[A-Z_]+$/.test(name ?? '')).map(([type, name]) => [name, Number(type)]),
  )
  const types = new Map<string | undefined, number>(Object.entries(PacketType).filter(([name]) => name !== 'RESERVED'))
  t.strictSame([...names].sort(), [...types.set('DELIVER', DELIVER)].sort())
  for (const [type, name, array] of rows) {
    if (names.has(name)) t.ok(array?.startsWith(`[${type}`), `the array of ${name} begins with its type`)
  }
})

t.test('the limits on the page are the defaults', async (t) => {
  const cell = (limit: string) => table('limit', 'default').find(([name]) => name?.startsWith(limit))?.[1]
  t.equal(cell('bytes of one packet'), String(DEFAULT_LIMITS.maximumPacketSize))
  t.equal(cell('user properties'), String(DEFAULT_LIMITS.userPropertiesMax))
  t.equal(cell('msgpack values'), String(VALUES_MAX))
  t.equal(cell('depth'), String(DEPTH_MAX))
  t.equal(cell('topic or filter'), `${DEFAULT_LIMITS.topicBytesMax} bytes, ${DEFAULT_LIMITS.topicLevelsMax} levels`)
  t.equal(cell('client identifier'), `${DEFAULT_LIMITS.clientIdBytesMax} bytes`)
  t.equal(cell('filters in one'), String(DEFAULT_LIMITS.filtersPerPacketMax))
})

t.test('the session in hex is one that the codec reads and writes', async (t) => {
  const lines = page.slice(page.indexOf('## 16')).match(/^(client|server) {2}[0-9a-f ]+ {2}/gm) ?? []
  const types: number[] = []
  const messages = new StreamDigest()
  const digests: string[] = [hexOf(messages.digest())]
  const produced: string[] = []
  for (const line of lines) {
    const hex = line.slice(8).replaceAll(' ', '')
    const writer = nativeCodec.writer(5)
    nativeCodec.decoder(VECTOR_LIMITS).decode(bytesOf(hex), (packet: Packet) => {
      types.push(packet.type)
      if (packet.type === PacketType.PRODUCE) {
        messages.update(packet.encoded)
        digests.push(hexOf(messages.digest()))
      }
      if (packet.type === PacketType.PRODUCER_OPENED || packet.type === PacketType.PRODUCED) {
        produced.push(hexOf(packet.digest ?? new Uint8Array(0)))
      }
      writer.write(packet)
    })
    const written = writer.take()
    t.equal(hexOf(written?.buffer.subarray(written.headroom) ?? new Uint8Array()), hex, line.trim())
  }
  t.strictSame(types, [1, 2, 8, 9, 3, 4, 3, 4, 12, 13, 16, 17, 18, 20, 14])
  t.strictSame(digests, produced, 'the digest of the producer is that of its messages')
})
