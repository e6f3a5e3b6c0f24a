/**
 * The 18 faults that were reproduced in mqtt-packet 9.0.2 (our differential oracle), in their order: none of them here.
 */
import t from 'tap'
import { PacketType } from '../../../../src/protocol/packets.js'
import { ProtocolError } from '../../../../src/protocol/protocol-error.js'
import { decodeAll, decoderAt, hex, refusal, thrownReasonCode } from './wire.js'

const MALFORMED = 0x81
const VIOLATION = 0x82

t.test('1 a PUBACK of length 1 does not take its packet identifier from the next packet', async (t) => {
  for (const level of [4, 5] as const) t.equal(refusal(level, hex('40 01 00 | c0 00')), MALFORMED)
})

t.test('2 an announced 256 MiB PUBLISH is refused on its fixed header', async (t) => {
  t.equal(refusal(5, hex('30 ff ff ff 7f')), 0x95)
  t.equal(refusal(4, hex('30 ff ff ff 7f')), 0x95)
  t.equal(refusal(0, hex('10 ff ff ff 7f')), 0x95)
})

t.test('3 a Payload Format Indicator that stands twice is refused', async (t) => {
  t.equal(refusal(5, hex("30 08 00 01 'a' 04 | 01 00 | 01 00")), VIOLATION)
})

t.test('4 a Message Expiry Interval of 0 and then 9 is refused', async (t) => {
  t.equal(refusal(5, hex("30 0e 00 01 'a' 0a | 02 00 00 00 00 | 02 00 00 00 09")), VIOLATION)
})

t.test('5 a yes-or-no property of 7 is refused', async (t) => {
  t.equal(refusal(5, hex("30 06 00 01 'a' 02 | 01 07")), VIOLATION)
  t.equal(refusal(5, hex('20 05 00 00 02 | 25 07')), VIOLATION)
  t.equal(refusal(0, hex("10 0f 00 04 'MQTT' 05 02 00 3c 02 | 17 07 | 00 00")), VIOLATION)
})

t.test('6 user properties keep their order, across names and among equal ones', async (t) => {
  const [packet] = decodeAll(5, [
    hex("30 1d 00 01 'a' 19 | 26 00 01 '2' 00 01 'x' | 26 00 01 '1' 00 01 'y' | 26 00 01 '2' 00 00 | 26 00 00 00 00"),
  ])
  t.match(packet, {
    properties: {
      userProperties: [
        ['2', 'x'],
        ['1', 'y'],
        ['2', ''],
        ['', ''],
      ],
    },
  })
})

t.test('7 a Server Keep Alive inside PUBLISH is refused', async (t) => {
  t.equal(refusal(5, hex("30 07 00 01 'a' 03 | 13 00 05")), MALFORMED)
})

t.test('8 a topic of ill-formed UTF-8 is refused', async (t) => {
  for (const level of [4, 5] as const) {
    t.equal(refusal(level, hex('30 05 00 02 c3 28 00')), MALFORMED, 'broken sequence')
    t.equal(refusal(level, hex('30 06 00 03 ed a0 80 00')), MALFORMED, 'surrogate')
    t.equal(refusal(level, hex('30 05 00 02 c0 af 00')), MALFORMED, 'overlong')
  }
})

t.test('9 U+0000 in a topic is refused', async (t) => {
  for (const level of [4, 5] as const) t.equal(refusal(level, hex("30 06 00 03 'a' 00 'b' 00")), MALFORMED)
})

t.test('10 a SUBSCRIBE without a topic filter is refused', async (t) => {
  t.equal(refusal(4, hex('82 02 00 01')), VIOLATION)
  t.equal(refusal(5, hex('82 03 00 01 00')), VIOLATION)
})

t.test('11 packet identifier 0 is refused', async (t) => {
  t.equal(refusal(4, hex("82 06 00 00 00 01 'a' 00")), VIOLATION)
  t.equal(refusal(5, hex("82 07 00 00 00 00 01 'a' 00")), VIOLATION)
  t.equal(refusal(4, hex("32 05 00 01 'a' 00 00")), VIOLATION)
  t.equal(refusal(5, hex("32 06 00 01 'a' 00 00 00")), VIOLATION)
})

t.test('12 a Will QoS of 3 is refused', async (t) => {
  t.equal(refusal(0, hex("10 12 00 04 'MQTT' 04 1e 00 3c | 00 00 | 00 01 'w' | 00 01 'm'")), MALFORMED)
  t.equal(refusal(0, hex("10 14 00 04 'MQTT' 05 1e 00 3c 00 | 00 00 | 00 00 01 'w' | 00 01 'm'")), MALFORMED)
})

t.test('13 a password without a user name is refused before MQTT 5 and accepted in it', async (t) => {
  t.equal(refusal(0, hex("10 0f 00 04 'MQTT' 04 42 00 3c | 00 00 | 00 01 'p'")), MALFORMED)
  t.match(refusal(0, hex("10 10 00 04 'MQTT' 05 42 00 3c 00 | 00 00 | 00 01 'p'")), [{ password: hex("'p'") }])
})

t.test('14 bytes behind the last field are refused', async (t) => {
  t.equal(refusal(0, hex("10 0d 00 04 'MQTT' 04 02 00 3c | 00 00 | 00")), MALFORMED)
  t.equal(refusal(4, hex('c0 01 00')), MALFORMED)
  t.equal(refusal(5, hex('c0 01 00')), MALFORMED)
})

t.test('15 a length in more bytes than it needs is refused in MQTT 5; 3.1.1 has no such rule', async (t) => {
  t.equal(refusal(5, hex('c0 80 00')), MALFORMED)
  t.equal(refusal(5, hex("30 06 00 01 'a' 80 00 00")), MALFORMED, 'property length')
  t.equal(refusal(0, hex("10 8d 00 00 04 'MQTT' 05 02 00 3c 00 | 00 00")), MALFORMED, 'CONNECT')
  t.match(refusal(4, hex('c0 80 00')), [{ type: PacketType.PINGREQ }])
  t.match(refusal(0, hex("10 8c 80 00 00 04 'MQTT' 04 02 00 3c | 00 00")), [{ type: PacketType.CONNECT }])
})

t.test('16 a DISCONNECT of length 0 does not read the bytes behind it', async (t) => {
  t.match(refusal(5, hex('e0 00 | c0 00')), [
    { type: PacketType.DISCONNECT, reasonCode: 0 },
    { type: PacketType.PINGREQ },
  ])
})

t.test('17 nothing is decoded before CONNECT', async (t) => {
  t.equal(refusal(0, hex("30 04 00 01 'a' 00")), VIOLATION)
  t.equal(refusal(0, hex('30')), VIOLATION, 'known from the first byte')
  t.equal(refusal(0, hex('c0 00')), VIOLATION)
})

t.test('18 after an error the decoder goes on refusing', async (t) => {
  const decoder = decoderAt(5)
  const received: unknown[] = []
  t.throws(() => decoder.decode(hex('c0 01 00'), (packet) => received.push(packet)), ProtocolError)
  t.equal(
    thrownReasonCode(() => decoder.decode(hex('c0 00'), (packet) => received.push(packet))),
    MALFORMED,
  )
  t.same(received, [])
})
