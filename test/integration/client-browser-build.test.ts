/**
 * The browser build on a WebSocket of the standard kind, without Buffer: what a page has, in a process of its
 * own, so that it runs where no browser is installed. A real browser is in client-browser.test.ts.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import t from 'tap'
import { createBroker, parseOptions } from '../../src/index.js'

const SCRIPT = `
const url = process.argv[2]
const { connect, openMemoryOutbox } = await import('./client.js')
const result = {}
for (const protocol of ['tally.v1', 'mqtt']) {
  const client = await connect({ url, protocol, outbox: openMemoryOutbox(), clientId: 'page' })
  const subscription = await client.subscribe('from/page', { qos: 2 })
  await client.publish('from/page', 'grüße', { qos: 2 })
  for await (const message of subscription) {
    result[protocol] = [message.text(), message.qos]
    break
  }
  for (let sent = 0; sent < 5000; ) {
    if (client.publishNow('flood', new Uint8Array(1000))) sent += 1
    else await client.drained()
  }
  await client.ping()
  await client.close()
}
try {
  await connect({ url: url + '/nowhere', reconnect: false })
} catch (error) {
  result.wrongPath = error.code
}
try {
  await connect({ url: 'mqtt://127.0.0.1' })
} catch (error) {
  result.tcp = error.code
}
process.stdout.write(JSON.stringify(result))
`

t.test('connects, publishes and receives QoS 2, and keeps its buffer bounded', async (t) => {
  const directory = t.testdir({ 'package.json': '{"type":"module"}', 'script.js': SCRIPT })
  await build({
    entryPoints: ['src/client/browser.ts'],
    outfile: join(directory, 'client.js'),
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    // Node's own WebSocket needs the global, so it is hidden from the build alone.
    define: { Buffer: 'undefined', 'globalThis.Buffer': 'undefined' },
  })
  const listen = { host: '127.0.0.1', httpPort: 0, mqttPort: null }
  const broker = await createBroker(
    parseOptions({ store: 'memory', durability: 'memory', listen, log: { level: 'silent' } }),
  )
  t.teardown(() => broker.stop())
  const url = broker.httpUrl.replace('http', 'ws')
  // Node 20 has the standard WebSocket behind a flag, later ones have it anyway.
  const argv = ['--experimental-websocket', join(directory, 'script.js'), url]
  const { stdout } = await promisify(execFile)(process.execPath, argv, { env: {} })
  t.same(JSON.parse(stdout), {
    'tally.v1': ['grüße', 2],
    mqtt: ['grüße', 2],
    wrongPath: 'CONNECT_FAILED',
    tcp: 'INVALID_ARGUMENT',
  })
})
