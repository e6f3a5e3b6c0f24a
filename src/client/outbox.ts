/**
 * The outbox port: the client's half of the MQTT session state, kept so that it survives the process. It holds the
 * QoS 1 and 2 publishes without their last ack, in order, and the ids of received QoS 2 messages whose PUBREL is
 * still to come. It does not hold incoming messages or subscriptions: the broker keeps those. Adapters: memory, LMDB,
 * IndexedDB.
 */
import type { PublishProperties } from '../protocol/packets.js'

export interface OutboxEntry {
  /** Grows with every publish: the order of sending, also after a restart. */
  readonly sequence: number
  readonly packetId: number
  readonly topicName: string
  readonly payload: Uint8Array
  readonly qos: 1 | 2
  readonly retain: boolean
  readonly properties: PublishProperties | null
  /** `released`: PUBREC has come, the message is the broker's; only PUBREL and PUBCOMP are left. */
  readonly state: 'published' | 'released'
}

export type OutboxChange =
  | { readonly kind: 'publish'; readonly entry: OutboxEntry }
  /** PUBREC has come for this publish. */
  | { readonly kind: 'release'; readonly sequence: number }
  /** Its last ack has come, or it was withdrawn. */
  | { readonly kind: 'remove'; readonly sequence: number }
  /** An incoming QoS 2 message was handed over; a copy of it must not be, until PUBREL. */
  | { readonly kind: 'receipt'; readonly packetId: number }
  | { readonly kind: 'receipt-end'; readonly packetId: number }
  /** The broker has no session any more: forget all receipts. */
  | { readonly kind: 'receipts-clear' }

export interface OutboxContents {
  /** By rising `sequence`. */
  readonly entries: readonly OutboxEntry[]
  readonly receivedPacketIds: readonly number[]
}

/** One store serves one client id; giving the same store to two clients mixes their ids. */
export interface OutboxStore {
  /** Called once, before the first connect. */
  load(): Promise<OutboxContents>
  /**
   * Makes the changes durable, all or nothing, in order. The client waits for one commit before it starts the next.
   * A rejection ends the client with `OUTBOX_FAILED`: going on would break what QoS 2 promises.
   */
  commit(changes: readonly OutboxChange[]): Promise<void>
  /** Called by whoever opened the store, not by the client. */
  close(): Promise<void>
}
