/**
 * A publishing client that obeys MQTT: one outbox in the order of sending, resent in that order under the same packet
 * ids when the session goes on, and forgotten when the broker says that there is no session any more. It has a Will at
 * times, and books what must become of it.
 */
import {
  type AckPacket,
  type ConnackPacket,
  type ConnectPacket,
  type Packet,
  PacketType,
  type PublishProperties,
  type QoS,
  type WillMessage,
} from '../../src/protocol/packets.js'
import type { Random } from '../support/random.js'
import type { Books, SentMessage } from './books.js'
import { Asked, type ClientPlan, SimClient } from './client.js'
import type { Host } from './host.js'
import { payloadOf } from './payload.js'

export interface PublisherPlan extends ClientPlan {
  readonly kind: 'publisher'
  readonly topics: readonly string[]
  /** False: no Session State outlives the connection. */
  readonly isPersistent: boolean
  readonly qosChoices: readonly QoS[]
  /** One QoS for all it retains: a resend at QoS 1 must not come after something newer at QoS 2. */
  readonly retainedQoS: 1 | 2
  readonly expires: boolean
  readonly hasWills: boolean
  readonly usesAliases: boolean
  readonly burstMax: number
  readonly idleMsMax: number
  readonly payloadBytesMax: number
}

interface Outgoing {
  readonly message: SentMessage
  readonly packetId: number
  readonly payload: Uint8Array
  readonly expirySec: number
  state: 'publish' | 'release'
  asked: Asked
}

const WINDOW = 10
/** Few numbers, so that they are used again soon. */
const PACKET_IDS = 20
const NEVER_EXPIRES_SEC = 0xffff_ffff

export class Publisher extends SimClient {
  override readonly plan: PublisherPlan
  #outbox: Outgoing[] = []
  #hasSession = false
  #order = 0
  #nextPacketId = 1
  #window = WINDOW
  #aliasMaximum = 0
  readonly #aliases = new Map<string, number>()
  #will: { message: SentMessage; isDelayed: boolean } | null = null
  #wasAccepted = false
  #isLeaving = false
  /** Wills that a DISCONNECT called off, if it got there and onto the disk. */
  readonly #calledOff: { message: SentMessage; asked: Asked }[] = []

  constructor(plan: PublisherPlan, host: Host, books: Books, random: Random) {
    super(plan, host, books, random)
    this.plan = plan
    host.schedule.after(random.below(plan.idleMsMax), this.#wake)
  }

  get isSettled(): boolean {
    return this.isReady && this.#outbox.length === 0
  }

  protected connectPacket(): Pick<ConnectPacket, 'cleanStart' | 'properties' | 'will'> {
    const { isPersistent, hasWills } = this.plan
    const will = hasWills && !this.isCalm && this.random.chance(0.4) ? this.#bookWill() : null
    if (will === null) this.#will = null
    const properties = isPersistent && this.level === 5 ? { sessionExpiryIntervalSec: NEVER_EXPIRES_SEC } : {}
    return { cleanStart: !isPersistent, properties, ...(will === null ? {} : { will }) }
  }

  #bookWill(): WillMessage {
    const isDelayed = this.level === 5 && this.plan.isPersistent && this.random.chance(0.4)
    const qos = this.random.pick([1, 2] as const)
    const topicName = `w/${this.clientId}`
    const message = this.#book('will', topicName, qos, false, false, 0)
    this.#will = { message, isDelayed }
    const properties = isDelayed ? { willDelayIntervalSec: 1 + this.random.below(20) } : {}
    return { topicName, payload: payloadOf(message.key, 0), qos, retain: false, properties }
  }

  #book(
    kind: 'publish' | 'will',
    topicName: string,
    qos: QoS,
    retain: boolean,
    mayExpire: boolean,
    payloadBytes: number,
  ): SentMessage {
    this.#order += 1
    const order = this.#order
    const isClear = retain && payloadBytes === 0
    const key = isClear ? '' : `${kind === 'will' ? 'will:' : ''}${this.clientId}:${order}`
    const publisher = this.clientId
    return this.books.send({ key, publisher, topicName, order, qos, kind, retain, mayExpire, payloadBytes })
  }

  protected accepted(packet: ConnackPacket): void {
    const { isPersistent } = this.plan
    if (this.#hasSession && !packet.sessionPresent) this.#breach('the session is gone')
    if (!isPersistent && packet.sessionPresent) this.#breach('there was a session after Clean Start')
    this.#hasSession = isPersistent
    this.#wasAccepted = true
    // MQTT 3.1.1 is not told.
    const untold = this.level === 4 ? this.host.plan.limits.receiveMaximum : undefined
    this.#window = Math.min(WINDOW, packet.properties.receiveMaximum ?? untold ?? WINDOW)
    this.#aliasMaximum = packet.properties.topicAliasMaximum ?? 0
    if (!packet.sessionPresent) this.#outbox = []
    for (const outgoing of this.#outbox) {
      outgoing.asked = new Asked()
      if (outgoing.state === 'release') this.#release(outgoing)
      else {
        outgoing.message.attempts += 1
        this.#send(outgoing, true)
      }
    }
  }

  protected received(packet: Packet): void {
    const { PUBACK, PUBREC, PUBCOMP } = PacketType
    if (packet.type !== PUBACK && packet.type !== PUBREC && packet.type !== PUBCOMP) {
      this.#breach(`a publisher got packet type ${packet.type}`)
      return
    }
    const last = packet.lastPacketId ?? packet.packetId
    for (let packetId = packet.packetId; ; packetId += 1) {
      this.#acknowledged(packet, packetId)
      if (packetId === last) break
    }
    this.flush()
  }

  #acknowledged(packet: AckPacket, packetId: number): void {
    const outgoing = this.#outbox.find((one) => one.packetId === packetId)
    if (outgoing === undefined) {
      this.#breach(`an answer to nothing, packet id ${packetId}`)
      return
    }
    this.judge(`the answer to '${outgoing.message.key}'`, outgoing.asked)
    const isRefused = packet.reasonCode >= 0x80 && packet.type !== PacketType.PUBCOMP
    if (isRefused) outgoing.message.isRefused = true
    else if (packet.type !== PacketType.PUBCOMP && outgoing.message.promisedAt === 0) {
      outgoing.message.promisedAt = this.books.now()
    }
    if (packet.type === PacketType.PUBREC && !isRefused) {
      outgoing.state = 'release'
      outgoing.asked = new Asked()
      this.#release(outgoing)
      return
    }
    this.#outbox = this.#outbox.filter((other) => other !== outgoing)
  }

  #release({ packetId, asked }: Outgoing): void {
    this.write({ type: PacketType.PUBREL, packetId, reasonCode: 0, properties: null }, asked)
  }

  // ── what it does of its own ──

  readonly #wake = (): void => {
    if (this.isCalm) return
    const { random } = this
    this.host.schedule.after(random.chance(0.3) ? 20 : random.below(this.plan.idleMsMax), this.#wake)
    if (!this.isReady) return
    const dice = random.below(100)
    if (dice < 88) this.#burst()
    else if (dice < 94) this.#disconnect()
    else this.#vanish()
  }

  #burst(): void {
    const isOneWrite = this.random.chance(0.5)
    for (let left = 1 + this.random.below(this.plan.burstMax); left > 0; left -= 1) {
      if (this.#outbox.length >= this.#window) break
      this.#publish()
      if (!isOneWrite) this.flush()
    }
    this.flush()
  }

  #publish(): void {
    const { topics, qosChoices, retainedQoS, expires, payloadBytesMax } = this.plan
    const { random } = this
    const topicName = random.pick(topics)
    const retain = topicName.startsWith('r/')
    const qos = retain ? retainedQoS : random.pick(qosChoices)
    const isClear = retain && random.chance(0.2)
    const expirySec = expires && !isClear && random.chance(0.1) ? 1 + random.below(3) : 0
    const payloadBytes = isClear ? 0 : 16 + random.below(random.chance(0.05) ? payloadBytesMax : 48)
    const message = this.#book('publish', topicName, qos, retain, expirySec > 0, payloadBytes)
    const payload = payloadOf(message.key, payloadBytes)
    const packetId = qos === 0 ? 0 : this.#allocate()
    const outgoing: Outgoing = { message, packetId, payload, expirySec, state: 'publish', asked: new Asked() }
    if (qos > 0) this.#outbox.push(outgoing)
    this.#send(outgoing, false)
  }

  #allocate(): number {
    while (this.#outbox.some(({ packetId }) => packetId === this.#nextPacketId)) {
      this.#nextPacketId = (this.#nextPacketId % PACKET_IDS) + 1
    }
    const packetId = this.#nextPacketId
    this.#nextPacketId = (packetId % PACKET_IDS) + 1
    return packetId
  }

  #send(outgoing: Outgoing, dup: boolean): void {
    const { message, packetId, payload, expirySec, asked } = outgoing
    const { qos, retain } = message
    let { topicName } = message
    let properties: PublishProperties | null = null
    if (this.level === 5 && expirySec > 0) properties = { messageExpiryIntervalSec: expirySec }
    if (this.plan.usesAliases && this.#aliasMaximum > 0) {
      const known = this.#aliases.get(topicName)
      const topicAlias = known ?? (this.#aliases.size % this.#aliasMaximum) + 1
      for (const [name, alias] of this.#aliases) if (alias === topicAlias) this.#aliases.delete(name)
      this.#aliases.set(topicName, topicAlias)
      if (known !== undefined) topicName = ''
      properties = { ...properties, topicAlias }
    }
    // The message is the broker's when this write is: what it owes from then on waits for that record.
    this.write({ type: PacketType.PUBLISH, topicName, payload, qos, retain, dup, packetId, properties }, asked)
    if (message.firstAsked === null || message.firstAsked.processNumber === 0) message.firstAsked = asked
  }

  #disconnect(): void {
    const asked = new Asked(true)
    if (this.#will !== null) this.#calledOff.push({ message: this.#will.message, asked })
    this.#isLeaving = true
    this.flush()
    this.write({ type: PacketType.DISCONNECT, reasonCode: 0, properties: null }, asked)
    this.flush()
    this.leave(true)
    this.reconnectSoon()
  }

  /** The network breaks, and it stays away for a while. */
  #vanish(): void {
    const { link } = this
    link?.cut()
    this.leave(false)
    this.comeBackAfter(1_000 + this.random.below(25_000))
  }

  protected gone(): void {
    const will = this.#will
    if (will !== null && this.#wasAccepted && !this.#isLeaving && !will.isDelayed) {
      will.message.promisedAt = this.books.now()
    }
    this.#will = null
    this.#isLeaving = false
    this.#wasAccepted = false
    this.#aliases.clear()
    if (!this.plan.isPersistent) this.#outbox = []
  }

  /** At the end: which Wills must not have come. */
  closeBooks(): void {
    for (const { message, asked } of this.#calledOff) {
      if (asked.processNumber === 0) continue
      const durableRecord = this.host.durableRecords.get(asked.processNumber) ?? 0
      if (durableRecord >= asked.record) message.isForbidden = true
    }
  }

  #breach(sentence: string): void {
    this.books.violation('session-rules', `${this.clientId}: ${sentence}`)
  }
}
