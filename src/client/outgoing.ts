/**
 * QoS 1 and 2 publishes on their way out: from `publish` to the last ack, through any number of connections.
 *
 *   storing ──▶ waiting ──▶ sent ──PUBACK──▶ done
 *   (outbox)    (window)     └────PUBREC──▶ releasing ──▶ released ──PUBCOMP──▶ done
 *                                           (outbox)      (PUBREL is out)
 *
 * A message keeps one packet id from the first to the last state. With an outbox it is durable before its first PUBLISH
 * leaves, and its PUBREC before PUBREL leaves: after PUBREL the id means nothing to the broker, and a PUBLISH repeated
 * under it would be a second message.
 */
import {
  type AckPacket,
  type AckPacketType,
  type AckProperties,
  nextPacketId,
  PACKET_ID_MAX,
  type Packet,
  PacketType,
  type PublishPacket,
} from '../protocol/packets.js'
import { isFailure, ReasonCode } from '../protocol/reason-codes.js'
import { onAbort, throwIfAborted } from './abort.js'
import type { PublishResult } from './api.js'
import { Fifo } from './fifo.js'
import type { OutboxEntry } from './outbox.js'
import type { OutboxLog } from './outbox-log.js'
import type { PacketIds } from './packet-ids.js'
import { TallyError } from './tally-error.js'

/** What it needs of a connection. */
export interface OutgoingLink {
  readonly isFull: boolean
  write(packet: Packet): void
  writeAck(type: AckPacketType, packetId: number, reasonCode: number): void
}

export interface OutgoingSettings {
  readonly packetIds: PacketIds
  readonly outboxLog: OutboxLog | null
  readonly publishQueueMessagesMax: number
  /** undefined: the broker takes it; otherwise why it will not, decided before it is sent. */
  readonly refusal: (packet: PublishPacket) => TallyError | undefined
}

interface OutgoingPublish {
  readonly sequence: number
  readonly packet: PublishPacket
  state: 'storing' | 'waiting' | 'sent' | 'releasing' | 'released' | 'done'
  resolve: ((result: PublishResult) => void) | null
  reject: ((error: TallyError) => void) | null
  stopListening: (() => void) | null
}

export class OutgoingPublishes {
  readonly #settings: OutgoingSettings
  /** All of them by packet id, in the order of publishing (a Map keeps it). */
  readonly #unfinished = new Map<number, OutgoingPublish>()
  /** Those whose PUBREC has come, in the order of the PUBRECs [v5 MQTT-4.6.0-4]. */
  readonly #released = new Set<OutgoingPublish>()
  #waiting = new Fifo<OutgoingPublish>()
  #link: OutgoingLink | null = null
  #receiveMaximum = PACKET_ID_MAX
  /** Sent on this connection, or released: what counts against the broker's Receive Maximum. */
  #inFlight = 0
  #nextSequence = 1
  #emptyWaiters: (() => void)[] = []

  constructor(settings: OutgoingSettings) {
    this.#settings = settings
  }

  get unfinished(): number {
    return this.#unfinished.size
  }

  /** What an earlier process left; goes out before anything new. */
  load(entries: readonly OutboxEntry[]): void {
    for (const { sequence, packetId, state, topicName, payload, qos, retain, properties } of entries) {
      const packet = publishPacket(packetId, topicName, payload, qos, { retain, properties })
      const publish: OutgoingPublish = {
        sequence,
        packet,
        // It may have been sent; to send it again with DUP is right either way.
        state: state === 'released' ? 'released' : 'sent',
        resolve: null,
        reject: null,
        stopListening: null,
      }
      this.#settings.packetIds.claim(packetId)
      this.#unfinished.set(packetId, publish)
      if (state === 'released') this.#released.add(publish)
      this.#nextSequence = Math.max(this.#nextSequence, sequence + 1)
    }
  }

  publish(packet: PublishPacket, signal: AbortSignal | undefined): Promise<PublishResult> {
    throwIfAborted(signal)
    const packetId = this.#takePacketId()
    packet.packetId = packetId
    return new Promise((resolve, reject) => {
      const publish: OutgoingPublish = {
        sequence: this.#nextSequence,
        packet,
        state: 'storing',
        resolve,
        reject,
        stopListening: null,
      }
      this.#nextSequence += 1
      this.#unfinished.set(packetId, publish)
      if (signal !== undefined) publish.stopListening = onAbort(signal, (error) => this.#withdraw(publish, error))
      const { outboxLog } = this.#settings
      if (outboxLog === null) this.#stored(publish)
      else outboxLog.append({ kind: 'publish', entry: outboxEntry(publish) }, () => this.#stored(publish))
    })
  }

  /**
   * A connection is there: PUBRELs first, then PUBLISHes, each in their order [v5 MQTT-4.4.0-1, 4.6.0-1].
   * @returns how many QoS 2 messages go out anew although the broker may have taken them: the session was lost between
   * PUBLISH and PUBREC, and no broker can tell any more. QoS 2 promises exactly once within a session, not beyond.
   */
  connected(link: OutgoingLink, options: { sessionPresent: boolean; receiveMaximum: number }): number {
    this.#link = link
    this.#receiveMaximum = options.receiveMaximum
    let perhapsTwice = 0
    // Without a session PUBREL means nothing to the broker; PUBREC has said that the message is its own.
    if (!options.sessionPresent) for (const publish of [...this.#released]) this.#finish(publish, delivered(publish))
    this.#waiting = new Fifo()
    for (const publish of this.#unfinished.values()) {
      if (publish.state === 'sent') {
        publish.packet.dup = options.sessionPresent
        if (!options.sessionPresent && publish.packet.qos === 2) perhapsTwice += 1
        publish.state = 'waiting'
      }
      if (publish.state === 'waiting') this.#waiting.push(publish)
    }
    this.#inFlight = this.#released.size
    for (const publish of this.#released) {
      if (publish.state === 'released') link.writeAck(PacketType.PUBREL, publish.packet.packetId, ReasonCode.SUCCESS)
    }
    this.pump()
    return perhapsTwice
  }

  disconnected(): void {
    this.#link = null
  }

  /** Sends what the window and the output buffer allow. */
  pump(): void {
    const link = this.#link
    if (link === null) return
    while (this.#inFlight < this.#receiveMaximum && this.#waiting.length > 0 && !link.isFull) {
      const publish = this.#waiting.shift()
      if (publish === undefined || publish.state !== 'waiting') continue
      const refusal = this.#settings.refusal(publish.packet)
      if (refusal !== undefined) {
        this.#finish(publish, refusal)
        continue
      }
      publish.state = 'sent'
      this.#inFlight += 1
      link.write(publish.packet)
    }
  }

  /** PUBACK, PUBREC or PUBCOMP, for one id or a native range. Unknown ids are those of an earlier life: ignored. */
  receiveAck(ack: AckPacket): void {
    const last = ack.lastPacketId ?? ack.packetId
    for (let packetId = ack.packetId; ; packetId = nextPacketId(packetId)) {
      this.#receiveOne(ack, packetId)
      if (packetId === last) break
    }
    this.pump()
  }

  /** Ends all promises; the outbox keeps the messages for the next process. */
  fail(error: TallyError): void {
    for (const publish of this.#unfinished.values()) {
      publish.stopListening?.()
      publish.reject?.(error)
      publish.reject = null
      publish.resolve = null
    }
    this.#wakeEmptyWaiters()
  }

  /** Resolves when nothing is unfinished, or all has failed. */
  emptied(): Promise<void> {
    if (this.#unfinished.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#emptyWaiters.push(resolve))
  }

  #receiveOne(ack: AckPacket, packetId: number): void {
    const publish = this.#unfinished.get(packetId)
    const { reasonCode, properties } = ack
    if (ack.type === PacketType.PUBREC) {
      this.#receivePubrec(publish, packetId, reasonCode, properties)
      return
    }
    const isExpected =
      ack.type === PacketType.PUBACK
        ? publish?.state === 'sent' && publish.packet.qos === 1
        : publish?.state === 'released'
    if (publish === undefined || !isExpected) return
    this.#inFlight -= 1
    // PUBCOMP 0x92 after a resent PUBREL: the broker had finished it before [v5 4.3.3, table 3-8].
    if (ack.type === PacketType.PUBCOMP) {
      this.#finish(publish, delivered(publish))
      return
    }
    this.#finish(publish, isFailure(reasonCode) ? refused(reasonCode, properties) : { qos: 1, reasonCode, properties })
  }

  #receivePubrec(
    publish: OutgoingPublish | undefined,
    packetId: number,
    reasonCode: number,
    properties: AckProperties | null,
  ): void {
    if (publish === undefined || publish.packet.qos !== 2) {
      if (!isFailure(reasonCode)) {
        this.#link?.writeAck(PacketType.PUBREL, packetId, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND)
      }
      return
    }
    if (publish.state === 'released') {
      this.#link?.writeAck(PacketType.PUBREL, packetId, ReasonCode.SUCCESS)
      return
    }
    if (publish.state !== 'sent') return
    if (isFailure(reasonCode)) {
      this.#inFlight -= 1
      this.#finish(publish, refused(reasonCode, properties))
      return
    }
    publish.state = 'releasing'
    this.#released.add(publish)
    const { outboxLog } = this.#settings
    if (outboxLog === null) this.#releaseStored(publish)
    else outboxLog.append({ kind: 'release', sequence: publish.sequence }, () => this.#releaseStored(publish))
  }

  #stored(publish: OutgoingPublish): void {
    if (publish.state !== 'storing') return
    publish.state = 'waiting'
    // Without a connection `connected` collects it.
    if (this.#link === null) return
    this.#waiting.push(publish)
    this.pump()
  }

  #releaseStored(publish: OutgoingPublish): void {
    if (publish.state !== 'releasing') return
    publish.state = 'released'
    this.#link?.writeAck(PacketType.PUBREL, publish.packet.packetId, ReasonCode.SUCCESS)
  }

  #withdraw(publish: OutgoingPublish, error: TallyError): void {
    if (publish.state === 'storing' || publish.state === 'waiting') {
      // Sent on an earlier connection: the broker may have it, so its id must live on to the end.
      if (!publish.packet.dup) {
        this.#finish(publish, error)
        return
      }
    }
    publish.reject?.(error)
    publish.reject = null
    publish.resolve = null
  }

  #finish(publish: OutgoingPublish, outcome: PublishResult | TallyError): void {
    publish.state = 'done'
    publish.stopListening?.()
    this.#released.delete(publish)
    this.#unfinished.delete(publish.packet.packetId)
    this.#settings.packetIds.release(publish.packet.packetId)
    // Not waited for: at worst it is sent once more with DUP, which its id makes harmless. Commits keep their order, so
    // a new message under the same id is stored after this one is gone.
    this.#settings.outboxLog?.append({ kind: 'remove', sequence: publish.sequence }, null)
    if (outcome instanceof TallyError) publish.reject?.(outcome)
    else publish.resolve?.(outcome)
    if (this.#unfinished.size === 0) this.#wakeEmptyWaiters()
  }

  #takePacketId(): number {
    const { packetIds, publishQueueMessagesMax } = this.#settings
    const isFull = this.#unfinished.size >= publishQueueMessagesMax
    const packetId = isFull ? 0 : packetIds.take()
    if (packetId !== 0) return packetId
    const waiting = `${this.#unfinished.size} QoS 1 and 2 publishes are unfinished`
    throw new TallyError('OUTBOX_FULL', `${waiting}; wait for some of them or raise publishQueueMessagesMax`, {
      retryable: true,
    })
  }

  #wakeEmptyWaiters(): void {
    const waiters = this.#emptyWaiters
    this.#emptyWaiters = []
    for (const wake of waiters) wake()
  }
}

export function publishPacket(
  packetId: number,
  topicName: string,
  payload: Uint8Array,
  qos: PublishPacket['qos'],
  options: { retain: boolean; properties: PublishPacket['properties'] },
): PublishPacket {
  const { retain, properties } = options
  return { type: PacketType.PUBLISH, topicName, payload, qos, retain, dup: false, packetId, properties }
}

function outboxEntry(publish: OutgoingPublish): OutboxEntry {
  const { packetId, topicName, payload, qos, retain, properties } = publish.packet
  const { sequence } = publish
  return { sequence, packetId, topicName, payload, qos: qos === 1 ? 1 : 2, retain, properties, state: 'published' }
}

function delivered(publish: OutgoingPublish): PublishResult {
  return { qos: publish.packet.qos, reasonCode: ReasonCode.SUCCESS, properties: null }
}

function refused(reasonCode: number, properties: AckProperties | null): TallyError {
  const why = properties?.reasonString === undefined ? '' : `: ${properties.reasonString}`
  const retryable = reasonCode === ReasonCode.QUOTA_EXCEEDED || reasonCode === ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR
  return new TallyError('PUBLISH_REFUSED', `the broker did not take the message${why}`, { reasonCode, retryable })
}
