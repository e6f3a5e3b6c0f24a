/** How much one address may take, on numbers alone and through the shell. */
import t from 'tap'
import { DEFAULT_LIMITS } from '../../../src/core/limits.js'
import { mqttCodec } from '../../../src/protocol/mqtt/codec.js'
import { AddressLimits, addressKey } from '../../../src/server/address-limits.js'
import { FakeSocket } from '../../support/ws-fake-socket.js'
import { Rig } from '../../support/ws-rig.js'

t.test('whom an address counts for', async (t) => {
  for (const [remoteAddress, key] of [
    ['192.0.2.7:40000', '192.0.2.7'],
    ['[::ffff:192.0.2.7]:40000', '192.0.2.7'],
    ['[2001:db8:1:2:3:4:5:6]:1', '2001:db8:1:2::/64'],
    ['[2001:0db8:1:2::9]:1', '2001:db8:1:2::/64'],
    ['[2001:db8::9]:1', '2001:db8:0:0::/64'],
    ['[2001:db8::3:4:5:6:7]:1', '2001:db8:0:3::/64'],
    ['[fe80::1%eth0]:1', 'fe80:0:0:0::/64'],
    ['127.0.0.1:40000', null],
    ['127.8.9.1:40000', null],
    ['[::1]:40000', null],
    ['[::ffff:127.0.0.1]:40000', null],
    ['unknown', null],
  ] as const) {
    t.equal(addressKey(remoteAddress), key, remoteAddress)
  }
})

t.test('so many at one time, and room again when one has gone', async (t) => {
  const limits = new AddressLimits({ connectionsPerAddressMax: 2, connectsPerAddressPerSecMax: 0 })
  for (const port of [1, 2]) {
    t.equal(limits.refusal(`192.0.2.7:${port}`, 0), null)
    limits.opened(`192.0.2.7:${port}`, 0)
  }
  t.match(limits.refusal('192.0.2.7:3', 5_000), /limits.connectionsPerAddressMax/)
  t.equal(limits.refusal('192.0.2.8:3', 5_000), null, 'others come in')
  limits.closed('192.0.2.7:1')
  t.equal(limits.refusal('192.0.2.7:3', 5_000), null)
})

t.test('so many new ones in a second, whether the old ones are still there or not', async (t) => {
  const limits = new AddressLimits({ connectionsPerAddressMax: 0, connectsPerAddressPerSecMax: 3 })
  for (const low of ['1', '2', '3']) {
    const address = `[2001:db8::${low}]:1883`
    t.equal(limits.refusal(address, 100), null)
    limits.opened(address, 100)
    limits.closed(address)
  }
  t.match(limits.refusal('[2001:db8::ffff]:1', 1_099), /limits.connectsPerAddressPerSecMax/, 'one /64 is one client')
  t.equal(limits.refusal('[2001:db8:0:1::1]:1', 1_099), null)
  t.equal(limits.refusal('[2001:db8::ffff]:1', 1_100), null)
})

t.test('0 is no bound, and this machine has none', async (t) => {
  const off = new AddressLimits({ connectionsPerAddressMax: 0, connectsPerAddressPerSecMax: 0 })
  const strict = new AddressLimits({ connectionsPerAddressMax: 1, connectsPerAddressPerSecMax: 1 })
  for (let count = 0; count < 10; count += 1) {
    off.opened('192.0.2.7:1', 0)
    strict.opened('127.0.0.1:1', 0)
  }
  t.equal(off.refusal('192.0.2.7:1', 0), null)
  t.equal(strict.refusal('127.0.0.1:1', 0), null)
})

t.test('through the shell: a refusal is said and counted, and what closes makes room', async (t) => {
  const rig = new Rig({ ...DEFAULT_LIMITS, connectionsPerAddressMax: 1 })
  const link = { transport: 'tcp', protocol: 'mqtt', remoteAddress: '192.0.2.7:1' } as const
  const other = { ...link, remoteAddress: '192.0.2.8:1' }
  t.equal(rig.shell.refusal(link), null)
  const peer = rig.shell.opened(Object.assign(new FakeSocket(), { description: link }), mqttCodec)
  t.match(rig.shell.refusal(link), /too many connections from this address/)
  t.equal(rig.shell.refusal(other), null)
  t.same(rig.refused, [['192.0.2.7:1', 'too many connections from this address (limits.connectionsPerAddressMax)']])
  t.equal(rig.shell.unreadiness(), null, 'the broker is ready for everybody else')
  peer.closed('gone')
  t.equal(rig.shell.refusal(link), null)
})
