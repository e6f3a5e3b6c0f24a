/**
 * The broker: packets, time and stored facts in; packets and journal records out. Pure: whoever owns sockets and clock
 * calls it, and it answers through the links and the store it was given.
 *
 * Every method is one of: something happened (`open receive closed drained overdue authenticated`), the commit cycle
 * (`work takeCommit committed`), time (`handleTimeout nextTimeoutMs`), or a question. Rules live in the files imported
 * here.
 */
import { assert } from '../base/assert.js'
import { type DisconnectPacket, type Packet, PacketType } from '../protocol/packets.js'
import { ProtocolError } from '../protocol/protocol-error.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import { receiveAck } from './acknowledge.js'
import { Checkpoint } from './checkpoint.js'
import { authenticated, receiveAuth } from './authenticate.js'
import { receiveConnect, refuseConnect } from './connect.js'
import { ClientConnection } from './connection.js'
import { pump } from './deliver.js'
import type { AuthenticationStep } from './ports/access.js'
import type { BrokerCounters } from './ports/events.js'
import type { Link } from './ports/link.js'
import type { StoreOperation } from './ports/store.js'
import { receiveProduce, receiveProducerOpen } from './producers.js'
import { receivePublish } from './publish.js'
import { recover } from './replay.js'
import { runRetained } from './retained.js'
import { durableCopies } from './session-rows.js'
import type { Session } from './session.js'
import { applyDisconnected, detachConnection, dismiss, endSession, fireWill, purgeEnded } from './session-life.js'
import { type BrokerPorts, BrokerState } from './state.js'
import { numberKey } from './store-keys.js'
import { receiveSubscribe, receiveUnsubscribe } from './subscribe.js'

export class Broker {
  readonly #state: BrokerState
  readonly #checkpoint: Checkpoint
  #isCommitting = false
  /** The commit under way has a journal record. */
  #hasRecord = false
  #hasRecovered = false

  constructor(ports: BrokerPorts) {
    this.#state = new BrokerState(ports)
    this.#checkpoint = new Checkpoint(this.#state)
  }

  get counters(): BrokerCounters {
    return this.#state.counters
  }
  get connectionCount(): number {
    return this.#state.connections.size
  }
  get sessionCount(): number {
    return this.#state.sessions.size
  }
  get subscriptionCount(): number {
    return this.#state.subscriptionCount
  }
  get retainedCount(): number {
    return this.#state.retained.size
  }
  /** To look at, for tests and diagnosis. Whoever writes to it breaks the journal. */
  get state(): BrokerState {
    return this.#state
  }
  /** Facts that are not in a commit yet. */
  get openRecordBytes(): number {
    return this.#state.record.length
  }

  /**
   * Reads the store; once, before anything else. Connections that the journal still shows are gone: their Wills are
   * due.
   */
  recover(nowMs: number): void {
    assert(!this.#hasRecovered, 'recovery happens once')
    this.#hasRecovered = true
    const state = this.#state
    const { oldestRecord, journalRecords, journalBytes } = recover(state)
    this.#checkpoint.recovered(oldestRecord, journalBytes)
    state.ledger.recovered(() => durableCopies(state))
    for (const session of [...state.sessions.awake()]) {
      if (session.isConnected) this.#connectionLostInCrash(session, nowMs)
    }
    state.ports.events.emit({
      type: 'recovered',
      journalRecords,
      sessions: state.sessions.size,
      retained: state.retained.size,
      quarantined: [],
    })
    // Before anybody can connect: a client that comes back must not call off a Will that was due long ago.
    this.handleTimeout(nowMs)
  }

  #connectionLostInCrash(session: Session, nowMs: number): void {
    const state = this.#state
    const expirySec = session.sessionExpiryIntervalSec
    const delaySec = Math.min(session.will?.properties.willDelayIntervalSec ?? 0, expirySec)
    const willDueAtMs = session.will === null ? 0 : nowMs + delaySec * 1_000
    state.touch(session)
    state.record.sessionDisconnected(session.number, nowMs, expirySec, willDueAtMs)
    applyDisconnected(state, session, nowMs, expirySec, willDueAtMs)
  }

  /** A socket is open; CONNECT is awaited. */
  open(link: Link, _nowMs: number): ClientConnection {
    const connection = new ClientConnection(link)
    this.#state.connections.add(connection)
    return connection
  }

  /** A packet came. Breaches of the protocol are answered here and close the connection; nothing else is thrown. */
  receive(connection: ClientConnection, packet: Packet, nowMs: number): void {
    if (connection.state === 'closed') return
    try {
      this.#receive(connection, packet, nowMs)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      this.protocolError(connection, error, nowMs)
    }
  }

  #receive(connection: ClientConnection, packet: Packet, nowMs: number): void {
    const state = this.#state
    if (!connection.allows(packet.type)) {
      throw new ProtocolError(
        ReasonCode.PROTOCOL_ERROR,
        `packet type ${packet.type} is not allowed while ${connection.state}`,
      )
    }
    if (packet.type === PacketType.CONNECT) return receiveConnect(state, connection, packet, nowMs)
    if (packet.type === PacketType.DISCONNECT) return this.#receiveDisconnect(connection, packet, nowMs)
    const { session } = connection
    if (session === null) {
      assert(packet.type === PacketType.AUTH, 'nothing else is allowed before the client is accepted')
      return receiveAuth(state, connection, packet, nowMs)
    }
    switch (packet.type) {
      case PacketType.PUBLISH:
        return receivePublish(state, connection, session, packet, nowMs)
      case PacketType.PRODUCE:
        return receiveProduce(state, connection, session, packet, nowMs)
      case PacketType.PUBACK:
      case PacketType.PUBREC:
      case PacketType.PUBREL:
      case PacketType.PUBCOMP:
        return receiveAck(state, connection, session, packet, nowMs)
      case PacketType.SUBSCRIBE:
        return receiveSubscribe(state, connection, session, packet)
      case PacketType.UNSUBSCRIBE:
        return receiveUnsubscribe(state, connection, session, packet)
      case PacketType.PRODUCER_OPEN:
        return receiveProducerOpen(state, connection, session, packet)
      case PacketType.PINGREQ:
        connection.link.send({ ...packet, type: PacketType.PINGRESP })
        return
      case PacketType.PINGRESP:
        return
      case PacketType.AUTH:
        return receiveAuth(state, connection, packet, nowMs)
      default:
        assert(false, 'a connection does not allow what only a server sends')
    }
  }

  #receiveDisconnect(connection: ClientConnection, packet: DisconnectPacket, nowMs: number): void {
    const { session } = connection
    const requested = packet.properties?.sessionExpiryIntervalSec
    const current = session?.sessionExpiryIntervalSec ?? 0
    if (session !== null && requested !== undefined && requested > 0 && current === 0) {
      // Not a valid DISCONNECT, so the Will is due [v5 3.14.2.2.2].
      throw new ProtocolError(
        ReasonCode.PROTOCOL_ERROR,
        'a Session Expiry Interval of 0 in CONNECT cannot be raised later',
      )
    }
    const bound = this.#state.limits.sessionExpiryIntervalMaxSec
    connection.become('closed')
    this.#state.connections.delete(connection)
    connection.link.close(ReasonCode.NORMAL_DISCONNECTION, 'the client disconnected')
    if (session === null) return
    const { reasonCode } = packet
    const isWillDue = reasonCode !== ReasonCode.NORMAL_DISCONNECTION
    const sessionExpiryIntervalSec = requested === undefined ? current : Math.min(requested, bound)
    const end = { reasonCode, detail: 'the client disconnected', isWillDue, sessionExpiryIntervalSec }
    detachConnection(this.#state, connection, end, nowMs)
  }

  /** The decoder or a rule found a breach: CONNACK or DISCONNECT with the code, then the close [v5 MQTT-4.13.1-1]. */
  protocolError(connection: ClientConnection, error: ProtocolError, nowMs: number): void {
    if (connection.state === 'closed') return
    const { reasonCode, detail } = error
    const { link } = connection
    const clientId = connection.session?.clientId ?? null
    this.#state.ports.events.emit({ type: 'protocol-error', clientId, link: link.description, reasonCode, detail })
    if (connection.isConnected) return dismiss(this.#state, connection, reasonCode, detail, nowMs)
    refuseConnect(this.#state, connection, connection.clientId, reasonCode, detail)
  }

  /** The answer, or the next step, that the access port promised. */
  authenticated(connection: ClientConnection, step: AuthenticationStep, nowMs: number): void {
    authenticated(this.#state, connection, step, nowMs)
  }

  /** Nothing came for one and a half times the Keep Alive [v5 MQTT-3.1.2-22]. */
  overdue(connection: ClientConnection, nowMs: number): void {
    const detail = 'nothing came for one and a half times the Keep Alive'
    dismiss(this.#state, connection, ReasonCode.KEEP_ALIVE_TIMEOUT, detail, nowMs)
  }

  /**
   * No CONNECT in time: closed without an answer, there is nobody to answer yet [v5 3.1.4]. A client that stops in the
   * middle of its authentication is told, and so is one that stops in the middle of the next [v5 4.12.1].
   */
  connectTimedOut(connection: ClientConnection, nowMs: number): void {
    const detail = 'the authentication was not finished in time'
    if (connection.isReauthenticating) {
      return dismiss(this.#state, connection, ReasonCode.NOT_AUTHORIZED, detail, nowMs)
    }
    if (connection.state === 'closed' || connection.isConnected) return
    if (connection.state === 'authenticating') {
      return refuseConnect(this.#state, connection, connection.clientId, ReasonCode.NOT_AUTHORIZED, detail)
    }
    this.#closeUnheard(connection, ReasonCode.NOT_AUTHORIZED, 'no CONNECT came in time')
  }

  #closeUnheard(connection: ClientConnection, reasonCode: number, detail: string): void {
    connection.become('closed')
    this.#state.connections.delete(connection)
    connection.link.close(reasonCode, detail)
  }

  /** Closes a connection for a reason of the server's own. */
  disconnect(connection: ClientConnection, reasonCode: number, detail: string, nowMs: number): void {
    dismiss(this.#state, connection, reasonCode, detail, nowMs)
  }

  /** The link's buffer has room again. */
  drained(connection: ClientConnection, nowMs: number): void {
    connection.isCongested = false
    if (connection.session !== null) pump(this.#state, connection.session, nowMs)
  }

  /** The link is gone and the core did not ask for it. */
  closed(connection: ClientConnection, detail: string, nowMs: number): void {
    if (connection.state === 'closed') return
    const { session } = connection
    connection.become('closed')
    this.#state.connections.delete(connection)
    if (session === null) return
    const { sessionExpiryIntervalSec } = session
    const end = { reasonCode: ReasonCode.UNSPECIFIED_ERROR, detail, isWillDue: true, sessionExpiryIntervalSec }
    detachConnection(this.#state, connection, end, nowMs)
  }

  /** A bounded slice of background work. @returns whether more could be done at once. */
  work(nowMs: number): boolean {
    const isPurging = purgeEnded(this.#state, nowMs)
    const isSweeping = this.#state.retainedSweep.run(this.#state, nowMs)
    const isForgetting = this.#state.keys.forget(nowMs, this.#state.pace.keysForgottenPerTurn)
    const isClosingHour = this.#state.ledger.work(this.#state.pace.ledgerRowsPerCommit, this.#isCommitting)
    const isMore = isPurging || isSweeping || isForgetting || isClosingHour
    return runRetained(this.#state, nowMs) || isMore
  }

  /**
   * Seals the open record. What links were given "after commit" up to now belongs to this commit.
   * @returns null when there is nothing to write.
   */
  takeCommit(nowMs: number): readonly StoreOperation[] | null {
    assert(!this.#isCommitting, 'one commit at a time')
    const state = this.#state
    const operations: StoreOperation[] = []
    state.producers.writeFacts(state.record)
    const { ledger } = state
    ledger.seal(nowMs, state.recordNumber, state.nextMessageId, operations)
    this.#hasRecord = !state.record.isEmpty
    if (this.#hasRecord) {
      const { nextMessageId, nextSessionNumber, durableAtMs } = state
      const counters = { nextMessageId, nextSessionNumber, nextAccountNumber: ledger.nextAccountNumber }
      const producers = state.producers.count
      const value = state.record.seal({ atMs: Math.trunc(nowMs), ...counters, producers, durableAtMs })
      operations.push({ kind: 'put', table: 'journal', key: numberKey(state.recordNumber), value })
      this.#checkpoint.recordSealed(value.length)
      state.recordNumber += 1
    }
    state.messages.removeRows(operations)
    state.keys.removeRows(operations)
    this.#checkpoint.addTo(operations, state.recordNumber - 1)
    ledger.addTo(operations, state.pace.ledgerRowsPerCommit)
    if (operations.length === 0) {
      // Nothing to wait for: acknowledgements leave at once, so they count no longer.
      for (const connection of state.acknowledgingOpen) connection.unacknowledgedOpen = 0
      state.acknowledgingOpen.length = 0
      return null
    }
    this.#isCommitting = true
    for (const connection of state.acknowledgingOpen) {
      connection.unacknowledgedSealed = connection.unacknowledgedOpen
      connection.unacknowledgedOpen = 0
    }
    state.acknowledgingSealed = state.acknowledgingOpen
    state.acknowledgingOpen = []
    return operations
  }

  /** The commit taken last is durable. */
  committed(nowMs: number): void {
    assert(this.#isCommitting, 'a commit was under way')
    this.#isCommitting = false
    const state = this.#state
    if (this.#hasRecord) state.durableAtMs = Math.trunc(nowMs)
    this.#checkpoint.committed()
    this.#state.ledger.hours.committed()
    for (const connection of this.#state.acknowledgingSealed) connection.unacknowledgedSealed = 0
    this.#state.acknowledgingSealed = []
  }

  /** A checkpoint is under way, or an hour is being closed: go on committing even when no packets come. */
  get isCheckpointing(): boolean {
    return this.#checkpoint.isRunning || this.#state.ledger.hours.isClosing
  }

  /** Starts folding the whole journal into the tables. */
  checkpoint(): void {
    this.#checkpoint.force(this.#state.recordNumber - 1)
  }

  handleTimeout(nowMs: number): void {
    const state = this.#state
    for (let due = state.willDeadlines.popDue(nowMs); due !== undefined; due = state.willDeadlines.popDue(nowMs)) {
      fireWill(state, due, nowMs)
    }
    state.sleepingSessions.wakeExpired(nowMs)
    for (
      let due = state.sessionDeadlines.popDue(nowMs);
      due !== undefined;
      due = state.sessionDeadlines.popDue(nowMs)
    ) {
      if (due.connection === null && !due.hasEnded) endSession(state, due, 'expired', nowMs)
    }
    state.retainedSweep.begin(state, nowMs)
    state.ledger.handleTimeout(nowMs)
  }

  /** When `handleTimeout` has something to do; Infinity: never. */
  nextTimeoutMs(): number {
    const { willDeadlines, sessionDeadlines, sleepingSessions, retainedSweep, keys, ledger } = this.#state
    const sessionsMs = Math.min(willDeadlines.nextMs(), sessionDeadlines.nextMs(), sleepingSessions.nextExpiryMs)
    return Math.min(sessionsMs, retainedSweep.nextMs(), keys.nextMs(), ledger.hours.nextMs())
  }

  /**
   * The server goes down: everybody is told [v5 4.13.1], by its close code also who has not sent CONNECT, or whose
   * CONNECT lies unread: both may come back. Sessions stay; Wills of those that expire at once are due.
   * @param serverReference where clients should go meanwhile, said as 0x9C [v5 4.11].
   */
  drain(nowMs: number, serverReference?: string): void {
    const isElsewhere = serverReference !== undefined
    const reasonCode = isElsewhere ? ReasonCode.USE_ANOTHER_SERVER : ReasonCode.SERVER_SHUTTING_DOWN
    const detail = `the server is shutting down; ${isElsewhere ? 'use the one that is named' : 'reconnect later'}`
    for (const connection of [...this.#state.connections]) {
      if (connection.state === 'authenticating') {
        refuseConnect(this.#state, connection, connection.clientId, ReasonCode.SERVER_UNAVAILABLE, detail)
      } else if (!connection.isConnected) this.#closeUnheard(connection, ReasonCode.SERVER_SHUTTING_DOWN, detail)
      else dismiss(this.#state, connection, reasonCode, detail, nowMs, serverReference)
    }
  }
}
