/**
 * The decoder as its owner sees it: limits, the level it has learned, and what it does after an error.
 */
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { type Packet, PacketType } from '../../../../src/protocol/packets.js'
import { decoderAt, hex, refusal, thrownReasonCode } from './wire.js'

const CONNECT_311 = hex("10 0c 00 04 'MQTT' 04 02 00 3c 00 00")
const CONNECT_5 = hex("10 0d 00 04 'MQTT' 05 02 00 3c 00 00 00")
const ignore = (): void => {}

t.test('a packet of exactly the maximum size passes, one byte more is refused on its header', async (t) => {
  t.match(refusal(4, hex("30 08 00 01 'a' 01 02 03 04 05"), { maximumPacketSize: 10 }), [{ type: PacketType.PUBLISH }])
  t.equal(refusal(4, hex('30 09'), { maximumPacketSize: 10 }), 0x95)
})

t.test('before CONNECT is accepted the smaller limit counts, for what comes behind CONNECT too', async (t) => {
  const limits = { connectPacketSizeMax: 14 }
  t.same(refusal(0, hex('10 0c'), limits), [], 'waits for the rest')
  t.equal(refusal(0, hex('10 0c'), { connectPacketSizeMax: 13 }), 0x95)
  const decoder = decoderAt(0, limits)
  decoder.decode(CONNECT_311, ignore)
  t.equal(
    thrownReasonCode(() => decoder.decode(hex('30 0d'), ignore)),
    0x95,
  )

  const accepting = decoderAt(0, limits)
  const received: Packet[] = []
  const chunk = hex("10 0c 00 04 'MQTT' 04 02 00 3c 00 00 | 30 0f 00 01 'a' 'twelve bytes'")
  accepting.decode(chunk, (packet) => {
    received.push(packet)
    if (packet.type === PacketType.CONNECT) accepting.connectAccepted(packet.protocolLevel)
  })
  t.match(received, [{ type: PacketType.CONNECT }, { type: PacketType.PUBLISH, topicName: 'a' }])
})

t.test('the maximum packet size holds before CONNECT as well, if it is the smaller one', async (t) => {
  t.equal(refusal(0, CONNECT_311, { maximumPacketSize: 13 }), 0x95)
})

t.test('more user properties than allowed are refused with Quota Exceeded', async (t) => {
  const pair = '26 00 00 00 00'
  t.match(refusal(5, hex(`30 0e 00 01 'a' 0a ${pair} ${pair}`), { userPropertiesMax: 2 }), [{}])
  t.equal(refusal(5, hex(`30 0e 00 01 'a' 0a ${pair} ${pair}`), { userPropertiesMax: 1 }), 0x97)
})

t.test('the user properties of CONNECT and of its Will count together', async (t) => {
  const connect = hex("10 1d 00 04 'MQTT' 05 06 00 3c 05 26 00 00 00 00 00 00 | 05 26 00 00 00 00 | 00 01 'w' 00 00")
  t.equal(refusal(0, connect, { userPropertiesMax: 1 }), 0x97)
  t.match(refusal(0, connect, { userPropertiesMax: 2 }), [{ type: PacketType.CONNECT }])
})

t.test('the level that CONNECT named rules what follows it', async (t) => {
  for (const [connect, level] of [
    [CONNECT_311, 4],
    [CONNECT_5, 5],
  ] as const) {
    const decoder = decoderAt(0)
    t.equal(decoder.protocolLevel, 0)
    decoder.decode(connect, ignore)
    t.equal(decoder.protocolLevel, level)
    const received: Packet[] = []
    decoder.decode(hex("30 04 00 01 'a' 00"), (packet) => received.push(packet))
    t.match(received, [{ payload: level === 5 ? hex('') : hex('00') }])
  }
})

t.test('the level is known even if the rest of CONNECT is refused', async (t) => {
  const decoder = decoderAt(0)
  t.equal(
    thrownReasonCode(() => decoder.decode(hex("10 0d 00 04 'MQTT' 05 03 00 3c 00 00 00"), ignore)),
    0x81,
  )
  t.equal(decoder.protocolLevel, 5)
  const unsupported = decoderAt(0)
  t.equal(
    thrownReasonCode(() => unsupported.decode(hex("10 0c 00 04 'MQTT' 07 02 00 3c 00 00"), ignore)),
    0x84,
  )
  t.equal(unsupported.protocolLevel, 0)
})

t.test('MQTT 3.1 is refused unless it is switched on', async (t) => {
  const connect = hex("10 0e 00 06 'MQIsdp' 03 02 00 3c 00 00")
  t.equal(refusal(0, connect, { acceptMqtt31: false }), 0x84)
  t.match(refusal(0, connect, { acceptMqtt31: true }), [{ protocolLevel: 3 }])
})

t.test('MQTT 3.1 may repeat PUBREL, SUBSCRIBE and UNSUBSCRIBE with DUP set', async (t) => {
  t.match(refusal(3, hex("6a 02 00 01 | 8a 06 00 01 00 01 'a' 00 | aa 05 00 01 00 01 'a'")), [
    { type: PacketType.PUBREL },
    { type: PacketType.SUBSCRIBE },
    { type: PacketType.UNSUBSCRIBE },
  ])
  t.equal(refusal(3, hex('62 02 00 01').fill(0x60, 0, 1)), 0x81)
})

t.test('packets before a bad one are received, packets behind it are not', async (t) => {
  const decoder = decoderAt(4)
  const types: number[] = []
  const decode = (): void => decoder.decode(hex('c0 00 | c1 00 | d0 00'), (packet) => types.push(packet.type))
  t.equal(thrownReasonCode(decode), 0x81)
  t.same(types, [PacketType.PINGREQ])
})

t.test('an error of the receiver stops the decoder as well', async (t) => {
  const decoder = decoderAt(4)
  const failure = new Error('the core says no')
  const fail = (): void => {
    throw failure
  }
  t.throws(() => decoder.decode(hex('c0 00 c0 00'), fail), failure)
  t.throws(() => decoder.decode(hex('c0 00'), ignore), failure)
})

t.test('an unfinished packet costs memory for what has come, not for what was announced', async (t) => {
  const announced = 64 * 1024 * 1024
  const decoders = Array.from({ length: 200 }, () => decoderAt(4, { maximumPacketSize: 2 * announced }))
  const before = process.memoryUsage().arrayBuffers
  for (const decoder of decoders) decoder.decode(hex("30 80 80 80 20 00 01 'a' 00"), ignore)
  t.ok(process.memoryUsage().arrayBuffers - before < 1024 * 1024, 'two hundred beginnings of 64 MiB')
})

t.test('a large packet in small chunks comes out whole', async (t) => {
  const payload = new Uint8Array(300_000).map((_, index) => index * 7)
  const bytes = new Uint8Array(7 + payload.length)
  bytes.set(hex("30 e3 a7 12 00 01 'a'"))
  bytes.set(payload, 7)
  const decoder = decoderAt(4)
  const received: Packet[] = []
  for (let at = 0; at < bytes.length; at += 1_000) {
    decoder.decode(bytes.subarray(at, at + 1_000), (packet) => received.push(packet))
  }
  t.equal(received.length, 1)
  const [packet] = received
  t.ok(packet?.type === PacketType.PUBLISH && Buffer.compare(packet.payload, payload) === 0)
})

t.test('empty chunks change nothing', async (t) => {
  const decoder = decoderAt(4)
  const received: Packet[] = []
  for (const chunk of ['', 'c0', '', '00', '']) decoder.decode(hex(chunk), (packet) => received.push(packet))
  t.strictSame(received, [{ type: PacketType.PINGREQ }])
})

t.test('what has been read is let go: an idle connection would keep its last packet', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const decoder = decoderAt(0)
  const read = (): WeakRef<ArrayBufferLike> => {
    const chunk = Uint8Array.from(CONNECT_5)
    decoder.decode(chunk, ignore)
    return new WeakRef(chunk.buffer)
  }
  const bytes = read()
  await setImmediate()
  collect()
  t.equal(bytes.deref(), undefined)
  decoder.connectAccepted(5)
  const received: Packet[] = []
  decoder.decode(hex('c0 00'), (packet) => received.push(packet))
  t.match(received, [{ type: PacketType.PINGREQ }], 'and it reads on')
})
