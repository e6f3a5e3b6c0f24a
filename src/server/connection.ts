/**
 * One connection: joins a transport socket, a codec and the core. It pumps bytes and keeps the order; what packets mean
 * is decided in the core, when bytes leave in `turn.ts`, when silence is too long in `heartbeat.ts`.
 *
 *   open ──close(), expired()──▶ closing ──socket closed──▶ closed
 *     └───────────────socket closed────────────────────────────▲
 */
import type { Link, LinkDescription } from '../core/ports/link.js'
import type { TransportPeer, TransportSocket } from '../core/ports/transport.js'
import { promisesIn } from '../core/answer.js'
import { keepAliveWindowMs } from '../core/keep-alive.js'
import { CloseCode, closeCodeFor } from '../protocol/close-codes.js'
import type { Codec, Delivery, Publication } from '../protocol/codec.js'
import { type AckPacketType, type Packet, PacketType, type ProtocolLevel } from '../protocol/packets.js'
import { ProtocolError } from '../protocol/protocol-error.js'
import type { ConnectionHost } from './connection-host.js'
import type { CoreConnection } from './core-api.js'
import { farewellAfterFailure } from './farewell.js'
import type { HeartbeatCause, HeartbeatPeer, HeartbeatPhase, RoundTrip } from './heartbeat.js'
import { Intake, type IntakeOwner } from './intake.js'
import { Outbox } from './outbox.js'
import type { TrafficCounters } from './traffic-counters.js'
import type { TurnMember } from './turn.js'

/** Who asked not to read. */
const BY_CORE = 1
const BY_JOURNAL = 2
const BY_SHUTDOWN = 4

interface PendingClose {
  readonly closeCode: number
  readonly detail: string
}

export class Connection implements Link, TransportPeer, IntakeOwner, HeartbeatPeer, TurnMember {
  readonly #shell: ConnectionHost
  readonly #traffic: TrafficCounters
  readonly #socket: TransportSocket
  readonly #codec: Codec
  readonly #intake: Intake
  readonly #outbox: Outbox
  readonly slot: number
  readonly client: CoreConnection
  #state: 'open' | 'closing' | 'closed' = 'open'
  #pausedBy = 0
  #isDirty = false
  #isHeld = false
  #isAccepted = false
  /** Somebody was told that the buffer is full, and will be told when it no longer is. */
  #toldFull = false
  /** False: the operating system has everything, which is the common case and saves asking. */
  #hasPending = false
  #pendingClose: PendingClose | null = null
  /** What the shell knows better than any reason code; 0: nothing. */
  #forcedCloseCode: number = 0

  constructor(shell: ConnectionHost, socket: TransportSocket, codec: Codec, nowMs: number) {
    this.#shell = shell
    this.#traffic = shell.traffic
    this.#socket = socket
    this.#codec = codec
    this.#intake = new Intake(shell.decodeScope, this, codec.decoder(shell.codecLimits))
    this.#outbox = new Outbox(shell.writers, codec)
    this.client = shell.core.open(this, nowMs)
    this.slot = shell.heartbeat.open(this, nowMs)
  }

  // ── the socket tells ──

  received(bytes: Uint8Array): void {
    if (this.#state !== 'open') return
    const { clock, heartbeat, turn } = this.#shell
    const nowMs = clock.nowMs()
    this.#traffic.bytesReceived += bytes.length
    heartbeat.heard(this.slot, nowMs)
    this.#intake.received(bytes, nowMs)
    if (this.#state === 'open' && turn.isJournalFull) this.#pause(BY_JOURNAL)
    turn.chunkReceived(nowMs)
  }

  ponged(): void {
    this.#shell.heartbeat.ponged(this.slot, this.#shell.clock.nowMs())
  }

  drained(): void {
    if (this.#state === 'open') this.#checkDrained()
  }

  closed(detail: string): void {
    if (this.#state === 'closed') return
    const wasOpen = this.#state === 'open'
    this.#state = 'closed'
    this.#outbox.discard()
    this.#intake.discard()
    this.#shell.gone(this.slot)
    if (wasOpen) this.#lost(detail, this.#shell.clock.nowMs())
  }

  // ── the intake tells ──

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  receivePacket(packet: Packet, nowMs: number): void {
    this.#traffic.packetsReceived += 1
    this.#shell.heartbeat.packetReceived(this.slot, nowMs)
    this.#shell.core.receive(this.client, packet, nowMs)
    if (!this.#isAccepted) this.#noteAccepted(nowMs)
    else if (packet.type === PacketType.AUTH) this.#shell.heartbeat.changed(this.slot, nowMs)
  }

  /** The one place where a peer's mistake is told from ours. */
  decodeFailed(error: unknown, nowMs: number): void {
    if (!(error instanceof ProtocolError)) this.#shell.fail(error)
    else if (this.#state === 'open') this.#protocolError(error, nowMs)
  }

  #protocolError(error: ProtocolError, nowMs: number): void {
    try {
      this.#shell.core.protocolError(this.client, error, nowMs)
    } catch (failure) {
      this.#shell.fail(failure)
    }
    this.#close(closeCodeFor(error.reasonCode), error.message)
  }

  #noteAccepted(nowMs: number): void {
    if (this.client.state !== 'connected') return
    this.#isAccepted = true
    this.#traffic.connectionsAccepted += 1
    this.#intake.decoder.connectAccepted(this.client.protocolLevel)
    this.#socket.connectAccepted()
    this.#shell.heartbeat.changed(this.slot, nowMs)
  }

  // ── Link: the core says ──

  get description(): LinkDescription {
    return this.#socket.description
  }

  get bufferedBytes(): number {
    let bytes = this.#outbox.byteLength
    if (this.#hasPending) bytes += this.#pendingBytes()
    if (bytes >= this.#shell.outputBufferBytesMax) this.#toldFull = true
    return bytes
  }

  send(packet: Packet): void {
    if (this.#state !== 'open') return
    this.#traffic.packetsSent += 1
    // Never so: an acknowledgement waits. Were it otherwise, it would be counted as what it is.
    if ('packetId' in packet && 'reasonCode' in packet) {
      this.#shell.promises.released(promisesIn(packet.type, packet.reasonCode), this.#openCommit)
    }
    this.#outbox.writerNow(this.#protocolLevel).write(packet)
    this.#markDirty()
  }

  sendAfterCommit(packet: Packet, promised = 0): void {
    if (this.#state !== 'open') return
    this.#traffic.packetsSent += 1
    this.#outbox.writerAfterCommit(this.#protocolLevel).write(packet)
    this.#outbox.promise(promised)
    if (packet.type === PacketType.CONNACK) this.#outbox.raiseBarrier()
    this.#markHeld()
  }

  acknowledgeAfterCommit(type: AckPacketType, packetId: number, reasonCode: number): void {
    if (this.#state !== 'open') return
    this.#traffic.packetsSent += 1
    this.#outbox.writerAfterCommit(this.#protocolLevel).writeAck(type, packetId, reasonCode)
    this.#outbox.promise(promisesIn(type, reasonCode))
    this.#markHeld()
  }

  deliver(publication: Publication, delivery: Delivery): void {
    if (this.#state !== 'open') return
    this.#traffic.packetsSent += 1
    const outbox = this.#outbox
    const protocolLevel = this.#protocolLevel
    let waitingBytes = outbox.share(protocolLevel, publication, delivery)
    if (waitingBytes === 0) {
      const writer = outbox.writerNow(protocolLevel)
      writer.writePublication(publication, delivery)
      waitingBytes = writer.byteLength
    }
    this.#markDirty()
    // Many publishers may fill the box within one turn; that says nothing about how fast this peer reads.
    if (waitingBytes >= this.#shell.earlyFlushBytes && !outbox.hasBarrier) this.#flushEarly()
  }

  deliverAfterCommit(publication: Publication, delivery: Delivery): void {
    if (this.#state !== 'open') return
    this.#traffic.packetsSent += 1
    this.#outbox.writerAfterCommit(this.#protocolLevel).writePublication(publication, delivery)
    this.#markHeld()
  }

  publicationSize(publication: Publication, delivery: Delivery): number {
    return this.#codec.publicationSize(publication, delivery, this.#protocolLevel)
  }

  packetSize(packet: Packet): number {
    return this.#codec.packetSize(packet, this.#protocolLevel)
  }

  pauseReading(): void {
    this.#intake.hold()
    this.#pause(BY_CORE)
  }

  resumeReading(): void {
    if ((this.#pausedBy & BY_CORE) === 0) return
    this.#pausedBy &= ~BY_CORE
    // Not from inside the core: what was read meanwhile goes into the core, and that happens in the turn.
    this.#shell.turn.markResumed(this)
  }

  close(reasonCode: number, detail: string): void {
    this.#close(closeCodeFor(reasonCode), detail)
  }

  // ── the turn asks ──

  flush(nowMs: number): void {
    this.#isDirty = false
    if (this.#state === 'closed') return
    const written = this.#outbox.take()
    if (written !== null) {
      this.#traffic.bytesSent += written.buffer.length - written.headroom
      this.#socket.write(written)
      this.#hasPending = true
      if (this.#pendingBytes() > 0) this.#shell.heartbeat.writePending(this.slot, nowMs)
    }
    if (this.#pendingClose !== null && !this.#outbox.hasBarrier) this.#end(this.#pendingClose)
    else this.#checkDrained()
  }

  seal(): void {
    this.#isHeld = false
    this.#outbox.seal(this.#shell.promises.commit)
  }

  releaseSealed(): void {
    if (this.#outbox.isFull) this.#flushEarly()
    this.#outbox.releaseSealed(this.#shell.promises)
    this.#markDirty()
  }

  releaseOpen(): void {
    this.#isHeld = false
    if (this.#outbox.isFull) this.#flushEarly()
    this.#outbox.releaseOpen(this.#shell.promises, this.#openCommit)
    this.#markDirty()
  }

  notifyDrained(nowMs: number): void {
    if (this.#state === 'open') this.#shell.core.drained(this.client, nowMs)
  }

  // ── the heartbeat asks ──

  get phase(): HeartbeatPhase {
    return this.#state !== 'open' || this.client.state === 'closed' ? 'closing' : this.client.state
  }

  get isReauthenticating(): boolean {
    return this.client.isReauthenticating
  }

  get keepAliveWindowMs(): number {
    return this.client.state === 'connected' ? keepAliveWindowMs(this.client.keepAliveSec) : Number.POSITIVE_INFINITY
  }

  get isReadingPaused(): boolean {
    return this.#pausedBy !== 0
  }

  get pendingBytes(): number {
    return this.#hasPending ? this.#pendingBytes() : 0
  }

  get takenBytes(): number {
    return this.#socket.takenBytes
  }

  get roundTrip(): RoundTrip | null {
    return this.#shell.heartbeat.roundTrip(this.slot)
  }

  sendPing(): boolean {
    return this.#socket.sendPing()
  }

  expired(cause: HeartbeatCause, nowMs: number): void {
    const { core } = this.#shell
    switch (cause) {
      case 'connect':
        this.#forcedCloseCode = CloseCode.NO_CONNECT
        core.connectTimedOut(this.client, nowMs)
        this.#close(CloseCode.NO_CONNECT, 'no CONNECT came in time')
        break
      case 'authentication':
        core.connectTimedOut(this.client, nowMs)
        break
      case 'keep-alive':
        core.overdue(this.client, nowMs)
        this.#close(CloseCode.NO_PONG, 'nothing came for one and a half times the Keep Alive')
        break
      case 'ping':
        this.#abandon('half-open: no answer to a ping', CloseCode.NO_PONG, nowMs)
        break
      case 'write':
        this.#abandon('slow consumer: took no bytes for too long', CloseCode.SLOW_CONSUMER, nowMs)
        // The close frame would wait behind the bytes that nobody reads.
        this.#socket.destroy()
        break
      case 'close':
        this.#socket.destroy()
    }
    this.#shell.turn.schedule()
  }

  /** The disk or an invariant broke: tells the peer, with nothing in it that could be taken for an acknowledgement. */
  stopAfterFailure(nowMs: number): void {
    if (this.#state !== 'open') return
    const farewell = farewellAfterFailure(this.client.state, this.#outbox.hasBarrier, this.#protocolLevel)
    this.#outbox.discardHeld()
    if (farewell !== null) this.send(farewell)
    this.#close(CloseCode.INTERNAL_ERROR, 'the broker has stopped because of an internal error')
    this.flush(nowMs)
  }

  /** Shutdown: whatever it still waits for, it is over. */
  destroy(): void {
    this.#socket.destroy()
  }

  /** Stops reading for good; used by the shutdown, so that nothing new is accepted while commits finish. */
  stopReading(): void {
    if (this.#state === 'open') this.#pause(BY_SHUTDOWN)
  }

  #close(closeCode: number, detail: string): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    this.#intake.discard()
    this.#pendingClose = { closeCode: this.#forcedCloseCode || closeCode, detail }
    // Behind a CONNACK that waits for its commit the DISCONNECT waits too, and the close with it.
    if (!this.#outbox.hasBarrier) this.#outbox.discardHeld()
    this.#shell.heartbeat.closing(this.slot, this.#shell.clock.nowMs())
    this.#markDirty()
  }

  /** The peer does not answer: nothing more is written but a close. */
  #abandon(detail: string, closeCode: number, nowMs: number): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    this.#outbox.discard()
    this.#lost(detail, nowMs)
    this.#end({ closeCode, detail })
  }

  #lost(detail: string, nowMs: number): void {
    try {
      this.#shell.core.closed(this.client, detail, nowMs)
    } catch (error) {
      this.#shell.fail(error)
    }
    this.#shell.turn.schedule()
  }

  #end(close: PendingClose): void {
    this.#pendingClose = null
    this.#outbox.discard()
    this.#socket.end(close.closeCode, close.detail)
    this.#shell.heartbeat.closing(this.slot, this.#shell.clock.nowMs())
  }

  /** The commit that has or will have everything that the core has decided up to now. */
  get #openCommit(): number {
    const { core, promises } = this.#shell
    return core.openRecordBytes > 0 ? promises.commit + 1 : promises.commit
  }

  /** Before CONNECT was accepted only the decoder knows what the peer speaks, and the refusal must be in that. */
  get #protocolLevel(): ProtocolLevel {
    if (this.#isAccepted) return this.client.protocolLevel
    const named = this.#intake.decoder.protocolLevel
    return named === undefined ? this.client.protocolLevel : named || 4
  }

  /** Reading may go on, as far as the core and the journal are concerned. */
  resume(nowMs: number): void {
    if (this.#state !== 'open') return
    this.#pausedBy &= ~BY_JOURNAL
    if (!this.#isAccepted) this.#noteAccepted(nowMs)
    if ((this.#pausedBy & BY_CORE) === 0) this.#intake.release(nowMs)
    if (this.#pausedBy !== 0 || this.#state !== 'open') return
    this.#shell.heartbeat.changed(this.slot, nowMs)
    this.#socket.resumeReading()
  }

  #pause(by: number): void {
    if (this.#pausedBy === 0) this.#socket.pauseReading()
    if (by === BY_JOURNAL && (this.#pausedBy & BY_JOURNAL) === 0) this.#shell.turn.throttle(this)
    this.#pausedBy |= by
  }

  #pendingBytes(): number {
    const bytes = this.#socket.pendingBytes
    this.#hasPending = bytes > 0
    return bytes
  }

  #checkDrained(): void {
    if (!this.#toldFull || this.bufferedBytes * 2 >= this.#shell.outputBufferBytesMax) return
    this.#toldFull = false
    this.#shell.turn.markDrained(this)
  }

  #flushEarly(): void {
    this.flush(this.#shell.clock.nowMs())
  }

  #markDirty(): void {
    if (this.#isDirty) return
    this.#isDirty = true
    this.#shell.turn.markDirty(this)
  }

  #markHeld(): void {
    if (this.#isHeld) return
    this.#isHeld = true
    this.#shell.turn.markHeld(this)
  }
}
