/** `sub -F`, against what mosquitto_sub 2.0.11 printed for the same messages and formats. */
import t from 'tap'
import { cjsonNumber, messageJson } from '../../../src/cli/message-json.js'
import { compileFormat, FormatError, plainFormat } from '../../../src/cli/output-format.js'
import type { ReceivedMessage } from '../../../src/cli/received-message.js'
import { strftime } from '../../../src/cli/strftime.js'

// Local time is part of the formats; the test decides which.
process.env.TZ = 'UTC'

const encode = (text: string) => new TextEncoder().encode(text)

const message = (given: Partial<ReceivedMessage>): ReceivedMessage => ({
  topicName: 'b',
  payload: encode('xy'),
  qos: 2,
  retain: true,
  properties: {},
  subscriptionIdentifiers: [],
  packetId: 1,
  receivedAt: new Date('2026-11-20T10:57:21.671Z'),
  ...given,
})

const rich = message({
  topicName: 'a/b',
  payload: encode('{"x":1,"y":[1,2.50,"é"]}'),
  qos: 1,
  properties: {
    userProperties: [
      ['k', 'v'],
      ['k2', 'v2'],
    ],
    contentType: 'app/json',
    responseTopic: 'rt',
    correlationData: encode('cd'),
    payloadFormatIndicator: 1,
    messageExpiryIntervalSec: 100,
  },
})

function printed(format: string, of: ReceivedMessage): string {
  const complaints: string[] = []
  const bytes = compileFormat(format, { pretty: false, complain: (problem) => complaints.push(problem) })(of)
  return Buffer.from(bytes, 'latin1').toString('utf8') + complaints.map((complaint) => ` !${complaint}`).join('')
}

t.test('fields, width, padding and precision come out as mosquitto_sub prints them', async (t) => {
  const short = message({ subscriptionIdentifiers: [7] })
  for (const [format, expected, of = short] of [
    ['%t', 'a/b', rich],
    ['%p', '{"x":1,"y":[1,2.50,"é"]}', rich],
    ['%q %r %l %m', '1 1 25 1', rich],
    ['%x', '7b2278223a312c2279223a5b312c322e35302c22c3a9225d7d', rich],
    ['%X', '7B2278223A312C2279223A5B312C322E35302C22C3A9225D7D', rich],
    ['%C|%D|%E|%F|%P|%R|%A|%S', 'app/json|cd|100|1|k:v k2:v2|rt||', rich],
    ['%I', '2026-11-20T10:57:21+0000', rich],
    ['%U', '1795172241.671000000', rich],
    ['%%', '%'],
    ['@Y-@m-@dT@H:@M:@S.@N', '2026-11-20T10:57:21.671000000'],
    ['@@ @s @j', '@ 1795172241 324'],
    ['@Q', '%Q'],
    ['[%10t]', '[       a/b]', rich],
    ['[%-10t]', '[a/b       ]', rich],
    ['[%.2t]', '[a/]', rich],
    ['[%010t]', '[       a/b]', rich],
    ['[%5q] [%-5q]', '[1] [1]', rich],
    ['[%8.3p]', '[{"x":1,"]', rich],
    ['%8x', '7b227822', rich],
    ['%.5x', '7b2278223a312c2279223a5b312c322e35302c22c3a9225d7d', rich],
    ['%5m|%05m|%05l|%5r', '    1|00001|00025|1', rich],
    ['[%8p]', '[      xy]'],
    ['[%08p]', '[000000xy]'],
    ['[%-8p]|', '[xy      ]|'],
    ['[%8x]', '[      78]', message({ payload: encode('x') })],
    ['[%08X]', '[00000078]', message({ payload: encode('x') })],
    ['[%3x]', '[ 78]'],
    ['[%.1p]', '[xy]'],
    ['[%10A]', '[          ]'],
    ['[%-5m]', '[1    ]'],
    ['[%2t]', '[ b]'],
    ['[%.0t]', '[]'],
    ['[%6.1t]', '[     b]'],
    ['[%5%]', '[%]'],
    ['%-05l|', '2    |'],
    ['[%9S]', '[        7]'],
    ['a\\nb\\tc\\0d\\e\\\\', 'a\nb\tc\0d\x1b\\'],
    ['é 漢 %t', 'é 漢 b'],
  ] as const) {
    t.equal(printed(format, of), expected, JSON.stringify(format))
  }
})

t.test('a format that means nothing is refused with what is known', async (t) => {
  for (const [format, pattern] of [
    ['%z', /%z is no format; known: %% %A/],
    ['x%', /write %% for a %/],
    ['x@', /@ at the end/],
    ['x\\', /\\ at the end/],
    ['\\q', /\\q is no escape/],
    ['%99999p', /at most 10000/],
    ['%constructor', /%c is no format/],
  ] as const) {
    t.throws(() => compileFormat(format, { pretty: false, complain: () => {} }), { message: pattern }, format)
    t.throws(() => compileFormat(format, { pretty: false, complain: () => {} }), FormatError)
  }
})

t.test('%j is the line mosquitto_sub prints', async (t) => {
  t.equal(
    printed('%j', rich),
    '{"tst":"2026-11-20T10:57:21.671000Z+0000","topic":"a/b","qos":1,"retain":1,"payloadlen":25,"mid":1,"properties":' +
      '{"user-properties":{"k":"v","k2":"v2"},"content-type":"app/json","response-topic":"rt",' +
      '"correlation-data":"cd",' +
      '"payload-format-indicator":1,"message-expiry-interval":100},"payload":"{\\"x\\":1,\\"y\\":[1,2.50,\\"é\\"]}"}',
  )
  const awkward = message({ topicName: 'a/c', payload: encode('h"i\\ \t\x01 é \x7f/x'), qos: 0 })
  t.equal(
    printed('%j', awkward),
    '{"tst":"2026-11-20T10:57:21.671000Z+0000","topic":"a/c","qos":0,"retain":1,"payloadlen":14,' +
      '"payload":"h\\"i\\\\ \\t\\u0001 é \x7f/x"}',
  )
  const binary = message({ payload: Uint8Array.of(0xff, 0xfe, 0x61, 0) })
  t.match(messageJson(binary, false, false), /"payload":"\xff\xfea\\u0000"\}$/, 'bytes that are no text stay bytes')
})

t.test('%J keeps the order and the numbers of the payload as cJSON does', async (t) => {
  const payload =
    '[1e400,12345678901234567890,0.1,1e21,-0,1.5e-7,"\\u0041\\/",{"a":[],"b":{}},true,null, ' +
    '100000000000000000, 1e15, 123456.789e3]'
  const given = message({ topicName: 'd', payload: encode(payload), qos: 0 })
  t.equal(
    printed('%J', given),
    '{"tst":"2026-11-20T10:57:21.671000Z+0000","topic":"d","qos":0,"retain":1,"payloadlen":124,"payload":' +
      '[null,1.2345678901234567e+19,0.1,1e+21,-0,1.5e-07,"A/",{"a":[],"b":{}},true,null,1e+17,1e+15,123456789]}',
  )
  const ordered = message({ payload: encode('{"b":1, "1":2, "b":"x{}[],: \\" y"}') })
  t.match(printed('%J', ordered), /"payload":\{"b":1,"1":2,"b":"x\{\}\[\],: \\" y"\}\}$/)
  t.equal(printed('%J', message({})), ' !Message payload is not valid JSON on topic b.')
  t.match(printed('%J', message({ payload: Uint8Array.of(0x22, 0xff, 0x22) })), /not valid JSON/)
  for (const [value, text] of [
    [2.5, '2.5'],
    [100, '100'],
    [1e14, '100000000000000'],
    [0.0001, '0.0001'],
    [0.00001, '1e-05'],
    [-123456.5, '-123456.5'],
    [1 / 3, '0.33333333333333331'],
    [9007199254740992, '9007199254740992'],
  ] as const) {
    t.equal(cjsonNumber(value), text)
  }
})

t.test('--pretty has the lines and tabs of cJSON', async (t) => {
  const given = message({ topicName: 'd', payload: encode('[null,"A/",{"a":[],"b":{}},true]'), qos: 0 })
  t.equal(
    messageJson(given, true, true),
    '{\n\t"tst":\t"2026-11-20T10:57:21.671000Z+0000",\n\t"topic":\t"d",\n\t"qos":\t0,\n\t"retain":\t1,\n' +
      '\t"payloadlen":\t32,\n\t"payload":\t[null, "A/", {\n\t\t\t"a":\t[],\n\t\t\t"b":\t{\n\t\t\t}\n\t\t}, true]\n}',
  )
  const identified = message({ subscriptionIdentifiers: [7], qos: 1 })
  t.match(
    messageJson(identified, false, true),
    '\n\t"mid":\t1,\n\t"properties":\t{\n\t\t"subscription-identifier":\t7\n\t},\n\t"payload":\t"xy"\n}',
  )
})

t.test('without a format: the payload, with -v the topic before it', async (t) => {
  t.equal(plainFormat(false)(message({})), 'xy')
  t.equal(plainFormat(true)(message({})), 'b xy')
  t.equal(plainFormat(false)(message({ payload: new Uint8Array() })), undefined)
  t.equal(plainFormat(true)(message({ payload: new Uint8Array() })), 'b (null)')
  t.equal(plainFormat(false)(message({ payload: Uint8Array.of(0xff, 0, 0x0a) })), '\xff\0\n')
})

t.test('times are those of strftime', async (t) => {
  const morning = new Date('2026-03-05T00:07:09.012Z')
  for (const [letter, expected] of Object.entries({
    a: 'Thu',
    A: 'Thursday',
    b: 'Mar',
    B: 'March',
    c: 'Thu Mar  5 00:07:09 2026',
    D: '03/05/26',
    e: ' 5',
    F: '2026-03-05',
    I: '12',
    j: '064',
    N: '012000000',
    p: 'AM',
    r: '12:07:09 AM',
    u: '4',
    w: '4',
    y: '26',
    z: '+0000',
    K: '%K',
  })) {
    t.equal(strftime(letter, morning), expected, `@${letter}`)
  }
})
