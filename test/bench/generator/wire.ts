/**
 * What the generator must know of a protocol: prebuilt bytes out, packets found in place in. `step` reads one packet
 * and allocates nothing; only the head of a publication and the stamp in its payload need to be there.
 */

export const PUBACK = 4
export const PUBREC = 5
export const PUBREL = 6
export const PUBCOMP = 7
export type AckType = typeof PUBACK | typeof PUBREC | typeof PUBREL | typeof PUBCOMP

/** At the start of every payload: sequence, publisher, and when it was due in microseconds; 32 bits each. */
export const STAMP_BYTES = 12

export interface PacketSink {
  onPublish(data: Uint8Array, stampAt: number, qos: number, packetId: number): void
  /** Packet ids first to last, counting up and from 65535 on to 1. */
  onAck(type: number, first: number, last: number): void
  /** A producer's messages are on disk up to this sequence. */
  onProduced(sequence: number): void
  /** Anything else the broker said, such as CONNACK. */
  onOther(type: number): void
}

/** One PUBLISH whose packet id and stamp are filled in for each message. */
export interface Template {
  readonly bytes: Uint8Array
  /** Two bytes, big endian; -1 at QoS 0. */
  readonly packetIdAt: number
  readonly stampAt: number
}

/** A batch of messages in one packet, whose numbers stand before them. */
export interface Packed {
  readonly head: Uint8Array
  /** Of the first message: two bytes in the head; -1: there is none. */
  readonly packetIdAt: number
  readonly message: Template
}

export interface Produce extends Packed {
  readonly open: Uint8Array
  /** Four bytes each, in the head. */
  readonly firstSequenceAt: number
  readonly confirmedSequenceAt: number
}

/** Where a stream is in a packet that holds many publications. */
export interface RunState {
  /** Payloads that come next; 0: it is not in one. */
  left: number
  qos: number
  packetId: number
}

export interface Wire {
  readonly subprotocol: string
  /** null: nothing is said before the first publication. */
  connect(clientId: string, isDurable: boolean): Uint8Array | null
  subscribe(filter: string, qos: 0 | 1 | 2): Uint8Array | null
  template(topic: string, qos: 0 | 1 | 2, payloadBytes: number): Template
  /** Several messages of one topic in one packet; null: the protocol has no such thing. */
  run(topic: string, qos: 0 | 1 | 2, payloadBytes: number, count: number): Packed | null
  /** Where the protocol has producers; else null. */
  produce(topic: string, qos: 1 | 2, payloadBytes: number, count: number): Produce | null
  /** One packet, or as many as there are ids. @returns where it ends in `target`. */
  writeAck(target: Uint8Array, at: number, type: number, first: number, last: number): number
  /** Longest `writeAck` for one id, or for a range where the protocol has them. */
  readonly ackBytes: number
  readonly isRanged: boolean
  /**
   * @returns the end of the packet at `at`, or of one publication of a packet that holds many. It may be behind `end`;
   * -1: its head is not complete.
   */
  step(data: Uint8Array, at: number, end: number, sink: PacketSink, run: RunState): number
}

export function readUint16(data: Uint8Array, at: number): number {
  return ((data[at] as number) << 8) | (data[at + 1] as number)
}

export function readUint32(data: Uint8Array, at: number): number {
  return (
    (((data[at] as number) << 24) |
      ((data[at + 1] as number) << 16) |
      ((data[at + 2] as number) << 8) |
      (data[at + 3] as number)) >>>
    0
  )
}

/** How many ids are from `first` to `last`. */
export function idCount(first: number, last: number): number {
  return last >= first ? last - first + 1 : last + 65_535 - first + 1
}
