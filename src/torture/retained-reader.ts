/** A new subscriber that looks what is retained, and leaves. It knows nothing of what should be there. */
import type { Random } from '../base/random.js'
import { systemTimers } from '../client/clock.js'
import { type Packet, PacketType } from '../protocol/packets.js'
import { Line, type Ports } from './line.js'

/** What has not come by then is not there. */
const PATIENCE_MS = 10_000

/** @returns by topic, or null when the line broke and nothing can be said. */
export function readRetained(
  topics: readonly string[],
  ports: Ports,
  random: Random,
): Promise<ReadonlyMap<string, number> | null> {
  return new Promise((resolve) => {
    const found = new Map<string, number>()
    const options = { clientId: 'retained-reader', wire: 'mqtt 5', ports, random, cleanStart: true } as const
    const end = (result: ReadonlyMap<string, number> | null) => {
      timer.cancel()
      line.end()
      resolve(result)
    }
    const timer = systemTimers.schedule(PATIENCE_MS, () => end(line.isUp ? found : null))
    const line = new Line(options, {
      connected() {
        const subscriptions = topics.map((topicFilter) => {
          return { topicFilter, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
        })
        line.writer.write({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions, properties: {} })
      },
      receive(packet: Packet) {
        if (packet.type !== PacketType.PUBLISH) return
        const { topicName, payload, qos, packetId, retain } = packet
        if (qos > 0) line.writer.writeAck(PacketType.PUBACK, packetId, 0)
        if (retain && !found.has(topicName)) found.set(topicName, Number(Buffer.from(payload).toString()))
        if (found.size === topics.length) end(found)
      },
      received() {},
      disconnected: () => end(null),
      problem: () => end(null),
    })
    line.open()
  })
}
