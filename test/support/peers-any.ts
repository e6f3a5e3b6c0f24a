/** Any kind of client with one face, so that a test can go through pairs: what was published, what arrived. */
import type { Test } from 'tap'
import { connect, type Message, type PublishProperties, type QoS } from '../../src/client/index.js'
import { Inbox } from './peers-inbox.js'
import { MqttJs } from './peers-mqttjs.js'

export interface Arrival {
  readonly topicName: string
  readonly text: string
  readonly qos: number
  readonly retain: boolean
  /** Without what is absent; user properties grouped by name, as MQTT.js has them. */
  readonly properties: Record<string, unknown>
}

export interface Peer {
  readonly name: string
  readonly hasProperties: boolean
  readonly arrivals: Inbox<Arrival>
  publish(topicName: string, text: string, options: PublishOptions): Promise<void>
  subscribe(topicFilter: string, qos: QoS, options?: { retainAsPublished: boolean }): Promise<void>
}

interface PublishOptions {
  readonly qos: QoS
  readonly retain?: boolean
  readonly properties?: PublishProperties
}

interface Urls {
  readonly httpUrl: string
  readonly mqttUrl: string | null
}

/** A connected client of each kind on one broker. */
export const PEER_KINDS: readonly ((t: Test, urls: Urls) => Promise<Peer>)[] = [
  nativePeer,
  (t, { mqttUrl }) => mqttJsPeer(t, 'MQTT 3.1.1 over TCP', mqttUrl as string, 4),
  (t, { mqttUrl }) => mqttJsPeer(t, 'MQTT 5 over TCP', mqttUrl as string, 5),
  (t, { httpUrl }) => mqttJsPeer(t, 'MQTT 3.1.1 over WebSocket', `${httpUrl.replace('http', 'ws')}/mqtt`, 4),
  (t, { httpUrl }) => mqttJsPeer(t, 'MQTT 5 over WebSocket', `${httpUrl.replace('http', 'ws')}/mqtt`, 5),
]

async function nativePeer(t: Test, { httpUrl }: Urls): Promise<Peer> {
  const client = await connect({ url: httpUrl.replace('http', 'ws') })
  t.teardown(() => client.close())
  const arrivals = new Inbox<Arrival>()
  const onMessage = (message: Message) => arrivals.push(nativeArrival(message))
  return {
    name: 'native',
    hasProperties: true,
    arrivals,
    publish: async (topicName, text, options) => void (await client.publish(topicName, text, options)),
    subscribe: async (topicFilter, qos, options) =>
      void (await client.subscribe(topicFilter, { qos, onMessage, ...options })),
  }
}

function nativeArrival(message: Message): Arrival {
  const { topicName, qos, retain, properties } = message
  const { correlationData, userProperties, payloadFormatIndicator, ...rest } = properties
  return {
    topicName,
    text: message.text(),
    qos,
    retain,
    properties: {
      ...rest,
      ...(payloadFormatIndicator === undefined ? {} : { isText: payloadFormatIndicator === 1 }),
      ...(correlationData === undefined ? {} : { correlationData: Buffer.from(correlationData).toString('hex') }),
      ...(userProperties === undefined ? {} : { userProperties: grouped(userProperties) }),
    },
  }
}

async function mqttJsPeer(t: Test, name: string, url: string, protocolVersion: 4 | 5): Promise<Peer> {
  const { client, messages } = await MqttJs.start(t, url, { protocolVersion })
  const arrivals = new Inbox<Arrival>()
  client.on('message', () => {
    const packet = messages.items[messages.items.length - 1]
    if (packet === undefined) return
    const { topic, payload, qos, retain, properties = {} } = packet
    const { correlationData, userProperties, payloadFormatIndicator, messageExpiryInterval, ...rest } = properties
    arrivals.push({
      topicName: topic,
      text: payload.toString(),
      qos,
      retain,
      properties: {
        ...rest,
        ...(messageExpiryInterval === undefined ? {} : { messageExpiryIntervalSec: messageExpiryInterval }),
        ...(payloadFormatIndicator === undefined ? {} : { isText: payloadFormatIndicator }),
        ...(correlationData === undefined ? {} : { correlationData: correlationData.toString('hex') }),
        ...(userProperties === undefined ? {} : { userProperties: { ...userProperties } }),
      },
    })
  })
  return {
    name,
    hasProperties: protocolVersion === 5,
    arrivals,
    publish: async (topicName, text, { qos, retain = false, properties = {} }) => {
      const { correlationData, userProperties, payloadFormatIndicator, messageExpiryIntervalSec } = properties
      const theirs = {
        ...(properties.contentType === undefined ? {} : { contentType: properties.contentType }),
        ...(properties.responseTopic === undefined ? {} : { responseTopic: properties.responseTopic }),
        ...(messageExpiryIntervalSec === undefined ? {} : { messageExpiryInterval: messageExpiryIntervalSec }),
        ...(payloadFormatIndicator === undefined ? {} : { payloadFormatIndicator: payloadFormatIndicator === 1 }),
        ...(correlationData === undefined ? {} : { correlationData: Buffer.from(correlationData) }),
        ...(userProperties === undefined ? {} : { userProperties: grouped(userProperties) }),
      }
      await client.publishAsync(topicName, text, { qos, retain, properties: theirs })
    },
    subscribe: async (topicFilter, qos, options) =>
      void (await client.subscribeAsync(topicFilter, { qos, rap: options?.retainAsPublished ?? false })),
  }
}

/** `[['a','1'],['b','2'],['a','3']]` → `{ a: ['1','3'], b: '2' }` */
function grouped(pairs: readonly (readonly [string, string])[]): Record<string, string | string[]> {
  const found: Record<string, string | string[]> = {}
  for (const [name, value] of pairs) {
    const before = found[name]
    found[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value]
  }
  return found
}
