/**
 * Every public type of the SDK in one place: what an application may rely on, and nothing of how it is done.
 * The functions are `connect` and the outbox openers (index.ts on Node, browser.ts in a browser).
 */
import type { Clock, TimerHandle, Timers } from '../base/clock.js'
import type {
  AckProperties,
  ConnackProperties,
  ConnectProperties,
  DeliveryCursor,
  Durability,
  ProducerRefusal,
  PublishProperties,
  QoS,
  ResumeResult,
  SubscriptionRequest,
  UserProperties,
  WillProperties,
} from '../protocol/packets.js'
import type { OutboxStore } from './outbox.js'
import type { ProducerOutbox } from './producer-outbox.js'
import type { TallyError } from './tally-error.js'
import type { OpenTransport, TlsOptions } from './transport.js'

export type { AckProperties, Clock, ConnackProperties, Durability, OutboxStore, PublishProperties, QoS, ResumeResult }
export type { DeliveryCursor, ProducerOutbox, ProducerRefusal }
export type { OpenTransport, TlsOptions, SubscriptionRequest, TimerHandle, Timers, UserProperties, WillProperties }
export { TALLY_ERROR_CODES, TallyError, type TallyErrorCode } from './tally-error.js'

export interface WillOptions {
  topicName: string
  payload?: Uint8Array | string
  /** Default 0. */
  qos?: QoS
  /** Default false. */
  retain?: boolean
  properties?: WillProperties
}

export interface ReconnectOptions {
  /** Upper bound of the first delay; it doubles with every attempt. Default 250 ms. */
  minDelayMs?: number
  /** No delay is longer. Default 30 000 ms. The delay itself is random between 0 and its bound ("full jitter"). */
  maxDelayMs?: number
  /** Attempts without a connection in between before the client gives up. Default: no bound. */
  attemptsMax?: number
}

export interface ConnectOptions {
  /**
   * `ws://host[:port][/path]` or `wss://…`: native `tally.v1` at `/tally`, or with `protocol: 'mqtt'` (or
   * `?protocol=mqtt`) MQTT over WebSocket at `/mqtt`. `mqtt://host[:1883]`, `mqtts://host[:8883]`: MQTT over TCP or
   * TLS, Node only.
   */
  url: string
  protocol?: 'tally.v1' | 'mqtt'
  /** MQTT only; default 5. */
  protocolLevel?: 3 | 4 | 5
  /** Default: the broker assigns one, and this client keeps it for its own reconnects. */
  clientId?: string
  /** Only the first connect; a reconnect always tries to resume. Default: true without `clientId`, otherwise false. */
  cleanStart?: boolean
  /** How long the broker keeps the session without a connection. Default: 3600 with `clientId`, otherwise 60. */
  sessionExpiryIntervalSec?: number
  /** Default 60; 0 switches it off. The broker may set another one. */
  keepAliveSec?: number
  username?: string
  password?: string | Uint8Array
  will?: WillOptions
  /**
   * Unacknowledged QoS 1 and 2 messages that may be on this side: the back-pressure of a slow consumer. Default
   * 4096.
   */
  receiveMaximum?: number
  /** Bytes of one incoming packet. Default 16 MiB. */
  maximumPacketSize?: number
  userProperties?: UserProperties
  /** Further CONNECT properties; the named options above win. */
  properties?: ConnectProperties
  /** false: one attempt, and the end of the connection is the end of the client. */
  reconnect?: false | ReconnectOptions
  /**
   * `tally.v1` only, for a consumer that writes `sessionNumber` and the `deliverySequence` of what it has handled in
   * the transaction of its own results: what that transaction says. null: it has handled nothing yet. The client skips
   * what is not above the cursor, and ends with `DELIVERY_GAP` or `SESSION_REPLACED` instead of handing over anything
   * behind a loss. Needs `clientId`. Default: no such checks.
   */
  deliveryCursor?: DeliveryCursor | null
  /** Where QoS 1 and 2 state lives so that it survives this process. Default: nowhere but in memory. */
  outbox?: OutboxStore
  /** true: QoS 1 and 2 messages are acknowledged by `message.acknowledge()` only. Default false. */
  manualAck?: boolean
  /** From opening the socket to CONNACK. Default 10 000 ms. */
  connectTimeoutMs?: number
  /** Unfinished QoS 1 and 2 publishes, waiting and in flight. 1..65 000, default 10 000. */
  publishQueueMessagesMax?: number
  /** Bytes waiting for the socket before `publishNow` returns false and a QoS 0 `publish` waits. Default 1 MiB. */
  outputBufferBytesMax?: number
  /**
   * Messages for subscriptions of an earlier process wait this long for `subscribe` or a listener. Default 10 000
   * ms.
   */
  unclaimedHoldMs?: number
  /** Abandons the connecting; once `connect` has resolved it does nothing any more. */
  signal?: AbortSignal
  /** Sees every state from the first one on; `client.on('state')` begins after `connect` has resolved. */
  onState?: (state: ClientState) => void
  /** HTTP headers of the WebSocket upgrade; Node only (browsers cannot). */
  headers?: Readonly<Record<string, string>>
  /** For `mqtts://` and `wss://` on Node; a browser has its own certificates. */
  tls?: TlsOptions
  /** The address of this machine to connect from; Node only. */
  localAddress?: string
  /** For tests: time, randomness and sockets. */
  timers?: Timers
  random?: () => number
  openTransport?: OpenTransport
}

export type CloseReason =
  /** `client.close()` was called. */
  | { readonly kind: 'closed-by-caller' }
  /** Nobody tries again; the error says why. */
  | { readonly kind: 'failed'; readonly error: TallyError }

export type ClientState =
  | { readonly name: 'connecting' }
  | { readonly name: 'connected'; readonly sessionPresent: boolean }
  | { readonly name: 'reconnecting'; readonly attempt: number; readonly delayMs: number; readonly reason: TallyError }
  | { readonly name: 'closed'; readonly reason: CloseReason }

export interface ConnackInformation {
  /** The broker had our session and goes on with it. */
  readonly sessionPresent: boolean
  readonly properties: Readonly<ConnackProperties>
  /** Native only: what an acknowledgement means on this broker. */
  readonly durability?: Durability
  /** Native only: what waited for us and what was lost meanwhile. */
  readonly resume?: ResumeResult
  /** Native only: names the session in a delivery cursor. */
  readonly sessionNumber?: number
  /** Native only: another one means that the broker's database was replaced or restored. */
  readonly incarnation?: string
}

export interface PublishOptions {
  /** Default 0. */
  qos?: QoS
  /** Default false. */
  retain?: boolean
  properties?: PublishProperties
  /** Withdraws a message that was not sent yet; one that was sent goes on, only the promise is rejected. */
  signal?: AbortSignal
}
export type PublishNowOptions = Pick<PublishOptions, 'retain' | 'properties'>

export interface PublishResult {
  readonly qos: QoS
  /** 0 or 0x10 (nobody is subscribed). Failures are rejections. */
  readonly reasonCode: number
  /** null: none came. */
  readonly properties: AckProperties | null
}

export interface Message {
  readonly topicName: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  readonly properties: Readonly<PublishProperties>
  /** Native, QoS 1 and 2: gap-free per session, from 1. */
  readonly deliverySequence: number | undefined
  /** Native, QoS 1 and 2: the broker's id of the message, the same for every subscriber. */
  readonly messageId: number | undefined
  readonly subscriptionIdentifiers: readonly number[]
  /** The payload as UTF-8 text. @throws TypeError when it is not well-formed. */
  text(): string
  /**
   * With `manualAck`: done with it. Acks leave in the order of arrival [v5 MQTT-4.6.0-2], so one that is missing holds
   * back later ones. Calling it twice, or at QoS 0, does nothing.
   */
  acknowledge(): void
}

/** As in MQTT, but only the topic filter is required. */
export type SubscriptionRequestOptions = Pick<SubscriptionRequest, 'topicFilter'> & Partial<SubscriptionRequest>

export interface SubscribeOptions {
  /** For filters that do not say themselves. Default 0. */
  qos?: QoS
  noLocal?: boolean
  retainAsPublished?: boolean
  /** 0 send retained messages, 1 only if the subscription is new, 2 never. Default 0. */
  retainHandling?: 0 | 1 | 2
  /** 1..268 435 455. A subscription that has one gets only what the broker marks with it. */
  subscriptionIdentifier?: number
  userProperties?: UserProperties
  /** QoS 0 messages that wait for a slow iterator before the oldest is dropped and counted. Default 1000. */
  bufferMessagesMax?: number
  /**
   * Callback form; the iterator then yields nothing. Called for each message as it comes, in order; a returned promise
   * delays the acknowledgement, not the next call. If it fails: `error` event, no acknowledgement.
   */
  onMessage?: (message: Message) => void | Promise<void>
  /** Before SUBACK: gives up. Afterwards: ends the iteration and unsubscribes. */
  signal?: AbortSignal
}

/**
 * A message counts as done when the loop asks for the next one (or ends), not when it is handed over: what is in the
 * loop's hands when the process dies comes again. QoS 1 and 2 never overflow, Receive Maximum holds the broker back.
 */
export interface Subscription extends AsyncIterable<Message>, AsyncDisposable {
  readonly topicFilters: readonly string[]
  /** One for each filter, in order: the granted QoS, or a failure of 0x80 and above. */
  readonly reasonCodes: readonly number[]
  readonly subscriptionIdentifier: number | undefined
  /** QoS 0 messages dropped because the iterator was too slow. */
  readonly droppedMessages: number
  /** Ends the iteration; messages not yet taken are acknowledged and dropped. */
  unsubscribe(options?: { signal?: AbortSignal }): Promise<void>
}

export interface ClientEvents {
  state: ClientState
  /** Every incoming message, beside the subscriptions. A returned promise delays the acknowledgement. */
  message: Message
  /** What went wrong without a call to reject: lost sessions, failed callbacks, refused resubscriptions. */
  error: TallyError
}
export type ClientEventListener<Name extends keyof ClientEvents> = (event: ClientEvents[Name]) => void | Promise<void>

export interface ProducerMessageOptions {
  /** Default 1. */
  qos?: 1 | 2
  /** Default false. */
  retain?: boolean
  properties?: PublishProperties
}
export interface ProducerMessage extends ProducerMessageOptions {
  topicName: string
  payload: Uint8Array | string
}

export interface ProducerOptions {
  /** Where the messages live until the broker has taken them, and for a while longer. */
  outbox: ProducerOutbox
  /**
   * How long a message that the broker has taken stays in the outbox, so that a broker that was restored from a backup
   * can be filled up again. Default 24 hours; 0: not at all.
   */
  ackedRowsKeptMs?: number
  /** Messages that may be out without an answer. Default 8192. */
  windowMessagesMax?: number
  /** Bytes of them, and of those read ahead. Default 4 MiB. */
  windowBytesMax?: number
  /** Messages of `publish` and `publishBatch` without an answer, before they reject. Default 100 000. */
  publishQueueMessagesMax?: number
  /**
   * Hears of every message that the broker did not take, also of one that an earlier process published. Without it,
   * those for which nobody waits are `error` events of the client.
   */
  onRefused?: (refusal: ProducerRefusal) => void
  /** Gives up opening. */
  signal?: AbortSignal
}

export interface ProducedResult {
  /** Of the only or the first message. */
  readonly firstSequence: number
  readonly lastSequence: number
}

/**
 * A numbered stream of messages out of an outbox, taken exactly once by the broker whatever crashes. It goes on over
 * reconnects by itself; when it cannot (`FENCED`, `DIVERGED`, `UNKNOWN_PRODUCER`, …) it ends, and says so in every
 * call and as an `error` event.
 */
export interface Producer extends AsyncDisposable {
  /** 32 hexadecimal digits, made once and kept in the outbox. */
  readonly producerId: string
  /** The highest sequence in the outbox, as far as this producer knows. */
  readonly lastSequence: number
  /** The broker has taken or refused everything up to it. */
  readonly answeredSequence: number
  /** Why it has ended, or null. */
  readonly failure: TallyError | null

  /**
   * Into the outbox, then to the broker. Resolves when the broker has it in a commit; rejects with `PUBLISH_REFUSED`
   * when it does not take it. After any other rejection it may be in the outbox, and goes out when the producer is
   * opened again. Do not change the payload before `stored`.
   */
  publish(topicName: string, payload: Uint8Array | string, options?: ProducerMessageOptions): Promise<ProducedResult>
  /** All of them or none, in the outbox and in the broker. One packet, so the broker bounds its size. */
  publishBatch(messages: readonly ProducerMessage[]): Promise<ProducedResult>
  /** Resolves when everything published so far is durable in the outbox. */
  stored(): Promise<void>
  /**
   * The application has appended rows in a transaction of its own: sends them. Resolves when the broker has answered
   * everything that is in the outbox now.
   */
  flush(): Promise<void>
  /** Notes in the outbox how far the broker is, and ends. What is still in the outbox stays there. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export interface CloseOptions {
  /** Default 0; 4: leave and have the Will published. */
  reasonCode?: number
  /**
   * Sets another expiry for the session, MQTT 5 and native. Default: 0 if neither `clientId` nor an expiry was
   * given.
   */
  sessionExpiryIntervalSec?: number
  /** Waits for unfinished QoS 1 and 2 publishes first, while connected. Default 0: they end with `CLOSED` at once. */
  drainTimeoutMs?: number
}

export interface Client extends AsyncDisposable {
  /** The assigned one where the broker chose. */
  readonly clientId: string
  readonly state: ClientState
  /** Of the latest connection. */
  readonly connack: ConnackInformation
  /** Bytes not yet taken by the operating system (Node) or the browser. */
  readonly bufferedBytes: number
  /** QoS 1 and 2 publishes without their last ack. */
  readonly unfinishedPublishes: number

  /**
   * QoS 0: resolves when written to the socket. QoS 1: PUBACK. QoS 2: PUBCOMP. QoS 1 and 2 wait through reconnects.
   * Do not change the payload before it resolves.
   */
  publish(topicName: string, payload: Uint8Array | string, options?: PublishOptions): Promise<PublishResult>
  /**
   * Resolves when every QoS 1 and 2 publish made so far is in the outbox: from here on it survives this process,
   * connected or not. At once without an outbox.
   */
  stored(): Promise<void>
  /** QoS 0, fire and forget, no promise. @returns false when there is no connection or the buffer is full. */
  publishNow(topicName: string, payload: Uint8Array | string, options?: PublishNowOptions): boolean
  /** Resolves when `bufferedBytes` is below `outputBufferBytesMax` again. */
  drained(options?: { signal?: AbortSignal }): Promise<void>
  /**
   * `tally.v1` only. Resolves when the broker has accepted the producer and both agree on what it has sent; waits
   * through reconnects. One outbox is open once: the broker fences the older producer of two.
   */
  openProducer(options: ProducerOptions): Promise<Producer>
  /** Rejects when the only filter, or all of them, are refused; otherwise see `reasonCodes`. */
  subscribe(
    filters: string | SubscriptionRequestOptions | readonly (string | SubscriptionRequestOptions)[],
    options?: SubscribeOptions,
  ): Promise<Subscription>
  unsubscribe(topicFilters: string | readonly string[], options?: { signal?: AbortSignal }): Promise<void>
  /** @returns a function that removes the listener. */
  on<Name extends keyof ClientEvents>(name: Name, listener: ClientEventListener<Name>): () => void
  /** @returns the round trip in milliseconds. */
  ping(options?: { signal?: AbortSignal }): Promise<number>
  /**
   * Flushes what is written, says DISCONNECT and ends; iterations end. What no loop has taken stays unacknowledged, the
   * session gets it again. Never rejects; the second call does nothing.
   */
  close(options?: CloseOptions): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Resolves on the first accepted CONNACK. @throws TallyError on a final refusal, on `signal`, or without
 * `reconnect`.
 */
export type Connect = (options: ConnectOptions) => Promise<Client>
