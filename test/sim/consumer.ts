/**
 * A subscribing client that obeys MQTT and doubts the broker. It takes what comes, answers when it likes, and writes
 * down every arrival as it was; what the session's rules say about a single packet is asked at once.
 */
import {
  type AckPacketType,
  type ConnackPacket,
  type ConnectPacket,
  type DeliveryCursor,
  type Packet,
  PacketType,
  type PublishPacket,
  type QoS,
} from '../../src/protocol/packets.js'
import { mqttCodec } from '../../src/protocol/mqtt/codec.js'
import { nativeCodec } from '../../src/protocol/msgpack/codec.js'
import type { Random } from '../support/random.js'
import type { Books, SessionBook, Window } from './books.js'
import { SessionRules } from './checkers/session-rules.js'
import { Asked, type ClientPlan, SimClient } from './client.js'
import type { Host } from './host.js'
import { keyOf } from './payload.js'
import type { Task } from './schedule.js'

export interface ConsumerPlan extends ClientPlan {
  readonly kind: 'consumer'
  readonly subscriptions: readonly (readonly [topicFilter: string, qos: QoS])[]
  readonly receiveMaximum: number
  /** 0: no Session State. 0xFFFFFFFF: for ever. */
  readonly expirySec: number
  /** Ends its session at times: Clean Start, expiry, or DISCONNECT with expiry 0. */
  readonly isVolatile: boolean
  readonly resubscribes: boolean
  /** 0: none. */
  readonly maximumPacketSize: number
  readonly topicAliasMaximum: number
  /** It has a store of its own, and says at CONNECT how far that has come. */
  readonly keepsCursor: boolean
  readonly answerMsMax: number
  readonly idleMsMax: number
}

interface PendingAnswer {
  readonly type: AckPacketType
  readonly packetId: number
}
interface Known {
  readonly key: string
  readonly qos: QoS
}

export class Consumer extends SimClient {
  override readonly plan: ConsumerPlan
  #rules: SessionRules
  #book: SessionBook | null = null
  #connection = 0
  /** The next CONNECT asks for a new session, until one was granted. */
  #wantsCleanStart = false
  #mayBeGone = true
  #pending: PendingAnswer[] = []
  readonly #subscribing = new Map<number, { window: Window; asked: Asked }>()
  readonly #releasing = new Map<number, Asked>()
  /** What came last under each packet id: by this MQTT knows a repetition at QoS 1. */
  readonly #lastById = new Map<number, Known>()
  #nextSequence = 0
  /** As CONNACK named it; 0: not known. */
  #sessionNumber = 0
  /** Everything up to it is in the consumer's own store. */
  #applied = 0
  #cursor = 0
  readonly #aliases = new Map<number, string>()
  #answerTask: Task | null = null
  #isStalled = false
  /** On this connection CONNACK came. */
  #wasReady = false
  #nextPacketId = 1

  constructor(plan: ConsumerPlan, host: Host, books: Books, random: Random) {
    super(plan, host, books, random)
    this.plan = plan
    this.#rules = new SessionRules(plan.receiveMaximum)
    host.schedule.after(random.below(plan.idleMsMax), this.#wake)
  }

  get isSettled(): boolean {
    return this.isReady && this.#pending.length === 0 && this.#subscribing.size === 0
  }

  protected connectPacket(): Pick<ConnectPacket, 'cleanStart' | 'properties' | 'deliveryCursor'> {
    const { expirySec, receiveMaximum, isVolatile, maximumPacketSize, topicAliasMaximum } = this.plan
    if (expirySec === 0 || (isVolatile && this.random.chance(0.3))) this.#wantsCleanStart = true
    if (this.#wantsCleanStart) this.#mayBeGone = true
    const cleanStart = this.#wantsCleanStart
    if (this.level === 4) return { cleanStart, properties: {} }
    const properties: ConnectPacket['properties'] = { sessionExpiryIntervalSec: expirySec }
    if (receiveMaximum < 65_535) properties.receiveMaximum = receiveMaximum
    if (maximumPacketSize > 0) properties.maximumPacketSize = maximumPacketSize
    if (topicAliasMaximum > 0) properties.topicAliasMaximum = topicAliasMaximum
    this.#cursor = 0
    if (!this.plan.keepsCursor || this.#sessionNumber === 0 || this.#nextSequence === 0)
      return { cleanStart, properties }
    return { cleanStart, properties, deliveryCursor: this.#cursorNow() }
  }

  /** It may have died between taking the last messages and committing what it made of them. */
  #cursorNow(): DeliveryCursor {
    const unapplied = this.#nextSequence - 1 - this.#applied
    this.#applied += this.random.chance(0.5) ? unapplied : this.random.below(unapplied + 1)
    this.#cursor = this.#applied
    return { sessionNumber: this.#sessionNumber, deliverySequence: this.#applied }
  }

  protected accepted({ sessionPresent, sessionNumber = 0 }: ConnackPacket): void {
    const expected = this.#wantsCleanStart ? 'absent' : this.#mayBeGone ? 'either' : 'present'
    this.#tell(this.#rules.connected(expected, sessionPresent))
    this.#wantsCleanStart = false
    this.#mayBeGone = this.plan.expirySec === 0
    this.#wasReady = true
    this.#connection += 1
    if (!sessionPresent || this.#book === null) this.#openBook(sessionPresent)
    else if (sessionNumber !== this.#sessionNumber) this.#tell(`session ${this.#sessionNumber} is now ${sessionNumber}`)
    this.#sessionNumber = sessionNumber
    this.#rules.handled(this.#cursor)
    const held = this.#book?.windows ?? []
    for (const [topicFilter, qos] of this.plan.subscriptions) {
      const isHeld = held.some(
        (one) => one.topicFilter === topicFilter && one.endedAt === Infinity && one.grantedAt < Infinity,
      )
      if (!isHeld) this.#subscribe(topicFilter, qos)
    }
  }

  #openBook(sessionPresent: boolean): void {
    if (this.#book !== null) this.#book.isCurrent = false
    this.#rules.begin()
    this.#lastById.clear()
    this.#nextSequence = sessionPresent ? 0 : 1
    this.#applied = 0
    this.#cursor = 0
    this.#book = {
      clientId: this.clientId,
      protocol: this.plan.protocol === 'native' ? 'tally.v1' : 'mqtt',
      arrivals: [],
      windows: [],
      isFromItsBeginning: !sessionPresent,
      maximumPacketSize: this.plan.maximumPacketSize || Number.POSITIVE_INFINITY,
      isCurrent: true,
    }
    this.books.sessions.push(this.#book)
  }

  #subscribe(topicFilter: string, qos: QoS): void {
    const askedAt = this.books.now()
    const window: Window = {
      topicFilter,
      qos,
      askedAt,
      grantedAt: Infinity,
      endedAt: Infinity,
      goneAt: Infinity,
    }
    this.#book?.windows.push(window)
    const subscription = { topicFilter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 as const }
    const { packetId, asked } = this.#ask(window)
    this.write({ type: PacketType.SUBSCRIBE, packetId, subscriptions: [subscription], properties: {} }, asked)
  }

  #ask(window: Window): { packetId: number; asked: Asked } {
    while (this.#subscribing.has(this.#nextPacketId)) this.#nextPacketId = (this.#nextPacketId % 50) + 1
    const packetId = this.#nextPacketId
    this.#nextPacketId = (packetId % 50) + 1
    const asked = new Asked()
    this.#subscribing.set(packetId, { window, asked })
    return { packetId, asked }
  }

  protected received(packet: Packet): void {
    switch (packet.type) {
      case PacketType.SUBACK:
      case PacketType.UNSUBACK:
        return this.#answered(packet.packetId)
      case PacketType.PUBLISH:
        return this.#published(packet)
      case PacketType.PUBREL:
        return this.#released(packet.packetId, packet.lastPacketId ?? packet.packetId)
      default:
        this.#tell(`a consumer got packet type ${packet.type}`)
    }
  }

  #answered(packetId: number): void {
    const question = this.#subscribing.get(packetId)
    this.#subscribing.delete(packetId)
    if (question === undefined) {
      this.#tell('an answer to no SUBSCRIBE or UNSUBSCRIBE')
      return
    }
    const { window, asked } = question
    this.judge(`the answer about ${window.topicFilter}`, asked)
    if (window.endedAt === Infinity) window.grantedAt = this.books.now()
    else window.goneAt = this.books.now()
  }

  #released(first: number, last: number): void {
    for (let packetId = first; ; packetId = packetId === 65_535 ? 1 : packetId + 1) {
      const asked = this.#releasing.get(packetId)
      if (asked !== undefined) this.judge(`PUBREL ${packetId}`, asked)
      this.#releasing.delete(packetId)
      this.#pending.push({ type: PacketType.PUBCOMP, packetId })
      if (packetId === last) break
    }
    this.#answerSoon()
  }

  #published(packet: PublishPacket): void {
    const topicName = this.#resolve(packet)
    const key = keyOf(packet.payload)
    const isRepeat = this.#isRepeat(packet, key)
    this.#tell(this.#rules.published(packet, isRepeat))
    this.#checkSize(packet)
    const { packetId, qos, retain, dup, deliverySequence = 0 } = packet
    const { processNumber, durableRecord } = this
    const at = this.books.now()
    const where = { at, connection: this.#connection, cursor: this.#cursor, processNumber, durableRecord }
    this.#book?.arrivals.push({ key, topicName, packetId, qos, retain, dup, deliverySequence, isRepeat, ...where })
    if (qos === 0) return
    this.#lastById.set(packetId, { key, qos })
    this.#pending.push({ type: qos === 1 ? PacketType.PUBACK : PacketType.PUBREC, packetId })
    this.#answerSoon()
  }

  #isRepeat(packet: PublishPacket, key: string): boolean {
    const { qos, packetId, dup, deliverySequence } = packet
    if (qos === 0) return false
    if (deliverySequence !== undefined) {
      if (this.#nextSequence === 0) {
        this.#nextSequence = deliverySequence
        this.#applied = deliverySequence - 1
      }
      const isRepeat = deliverySequence < this.#nextSequence
      this.#nextSequence = Math.max(this.#nextSequence, deliverySequence + 1)
      return isRepeat
    }
    if (qos === 2) return dup && this.#rules.isReceived(packetId)
    return dup && this.#lastById.get(packetId)?.key === key
  }

  #resolve({ topicName, properties }: PublishPacket): string {
    const alias = properties?.topicAlias
    if (alias === undefined) return topicName
    if (topicName !== '') this.#aliases.set(alias, topicName)
    if (alias > this.plan.topicAliasMaximum) this.#tell(`topic alias ${alias} is above the maximum`)
    const known = this.#aliases.get(alias)
    if (known === undefined) this.#tell(`topic alias ${alias} was never named`)
    return known ?? ''
  }

  #checkSize(packet: PublishPacket): void {
    const { maximumPacketSize } = this.plan
    if (maximumPacketSize === 0) return
    const codec = this.plan.protocol === 'native' ? nativeCodec : mqttCodec
    const size = codec.packetSize(packet, this.level)
    if (size > maximumPacketSize) this.books.violation('bounds', `${this.clientId} got a packet of ${size} bytes`)
  }

  // ── answers ──

  #answerSoon(): void {
    if (this.#answerTask !== null) return
    const delayMs = this.isCalm ? 1 : this.random.below(this.plan.answerMsMax)
    this.#answerTask = this.host.schedule.after(delayMs, this.#answer)
  }

  readonly #answer = (): void => {
    this.#answerTask = null
    if (!this.isReady) return
    const all = this.isCalm || this.random.chance(0.6)
    this.#acknowledge(all ? this.#pending.length : 1 + this.random.below(4))
    this.flush()
    if (this.#pending.length > 0) this.#answerSoon()
  }

  /** Oldest first, at times out of turn; the native protocol has ranges. */
  #acknowledge(count: number): void {
    for (let left = count; left > 0 && this.#pending.length > 0; left -= 1) {
      const index = this.random.chance(0.1) ? this.random.below(this.#pending.length) : 0
      const { type, packetId } = this.#pending.splice(index, 1)[0] as PendingAnswer
      let last = packetId
      this.#finish(type, packetId)
      while (this.plan.protocol === 'native' && type !== PacketType.PUBREC) {
        const next = this.#pending[index]
        if (next?.type !== type || next.packetId !== last + 1) break
        this.#pending.splice(index, 1)
        last += 1
        this.#finish(type, last)
      }
      const range = last === packetId ? {} : { lastPacketId: last }
      let asked: Asked | null = null
      if (type === PacketType.PUBREC) {
        asked = new Asked()
        this.#releasing.set(packetId, asked)
      }
      this.write({ type, packetId, reasonCode: 0, properties: null, ...range }, asked)
    }
  }

  #finish(type: AckPacketType, packetId: number): void {
    if (type !== PacketType.PUBREC) this.#rules.finished(packetId)
  }

  // ── what it does of its own ──

  readonly #wake = (): void => {
    if (this.isCalm) return
    this.host.schedule.after(this.random.below(this.plan.idleMsMax), this.#wake)
    if (!this.isReady || this.#isStalled) return
    const dice = this.random.below(100)
    if (dice < 25 && this.plan.resubscribes) this.#resubscribe()
    else if (dice < 45) this.#disconnect()
    this.flush()
  }

  /** Gives one filter up, or takes up again what it gave up. */
  #resubscribe(): void {
    const book = this.#book
    if (book === null || this.#subscribing.size > 0) return
    const isHeld = (filter: string) =>
      book.windows.some((one) => one.topicFilter === filter && one.endedAt === Infinity)
    const missing = this.plan.subscriptions.find(([topicFilter]) => !isHeld(topicFilter))
    if (missing !== undefined) return this.#subscribe(...missing)
    const window = book.windows.find(({ grantedAt, endedAt }) => grantedAt < Infinity && endedAt === Infinity)
    if (window === undefined) return
    window.endedAt = this.books.now()
    const { packetId, asked } = this.#ask(window)
    this.write({ type: PacketType.UNSUBSCRIBE, packetId, topicFilters: [window.topicFilter], properties: {} }, asked)
  }

  #disconnect(): void {
    const isEnding = this.plan.isVolatile && this.level === 5 && this.random.chance(0.3)
    if (isEnding) this.#mayBeGone = true
    const properties = isEnding ? { sessionExpiryIntervalSec: 0 } : null
    this.write({ type: PacketType.DISCONNECT, reasonCode: 0, properties })
    this.flush()
    this.leave(true)
    this.comeBackAfter(this.random.below(this.plan.idleMsMax))
  }

  /** Reads nothing for a while. */
  stall(forMs: number): void {
    const { link } = this
    if (link === null || this.#isStalled) return
    this.#isStalled = true
    this.say(`reads nothing for ${forMs} ms`)
    link.isReading = false
    this.host.schedule.after(forMs, () => {
      if (this.link === link) this.#readOn()
    })
  }

  #readOn(): void {
    if (!this.#isStalled || this.link === null) return
    this.#isStalled = false
    this.link.isReading = true
  }

  protected override get isReading(): boolean {
    return !this.#isStalled
  }

  override calm(): void {
    super.calm()
    this.#readOn()
  }

  protected gone(): void {
    // Which session an unseen CONNACK spoke of is not knowable: the client starts anew.
    if (this.#book !== null && !this.#wasReady && this.#mayBeGone) this.#wantsCleanStart = true
    this.#wasReady = false
    this.#isStalled = false
    this.#pending = []
    this.#rules.connectionGone()
    this.#aliases.clear()
    this.#releasing.clear()
    for (const { window } of this.#subscribing.values()) if (window.endedAt === Infinity) window.endedAt = -1
    this.#subscribing.clear()
    if (this.plan.isVolatile) this.#mayBeGone = true
  }

  #tell(sentence: string | null): void {
    if (sentence !== null) this.books.violation('session-rules', `${this.clientId}: ${sentence}`)
  }
}
