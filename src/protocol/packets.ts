/**
 * The one packet model: MQTT 5's fifteen control packets as plain values. Codecs turn bytes into these and back;
 * core and client speak nothing else. Names are the standard's words. What only the native protocol carries
 * (delivery sequence, message id, resume result, timestamps) sits here as optional fields that the MQTT codec leaves
 * out.
 */

export const PacketType = {
  RESERVED: 0,
  CONNECT: 1,
  CONNACK: 2,
  PUBLISH: 3,
  PUBACK: 4,
  PUBREC: 5,
  PUBREL: 6,
  PUBCOMP: 7,
  SUBSCRIBE: 8,
  SUBACK: 9,
  UNSUBSCRIBE: 10,
  UNSUBACK: 11,
  PINGREQ: 12,
  PINGRESP: 13,
  DISCONNECT: 14,
  AUTH: 15,
  // Native protocol only; its number 19 is DELIVER, which this model calls PUBLISH.
  PRODUCER_OPEN: 16,
  PRODUCER_OPENED: 17,
  PRODUCE: 18,
  PRODUCED: 20,
} as const
export type PacketType = (typeof PacketType)[keyof typeof PacketType]

export type QoS = 0 | 1 | 2
/** 3: MQTT 3.1 ('MQIsdp'), 4: MQTT 3.1.1, 5: MQTT 5.0. The native protocol has the semantics of 5. */
export type ProtocolLevel = 3 | 4 | 5
export type UserProperty = readonly [name: string, value: string]
/** Ordered; names may repeat; the order is kept when forwarded [v5 MQTT-3.3.2-18]. */
export type UserProperties = readonly UserProperty[]

export interface PublishProperties {
  payloadFormatIndicator?: 0 | 1
  messageExpiryIntervalSec?: number
  topicAlias?: number
  responseTopic?: string
  correlationData?: Uint8Array
  userProperties?: UserProperties
  /** Only from server to client; one for each matching subscription that has one. */
  subscriptionIdentifiers?: readonly number[]
  contentType?: string
}

export interface WillProperties {
  willDelayIntervalSec?: number
  payloadFormatIndicator?: 0 | 1
  messageExpiryIntervalSec?: number
  contentType?: string
  responseTopic?: string
  correlationData?: Uint8Array
  userProperties?: UserProperties
}

export interface WillMessage {
  topicName: string
  payload: Uint8Array
  qos: QoS
  retain: boolean
  properties: WillProperties
}

export interface ConnectProperties {
  sessionExpiryIntervalSec?: number
  receiveMaximum?: number
  maximumPacketSize?: number
  topicAliasMaximum?: number
  requestResponseInformation?: 0 | 1
  requestProblemInformation?: 0 | 1
  userProperties?: UserProperties
  authenticationMethod?: string
  authenticationData?: Uint8Array
}

export interface ConnectPacket {
  type: typeof PacketType.CONNECT
  protocolLevel: ProtocolLevel
  clientId: string
  cleanStart: boolean
  keepAliveSec: number
  username?: string
  password?: Uint8Array
  will?: WillMessage
  properties: ConnectProperties
  /** Native only: how far the consumer's own transaction has come. Copies up to it are done. */
  deliveryCursor?: DeliveryCursor
}

/** Native only: a place in the delivery sequence of one session. */
export interface DeliveryCursor {
  /** The session it belongs to, as CONNACK named it: another session counts from 1 again. */
  sessionNumber: number
  /** The highest delivery sequence that has been handled. 0: none. */
  deliverySequence: number
}

export interface ConnackProperties {
  sessionExpiryIntervalSec?: number
  receiveMaximum?: number
  maximumQoS?: 0 | 1
  retainAvailable?: 0 | 1
  maximumPacketSize?: number
  assignedClientIdentifier?: string
  topicAliasMaximum?: number
  reasonString?: string
  userProperties?: UserProperties
  wildcardSubscriptionAvailable?: 0 | 1
  subscriptionIdentifiersAvailable?: 0 | 1
  sharedSubscriptionAvailable?: 0 | 1
  serverKeepAliveSec?: number
  responseInformation?: string
  serverReference?: string
  authenticationMethod?: string
  authenticationData?: Uint8Array
}

/** Native protocol only: what the server still holds of a resumed session. */
export interface ResumeResult {
  /** Messages waiting for this client: queued and in flight. */
  queuedMessages: number
  /** Copies this session lost since it was last connected, by reason; empty means the resume is complete. */
  lost: readonly { reason: DropReason; messages: number }[]
}

export type Durability = 'flush' | 'os' | 'memory'
/** Why a copy of a message ended without being delivered. */
export type DropReason =
  | 'expired'
  | 'queue-full'
  | 'not-authorized'
  | 'too-large'
  | 'slow-consumer'
  | 'session-ended'
  | 'offline'

export interface ConnackPacket {
  type: typeof PacketType.CONNACK
  sessionPresent: boolean
  /** MQTT 5 numbers always; the 3.1.1 codec translates to its return codes 0..5. */
  reasonCode: number
  properties: ConnackProperties
  /** Native only: what an acknowledgement means on this broker. */
  durability?: Durability
  /** Native only. */
  resume?: ResumeResult
  /** Native only: names this session in cursors; never used again by another one. */
  sessionNumber?: number
  /** Native only: a random id of the broker's database; another one means that it was restored or replaced. */
  incarnation?: string
}

export interface PublishPacket {
  type: typeof PacketType.PUBLISH
  /** Empty where a topic alias stands for it. */
  topicName: string
  payload: Uint8Array
  qos: QoS
  retain: boolean
  dup: boolean
  /** 1..65535 for QoS 1 and 2; 0 for QoS 0. */
  packetId: number
  /** null when there are none: the common case allocates nothing. */
  properties: PublishProperties | null
  /** Native deliveries at QoS 1 and 2: gap-free per session, from 1. */
  deliverySequence?: number
  /** Native deliveries at QoS 1 and 2: the broker's id of the message, the same for every subscriber. */
  messageId?: number
}

export interface AckProperties {
  reasonString?: string
  userProperties?: UserProperties
}
export type AckPacketType =
  | typeof PacketType.PUBACK
  | typeof PacketType.PUBREC
  | typeof PacketType.PUBREL
  | typeof PacketType.PUBCOMP
export interface AckPacket {
  type: AckPacketType
  packetId: number
  /** Native only: acknowledges packetId..lastPacketId, both included, counting 65535 → 1. Absent: one id. */
  lastPacketId?: number
  reasonCode: number
  properties: AckProperties | null
}

export interface SubscriptionRequest {
  topicFilter: string
  qos: QoS
  noLocal: boolean
  retainAsPublished: boolean
  /** 0 send at subscribe, 1 only if the subscription is new, 2 never. */
  retainHandling: 0 | 1 | 2
}
export interface SubscribePacket {
  type: typeof PacketType.SUBSCRIBE
  packetId: number
  subscriptions: readonly SubscriptionRequest[]
  properties: { subscriptionIdentifier?: number; userProperties?: UserProperties }
}
export interface SubackPacket {
  type: typeof PacketType.SUBACK
  packetId: number
  reasonCodes: readonly number[]
  properties: AckProperties | null
}
export interface UnsubscribePacket {
  type: typeof PacketType.UNSUBSCRIBE
  packetId: number
  topicFilters: readonly string[]
  properties: { userProperties?: UserProperties }
}
export interface UnsubackPacket {
  type: typeof PacketType.UNSUBACK
  packetId: number
  reasonCodes: readonly number[]
  properties: AckProperties | null
}

/** In the native protocol either side may send PINGREQ; the answer carries the asker's timestamp back. */
export interface PingreqPacket {
  type: typeof PacketType.PINGREQ
  /** Native only: the sender's clock in ms, opaque to the other side. */
  timestampMs?: number
}
export interface PingrespPacket {
  type: typeof PacketType.PINGRESP
  /** Native only: what the PINGREQ carried. */
  timestampMs?: number
}

export interface DisconnectProperties {
  sessionExpiryIntervalSec?: number
  reasonString?: string
  userProperties?: UserProperties
  serverReference?: string
}
export interface DisconnectPacket {
  type: typeof PacketType.DISCONNECT
  reasonCode: number
  properties: DisconnectProperties | null
}

export interface AuthPacket {
  type: typeof PacketType.AUTH
  reasonCode: number
  properties: {
    authenticationMethod?: string
    authenticationData?: Uint8Array
    reasonString?: string
    userProperties?: UserProperties
  }
}

/** Why a producer is refused, or what is wrong with what it sent. Native protocol only, beside 0x87 and 0x97. */
export const ProducerReason = {
  SUCCESS: 0x00,
  /** We do not know this producer, and it says that it has sent before: whether that was stored cannot be told. */
  UNKNOWN_PRODUCER: 0xc0,
  /** Another connection has opened this producer with a higher epoch. */
  FENCED: 0xc1,
  /** Sequences in between are missing; nothing was stored. `sequence` + 1 is what must come. */
  SEQUENCE_GAP: 0xc2,
  /** The same sequence with other content: two publishers use one producer id, or one was restored from a backup. */
  DIVERGED: 0xc3,
  /** Another message of the same atomic batch was refused. */
  BATCH_REFUSED: 0xc4,
  /** Too many refusals wait for the client to confirm that it knows of them; nothing was stored. */
  UNCONFIRMED_REFUSALS: 0xc5,
} as const

/** Native only: a message that was not taken. Its sequence is used up all the same, so that the stream goes on. */
export interface ProducerRefusal {
  sequence: number
  reasonCode: number
  reasonString?: string
}

/** Native only: the client wants to publish as this producer on this connection. */
export interface ProducerOpenPacket {
  type: typeof PacketType.PRODUCER_OPEN
  /** 1..65535, the client's short name for the producer on this connection. */
  handle: number
  /** 16 random bytes, made once and kept with the outbox. */
  producerId: Uint8Array
  /** The last sequence whose outcome the client has on disk; 0: none. */
  confirmedSequence: number
  /** 32 bytes: the digest (`StreamDigest`) of all messages up to `confirmedSequence`, as sent. null: not known. */
  digest: Uint8Array | null
}

/** Native only. */
export interface ProducerOpenedPacket {
  type: typeof PacketType.PRODUCER_OPENED
  handle: number
  reasonCode: number
  /** Grows with every opening; 0 when refused. */
  epoch: number
  /** The highest sequence that is stored or refused. */
  sequence: number
  /** 32 bytes: the digest (`StreamDigest`) of all messages up to `sequence`, as they came. null when refused. */
  digest: Uint8Array | null
  incarnation: string
  /** Above `confirmedSequence`, ascending. */
  refusals: readonly ProducerRefusal[]
  reasonString?: string
}

export interface ProduceMessage {
  topicName: string
  payload: Uint8Array
  qos: 1 | 2
  retain: boolean
  properties: PublishProperties | null
}

/** Native only: messages with consecutive sequences. What one packet holds is in one commit. */
export interface ProducePacket {
  type: typeof PacketType.PRODUCE
  handle: number
  /** Of the first message; the others count on from it. */
  firstSequence: number
  /** The last sequence whose outcome the client has on disk: refusals up to it are forgotten. */
  confirmedSequence: number
  /** true: all of them or none. */
  isAtomic: boolean
  messages: readonly ProduceMessage[]
  /** The messages' arrays as they stand on the wire: what the digest is made of, and all that a writer looks at. */
  encoded: Uint8Array
  /** Where in `encoded` each of them ends. */
  ends: readonly number[]
}

/** Native only: acknowledges everything up to `sequence`; leaves after the commit that holds it. */
export interface ProducedPacket {
  type: typeof PacketType.PRODUCED
  handle: number
  reasonCode: number
  sequence: number
  /** 32 bytes: the digest (`StreamDigest`) of all messages up to `sequence`. null with a failure. */
  digest: Uint8Array | null
  /** Among the messages of the PRODUCE this answers, ascending. */
  refusals: readonly ProducerRefusal[]
  reasonString?: string
}

export type ProducerPacket = ProducerOpenPacket | ProducerOpenedPacket | ProducePacket | ProducedPacket

export type Packet =
  | ConnectPacket
  | ConnackPacket
  | PublishPacket
  | AckPacket
  | SubscribePacket
  | SubackPacket
  | UnsubscribePacket
  | UnsubackPacket
  | PingreqPacket
  | PingrespPacket
  | DisconnectPacket
  | AuthPacket
  | ProducerPacket

/** Highest value of a two-byte packet identifier [v5 MQTT-2.2.1-3]. */
export const PACKET_ID_MAX = 65_535

/** They count up, and from the last on to 1: 0 names no packet. */
export function nextPacketId(packetId: number): number {
  return packetId === PACKET_ID_MAX ? 1 : packetId + 1
}
/** A Session Expiry Interval that never ends [v5 3.1.2.11.2]. */
export const SESSION_NEVER_EXPIRES_SEC = 0xffff_ffff
