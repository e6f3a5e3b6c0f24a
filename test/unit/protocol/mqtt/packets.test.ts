/**
 * The packet table, read and written: bytes to fields, fields to bytes, sizes, and every place a chunk can break.
 */
import t from 'tap'
import { mqttCodec } from '../../../../src/protocol/mqtt/codec.js'
import { type Packet, PacketType, type ProtocolLevel } from '../../../../src/protocol/packets.js'
import { PACKETS, type PacketRow } from './packet-table.js'
import { decodeAll, decoderAt, encode, hex, toHex } from './wire.js'

/** Where decoding starts: a CONNECT has to bring its level itself. */
function startLevel(row: PacketRow, level: ProtocolLevel): ProtocolLevel | 0 {
  return row.packet.type === PacketType.CONNECT ? 0 : level
}

for (const row of PACKETS) {
  for (const level of row.levels) {
    t.test(`${row.name}, level ${level}`, async (t) => {
      t.strictSame(decodeAll(startLevel(row, level), [row.bytes]), [row.packet], 'bytes to fields')
      t.equal(toHex(encode(level, row.packet)), toHex(row.bytes), 'fields to bytes')
      t.equal(mqttCodec.packetSize(row.packet, level), row.bytes.length, 'size')
    })
  }
}

function streamOf(level: ProtocolLevel): { bytes: Uint8Array; packets: Packet[] } {
  const rows = PACKETS.filter((row) => row.levels.includes(level) && row.packet.type !== PacketType.CONNECT)
  const connect = PACKETS.find((row) => row.levels.includes(level) && row.packet.type === PacketType.CONNECT)
  const all = connect === undefined ? rows : [connect, ...rows]
  const bytes = new Uint8Array(all.reduce((sum, row) => sum + row.bytes.length, 0))
  let offset = 0
  for (const row of all) {
    bytes.set(row.bytes, offset)
    offset += row.bytes.length
  }
  return { bytes, packets: all.map((row) => row.packet) }
}

for (const level of [3, 4, 5] as const) {
  const { bytes, packets } = streamOf(level)

  t.test(`level ${level}: all packets in one chunk`, async (t) => {
    t.strictSame(decodeAll(0, [bytes]), packets)
  })

  t.test(`level ${level}: a chunk may break at any byte`, async (t) => {
    for (let at = 0; at <= bytes.length; at += 1) {
      const decoded = decodeAll(0, [bytes.subarray(0, at), bytes.subarray(at)])
      if (decoded.length !== packets.length) t.fail(`broken at ${at}`)
      else if (at % 16 === 0) t.strictSame(decoded, packets, `broken at ${at}`)
    }
  })

  t.test(`level ${level}: chunks of every size from 1 byte on`, async (t) => {
    for (let size = 1; size <= 130; size += 1) {
      const chunks: Uint8Array[] = []
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.slice(at, at + size))
      t.strictSame(decodeAll(0, chunks), packets, `chunks of ${size}`)
    }
  })
}

t.test('payloads of packets in chunks keep their bytes while later chunks come', async (t) => {
  const decoder = decoderAt(4)
  const payloads: Uint8Array[] = []
  for (let value = 0; value < 50; value += 1) {
    const packet = hex(`30 08 00 01 'a' ${value.toString(16).padStart(2, '0').repeat(5)}`)
    for (const chunk of [packet.slice(0, 1), packet.slice(1, 6), packet.slice(6)]) {
      decoder.decode(chunk, (received) => {
        if (received.type === PacketType.PUBLISH) payloads.push(received.payload)
      })
    }
  }
  t.same(
    payloads.map((payload) => [...payload]),
    Array.from({ length: 50 }, (_, value) => new Array<number>(5).fill(value)),
  )
})

t.test('a whole packet is read where it lies: its payload is a view of the chunk', async (t) => {
  const chunk = hex("32 08 00 01 'a' 00 01 'xyz'")
  const [packet] = decodeAll(4, [chunk])
  t.ok(packet?.type === PacketType.PUBLISH && packet.payload.buffer === chunk.buffer)
})

t.test('topic names are told apart by every byte, and by their length', async (t) => {
  const names = ['a', 'b', 'b', 'ab', 'a', 'abc', 'abd', 'abc', 'é', 'é', 'x'.repeat(300), 'x'.repeat(300), 'x', '/']
  const bytes = encode(
    4,
    ...names.map((topicName) => ({
      type: PacketType.PUBLISH,
      topicName,
      payload: hex(''),
      qos: 0 as const,
      retain: false,
      dup: false,
      packetId: 0,
      properties: null,
    })),
  )
  t.same(
    decodeAll(4, [bytes]).map((packet) => (packet.type === PacketType.PUBLISH ? packet.topicName : undefined)),
    names,
  )
})
