/**
 * What a case works with: connections, names of its own, fences. A fence is a message that is sent behind the one under
 * test on the same way: when it has arrived, what has not come before it does not come.
 */
import type { Audit } from './audit.js'
import { CaseFailure, expect, vacuous } from './outcome.js'
import { type ConnectFields, disconnect, type Properties, publish, type Version } from './wire/bytes.js'
import { Client, hexCode } from './wire/client.js'
import { describe, isRetain, type Packet, TYPE, propertyOf } from './wire/decode.js'

export interface Options {
  readonly urls: readonly URL[]
  readonly versions: readonly Version[]
  readonly username?: string
  readonly password?: string
  /** Where credentials are needed, if not at the URL under test: of several, the first of its transport. */
  readonly restrictedUrls: readonly URL[]
  /** May not be published to or subscribed to by the user of the run, on the restricted URL. */
  readonly deniedTopic?: string
  /** Further listeners with limits: maximum QoS, no retained messages, no aliases, a small Receive Maximum … */
  readonly limitedUrls: readonly URL[]
  readonly authUrls: readonly URL[]
  readonly authMethod?: string
  readonly deadlineMs: number
  readonly only?: string
  readonly long: boolean
}

const isWebSocketUrl = (url: URL): boolean => url.protocol.startsWith('ws')

export class Context {
  readonly version: Version
  readonly isV5: boolean
  readonly url: URL
  readonly isWebSocket: boolean
  readonly options: Options
  readonly audit: Audit
  readonly remarks: string[] = []
  readonly #caseId: string
  readonly #unique: string
  readonly #clients: Client[] = []
  readonly #sessions = new Map<string, URL>()
  readonly #retained = new Map<string, URL>()
  readonly #fenced = new WeakMap<Client, string>()
  #count = 0

  constructor(options: Options, url: URL, version: Version, audit: Audit, caseId: string, unique: string) {
    this.options = options
    this.url = url
    this.version = version
    this.isV5 = version === 5
    this.isWebSocket = isWebSocketUrl(url)
    this.audit = audit
    this.#caseId = caseId
    this.#unique = unique
  }

  /** A Topic Name of this case alone. */
  topic(name = 't'): string {
    return `conformance/${this.#unique}/${name}`
  }

  /** A client identifier of this case alone: 1 to 23 bytes of 0-9a-zA-Z. */
  id(): string {
    this.#count += 1
    return `c${this.#unique}n${this.#count}`
  }

  async open(url: URL = this.url, subprotocols?: readonly string[]): Promise<Client> {
    const { deadlineMs, username, password } = this.options
    const { version, audit } = this
    const options = { version, audit, caseId: this.#caseId, deadlineMs, username, password }
    const client = await Client.open(url, options, subprotocols)
    this.#clients.push(client)
    return client
  }

  /** A connection that is accepted. */
  async connect(fields: ConnectFields = {}, url: URL = this.url): Promise<Client> {
    const client = await this.open(url)
    const clientId = fields.clientId ?? this.id()
    if (fields.keep !== undefined && typeof clientId === 'string') this.#sessions.set(clientId, url)
    await client.connect({ ...fields, clientId })
    return client
  }

  async subscriber(filter: string, options = 0, fields: ConnectFields = {}, list?: Properties): Promise<Client> {
    const client = await this.connect(fields)
    await client.subscribe(filter, options, list)
    return client
  }

  /** Another connection publishes; returns when the broker has taken it over. */
  async publishOnce(topic: string, payload: string, fields: Parameters<Client['publish']>[2] = {}): Promise<void> {
    const client = await this.connect()
    await client.publish(topic, payload, { qos: 1, ...fields })
    await client.disconnect()
  }

  async retain(topic: string, payload: string, fields: Parameters<Client['publish']>[2] = {}): Promise<void> {
    this.#retained.set(topic, this.url)
    await this.publishOnce(topic, payload, { ...fields, retain: true })
  }

  /** To be erased at the end. */
  willBeRetained(topic: string): void {
    this.#retained.set(topic, this.url)
  }

  /**
   * Everything that `from` (or whoever was before) published is with `to` when this returns. Give qos 0 when the quota
   * of `to` may be used up.
   */
  async fence(to: Client, from?: Client, qos = 1): Promise<void> {
    this.#count += 1
    let topic = this.#fenced.get(to)
    if (topic === undefined) {
      // Not below the topics of the case: a wildcard of the case must not match it.
      topic = `fence/${this.#unique}/${this.#count}`
      this.#fenced.set(to, topic)
      await to.subscribe(topic, qos)
    }
    const publisher = from ?? (await this.connect())
    // Twice: the second is sent when the first, and with it all before, is where the broker keeps it.
    for (const mark of [`a${this.#count}`, `b${this.#count}`]) {
      await publisher.publish(topic, mark, { qos: 1 })
      await to.take(TYPE.publish, (packet) => packet.payload.toString() === mark)
    }
    if (from === undefined) await publisher.disconnect()
    await to.ping()
  }

  /** Nothing is in the inbox but fences: what was published before the fence did not come. */
  async nothing(to: Client, from?: Client, qos = 1): Promise<void> {
    await this.fence(to, from, qos)
    const found = to.waiting(TYPE.publish).map(describe)
    expect(found.length === 0, `nothing may come, but there is ${found[0]}`)
  }

  /** Retained messages that a SUBSCRIBE before this one asked for are there when this returns. */
  async retainedFence(client: Client): Promise<void> {
    this.#count += 1
    const topic = `fence/${this.#unique}/retained${this.#count}`
    await this.retain(topic, 'fence')
    await client.subscribe(topic, 1)
    await client.message(topic)
    await client.ping()
  }

  /** What a new subscriber finds retained on this topic. */
  async retainedOn(topic: string, options = 1): Promise<Packet[]> {
    const client = await this.subscriber(topic, options)
    await this.retainedFence(client)
    const found = client.waiting(TYPE.publish)
    expect(found.every(isRetain), 'a retained message has RETAIN 1')
    await client.disconnect()
    return found
  }

  /** What SHOULD be otherwise; no failure, except with --strict. */
  remark(text: string): void {
    this.remarks.push(text)
  }

  /**
   * These bytes end the connection, and nothing is answered but, in 5.0, a DISCONNECT. The code it should have, where
   * the standard names one, is a remark and no failure.
   */
  async breaks(client: Client, sent: Uint8Array, ...codes: readonly number[]): Promise<Packet | undefined> {
    const inboxBefore = client.inbox.length
    client.send(sent)
    await client.closed()
    const answers = client.inbox.slice(inboxBefore)
    const wrong = answers.find((packet) => packet.type !== TYPE.disconnect && packet.type !== TYPE.publish)
    expect(wrong === undefined, `no answer is right, but there is ${wrong === undefined ? '' : describe(wrong)}`)
    const [goodbye] = answers.filter((packet) => packet.type === TYPE.disconnect)
    if (goodbye !== undefined) expect(goodbye.code >= 0x80, `DISCONNECT ${hexCode(goodbye.code)} for an error`)
    if (this.isV5 && codes.length > 0 && !codes.includes(goodbye?.code ?? 0)) {
      const found = goodbye === undefined ? 'closed without DISCONNECT' : `DISCONNECT ${hexCode(goodbye.code)}`
      this.remark(`${found}, ${codes.map(hexCode).join(' or ')} was to be expected`)
    }
    return goodbye
  }

  /** The same on a new connection. */
  async breaksNew(sent: Uint8Array, ...codes: readonly number[]): Promise<void> {
    const client = await this.connect()
    await this.breaks(client, sent, ...codes)
  }

  /** A CONNECT that is wrong: closed, in 3.1.1 without a CONNACK, in 5.0 perhaps with one of 0x80 or more. */
  async refuses(sent: Uint8Array | ConnectFields, ...codes: readonly number[]): Promise<Packet | undefined> {
    const client = await this.open()
    client.send(sent instanceof Uint8Array ? sent : client.connectBytes({ clientId: this.id(), ...sent }))
    await client.closed()
    const [first] = client.inbox
    expect(client.inbox.length <= 1, `more than one packet: ${client.inbox.map(describe).join(', ')}`)
    if (first === undefined) return undefined
    expect(first.type === TYPE.connack, `${describe(first)} instead of a closed connection`)
    expect(this.isV5, `${describe(first)}, but 3.1.1 closes without CONNACK`)
    expect(first.code >= 0x80, `a wrong CONNECT was accepted: ${describe(first)}`)
    if (codes.length > 0 && !codes.includes(first.code)) {
      this.remark(`CONNACK ${hexCode(first.code)}, ${codes.map(hexCode).join(' or ')} was to be expected`)
    }
    return first
  }

  /** A number the broker gave in CONNACK. */
  given(client: Client, property: number): number | undefined {
    const value = client.connack === null ? undefined : propertyOf(client.connack, property)
    return typeof value === 'number' ? value : undefined
  }

  /** The first listener, of all that were named, whose CONNACK is so. */
  async limited(isSo: (client: Client) => boolean, otherwise: string): Promise<URL> {
    for (const url of this.listeners) {
      const client = await this.connect({}, url)
      const isFound = isSo(client)
      await client.disconnect()
      if (isFound) return url
    }
    return vacuous(otherwise)
  }

  /** All that may show a limit: the one under test first. */
  get listeners(): readonly URL[] {
    return [this.url, ...this.#ofThisTransport(this.options.limitedUrls)]
  }

  /** The listener that checks credentials, and a topic that is denied there. */
  restricted(): { url: URL; deniedTopic: string } {
    const { deniedTopic, restrictedUrls } = this.options
    if (deniedTopic === undefined) vacuous('needs --denied-topic, with --user and --password')
    return { url: this.#ofThisTransport(restrictedUrls)[0] ?? this.url, deniedTopic }
  }

  /** Where enhanced authentication is to be tested. */
  get authUrl(): URL {
    return this.#ofThisTransport(this.options.authUrls)[0] ?? this.url
  }

  /** Where WebSocket is to be tested: over TCP that is another door of the same broker, if the run has one. */
  get webSocketUrl(): URL | undefined {
    return this.isWebSocket ? this.url : this.options.urls.find(isWebSocketUrl)
  }

  /** All of them where none is of this transport: better there than nowhere. */
  #ofThisTransport(urls: readonly URL[]): readonly URL[] {
    const same = urls.filter((url) => isWebSocketUrl(url) === this.isWebSocket)
    return same.length > 0 ? same : urls
  }

  wait(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms))
  }

  /** Leaves the broker as it was: no connection, no session, no retained message of this case. */
  async end(): Promise<void> {
    for (const client of this.#clients) client.cut()
    try {
      const erasing = [...this.#retained].map(async ([topic, url]) => {
        const client = await this.connect({}, url)
        client.send(publish(this.version, topic, '', { retain: true }), disconnect())
        await client.closed()
      })
      const forgetting = [...this.#sessions].map(async ([clientId, url]) => {
        const client = await this.connect({ clientId, clean: true }, url)
        await client.disconnect()
      })
      await Promise.all([...erasing, ...forgetting])
    } catch (error) {
      // The case has its result; a broker that does not clean up is not judged for it here.
      if (!(error instanceof CaseFailure)) this.remark(`cleaning up: ${(error as Error).message}`)
    }
    for (const client of this.#clients) client.cut()
  }
}

export interface Case {
  readonly title: string
  /** The numbers of the statements, without the leading MQTT-, apart by blanks. */
  readonly v5?: string
  readonly v311?: string
  /** Waits for a clock: started first. */
  readonly isSlow?: true
  /** Sends more than every run should: only with --long. */
  readonly isLong?: true
  run(c: Context): Promise<unknown>
}
