/**
 * MQTT 3.1.1 and 5.0 (and 3.1 where it is switched on) behind the codec port. The rules of the wire live here; what
 * needs to know a session, a topic alias or a policy does not.
 */
import type { Codec } from '../codec.js'
import { MqttDecoder } from './decoder.js'
import { PacketBuffer } from './packet-buffer.js'
import { publicationSize } from './publish.js'
import { encodePacket, MqttWriter } from './writer.js'

/** Above this a measuring buffer is not kept. */
const KEPT_BYTES_MAX = 65_536
let measuring = new PacketBuffer()

export const mqttCodec: Codec = {
  name: 'mqtt',
  isStream: true,
  decoder: (limits) => new MqttDecoder(limits),
  writer: (protocolLevel) => new MqttWriter(protocolLevel),
  publicationSize,
  // Measured by encoding: control packets are small and rarely measured, and so the answer cannot be wrong.
  packetSize(packet, protocolLevel) {
    measuring.truncate(0)
    encodePacket(measuring, packet, protocolLevel)
    const size = measuring.byteLength
    if (size > KEPT_BYTES_MAX) measuring = new PacketBuffer()
    return size
  },
}
