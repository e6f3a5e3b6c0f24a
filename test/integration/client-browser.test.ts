/**
 * The browser build in a real browser against the real broker: QoS 2 both ways, a reload in between, MQTT beside it.
 */
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { createBroker, parseOptions } from '../../src/index.js'
import { servePage } from '../support/client-page.js'
import { needs } from '../support/peers.js'
import { openPage } from '../support/peers-chromium.js'

/** What the page gets of the SDK; evaluated there, so it is looked up by name. */
type Sdk = typeof import('../../src/client/browser.js')
declare const sdk: Sdk

t.test('a page publishes QoS 2 and receives it', needs('chromium'), async (t) => {
  const { page, url } = await opened(t)
  const received = await page.evaluate(async (url) => {
    const client = await sdk.connect({ url })
    const subscription = await client.subscribe('from/browser', { qos: 2 })
    const { qos } = await client.publish('from/browser', 'grüße', { qos: 2 })
    for await (const message of subscription) {
      await client.ping()
      await client.close()
      return { qos, text: message.text(), received: message.qos, hasBuffer: 'Buffer' in globalThis }
    }
    return null
  }, url)
  t.same(received, { qos: 2, text: 'grüße', received: 2, hasBuffer: false })
})

t.test('a page speaks MQTT 5 over WebSocket too', needs('chromium'), async (t) => {
  const { page, url } = await opened(t)
  const text = await page.evaluate(async (url) => {
    const client = await sdk.connect({ url, protocol: 'mqtt' })
    const subscription = await client.subscribe('mqtt', { qos: 1 })
    await client.publish('mqtt', 'hello', { qos: 1 })
    for await (const message of subscription) {
      await client.close()
      return message.text()
    }
    return null
  }, url)
  t.equal(text, 'hello')
})

t.test('what a page published while offline is sent after a reload, from IndexedDB', needs('chromium'), async (t) => {
  const { page, url } = await opened(t)
  await page.evaluate(async (url) => {
    const outbox = await sdk.openIndexedDbOutbox('outbox')
    const client = await sdk.connect({ url, clientId: 'page', outbox })
    await client.close()
    // No broker answers here, so the publish waits where the page keeps it.
    const entry = { sequence: 1, packetId: 1, topicName: 'late', payload: new TextEncoder().encode('still here') }
    await outbox.commit([
      { kind: 'publish', entry: { ...entry, qos: 2, retain: true, properties: null, state: 'published' } },
    ])
    await outbox.close()
  }, url)
  await page.reload()
  await loadSdk(page)
  const text = await page.evaluate(async (url) => {
    const outbox = await sdk.openIndexedDbOutbox('outbox')
    const client = await sdk.connect({ url, clientId: 'page', outbox })
    await client.close({ drainTimeoutMs: 5_000 })
    const { entries } = await outbox.load()
    const reader = await sdk.connect({ url })
    const subscription = await reader.subscribe('late', { qos: 1 })
    for await (const message of subscription) {
      await reader.close()
      return `${message.text()}, ${entries.length} left`
    }
    return null
  }, url)
  t.equal(text, 'still here, 0 left')
})

async function opened(t: Test): Promise<{ page: Page; url: string }> {
  const origin = await servePage(t)
  const broker = await createBroker(
    parseOptions({
      store: 'memory',
      durability: 'memory',
      listen: { host: '127.0.0.1', httpPort: 0, mqttPort: null },
      http: { allowedOrigins: [origin] },
      log: { level: 'silent' },
    }),
  )
  t.teardown(() => broker.stop())
  const page = await openPage(t, origin)
  await loadSdk(page)
  return { page, url: broker.httpUrl.replace('http', 'ws') }
}

async function loadSdk(page: Page): Promise<void> {
  await page.addScriptTag({ type: 'module', content: "import * as sdk from '/client.js'; globalThis.sdk = sdk" })
  await page.waitForFunction(() => 'sdk' in globalThis)
}
