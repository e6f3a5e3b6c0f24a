/** MQTT.js in a page of a real browser: what a dashboard is. Its frames are the browser's, not Node's. */
import type { MqttClient } from 'mqtt'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { connect } from '../../src/client/index.js'
import { servePage } from '../support/client-page.js'
import { needs } from '../support/peers.js'
import { openPage } from '../support/peers-chromium.js'
import { startBroker } from '../support/ws-clients.js'

/** What the page has of MQTT.js; evaluated there, so it is looked up by name. */
declare const mqtt: typeof import('mqtt').default
const peer = needs('chromium')

for (const protocolVersion of [4, 5] as const) {
  const name = protocolVersion === 5 ? 'MQTT 5' : 'MQTT 3.1.1'

  t.test(
    `${name}: a page and the native protocol hear each other at every QoS, and a kept session`,
    peer,
    async (t) => {
      const { page, url, native } = await opened(t)
      await native.publish('state', 'kept', { qos: 1, retain: true })
      const subscription = await native.subscribe('from/page', { qos: 2 })
      const echoed = native.subscribe('echo', {
        qos: 2,
        onMessage: async (message) => {
          await native.publish('to/page', message.payload, { qos: message.qos })
        },
      })
      await echoed
      const result = await page.evaluate(
        async ({ url, protocolVersion }) => {
          const properties = protocolVersion === 5 ? { properties: { sessionExpiryInterval: 600 } } : {}
          const options = { protocolVersion, clientId: 'page', clean: false, reconnectPeriod: 0, ...properties }
          const got: string[] = []
          const open = async (): Promise<[MqttClient, (messages: number) => Promise<void>, boolean]> => {
            const client = mqtt.connect(url, options)
            let wake = () => {}
            client.on('message', (topicName, payload, { qos, retain }) => {
              got.push(`${topicName} ${qos} ${retain} ${payload.length > 50 ? payload.length : payload.toString()}`)
              wake()
            })
            const sessionPresent = await new Promise<boolean>((resolve, reject) => {
              client.on('error', reject)
              client.on('connect', (connack) => resolve(connack.sessionPresent))
            })
            const count = async (messages: number) => {
              while (got.length < messages)
                await new Promise<void>((resolve) => {
                  wake = resolve
                })
            }
            return [client, count, sessionPresent]
          }
          const [first, count, isNew] = await open()
          await first.subscribeAsync(['to/page', 'state'], { qos: 2 })
          await count(1)
          for (const qos of [0, 1, 2] as const) await first.publishAsync('echo', `grüße ${qos}`, { qos })
          await count(4)
          await first.publishAsync('echo', 'x'.repeat(1_000_000), { qos: 2 })
          await count(5)
          await first.endAsync()
          const [second, , isKept] = await open()
          await second.publishAsync('from/page', 'done', { qos: 2 })
          await second.endAsync()
          return { got, isNew, isKept }
        },
        { url, protocolVersion },
      )
      const expected = ['state 1 true kept', ...[0, 1, 2].map((qos) => `to/page ${qos} false grüße ${qos}`)]
      t.same(result, { got: [...expected, 'to/page 2 false 1000000'], isNew: false, isKept: true })
      for await (const message of subscription) {
        t.equal(message.text(), 'done')
        break
      }
    },
  )
}

t.test('MQTT 5: properties pass between a page and the native protocol', peer, async (t) => {
  const { page, url, native } = await opened(t)
  const subscription = await native.subscribe('request', { qos: 1 })
  const evaluated = page.evaluate(async (url) => {
    const client = await mqtt.connectAsync(url, { protocolVersion: 5 })
    await client.subscribeAsync('answer', { qos: 1 })
    const answer = new Promise<object>((resolve) => {
      client.on('message', (_topicName, payload, { properties }) => {
        const correlation = properties?.correlationData?.toString() ?? ''
        resolve({
          text: payload.toString(),
          correlation,
          user: properties?.userProperties,
          type: properties?.contentType,
        })
      })
    })
    const text = new TextEncoder().encode('id 7') as unknown as Buffer
    const properties = { responseTopic: 'answer', correlationData: text, userProperties: { a: ['1', '2'] } }
    await client.publishAsync('request', 'what?', { qos: 1, properties })
    const result = await answer
    await client.endAsync()
    return JSON.parse(JSON.stringify(result)) as object
  }, url)
  for await (const { properties } of subscription) {
    const { responseTopic = '', correlationData, userProperties } = properties
    t.same(userProperties, [
      ['a', '1'],
      ['a', '2'],
    ])
    const answer = { contentType: 'text/plain', ...(correlationData === undefined ? {} : { correlationData }) }
    const user = [...(userProperties ?? []), ['b', '3']] as [string, string][]
    await native.publish(responseTopic, 'this', { qos: 1, properties: { ...answer, userProperties: user } })
    break
  }
  t.same(await evaluated, { text: 'this', correlation: 'id 7', user: { a: ['1', '2'], b: '3' }, type: 'text/plain' })
})

async function opened(t: Test) {
  const origin = await servePage(t, 'node_modules/mqtt/dist/mqtt.esm.js')
  const broker = await startBroker(t, { http: { allowedOrigins: [origin] } })
  const page: Page = await openPage(t, origin)
  const content = "import mqtt from '/client.js'; globalThis.mqtt = mqtt"
  await page.addScriptTag({ type: 'module', content })
  await page.waitForFunction(() => 'mqtt' in globalThis)
  const url = broker.httpUrl.replace('http', 'ws')
  const native = await connect({ url })
  t.teardown(() => native.close())
  return { page, url: `${url}/mqtt`, native }
}
