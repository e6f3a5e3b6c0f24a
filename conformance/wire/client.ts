/**
 * One connection of a case: writes what the case says, collects what comes, waits with a deadline. Acknowledges by
 * itself unless the case takes that over. Every packet that comes is shown to the audit.
 */
import type { Audit } from '../audit.js'
import { CaseFailure } from '../outcome.js'
import {
  type ConnectFields,
  connect,
  disconnect,
  type FilterOptions,
  P,
  PINGREQ,
  type PublishFields,
  type Properties,
  puback,
  pubcomp,
  publish,
  pubrec,
  pubrel,
  subscribe,
  unsubscribe,
  type Version,
} from './bytes.js'
import { decode, describe, type Packet, type PacketType, qosOf, TYPE, typeName } from './decode.js'
import { openStream, openWebSocket, type Stream, type WebSocketStream } from './stream.js'

export interface ClientOptions {
  readonly version: Version
  readonly audit: Audit
  readonly caseId: string
  readonly deadlineMs: number
  readonly username: string | undefined
  readonly password: string | undefined
}

export class Client {
  /** Whether PUBLISH and PUBREL are answered as they come. */
  acknowledges = true
  /** What came and was not taken yet. */
  readonly inbox: Packet[] = []
  readonly version: Version
  clientId = ''
  isClosed = false
  connack: Packet | null = null
  readonly #options: ClientOptions
  #stream: Stream | null = null
  #pending: Buffer = Buffer.alloc(0)
  #nextId = 1
  #acceptedCode = 0
  #isForeign = false
  readonly #before: number[] = []
  readonly #watchers = new Set<() => void>()
  readonly #asked = {
    maximumPacketSize: Number.POSITIVE_INFINITY,
    topicAliasMaximum: 0,
    requestProblem: true,
    requestResponse: false,
    authMethod: null as string | null,
  }

  private constructor(options: ClientOptions) {
    this.#options = options
    this.version = options.version
  }

  static async open(url: URL, options: ClientOptions, subprotocols?: readonly string[]): Promise<Client> {
    const client = new Client(options)
    const events = { bytes: (chunk: Buffer) => client.#receive(chunk), closed: () => client.#closed() }
    client.#stream =
      subprotocols === undefined ? await openStream(url, events) : await openWebSocket(url, events, subprotocols)
    return client
  }

  get webSocket(): WebSocketStream {
    return this.#stream as WebSocketStream
  }

  send(...packets: readonly Uint8Array[]): void {
    this.#stream?.write(Buffer.concat(packets))
  }

  /** No more bytes from us. */
  finish(): void {
    this.#stream?.finish()
  }

  /** The network fails: no DISCONNECT. */
  cut(): void {
    this.#stream?.cut()
    this.#closed()
  }

  newId(): number {
    this.#nextId = (this.#nextId % 65_535) + 1
    return this.#nextId
  }

  /** The CONNECT of these fields, with the credentials of the run; remembers what the audit has to know. */
  connectBytes(fields: ConnectFields): Buffer {
    const { username, password } = this.#options
    // Who writes flags or payload by hand writes all of it.
    const isByHand = fields.flags !== undefined || fields.payload !== undefined
    const full = {
      ...(username === undefined || isByHand ? {} : { username }),
      ...(password === undefined || isByHand ? {} : { password }),
    }
    // Who does not speak this version is answered in whatever version the broker likes.
    this.#isForeign = fields.protocolName !== undefined || fields.level !== undefined
    for (const [id, value] of fields.properties ?? []) {
      if (id === P.maximumPacketSize && value !== 0) this.#asked.maximumPacketSize = Number(value)
      if (id === P.topicAliasMaximum) this.#asked.topicAliasMaximum = Number(value)
      if (id === P.requestProblem) this.#asked.requestProblem = value !== 0
      if (id === P.requestResponse) this.#asked.requestResponse = value === 1
      if (id === P.authMethod) this.#asked.authMethod = String(value)
    }
    if (typeof fields.clientId === 'string') this.clientId = fields.clientId
    return connect(this.version, { ...full, ...fields })
  }

  async connect(fields: ConnectFields): Promise<Packet> {
    this.send(this.connectBytes(fields))
    const connack = await this.take(TYPE.connack)
    if (connack.code !== 0) throw new CaseFailure(`CONNECT was refused with ${hexCode(connack.code)}`)
    this.connack = connack
    return connack
  }

  /** SUBSCRIBE and its SUBACK; fails unless every filter is granted. */
  async subscribe(filter: string | readonly FilterOptions[], options = 0, list?: Properties): Promise<Packet> {
    const filters = typeof filter === 'string' ? [[filter, options] as const] : filter
    const suback = await this.trySubscribe(filters, list)
    const refused = suback.codes.find((code) => code > 2)
    if (refused !== undefined) throw new CaseFailure(`SUBSCRIBE ${String(filters[0]?.[0])} got ${hexCode(refused)}`)
    return suback
  }

  async trySubscribe(filters: readonly FilterOptions[], list?: Properties): Promise<Packet> {
    const id = this.newId()
    this.send(subscribe(this.version, id, filters, list))
    return this.take(TYPE.suback, (packet) => packet.id === id)
  }

  async unsubscribe(...filters: readonly string[]): Promise<Packet> {
    const id = this.newId()
    this.send(unsubscribe(this.version, id, filters))
    return this.take(TYPE.unsuback, (packet) => packet.id === id)
  }

  /** Publishes and goes through the acknowledgements. @returns the PUBACK, the PUBREC, or null for QoS 0. */
  async publish(topic: string, payload: string | Uint8Array, fields: PublishFields = {}): Promise<Packet | null> {
    const qos = fields.qos ?? 0
    const id = fields.id ?? this.newId()
    this.send(publish(this.version, topic, payload, { ...fields, id }))
    if (qos === 0) return null
    const answer = await this.take(qos === 1 ? TYPE.puback : TYPE.pubrec, (packet) => packet.id === id)
    if (qos === 2 && answer.code < 0x80) {
      this.send(pubrel(id))
      await this.take(TYPE.pubcomp, (packet) => packet.id === id)
    }
    return answer
  }

  async ping(): Promise<void> {
    this.send(PINGREQ)
    await this.take(TYPE.pingresp)
  }

  /** The next PUBLISH, of this topic if given. */
  message(topic?: string): Promise<Packet> {
    return this.take(TYPE.publish, (packet) => topic === undefined || packet.topic === topic)
  }

  async messages(count: number, topic?: string): Promise<Packet[]> {
    const found: Packet[] = []
    while (found.length < count) found.push(await this.message(topic))
    return found
  }

  /** Packets of this type that lie in the inbox now. */
  waiting(type: PacketType): Packet[] {
    return this.inbox.filter((packet) => packet.type === type)
  }

  /** Takes the first packet of this kind out of the inbox; what else comes stays there. */
  async take(type: PacketType, where: (packet: Packet) => boolean = () => true): Promise<Packet> {
    const find = () => this.inbox.findIndex((packet) => packet.type === type && where(packet))
    await this.#until(() => find() >= 0 || this.isClosed, `${typeName(type)}`)
    const index = find()
    if (index < 0) throw new CaseFailure(`the connection was closed instead of ${typeName(type)}${this.#came()}`)
    return this.inbox.splice(index, 1)[0] as Packet
  }

  /** The end of the stream is read. */
  async closed(deadlineMs?: number): Promise<void> {
    await this.#until(() => this.isClosed, 'the connection to be closed', deadlineMs)
  }

  /** DISCONNECT, and the end. */
  async disconnect(code?: number, list?: Properties): Promise<void> {
    this.send(disconnect(this.version === 4 ? undefined : code, list))
    this.finish()
    await this.closed()
    this.cut()
  }

  #until(isThere: () => boolean, what: string, deadlineMs = this.#options.deadlineMs): Promise<void> {
    if (isThere()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const look = () => {
        if (!isThere()) return
        stop()
        resolve()
      }
      const timer = setTimeout(() => {
        stop()
        reject(new CaseFailure(`waited ${deadlineMs} ms for ${what}${this.#came()}`))
      }, deadlineMs)
      const stop = () => {
        clearTimeout(timer)
        this.#watchers.delete(look)
      }
      this.#watchers.add(look)
    })
  }

  #came(): string {
    const left = this.inbox.slice(0, 4).map(describe).join(', ')
    return left === '' ? '' : `; there is ${left}`
  }

  #receive(chunk: Buffer): void {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    try {
      for (;;) {
        const packet = decode(this.version, this.#pending)
        if (packet === null) break
        this.#pending = this.#pending.subarray(packet.bytes.length)
        this.#packet(packet)
      }
    } catch {
      // Not even the length can be read: the case sees a connection that is of no use any more.
      this.cut()
    }
    for (const watch of [...this.#watchers]) watch()
  }

  #packet(packet: Packet): void {
    const { version, audit, caseId } = this.#options
    const isAccepted = this.#before.includes(TYPE.connack) && this.#acceptedCode < 0x80
    if (!this.#isForeign) audit.packet({ version, packet, before: this.#before, isAccepted, caseId, ...this.#asked })
    if (packet.type === TYPE.connack && !this.#before.includes(TYPE.connack)) this.#acceptedCode = packet.code
    this.#before.push(packet.type)
    if (this.acknowledges && packet.type === TYPE.publish) {
      if (qosOf(packet) === 1) this.send(puback(packet.id))
      if (qosOf(packet) === 2) this.send(pubrec(packet.id))
    }
    if (this.acknowledges && packet.type === TYPE.pubrel) this.send(pubcomp(packet.id))
    else this.inbox.push(packet)
  }

  #closed(): void {
    this.isClosed = true
    for (const watch of [...this.#watchers]) watch()
  }
}

export const hexCode = (code: number): string => `0x${code.toString(16).padStart(2, '0')}`
