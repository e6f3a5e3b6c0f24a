/** MQTT.js as a peer in this process, over TCP or WebSocket; it ends with the test. */
import { connect, type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import type { Test } from 'tap'
import { Inbox } from './peers-inbox.js'

export class MqttJs {
  readonly client: MqttClient
  readonly messages = new Inbox<IPublishPacket>()
  sessionPresent = false

  private constructor(client: MqttClient) {
    this.client = client
    // Where the broker sent an alias, the packet has no topic.
    client.on('message', (topic, _payload, packet) => this.messages.push(Object.assign(packet, { topic })))
    // It connects again by itself; what a test wants to know of an error it listens for.
    client.on('error', () => {})
  }

  /** Connected. Messages of a kept session are not missed: the listener is there before the socket. */
  static async start(t: Test, url: string, options: IClientOptions): Promise<MqttJs> {
    const mqttJs = new MqttJs(connect(url, { reconnectPeriod: 0, ...options }))
    t.teardown(() => mqttJs.client.endAsync(true))
    await new Promise<void>((resolve, reject) => {
      mqttJs.client.once('error', reject)
      mqttJs.client.once('connect', ({ sessionPresent }) => {
        mqttJs.sessionPresent = sessionPresent
        resolve()
      })
    })
    return mqttJs
  }

  /** Resolves the next time it connects, or its connection ends. */
  next(event: 'connect' | 'close'): Promise<void> {
    return new Promise((resolve) => {
      this.client.once(event, () => resolve())
    })
  }

  /** The payloads of everything so far, in order. */
  get texts(): string[] {
    return this.messages.items.map(({ payload }) => payload.toString())
  }
}
