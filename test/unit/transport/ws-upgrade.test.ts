/** Which HTTP upgrades become WebSockets, and what the others are told. */
import t from 'tap'
import { chooseEndpoint, isLoopbackAddress } from '../../../src/transport/ws-upgrade.js'

const ENDPOINTS = [
  { paths: ['/tally'], subprotocols: ['tally.v1'] },
  { paths: ['/mqtt', '/'], subprotocols: ['mqtt'] },
]
const HEADERS = {
  upgrade: 'websocket',
  'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  'sec-websocket-version': '13',
  'sec-websocket-protocol': 'mqtt',
}
const GOOD = { method: 'GET', url: '/mqtt', headers: HEADERS, localAddress: '10.0.0.1' }

function status(change: object, allowedOrigins: readonly string[] = []): number | string {
  const chosen = chooseEndpoint({ ...GOOD, ...change }, ENDPOINTS, allowedOrigins)
  return 'status' in chosen ? chosen.status : String(chosen.subprotocols[0])
}
const withHeaders = (headers: object) => ({ headers: { ...HEADERS, ...headers } })

t.test('each path has its subprotocol', async (t) => {
  t.equal(status({}), 'mqtt')
  t.equal(status({ url: '/' }), 'mqtt')
  t.equal(status({ url: '/mqtt?token=1' }), 'mqtt')
  t.equal(status({ url: '/tally', ...withHeaders({ 'sec-websocket-protocol': 'x, tally.v1' }) }), 'tally.v1')
})

t.test('what is refused, and with which status', async (t) => {
  t.equal(status({ url: '/mqtt/' }), 404)
  t.equal(status({ url: undefined }), 404)
  t.equal(status({ method: 'POST' }), 400)
  t.equal(status(withHeaders({ upgrade: 'h2c' })), 426)
  t.equal(status(withHeaders({ upgrade: undefined })), 426)
  t.equal(status(withHeaders({ 'sec-websocket-version': '12' })), 426)
  t.equal(status(withHeaders({ 'sec-websocket-key': 'short' })), 400)
  t.equal(status(withHeaders({ 'sec-websocket-key': undefined })), 400)
  t.equal(status(withHeaders({ 'sec-websocket-protocol': undefined })), 400)
  t.equal(status(withHeaders({ 'sec-websocket-protocol': 'mqttt' })), 400)
  t.equal(status({ url: '/tally' }), 400, 'the subprotocol of another path')
})

t.test('web pages come in from listed origins and from this machine only', async (t) => {
  const from = (origin: string, localAddress: string, allowed: readonly string[] = []) =>
    status({ ...withHeaders({ origin }), localAddress }, allowed)
  t.equal(from('https://evil.example', '127.0.0.1'), 403)
  t.equal(from('null', '127.0.0.1'), 403)
  t.equal(from('http://localhost.evil.example', '127.0.0.1'), 403)
  t.equal(from('http://localhost:3000', '127.0.0.1'), 'mqtt')
  t.equal(from('http://[::1]:3000', '::1'), 'mqtt')
  t.equal(from('http://localhost:3000', '10.0.0.1'), 403, 'their own machine is not ours')
  t.equal(from('https://app.example', '10.0.0.1', ['https://app.example']), 'mqtt')
  t.equal(from('https://app.example:444', '10.0.0.1', ['https://app.example']), 403, 'the port is part of an origin')
  t.equal(from('https://any.example', '10.0.0.1', ['*']), 'mqtt')
})

t.test('loopback addresses', async (t) => {
  for (const address of ['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1']) t.ok(isLoopbackAddress(address), address)
  for (const address of ['10.0.0.1', '::', '', '128.0.0.1', '127.0.0.1.example']) {
    t.notOk(isLoopbackAddress(address), address)
  }
})
