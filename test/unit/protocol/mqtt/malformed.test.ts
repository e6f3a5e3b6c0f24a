/**
 * What must be refused, and with which reason code: one row for each rule that a peer can break on the wire.
 */
import t from 'tap'
import type { ProtocolLevel } from '../../../../src/protocol/packets.js'
import { hex, refusal } from './wire.js'

type Row = readonly [what: string, level: ProtocolLevel | 0, bytes: string, reasonCode: number]

const FIRST_BYTES: readonly Row[] = [
  ['packet type 0', 5, '00 00', 0x81],
  ['packet type 0 before CONNECT', 0, '00 00', 0x81],
  ['AUTH before MQTT 5', 4, 'f0 00', 0x81],
  ['flags of CONNECT', 0, '11', 0x81],
  ['flags of CONNACK', 5, '21', 0x81],
  ['flags of PUBACK', 4, '42', 0x81],
  ['flags of PUBREC', 5, '51', 0x81],
  ['flags of PUBREL', 4, '60', 0x81],
  ['flags of PUBREL with DUP', 4, '6a', 0x81],
  ['flags of PUBCOMP', 5, '72', 0x81],
  ['flags of SUBSCRIBE', 5, '80', 0x81],
  ['flags of SUBSCRIBE with DUP', 4, '8a', 0x81],
  ['flags of SUBACK', 5, '91', 0x81],
  ['flags of UNSUBSCRIBE', 4, 'a3', 0x81],
  ['flags of UNSUBACK', 5, 'b2', 0x81],
  ['flags of PINGREQ', 5, 'c1', 0x81],
  ['flags of PINGRESP', 5, 'd8', 0x81],
  ['flags of DISCONNECT', 5, 'e1', 0x81],
  ['flags of AUTH', 5, 'f4', 0x81],
  ['PUBLISH with QoS 3', 4, '36', 0x81],
  ['PUBLISH with QoS 0 and DUP', 5, '38', 0x81],
  ['a length of five bytes', 4, 'c0 ff ff ff ff', 0x81],
  ['AUTH before CONNECT', 0, 'f0', 0x82],
]

const CONNECTS: readonly Row[] = [
  ['an unknown protocol name', 0, "10 0c 00 04 'MQTX' 04 02 00 3c 00 00", 0x84],
  ['a protocol name in small letters', 0, "10 0c 00 04 'mqtt' 04 02 00 3c 00 00", 0x84],
  ['a longer protocol name', 0, "10 0d 00 05 'MQTTX' 04 02 00 3c 00 00", 0x84],
  ['level 6', 0, "10 0d 00 04 'MQTT' 06 02 00 3c 00 00 00", 0x84],
  ['level 3 under the name MQTT', 0, "10 0c 00 04 'MQTT' 03 02 00 3c 00 00", 0x84],
  ['level 4 under the name MQIsdp', 0, "10 0e 00 06 'MQIsdp' 04 02 00 3c 00 00", 0x84],
  ['a bridge bit in the level', 0, "10 0c 00 04 'MQTT' 84 02 00 3c 00 00", 0x84],
  ['the reserved connect flag', 0, "10 0c 00 04 'MQTT' 04 03 00 3c 00 00", 0x81],
  ['a Will QoS without a Will', 0, "10 0c 00 04 'MQTT' 04 0a 00 3c 00 00", 0x81],
  ['a Will Retain without a Will', 0, "10 0d 00 04 'MQTT' 05 22 00 3c 00 00 00", 0x81],
  ['no client identifier', 0, "10 0a 00 04 'MQTT' 04 02 00 3c", 0x81],
  ['a client identifier beyond the end', 0, "10 0d 00 04 'MQTT' 04 02 00 3c 00 02 'a'", 0x81],
  ['a client identifier of ill-formed UTF-8', 0, "10 0f 00 04 'MQTT' 04 02 00 3c 00 03 ed a0 80", 0x81],
  ['a client identifier with U+0000', 0, "10 0d 00 04 'MQTT' 04 02 00 3c 00 01 00", 0x81],
  ['a missing user name', 0, "10 0c 00 04 'MQTT' 04 82 00 3c 00 00", 0x81],
  ['a missing password', 0, "10 0f 00 04 'MQTT' 04 c2 00 3c 00 00 00 01 'u'", 0x81],
  ['a missing Will', 0, "10 0c 00 04 'MQTT' 04 06 00 3c 00 00", 0x81],
  ['a Will topic of ill-formed UTF-8', 0, "10 11 00 04 'MQTT' 04 06 00 3c 00 00 | 00 01 ff | 00 00", 0x81],
  ['a Receive Maximum of 0', 0, "10 10 00 04 'MQTT' 05 02 00 3c 03 21 00 00 | 00 00", 0x82],
  ['a Maximum Packet Size of 0', 0, "10 12 00 04 'MQTT' 05 02 00 3c 05 27 00 00 00 00 | 00 00", 0x82],
  ['Request Response Information 2', 0, "10 0f 00 04 'MQTT' 05 02 00 3c 02 19 02 | 00 00", 0x82],
  ['Session Expiry twice', 0, "10 17 00 04 'MQTT' 05 02 00 3c 0a 11 00 00 00 00 11 00 00 00 00 | 00 00", 0x82],
  ['Topic Alias Maximum twice', 0, "10 13 00 04 'MQTT' 05 02 00 3c 06 22 00 00 22 00 01 | 00 00", 0x82],
  ['authentication data without a method', 0, "10 11 00 04 'MQTT' 05 02 00 3c 04 16 00 01 ff | 00 00", 0x82],
  ['a Will property in CONNECT', 0, "10 12 00 04 'MQTT' 05 02 00 3c 05 18 00 00 00 00 | 00 00", 0x81],
  [
    'a CONNECT property in the Will',
    0,
    "10 16 00 04 'MQTT' 05 06 00 3c 00 00 00 | 03 21 00 01 | 00 01 'w' 00 00",
    0x81,
  ],
  [
    'Will Delay twice',
    0,
    "10 1d 00 04 'MQTT' 05 06 00 3c 00 00 00 | 0a 18 00 00 00 00 18 00 00 00 01 | 00 01 'w' 00 00",
    0x82,
  ],
]

const PROPERTIES: readonly Row[] = [
  ['an unknown property', 5, "30 06 00 01 'a' 02 7e 00", 0x81],
  ['property 0', 5, "30 06 00 01 'a' 02 00 00", 0x81],
  ['a property identifier of two bytes', 5, "30 06 00 01 'a' 02 81 00", 0x81],
  ['properties longer than the packet', 5, "30 05 00 01 'a' 05 01", 0x81],
  ['a property that crosses the end of the properties', 5, "30 0a 00 01 'a' 03 02 00 00 00 09 00", 0x81],
  ['a missing property length', 5, "30 03 00 01 'a'", 0x81],
  ['a property length of five bytes', 5, "30 08 00 01 'a' ff ff ff ff 01", 0x81],
  ['Topic Alias 0', 5, "30 07 00 01 'a' 03 23 00 00", 0x94],
  ['Topic Alias twice', 5, "30 0a 00 01 'a' 06 23 00 01 23 00 01", 0x82],
  ['Response Topic twice', 5, "30 0c 00 01 'a' 08 08 00 01 'x' 08 00 01 'x'", 0x82],
  ['Content Type twice, empty', 5, "30 0a 00 01 'a' 06 03 00 00 03 00 00", 0x82],
  ['Correlation Data twice', 5, "30 0a 00 01 'a' 06 09 00 00 09 00 00", 0x82],
  ['Subscription Identifier 0 in PUBLISH', 5, "30 06 00 01 'a' 02 0b 00", 0x82],
  ['Correlation Data beyond the end', 5, "30 08 00 01 'a' 04 09 00 02 ff", 0x81],
  ['a Response Topic of ill-formed UTF-8', 5, "30 08 00 01 'a' 04 08 00 01 ff", 0x81],
  ['a Content Type with U+0000', 5, "30 08 00 01 'a' 04 03 00 01 00", 0x81],
  ['a user property name of ill-formed UTF-8', 5, "30 0a 00 01 'a' 06 26 00 01 ff 00 00", 0x81],
  ['a user property value with U+0000', 5, "30 0a 00 01 'a' 06 26 00 00 00 01 00", 0x81],
  ['Subscription Identifier 0 in SUBSCRIBE', 5, "82 09 00 01 02 0b 00 | 00 01 'a' 00", 0x82],
  ['Subscription Identifier twice in SUBSCRIBE', 5, "82 0b 00 01 04 0b 01 0b 02 | 00 01 'a' 00", 0x82],
  ['Reason String twice in PUBACK', 5, '40 0a 00 01 00 06 1f 00 00 1f 00 00', 0x82],
  ['Session Expiry twice in DISCONNECT', 5, 'e0 0c 00 0a 11 00 00 00 00 11 00 00 00 00', 0x82],
  ['Reason String in SUBSCRIBE', 5, "82 0a 00 01 03 1f 00 00 | 00 01 'a' 00", 0x81],
  ['Subscription Identifier in UNSUBSCRIBE', 5, "a2 08 00 01 02 0b 01 | 00 01 'a'", 0x81],
  ['Server Reference in PUBACK', 5, '40 07 00 01 00 03 1c 00 00', 0x81],
  ['Maximum QoS 2 in CONNACK', 5, '20 05 00 00 02 24 02', 0x82],
]

const BODIES: readonly Row[] = [
  ['CONNACK with a reserved flag', 4, '20 02 02 00', 0x81],
  ['CONNACK with return code 6', 4, '20 02 00 06', 0x82],
  ['CONNACK with a code of another packet', 5, '20 03 00 10 00', 0x82],
  ['a refusing CONNACK with a session', 5, '20 03 01 87 00', 0x82],
  ['CONNACK without a code', 4, '20 01 00', 0x81],
  ['CONNACK of 5 without properties', 5, '20 02 00 00', 0x81],
  ['CONNACK with a byte too many', 4, '20 03 00 00 00', 0x81],
  ['PUBLISH without a topic', 4, '30 00', 0x81],
  ['PUBLISH with half a topic length', 4, '30 01 00', 0x81],
  ['PUBLISH with a topic beyond the end', 4, "30 03 00 02 'a'", 0x81],
  ['PUBLISH without its packet identifier', 4, "32 03 00 01 'a'", 0x81],
  ['PUBLISH with an empty topic and no alias', 5, '30 03 00 00 00', 0x82],
  ['PUBLISH with an empty topic before MQTT 5', 4, '30 02 00 00', 0x81],
  ['PUBACK with packet identifier 0', 4, '40 02 00 00', 0x82],
  ['PUBACK of 3.1.1 with a reason code', 4, '40 03 00 01 00', 0x81],
  ['PUBREL without an identifier', 5, '62 00', 0x81],
  ['PUBACK with a code of another packet', 5, '40 03 00 01 92', 0x82],
  ['PUBREC with an unknown code', 5, '50 03 00 01 7f', 0x82],
  ['PUBREL with a code of another packet', 5, '62 03 00 01 80', 0x82],
  ['PUBCOMP with a code of another packet', 5, '70 03 00 01 10', 0x82],
  ['PUBACK with bytes behind its properties', 5, '40 05 00 01 00 00 00', 0x81],
  ['SUBSCRIBE with a filter and no options', 4, "82 05 00 01 00 01 'a'", 0x81],
  ['SUBSCRIBE with QoS 3', 4, "82 06 00 01 00 01 'a' 03", 0x81],
  ['SUBSCRIBE of 3.1.1 with options of 5', 4, "82 06 00 01 00 01 'a' 04", 0x81],
  ['SUBSCRIBE of 5 with QoS 3', 5, "82 07 00 01 00 00 01 'a' 03", 0x82],
  ['SUBSCRIBE with Retain Handling 3', 5, "82 07 00 01 00 00 01 'a' 30", 0x82],
  ['SUBSCRIBE with reserved option bit 6', 5, "82 07 00 01 00 00 01 'a' 40", 0x81],
  ['SUBSCRIBE with reserved option bit 7', 5, "82 07 00 01 00 00 01 'a' 80", 0x81],
  ['SUBSCRIBE with a filter of ill-formed UTF-8', 4, '82 06 00 01 00 01 ff 00', 0x81],
  ['UNSUBSCRIBE without a filter', 4, 'a2 02 00 01', 0x82],
  ['UNSUBSCRIBE of 5 without a filter', 5, 'a2 03 00 01 00', 0x82],
  ['UNSUBSCRIBE with packet identifier 0', 4, "a2 05 00 00 00 01 'a'", 0x82],
  ['UNSUBSCRIBE with half a filter', 4, 'a2 04 00 01 00 01', 0x81],
  ['SUBACK without codes', 4, '90 02 00 01', 0x82],
  ['SUBACK of 3.1.1 with a code of 5', 4, '90 03 00 01 87', 0x82],
  ['SUBACK with code 3', 5, '90 04 00 01 00 03', 0x82],
  ['UNSUBACK of 3.1.1 with a code', 4, 'b0 03 00 01 00', 0x81],
  ['UNSUBACK without codes', 5, 'b0 03 00 01 00', 0x82],
  ['UNSUBACK with a code of another packet', 5, 'b0 04 00 01 00 01', 0x82],
  ['DISCONNECT of 3.1.1 with a body', 4, 'e0 01 00', 0x81],
  ['DISCONNECT with a code of another packet', 5, 'e0 01 10', 0x82],
  ['DISCONNECT with bytes behind its properties', 5, 'e0 03 00 00 00', 0x81],
  ['AUTH of length 0, so without a method', 5, 'f0 00', 0x82],
  ['AUTH without a method', 5, 'f0 02 18 00', 0x82],
  ['AUTH with another code', 5, "f0 06 01 04 15 00 01 'm'", 0x82],
]

for (const [what, level, bytes, reasonCode] of FIRST_BYTES) {
  t.test(`level ${level} refuses ${what}`, async (t) => {
    t.equal(refusal(level, hex(bytes)), reasonCode)
  })
}

for (const [what, level, bytes, reasonCode] of [...CONNECTS, ...PROPERTIES, ...BODIES]) {
  t.test(`level ${level} refuses ${what}`, async (t) => {
    t.equal(hex(bytes).length, 2 + (hex(bytes)[1] as number), 'the length in the fixed header is not the fault')
    t.equal(refusal(level, hex(bytes)), reasonCode)
  })
}
