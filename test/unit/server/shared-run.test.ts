/** Bytes that many connections have in common: everybody gets what it would have written itself, in the same order. */
import t from 'tap'
import type { Delivery, Publication } from '../../../src/protocol/codec.js'
import { mqttCodec } from '../../../src/protocol/mqtt/codec.js'
import { nativeCodec } from '../../../src/protocol/msgpack/codec.js'
import { PacketType, type ProtocolLevel } from '../../../src/protocol/packets.js'
import { Outbox } from '../../../src/server/outbox.js'
import { WriterPool } from '../../../src/server/writer-pool.js'
import { Random, seedsOfThisRun } from '../../support/random.js'

function publication(index: number, payload: Uint8Array): Publication {
  return { topicName: `t/${index % 3}`, payload, properties: null, messageId: 0, wire: null }
}

const DELIVERY: Delivery = {
  qos: 0,
  retain: false,
  dup: false,
  packetId: 0,
  deliverySequence: 0,
  subscriptionIdentifiers: null,
  messageExpiryIntervalSec: -1,
  topicAlias: 0,
  omitTopicName: false,
  maximumPacketSize: Number.POSITIVE_INFINITY,
}

/** What a connection does with a delivery. */
function deliver(outbox: Outbox, level: ProtocolLevel, what: Publication, how: Delivery): number {
  const shared = outbox.share(level, what, how)
  if (shared === 0) outbox.writerNow(level).writePublication(what, how)
  return shared
}

function packetsOf(outbox: Outbox): Buffer {
  const written = outbox.take()
  return written === null ? Buffer.alloc(0) : Buffer.from(written.buffer.subarray(written.headroom))
}

t.test('from the fourth copy on there is one buffer', async (t) => {
  const pool = new WriterPool()
  const outboxes = Array.from({ length: 8 }, () => new Outbox(pool, mqttCodec))
  for (let index = 0; index < 5; index += 1) {
    const what = publication(index, Buffer.alloc(20, index))
    for (const outbox of outboxes) deliver(outbox, 4, what, DELIVERY)
  }
  const lengths = new Set(outboxes.map((outbox) => outbox.byteLength))
  t.equal(lengths.size, 1)
  const taken = outboxes.map((outbox) => outbox.take())
  t.equal(new Set(taken.slice(3).map((written) => written?.buffer)).size, 1)
  t.equal(new Set(taken.map((written) => written?.buffer)).size, 4)
  t.equal(new Set(taken.map((written) => Buffer.from(written?.buffer ?? []).toString('hex'))).size, 1)
})

t.test('a run that has begun to leave takes what is being copied, and nothing new', async (t) => {
  const pool = new WriterPool()
  const outboxes = Array.from({ length: 7 }, () => new Outbox(pool, mqttCodec))
  const first = publication(0, Buffer.alloc(9, 1))
  for (const outbox of outboxes.slice(0, 4)) deliver(outbox, 4, first, DELIVERY)
  const early = outboxes[3]?.take()?.buffer
  for (const outbox of outboxes.slice(4)) t.equal(deliver(outbox, 4, first, DELIVERY), outboxes[0]?.byteLength)
  const second = publication(1, Buffer.alloc(9, 2))
  for (const outbox of outboxes) deliver(outbox, 4, second, DELIVERY)
  t.equal(early?.length, 10 + 2 + 2 + 3 + 9, 'untouched by what came later')
  const rest = outboxes.map(packetsOf)
  for (const each of rest) t.ok(each.subarray(-9).equals(second.payload))
  t.equal(rest[3]?.length, (rest[4]?.length ?? 0) / 2)
})

t.test('whoever gets what, mixed with whatever, has its own packets in their order', async (t) => {
  for (const seed of seedsOfThisRun(300)) {
    const random = new Random(seed)
    const codec = random.chance(0.7) ? mqttCodec : nativeCodec
    const pool = new WriterPool()
    const peers = Array.from({ length: 2 + random.below(12) }, () => {
      const level: ProtocolLevel = random.chance(0.8) ? 5 : 4
      return { level, outbox: new Outbox(pool, codec), reference: codec.writer(level), isApart: random.chance(0.2) }
    })
    const compare = (peer: (typeof peers)[number]) => {
      const expected = peer.reference.take()
      const bytes = expected === null ? Buffer.alloc(0) : Buffer.from(expected.buffer.subarray(expected.headroom))
      if (!packetsOf(peer.outbox).equals(bytes)) t.fail(`seed ${seed}`)
    }
    for (let step = 0; step < 40; step += 1) {
      const what = publication(step, Buffer.alloc(random.below(80), step))
      const retain = random.chance(0.1)
      for (const peer of peers) {
        if (random.chance(peer.isApart ? 0.5 : 0.05)) continue
        const how = { ...DELIVERY, retain: retain !== random.chance(0.05) }
        if (random.chance(0.05)) how.subscriptionIdentifiers = [7]
        if (random.chance(0.05)) how.messageExpiryIntervalSec = 9
        deliver(peer.outbox, peer.level, what, how)
        peer.reference.writePublication(what, how)
        if (random.chance(0.02)) compare(peer)
        if (!random.chance(0.03)) continue
        peer.outbox.writerNow(peer.level).write({ type: PacketType.PINGRESP })
        peer.reference.write({ type: PacketType.PINGRESP })
      }
      if (random.chance(0.1)) peers.forEach(compare)
      if (random.chance(0.05)) peers[0]?.outbox.discard()
      if (peers[0]?.outbox.byteLength === 0) peers[0].reference.take()
    }
    peers.forEach(compare)
  }
  t.pass('no difference')
})
