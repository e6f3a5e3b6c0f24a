/**
 * Bytes as hex and decoders as one-liners, shared by the tests of the MQTT codec.
 */
import type { CodecLimits, PacketDecoder } from '../../../../src/protocol/codec.js'
import { mqttCodec } from '../../../../src/protocol/mqtt/codec.js'
import type { Packet, ProtocolLevel } from '../../../../src/protocol/packets.js'
import { ProtocolError } from '../../../../src/protocol/protocol-error.js'

export const LIMITS: CodecLimits = {
  maximumPacketSize: 1_048_576,
  userPropertiesMax: 64,
  connectPacketSizeMax: 1_048_576,
  acceptMqtt31: true,
}

/** `10 0c | 00 04` → bytes; spaces and bars are for the reader, `'text'` stands for its letters. */
export function hex(text: string): Uint8Array {
  const digits = text
    .replace(/'([^']*)'/g, (_, letters: string) =>
      [...new TextEncoder().encode(letters)].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
    )
    .replace(/[\s|]/g, '')
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ')
}

/** A decoder past CONNECT; level 0: one that still waits for it. */
export function decoderAt(level: ProtocolLevel | 0, limits: Partial<CodecLimits> = {}): PacketDecoder {
  const decoder = mqttCodec.decoder({ ...LIMITS, ...limits })
  if (level !== 0) decoder.connectAccepted(level)
  return decoder
}

export function decodeAll(
  level: ProtocolLevel | 0,
  chunks: readonly Uint8Array[],
  limits: Partial<CodecLimits> = {},
): Packet[] {
  const decoder = decoderAt(level, limits)
  const packets: Packet[] = []
  for (const chunk of chunks) decoder.decode(chunk, (packet) => packets.push(packet))
  return packets
}

export function encode(level: ProtocolLevel, ...packets: readonly Packet[]): Uint8Array {
  const writer = mqttCodec.writer(level)
  for (const packet of packets) writer.write(packet)
  const written = writer.take()
  return written === null ? new Uint8Array(0) : written.buffer.subarray(written.headroom)
}

/** The reason code of the ProtocolError that `run` throws; undefined if it throws none. */
export function thrownReasonCode(run: () => unknown): number | undefined {
  try {
    run()
  } catch (error) {
    if (error instanceof ProtocolError) return error.reasonCode
    throw error
  }
  return undefined
}

/** The reason code that the bytes are refused with, or what they decoded to. */
export function refusal(
  level: ProtocolLevel | 0,
  bytes: Uint8Array,
  limits: Partial<CodecLimits> = {},
): number | Packet[] {
  let packets: Packet[] = []
  const reasonCode = thrownReasonCode(() => {
    packets = decodeAll(level, [bytes], limits)
  })
  return reasonCode ?? packets
}
