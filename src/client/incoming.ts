/**
 * Messages from the broker, from PUBLISH to the last ack of ours. It answers for: each QoS 2 message once per session
 * to the application, acks only for what the application is done with, and acks in the order of arrival
 * [v5 MQTT-4.6.0-2, 4.6.0-3]. Who gets a message is decided elsewhere (`deliver`).
 *
 * A packet id is *held* from PUBLISH until its ack is due, then at QoS 2 a *receipt* until PUBREL. A repeated PUBLISH
 * of a held id is tied to the message the application already has; of a receipt, it is answered with PUBREC again.
 * With an outbox a receipt is durable before PUBREC leaves, and gone before PUBCOMP leaves: a stale one would swallow
 * the next message under its id.
 */
import {
  type AckPacket,
  type AckPacketType,
  nextPacketId,
  PacketType,
  type PublishPacket,
} from '../protocol/packets.js'
import { ProtocolError } from '../protocol/protocol-error.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import { Fifo } from './fifo.js'
import { type Acknowledger, ReceivedMessage } from './message.js'
import type { CursorCheck } from './delivery-cursor.js'
import type { OutboxLog } from './outbox-log.js'
import { TallyError } from './tally-error.js'

export interface IncomingLink {
  writeAck(type: AckPacketType, packetId: number, reasonCode: number): void
}

export interface IncomingSettings {
  readonly isManualAck: boolean
  /** 65 535 where the protocol has no Receive Maximum. */
  readonly receiveMaximum: number
  readonly outboxLog: OutboxLog | null
  readonly deliver: (message: ReceivedMessage) => void
  /** null: the application keeps no cursor, and a repetition is told by packet id and DUP alone. */
  readonly cursor: CursorCheck | null
  /** Something is missing: the end. */
  readonly stop: (error: TallyError) => void
}

export class IncomingPublishes implements Acknowledger {
  readonly isManual: boolean
  readonly #settings: IncomingSettings
  readonly #held = new Map<number, ReceivedMessage>()
  readonly #receipts = new Set<number>()
  /** Of this connection, in the order of arrival, acknowledged or not. */
  #pubacks = new Fifo<ReceivedMessage>()
  #pubrecs = new Fifo<ReceivedMessage>()
  /** PUBRECs of this connection whose PUBREL has not come. */
  #awaitingPubrel = 0
  #topicNameByAlias = new Map<number, string>()
  #link: IncomingLink | null = null

  constructor(settings: IncomingSettings) {
    this.#settings = settings
    this.isManual = settings.isManualAck
  }

  loadReceipts(packetIds: readonly number[]): void {
    for (const packetId of packetIds) this.#receipts.add(packetId)
  }

  connected(link: IncomingLink, sessionPresent: boolean): void {
    this.#link = link
    if (sessionPresent) return
    // A new session gives the ids anew; late acknowledgements of old messages find themselves no longer held.
    this.#held.clear()
    if (this.#receipts.size === 0) return
    this.#receipts.clear()
    this.#settings.outboxLog?.append({ kind: 'receipts-clear' }, null)
  }

  disconnected(): void {
    this.#link = null
    this.#pubacks = new Fifo()
    this.#pubrecs = new Fifo()
    this.#awaitingPubrel = 0
    this.#topicNameByAlias = new Map()
  }

  receivePublish(packet: PublishPacket): void {
    const topicName = this.#topicName(packet)
    if (packet.qos === 0) {
      this.#settings.deliver(new ReceivedMessage(packet, topicName, null))
      return
    }
    const { packetId, qos } = packet
    const verdict = this.#settings.cursor?.receive(packet.deliverySequence ?? 0)
    if (verdict instanceof TallyError) {
      this.#settings.stop(verdict)
      return
    }
    if (verdict === 'new') this.#forgetPacketId(packetId)
    if (qos === 2 && this.#receipts.has(packetId)) {
      this.#writeWhenDurable(PacketType.PUBREC, packetId, ReasonCode.SUCCESS)
      return
    }
    const held = this.#held.get(packetId)
    if (held !== undefined && this.#isRepeated(held, packet)) {
      if (held.ackDueOn !== this.#link) this.#expectAck(held)
      return
    }
    const message = new ReceivedMessage(packet, topicName, this)
    this.#held.set(packetId, message)
    // Of this connection only: what an earlier one left behind, the broker may have given up [v5 4.9].
    const unacknowledged = this.#pubacks.length + this.#pubrecs.length + this.#awaitingPubrel
    if (unacknowledged >= this.#settings.receiveMaximum) {
      throw new ProtocolError(ReasonCode.RECEIVE_MAXIMUM_EXCEEDED, 'more unacknowledged messages than Receive Maximum')
    }
    if (verdict === 'handled') message.acknowledge()
    this.#expectAck(message)
    if (verdict !== 'handled') this.#settings.deliver(message)
  }

  /** For one id or a native range. */
  receivePubrel(ack: AckPacket): void {
    const last = ack.lastPacketId ?? ack.packetId
    for (let packetId = ack.packetId; ; packetId = nextPacketId(packetId)) {
      this.#releaseOne(packetId)
      if (packetId === last) break
    }
  }

  acknowledge(message: ReceivedMessage): void {
    if (message.deliverySequence !== undefined) this.#settings.cursor?.handled(message.deliverySequence)
    if (this.#link === null) return
    if (message.qos === 1) this.#flushPubacks(this.#link)
    else this.#flushPubrecs()
  }

  /**
   * A delivery that never came before is a message of its own, whatever is left under its id: with a cursor the broker
   * ends exchanges without the acks that would have ended them here.
   */
  #forgetPacketId(packetId: number): void {
    this.#held.delete(packetId)
    if (this.#receipts.delete(packetId)) this.#settings.outboxLog?.append({ kind: 'receipt-end', packetId }, null)
  }

  /** Across connections DUP tells a repetition from a new message under an id that the broker has given up. */
  #isRepeated(held: ReceivedMessage, packet: PublishPacket): boolean {
    if (held.qos !== packet.qos || held.deliverySequence !== packet.deliverySequence) return false
    return held.ackDueOn === this.#link || (packet.dup && held.state !== 'failed')
  }

  #expectAck(message: ReceivedMessage): void {
    message.ackDueOn = this.#link
    if (message.qos === 1) this.#pubacks.push(message)
    else this.#pubrecs.push(message)
    // The application was done with it before this copy came.
    if (message.state === 'acknowledged') this.acknowledge(message)
  }

  #flushPubacks(link: IncomingLink): void {
    while (this.#pubacks.peek()?.state === 'acknowledged') {
      const { packetId } = this.#pubacks.shift() as ReceivedMessage
      this.#held.delete(packetId)
      link.writeAck(PacketType.PUBACK, packetId, ReasonCode.SUCCESS)
    }
  }

  #flushPubrecs(): void {
    while (this.#pubrecs.peek()?.state === 'acknowledged') {
      const { packetId } = this.#pubrecs.shift() as ReceivedMessage
      this.#held.delete(packetId)
      this.#receipts.add(packetId)
      this.#awaitingPubrel += 1
      this.#settings.outboxLog?.append({ kind: 'receipt', packetId }, null)
      this.#writeWhenDurable(PacketType.PUBREC, packetId, ReasonCode.SUCCESS)
    }
  }

  #releaseOne(packetId: number): void {
    if (!this.#receipts.delete(packetId)) {
      this.#writeWhenDurable(PacketType.PUBCOMP, packetId, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND)
      return
    }
    if (this.#awaitingPubrel > 0) this.#awaitingPubrel -= 1
    this.#settings.outboxLog?.append({ kind: 'receipt-end', packetId }, null)
    this.#writeWhenDurable(PacketType.PUBCOMP, packetId, ReasonCode.SUCCESS)
  }

  /** On the connection that asked for it; if that has ended, it swallows the ack, and the next has its own exchange. */
  #writeWhenDurable(type: AckPacketType, packetId: number, reasonCode: number): void {
    const link = this.#link
    const { outboxLog } = this.#settings
    if (outboxLog === null) {
      link?.writeAck(type, packetId, reasonCode)
      return
    }
    outboxLog.append(null, () => link?.writeAck(type, packetId, reasonCode))
  }

  #topicName(packet: PublishPacket): string {
    const topicAlias = packet.properties?.topicAlias
    if (topicAlias === undefined) return packet.topicName
    if (packet.topicName !== '') {
      this.#topicNameByAlias.set(topicAlias, packet.topicName)
      return packet.topicName
    }
    const topicName = this.#topicNameByAlias.get(topicAlias)
    if (topicName === undefined) {
      throw new ProtocolError(ReasonCode.TOPIC_ALIAS_INVALID, `topic alias ${topicAlias} was never given a topic name`)
    }
    return topicName
  }
}
