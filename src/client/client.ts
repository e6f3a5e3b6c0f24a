/**
 * The client that `connect` returns: joins the connection loop with the four parts of a session (outgoing, incoming,
 * subscriptions, dispatch) and offers them as one object. It has no rules of its own.
 */
import { type ConnackPacket, type Packet, PacketType, type PublishPacket } from '../protocol/packets.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import { onAbort, orAborted, throwIfAborted } from './abort.js'
import type {
  Client,
  ClientEventListener,
  ClientEvents,
  ClientState,
  CloseOptions,
  ConnackInformation,
  Producer,
  ProducerOptions,
  PublishNowOptions,
  PublishOptions,
  PublishResult,
  SubscribeOptions,
  Subscription,
  SubscriptionRequestOptions,
} from './api.js'
import { bytesOf, type ClientSettings, invalid } from './connect-options.js'
import type { Connection } from './connection.js'
import { CursorCheck } from './delivery-cursor.js'
import { ConnectionLoop } from './connection-loop.js'
import { Dispatch } from './dispatch.js'
import { IncomingPublishes } from './incoming.js'
import { OutboxLog } from './outbox-log.js'
import { OutgoingPublishes, publishPacket } from './outgoing.js'
import { PacketIds } from './packet-ids.js'
import type { Producers } from './producers.js'
import { checkPublishProperties, checkTopicName, publishRefusal, subscriptionRequests } from './request-checks.js'
import { Subscriptions } from './subscriptions.js'
import { TallyError } from './tally-error.js'

const NO_OPTIONS: Readonly<PublishOptions> = Object.freeze({})
const QOS0_WRITTEN: PublishResult = Object.freeze({ qos: 0, reasonCode: ReasonCode.SUCCESS, properties: null })
const NOT_YET_CONNECTED: ConnackInformation = Object.freeze({ sessionPresent: false, properties: {} })

export class TallyClient implements Client {
  readonly #settings: ClientSettings
  readonly #loop: ConnectionLoop
  readonly #outboxLog: OutboxLog | null
  readonly #dispatch = new Dispatch((error) => this.#report(error))
  readonly #outgoing: OutgoingPublishes
  readonly #incoming: IncomingPublishes
  readonly #subscriptions: Subscriptions
  /** null: none was opened yet. */
  #producers: Producers | null = null
  readonly #cursor: CursorCheck | null
  readonly #stateListeners = new Set<(state: ClientState) => unknown>()
  readonly #errorListeners = new Set<(error: TallyError) => unknown>()
  #connack: ConnackInformation = NOT_YET_CONNECTED
  #isAcceptedOnce = false
  #closing: Promise<void> | null = null
  #lastTopicName: string | null = null
  /** One promise for all QoS 0 publishes of a turn. */
  #written: Promise<void> | null = null
  #publishedQos0: Promise<PublishResult> | null = null

  constructor(settings: ClientSettings) {
    const packetIds = new PacketIds()
    const { outbox } = settings
    this.#settings = settings
    this.#cursor = settings.deliveryCursor === undefined ? null : new CursorCheck(settings.deliveryCursor)
    if (settings.onState !== undefined) this.#stateListeners.add(settings.onState)
    this.#outboxLog = outbox === null ? null : new OutboxLog(outbox, (cause) => this.#outboxFailed(cause))
    this.#outgoing = new OutgoingPublishes({
      packetIds,
      outboxLog: this.#outboxLog,
      publishQueueMessagesMax: settings.publishQueueMessagesMax,
      refusal: (packet) => publishRefusal(packet, this.#connack, settings),
    })
    this.#incoming = new IncomingPublishes({
      isManualAck: settings.isManualAck,
      receiveMaximum: settings.receiveMaximum,
      outboxLog: this.#outboxLog,
      deliver: this.#dispatch.deliver,
      cursor: this.#cursor,
      stop: (error) => this.#loop.fail(error),
    })
    this.#subscriptions = new Subscriptions(packetIds, this.#dispatch, (error) => this.#report(error))
    this.#loop = new ConnectionLoop(settings, {
      deliveryCursor: () => this.#cursor?.cursor ?? null,
      accepted: (connection, connack) => this.#accepted(connection, connack),
      received: (packet) => this.#received(packet),
      drained: () => {
        this.#outgoing.pump()
        this.#producers?.pump()
      },
      lost: () => this.#lost(),
      changed: (state) => this.#changed(state),
    })
  }

  /** Resolves on the first accepted CONNACK. */
  async start(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal)
    await this.#loadOutbox()
    throwIfAborted(signal)
    await new Promise<void>((resolve, reject) => {
      const stopListening = onAbort(signal, (error) => {
        settled(error)
        void this.close()
      })
      const settled = (error: TallyError | null) => {
        stopListening()
        this.#stateListeners.delete(watch)
        if (error === null) resolve()
        else reject(error)
      }
      const watch = (state: ClientState) => {
        if (state.name === 'connected') settled(null)
        if (state.name === 'closed' && state.reason.kind === 'failed') settled(state.reason.error)
      }
      this.#stateListeners.add(watch)
      this.#loop.start()
    })
  }

  get clientId(): string {
    return this.#loop.clientId
  }

  get state(): ClientState {
    return this.#loop.state
  }

  get connack(): ConnackInformation {
    return this.#connack
  }

  get bufferedBytes(): number {
    return this.#loop.connection?.bufferedBytes ?? 0
  }

  get unfinishedPublishes(): number {
    return this.#outgoing.unfinished
  }

  publish(topicName: string, payload: Uint8Array | string, options = NO_OPTIONS): Promise<PublishResult> {
    try {
      this.#checkOpen()
      const packet = this.#publishPacket(topicName, payload, options)
      if (packet.qos !== 0) return this.#outgoing.publish(packet, options.signal)
      throwIfAborted(options.signal)
      return this.#publishQos0(packet)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async stored(): Promise<void> {
    try {
      await this.#outboxLog?.stored()
    } catch (cause) {
      throw new TallyError('OUTBOX_FAILED', 'the outbox could not be written', { cause })
    }
  }

  publishNow(topicName: string, payload: Uint8Array | string, options: PublishNowOptions = NO_OPTIONS): boolean {
    const connection = this.#loop.connection
    if (connection === null || connection.isFull) return false
    const packet = this.#publishPacket(topicName, payload, options)
    packet.qos = 0
    const refusal = publishRefusal(packet, this.#connack, this.#settings)
    if (refusal !== undefined) throw refusal
    connection.write(packet)
    return true
  }

  async drained(options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options
    throwIfAborted(signal)
    const drained = this.#loop.connection?.drained() ?? Promise.resolve()
    await orAborted(drained, signal)
  }

  async subscribe(
    filters: string | SubscriptionRequestOptions | readonly (string | SubscriptionRequestOptions)[],
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    this.#checkOpen()
    return this.#subscriptions.subscribe(subscriptionRequests(filters, options), options)
  }

  async openProducer(options: ProducerOptions): Promise<Producer> {
    this.#checkOpen()
    if (this.#settings.codec.name !== 'tally.v1') throw invalid('a producer needs tally.v1; MQTT has none')
    // Loaded when it is asked for: a page that has no producer does not pay for it.
    const { Producers } = await import('./producers.js')
    this.#checkOpen()
    if (this.#producers === null) {
      this.#producers = new Producers(this.#settings.timers, (error) => this.#report(error))
      const { connection } = this.#loop
      if (connection !== null) this.#producers.connected(connection, this.#connack.properties.maximumPacketSize)
    }
    return this.#producers.open(options)
  }

  async unsubscribe(topicFilters: string | readonly string[], options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#checkOpen()
    const filters = typeof topicFilters === 'string' ? [topicFilters] : topicFilters
    await this.#subscriptions.unsubscribe(filters, options.signal)
  }

  on<Name extends keyof ClientEvents>(name: Name, listener: ClientEventListener<Name>): () => void {
    if (name === 'message') return this.#dispatch.addListener(listener as ClientEventListener<'message'>)
    const listeners: Set<(event: never) => unknown> = name === 'state' ? this.#stateListeners : this.#errorListeners
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  async ping(options: { signal?: AbortSignal } = {}): Promise<number> {
    throwIfAborted(options.signal)
    const connection = this.#loop.connection
    if (connection === null) throw notConnected('a ping')
    return orAborted(connection.ping(), options.signal)
  }

  close(options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(options)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(options: CloseOptions): Promise<void> {
    const { reasonCode = ReasonCode.NORMAL_DISCONNECTION, drainTimeoutMs = 0 } = options
    if (drainTimeoutMs > 0 && this.#loop.connection !== null) await this.#drainPublishes(drainTimeoutMs)
    this.#subscriptions.stop(this.#closedError(), true)
    // Acknowledgements that wait for the outbox still leave before DISCONNECT.
    await this.#outboxLog?.settled()
    await this.#producers?.close()
    await this.#loop.close(reasonCode, this.#disconnectProperties(options))
  }

  #disconnectProperties(options: CloseOptions): { sessionExpiryIntervalSec: number } | null {
    const { connect, endsSessionOnClose } = this.#settings
    const expirySec = options.sessionExpiryIntervalSec ?? (endsSessionOnClose ? 0 : undefined)
    // A session that was to end with the connection cannot be made to last [v5 MQTT-3.14.2-2].
    const canChange = connect.protocolLevel === 5 && (connect.properties.sessionExpiryIntervalSec ?? 0) > 0
    return expirySec === undefined || !canChange ? null : { sessionExpiryIntervalSec: expirySec }
  }

  async #drainPublishes(timeoutMs: number): Promise<void> {
    const timedOut = new Promise<void>((resolve) => this.#settings.timers.schedule(timeoutMs, resolve))
    await Promise.race([this.#outgoing.emptied(), timedOut])
  }

  async #loadOutbox(): Promise<void> {
    const { outbox } = this.#settings
    if (outbox === null) return
    try {
      const { entries, receivedPacketIds } = await outbox.load()
      this.#outgoing.load(entries)
      this.#incoming.loadReceipts(receivedPacketIds)
    } catch (cause) {
      throw new TallyError('OUTBOX_FAILED', 'the outbox could not be read', { cause })
    }
  }

  #accepted(connection: Connection, connack: ConnackPacket): void {
    const { sessionPresent, properties, durability, resume, sessionNumber, incarnation } = connack
    const isWrongSession = this.#cursor?.connected(sessionNumber) ?? null
    if (isWrongSession !== null) {
      this.#loop.fail(isWrongSession)
      return
    }
    const { timers, unclaimedHoldMs, connect } = this.#settings
    const isFirst = !this.#isAcceptedOnce
    this.#isAcceptedOnce = true
    this.#connack = {
      sessionPresent,
      properties,
      ...(durability === undefined ? {} : { durability }),
      ...(resume === undefined ? {} : { resume }),
      ...(sessionNumber === undefined ? {} : { sessionNumber }),
      ...(incarnation === undefined ? {} : { incarnation }),
    }
    if (isFirst && sessionPresent) this.#dispatch.holdUnclaimed(timers, unclaimedHoldMs)
    this.#incoming.connected(connection, sessionPresent)
    this.#subscriptions.connected(connection, sessionPresent)
    const receiveMaximum = properties.receiveMaximum ?? 65_535
    this.#producers?.connected(connection, properties.maximumPacketSize)
    const perhapsTwice = this.#outgoing.connected(connection, { sessionPresent, receiveMaximum })
    const isSessionExpected = !isFirst && !sessionPresent && (connect.protocolLevel === 5 || !connect.cleanStart)
    if (isSessionExpected || perhapsTwice > 0) this.#report(sessionLost(perhapsTwice))
  }

  #received(packet: Packet): void {
    switch (packet.type) {
      case PacketType.PUBLISH:
        this.#incoming.receivePublish(packet)
        return
      case PacketType.PUBREL:
        this.#incoming.receivePubrel(packet)
        return
      case PacketType.PUBACK:
      case PacketType.PUBREC:
      case PacketType.PUBCOMP:
        this.#outgoing.receiveAck(packet)
        return
      case PacketType.SUBACK:
      case PacketType.UNSUBACK:
        this.#subscriptions.receiveAck(packet)
        return
      case PacketType.PRODUCER_OPENED:
      case PacketType.PRODUCED:
        this.#producers?.receive(packet)
        return
    }
  }

  #lost(): void {
    this.#incoming.disconnected()
    this.#outgoing.disconnected()
    this.#subscriptions.disconnected()
    this.#producers?.disconnected()
  }

  #changed(state: ClientState): void {
    if (state.name === 'closed') {
      const error = state.reason.kind === 'failed' ? state.reason.error : this.#closedError()
      this.#dispatch.stop()
      this.#outgoing.fail(error)
      this.#producers?.stop(error)
      this.#subscriptions.stop(error, state.reason.kind === 'closed-by-caller')
    }
    this.#emit(this.#stateListeners, state)
  }

  #publishPacket(topicName: string, payload: Uint8Array | string, options: PublishOptions): PublishPacket {
    const { qos = 0, retain = false, properties } = options
    if (topicName !== this.#lastTopicName) checkTopicName(topicName)
    this.#lastTopicName = topicName
    if (properties !== undefined) checkPublishProperties(properties)
    return publishPacket(0, topicName, bytesOf(payload), qos, { retain, properties: properties ?? null })
  }

  #publishQos0(packet: PublishPacket): Promise<PublishResult> {
    const connection = this.#loop.connection
    if (connection === null) throw notConnected('a QoS 0 publish')
    const refusal = publishRefusal(packet, this.#connack, this.#settings)
    if (refusal !== undefined) throw refusal
    connection.write(packet)
    const written = connection.written()
    if (this.#publishedQos0 === null || written !== this.#written) {
      this.#written = written
      this.#publishedQos0 = written.then(() => QOS0_WRITTEN)
    }
    return this.#publishedQos0
  }

  #checkOpen(): void {
    if (this.#closing !== null || this.#loop.state.name === 'closed') throw this.#closedError()
  }

  #outboxFailed(cause: unknown): void {
    this.#loop.fail(new TallyError('OUTBOX_FAILED', 'the outbox could not be written', { cause }))
  }

  #closedError(): TallyError {
    const { state } = this.#loop
    const cause = state.name === 'closed' && state.reason.kind === 'failed' ? state.reason.error : undefined
    return new TallyError('CLOSED', 'the client is closed', cause === undefined ? {} : { cause })
  }

  #report(error: TallyError): void {
    this.#emit(this.#errorListeners, error)
  }

  /**
   * A listener that throws must not stop the session, so its error becomes an event, or nothing if it came from
   * one.
   */
  #emit<Event>(listeners: Set<(event: Event) => unknown>, event: Event): void {
    for (const listener of [...listeners]) {
      try {
        listener(event)
      } catch (cause) {
        if (event instanceof TallyError) continue
        this.#report(new TallyError('LISTENER_FAILED', 'an event listener threw', { cause }))
      }
    }
  }
}

function notConnected(what: string): TallyError {
  return new TallyError('NOT_CONNECTED', `${what} needs a connection; there is none now`, { retryable: true })
}

function sessionLost(perhapsTwice: number): TallyError {
  const twice = `${perhapsTwice} QoS 2 publishes were sent anew and may be there twice`
  const text = `the broker no longer had the session; subscriptions are asked for again, ${twice}`
  return new TallyError('SESSION_LOST', text, { retryable: true })
}
