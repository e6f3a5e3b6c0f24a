/** Addresses: what may be listened on, and what is said when it cannot be. */
import { createServer } from 'node:net'
import t from 'tap'
import { checkExposure, ListenError, listen, urlOf } from '../../../src/server/listeners.js'

const open = { allowsEverything: true }

t.test('an open broker stays on loopback unless somebody says otherwise', async (t) => {
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost']) checkExposure(open, host, false)
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'broker.example', '']) {
    t.throws(() => checkExposure(open, host, false), {
      code: 'PUBLIC_WITHOUT_ACCESS_RULES',
      message: /--allow-public-anonymous .*access\.allowPublicAnonymous: true/,
    })
    checkExposure(open, host, true)
    checkExposure({ allowsEverything: false }, host, false)
  }
})

t.test('a port that is taken is named', async (t) => {
  const first = createServer()
  const { port } = await listen(first, '127.0.0.1', 0, 'first')
  t.teardown(() => first.close())
  await t.rejects(listen(createServer(), '127.0.0.1', port, 'MQTT over TCP'), {
    code: 'EADDRINUSE',
    port,
    message: new RegExp(`MQTT over TCP: port ${port} on 127.0.0.1 is already in use`),
  })
  await t.rejects(listen(createServer(), '203.0.113.1', 0, 'HTTP'), ListenError)
})

t.test('addresses as URLs', async (t) => {
  t.equal(urlOf('http', { address: '127.0.0.1', family: 'IPv4', port: 1 }), 'http://127.0.0.1:1')
  t.equal(urlOf('mqtt', { address: '::1', family: 'IPv6', port: 2 }), 'mqtt://[::1]:2')
})
