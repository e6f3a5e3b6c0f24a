/** PROXY protocol headers as bytes, both versions, right and wrong, and cut at every byte. */
import t from 'tap'
import { PROXY_HEADER_BYTES_MAX, parseProxyHeader } from '../../../src/transport/proxy-header.js'

const SIGNATURE = '0d0a0d0a000d0a515549540a'
const line = (text: string) => Buffer.from(`${text}\r\n`, 'latin1')
const binary = (versionAndCommand: string, family: string, body: string, length = body.length / 2) =>
  Buffer.from(`${SIGNATURE}${versionAndCommand}${family}${length.toString(16).padStart(4, '0')}${body}`, 'hex')

const IPV4 = '0a000001' + '0a000002' + '8235' + '075b'
const IPV6 = `20010db8${'0'.repeat(20)}0001${'0'.repeat(28)}0001ffff075b`
const UNIX = `${Buffer.from('/run/client.sock').toString('hex').padEnd(216, '0')}${'0'.repeat(216)}`
const TLV = '0400030a0b0c'

const RIGHT: readonly (readonly [string, Buffer, string | null])[] = [
  ['version 1, IPv4', line('PROXY TCP4 192.0.2.7 198.51.100.1 49152 1883'), '192.0.2.7:49152'],
  ['version 1, IPv6', line('PROXY TCP6 2001:db8::7 ::1 0 65535'), '[2001:db8::7]:0'],
  ['version 1, the longest', line(`PROXY UNKNOWN ${'f'.repeat(39)} ${'f'.repeat(39)} 65535 65535`.slice(0, 105)), null],
  ['version 1, unknown', line('PROXY UNKNOWN'), null],
  ['version 2, IPv4', binary('21', '11', IPV4), '10.0.0.1:33333'],
  ['version 2, IPv4 with extensions', binary('21', '11', IPV4 + TLV), '10.0.0.1:33333'],
  ['version 2, IPv4 datagram', binary('21', '12', IPV4), '10.0.0.1:33333'],
  ['version 2, IPv6', binary('21', '21', IPV6), '[2001:db8::1]:65535'],
  ['version 2, UNIX', binary('21', '31', UNIX), 'unix'],
  ['version 2, unspecified', binary('21', '00', TLV), null],
  ['version 2, local', binary('20', '00', ''), null],
  ['version 2, local with an address that is to be ignored', binary('20', '11', IPV4), null],
  ['version 2, local with a family of the future', binary('20', '41', 'ff'), null],
]

const WRONG: readonly (readonly [string, Buffer])[] = [
  ['MQTT', Buffer.from('101000044d515454', 'hex')],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\n')],
  ['another first letter', Buffer.from('Q')],
  ['lower case', line('proxy TCP4 192.0.2.7 198.51.100.1 1 2')],
  ['no family', line('PROXY ')],
  ['another family', line('PROXY TCP5 192.0.2.7 198.51.100.1 1 2')],
  ['an IPv6 address as IPv4', line('PROXY TCP4 2001:db8::7 198.51.100.1 1 2')],
  ['an IPv4 address as IPv6', line('PROXY TCP6 192.0.2.7 ::1 1 2')],
  ['a destination that is none', line('PROXY TCP4 192.0.2.7 nowhere 1 2')],
  ['a port too large', line('PROXY TCP4 192.0.2.7 198.51.100.1 65536 2')],
  ['a port with a zero in front', line('PROXY TCP4 192.0.2.7 198.51.100.1 01 2')],
  ['no destination port', line('PROXY TCP4 192.0.2.7 198.51.100.1 1')],
  ['a word too many', line('PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3')],
  ['two spaces', line('PROXY TCP4  192.0.2.7 198.51.100.1 1 2')],
  ['LF alone', Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n')],
  ['107 bytes without an end', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(93)}`)],
  ['108 bytes with an end', line(`PROXY UNKNOWN ${'x'.repeat(92)}`)],
  ['version 1 in binary', binary('11', '11', IPV4)],
  ['an unknown command', binary('22', '11', IPV4)],
  ['an unknown family', binary('21', '41', IPV4)],
  ['IPv4 too short', binary('21', '11', IPV4.slice(2))],
  ['IPv6 with the length of IPv4', binary('21', '21', IPV4)],
  ['UNIX too short', binary('21', '31', IPV6)],
  ['longer than is sensible', binary('21', '11', IPV4, 4_097)],
  ['as long as can be said', binary('20', '00', '', 65_535)],
]

for (const [name, bytes, source] of RIGHT) {
  t.test(`${name}: complete with its last byte, and not before`, async (t) => {
    for (let length = 0; length < bytes.length; length += 1) {
      const { state } = parseProxyHeader(bytes.subarray(0, length))
      if (state !== 'incomplete') t.fail(`${length} of ${bytes.length} bytes: ${state}`)
    }
    const whole = { state: 'complete', length: bytes.length, source }
    t.same(parseProxyHeader(bytes), whole)
    t.same(parseProxyHeader(Buffer.concat([bytes, Buffer.from([0x10, 0x0a])])), whole, 'what follows is left alone')
  })
}

t.test('what is no header is refused, with a reason', async (t) => {
  for (const [name, bytes] of WRONG) t.match(parseProxyHeader(bytes), { state: 'invalid', detail: /\w{3}/ }, name)
})

t.test('with as many bytes as a header can have there is always an answer', async (t) => {
  for (const [, bytes] of [...RIGHT, ...WRONG]) {
    const filled = Buffer.concat([bytes, Buffer.alloc(PROXY_HEADER_BYTES_MAX)])
    t.not(parseProxyHeader(filled).state, 'incomplete')
  }
  const longest = binary('21', '11', IPV4 + 'ab'.repeat(4_096 - 12))
  t.equal(longest.length, PROXY_HEADER_BYTES_MAX)
  t.match(parseProxyHeader(longest), { state: 'complete', length: PROXY_HEADER_BYTES_MAX })
})
