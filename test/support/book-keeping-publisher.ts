/**
 * A publishing client that obeys MQTT: one outbox in the order of sending, resent in that order under the same packet
 * ids when the session goes on, and forgotten when the broker says that there is no session any more.
 */
import { utf8Encode } from '../../src/base/utf8.js'
import { type Packet, PacketType, type QoS, type WillMessage } from '../../src/protocol/packets.js'
import { type BookedMessage, Breach, type Ledger } from './book-keeping.js'
import type { Random } from './random.js'
import type { TestBroker, TestClient } from './test-broker.js'

interface Outgoing {
  readonly booked: BookedMessage
  readonly packetId: number
  readonly retain: boolean
  readonly expirySec: number
  state: 'publish' | 'release'
}

export interface PublisherOptions {
  readonly clientId: string
  readonly topics: readonly string[]
  /** False: no Session State outlives the connection. */
  readonly isPersistent: boolean
  readonly qosChoices: readonly QoS[]
  readonly retainedQoS: 1 | 2
}

export class Publisher {
  readonly options: PublisherOptions
  readonly #ledger: Ledger
  readonly #random: Random
  #client: TestClient | null = null
  #isReady = false
  #hasSession = false
  #outbox: Outgoing[] = []
  #order = 0
  #nextPacketId = 1
  #will: { key: string; isDelayed: boolean } | null = null

  constructor(options: PublisherOptions, ledger: Ledger, random: Random) {
    this.options = options
    this.#ledger = ledger
    this.#random = random
  }

  get isReady(): boolean {
    return this.#isReady
  }
  get isConnected(): boolean {
    return this.#client !== null
  }
  get outstanding(): number {
    return this.#outbox.length
  }

  connect(host: TestBroker): void {
    const { clientId, isPersistent } = this.options
    const will = isPersistent && this.#random.chance(0.4) ? this.#bookWill() : null
    if (will === null) this.#will = null
    this.#client = host.connect(clientId, {
      cleanStart: !isPersistent,
      properties: isPersistent ? { sessionExpiryIntervalSec: 0xffff_ffff } : {},
      ...(will === null ? {} : { will }),
    })
  }

  #bookWill(): WillMessage {
    this.#order += 1
    const key = `will:${this.options.clientId}:${this.#order}`
    const isDelayed = this.#random.chance(0.4)
    const qos = this.#random.pick([1, 2] as const)
    const topicName = `w/${this.options.clientId}`
    const { clientId: publisher } = this.options
    this.#ledger.publish({ key, publisher, topicName, order: this.#order, qos, kind: 'will', mayExpire: false })
    this.#will = { key, isDelayed }
    const properties = isDelayed ? { willDelayIntervalSec: 2 } : {}
    return { topicName, payload: utf8Encode(key), qos, retain: false, properties }
  }

  publish(): void {
    const { topics, qosChoices, clientId } = this.options
    const random = this.#random
    const topicName = random.pick(topics)
    const isRetained = topicName.startsWith('r/')
    // One QoS for all it retains: a resend at QoS 1 is a new publication, and must not come after a newer one at QoS 2.
    const qos = isRetained ? this.options.retainedQoS : random.pick(qosChoices)
    this.#order += 1
    const isClear = isRetained && random.chance(0.2)
    const key = isClear ? '' : `${clientId}:${this.#order}`
    if (isRetained) this.#ledger.retained.set(topicName, key)
    const expirySec = !isRetained && random.chance(0.1) ? 1 + random.below(3) : 0
    // An empty payload has no identity: it is sent, and not booked.
    const what = { key, publisher: clientId, topicName, order: this.#order, qos, mayExpire: expirySec > 0 }
    const booked = isClear
      ? { ...what, kind: 'publish' as const, sentAt: 0, attempts: 1, promisedAt: 0, isForbidden: false }
      : this.#ledger.publish({ ...what, kind: 'publish' })
    const packetId = qos === 0 ? 0 : this.#allocate()
    const outgoing: Outgoing = { booked, packetId, retain: isRetained, expirySec, state: 'publish' }
    if (qos > 0) this.#outbox.push(outgoing)
    this.#send(outgoing, false)
  }

  #allocate(): number {
    while (this.#outbox.some(({ packetId }) => packetId === this.#nextPacketId)) this.#nextPacketId += 1
    const packetId = this.#nextPacketId
    // Few numbers, so that they are used again soon.
    this.#nextPacketId = packetId >= 20 ? 1 : packetId + 1
    return packetId
  }

  #send(outgoing: Outgoing, dup: boolean): void {
    const { booked, packetId, retain, expirySec } = outgoing
    const properties = expirySec > 0 ? { messageExpiryIntervalSec: expirySec } : {}
    this.#client?.publish(booked.topicName, booked.key, booked.qos, { packetId, retain, dup, properties })
  }

  /** Reads what has come and answers it. */
  read(): void {
    const client = this.#client
    if (client === null) return
    const arrived = client.link.arrived
    client.link.arrived = []
    for (const packet of arrived) this.#receive(packet)
    const { closedWith } = client.link
    if (closedWith !== null && closedWith.reasonCode !== 0) {
      throw new Breach(`the broker closed ${this.options.clientId}: ${closedWith.detail}`)
    }
  }

  #receive(packet: Packet): void {
    if (packet.type === PacketType.CONNACK) return this.#connected(packet.sessionPresent)
    if (packet.type === PacketType.DISCONNECT) return
    if (packet.type !== PacketType.PUBACK && packet.type !== PacketType.PUBREC && packet.type !== PacketType.PUBCOMP) {
      throw new Breach(`a publisher got packet type ${packet.type}`)
    }
    const outgoing = this.#outbox.find(({ packetId }) => packetId === packet.packetId)
    if (outgoing === undefined) throw new Breach(`${this.options.clientId}: an answer to nothing, ${packet.packetId}`)
    if (packet.reasonCode >= 0x80 && packet.type !== PacketType.PUBCOMP) {
      throw new Breach(`a publish was refused with ${packet.reasonCode}`)
    }
    if (packet.type === PacketType.PUBREC) {
      outgoing.state = 'release'
      this.#ledger.promised(outgoing.booked.key)
      this.#client?.ack(PacketType.PUBREL, packet.packetId)
      return
    }
    if (packet.type === PacketType.PUBACK) this.#ledger.promised(outgoing.booked.key)
    this.#outbox = this.#outbox.filter((other) => other !== outgoing)
  }

  #connected(sessionPresent: boolean): void {
    if (this.#hasSession && !sessionPresent) throw new Breach(`the session of ${this.options.clientId} is gone`)
    this.#isReady = true
    this.#hasSession = this.options.isPersistent
    if (!sessionPresent) this.#outbox = []
    for (const outgoing of this.#outbox) {
      if (outgoing.state === 'release') this.#client?.ack(PacketType.PUBREL, outgoing.packetId)
      else {
        outgoing.booked.attempts += 1
        this.#send(outgoing, true)
      }
    }
  }

  /**
   * The network breaks: a Will that is armed is due.
   * @param isNoticed false: the broker learns of it when the client takes the session over.
   */
  cut(isNoticed: boolean): void {
    this.#willIsDue()
    if (isNoticed) this.#client?.cut()
    this.#gone()
  }

  crashed(): void {
    this.#willIsDue()
    this.#gone()
  }

  #willIsDue(): void {
    if (this.#will !== null && this.#isReady && !this.#will.isDelayed) this.#ledger.promised(this.#will.key)
  }

  /** @param isSettled nothing is going to crash before the DISCONNECT is durable. */
  disconnect(isSettled: boolean): void {
    if (this.#will !== null && isSettled && this.#isReady) this.#ledger.find(this.#will.key).isForbidden = true
    this.#client?.disconnect()
    this.#gone()
  }

  #gone(): void {
    this.#client = null
    this.#isReady = false
    this.#will = null
  }
}
