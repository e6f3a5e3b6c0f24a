/**
 * The native protocol `tally.v1` as an adapter of the codec port: one binary WebSocket message is one or more msgpack
 * arrays. Specification and test vectors: `conformance/native-protocol.md`, `conformance/vectors/`.
 */
import type { Codec } from '../codec.js'
import { PacketType } from '../packets.js'
import { NativeDecoder } from './decoder.js'
import { encodeFields } from './encode-packet.js'
import { pack } from './packer.js'
import { producePacketSize } from './produce.js'
import { publicationSize } from './publication-tail.js'
import { NativeWriter } from './writer.js'

/** The protocol level is ignored: `tally.v1` has the semantics of MQTT 5. */
export const nativeCodec: Codec = {
  name: 'tally.v1',
  isStream: false,
  decoder: (limits) => new NativeDecoder(limits),
  writer: () => new NativeWriter(),
  publicationSize,
  packetSize: (packet) =>
    packet.type === PacketType.PRODUCE ? producePacketSize(packet) : pack(encodeFields(packet)).length,
}
