/** The plain relay's protocol: a frame is a message, and nothing else exists. */
import { type PacketSink, STAMP_BYTES, type Wire } from './wire.js'

/** A frame's length is not handed down, so all messages of a run have one length. */
export function relayWire(payloadBytes: number): Wire {
  return {
    subprotocol: '',
    ackBytes: 0,
    isRanged: false,
    connect: () => null,
    subscribe: () => null,
    template: () => ({ bytes: Buffer.alloc(payloadBytes, 0x2e), packetIdAt: -1, stampAt: 0 }),
    run: () => null,
    produce: () => null,
    writeAck() {
      throw new Error('a relay acknowledges nothing')
    },
    step(data: Uint8Array, at: number, end: number, sink: PacketSink): number {
      if (at + STAMP_BYTES > end) return -1
      sink.onPublish(data, at, 0, 0)
      return at + payloadBytes
    },
  }
}
