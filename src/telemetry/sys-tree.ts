/**
 * The broker's figures under the names that Mosquitto gave them, so that dashboards and exporters made for it work.
 * Pure: figures and time in, the topics whose text has changed out. Loads are averages over 1, 5 and 15 minutes as in
 * Mosquitto: per minute, each interval weighted by how long ago it was.
 */
export interface SysFigures {
  readonly clientsTotal: number
  readonly clientsConnected: number
  readonly clientsExpired: number
  readonly packetsReceived: number
  readonly packetsSent: number
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly publishesReceived: number
  readonly publishesSent: number
  readonly publishesDropped: number
  /** Acknowledged, and lost if the power fails now. */
  readonly publishesUnflushed: number
  readonly publishBytesReceived: number
  readonly publishBytesSent: number
  readonly socketsOpened: number
  readonly socketsOpen: number
  readonly connectionsAccepted: number
  /** Copies that wait for sessions or for their acknowledgement, and retained messages. */
  readonly storedMessages: number
  readonly storedBytes: number
  readonly retainedMessages: number
  readonly subscriptions: number
  readonly sharedSubscriptions: number
  readonly heapBytes: number
}

export interface SysTreeOptions {
  readonly version: string
  /** 0: there are no topics. */
  readonly intervalSec: number
  readonly startedAtMs: number
}

type Counted = {
  readonly [topic: string]: (figures: SysFigures) => number
}

const ROOT = '$SYS/broker'
const WINDOWS_MIN = [1, 5, 15] as const

const COUNTS: Counted = {
  'messages/stored': ({ storedMessages }) => storedMessages,
  'messages/received': ({ packetsReceived }) => packetsReceived,
  'messages/sent': ({ packetsSent }) => packetsSent,
  'messages/unflushed': ({ publishesUnflushed }) => publishesUnflushed,
  'store/messages/count': ({ storedMessages }) => storedMessages,
  'store/messages/bytes': ({ storedBytes }) => storedBytes,
  'subscriptions/count': ({ subscriptions }) => subscriptions,
  'shared_subscriptions/count': ({ sharedSubscriptions }) => sharedSubscriptions,
  'retained messages/count': ({ retainedMessages }) => retainedMessages,
  'heap/current': ({ heapBytes }) => heapBytes,
  'publish/messages/dropped': ({ publishesDropped }) => publishesDropped,
  'publish/messages/received': ({ publishesReceived }) => publishesReceived,
  'publish/messages/sent': ({ publishesSent }) => publishesSent,
  'publish/bytes/received': ({ publishBytesReceived }) => publishBytesReceived,
  'publish/bytes/sent': ({ publishBytesSent }) => publishBytesSent,
  'bytes/received': ({ bytesReceived }) => bytesReceived,
  'bytes/sent': ({ bytesSent }) => bytesSent,
  'connections/socket/count': ({ socketsOpen }) => socketsOpen,
  'clients/total': ({ clientsTotal }) => clientsTotal,
  'clients/inactive': ({ clientsTotal, clientsConnected }) => clientsTotal - clientsConnected,
  'clients/disconnected': ({ clientsTotal, clientsConnected }) => clientsTotal - clientsConnected,
  'clients/active': ({ clientsConnected }) => clientsConnected,
  'clients/connected': ({ clientsConnected }) => clientsConnected,
  'clients/expired': ({ clientsExpired }) => clientsExpired,
}

const LOADS: Counted = {
  'messages/received': ({ packetsReceived }) => packetsReceived,
  'messages/sent': ({ packetsSent }) => packetsSent,
  'publish/dropped': ({ publishesDropped }) => publishesDropped,
  'publish/received': ({ publishesReceived }) => publishesReceived,
  'publish/sent': ({ publishesSent }) => publishesSent,
  'bytes/received': ({ bytesReceived }) => bytesReceived,
  'bytes/sent': ({ bytesSent }) => bytesSent,
  sockets: ({ socketsOpened }) => socketsOpened,
  connections: ({ connectionsAccepted }) => connectionsAccepted,
}

export class SysTree {
  readonly #options: SysTreeOptions
  #dueMs = Number.POSITIVE_INFINITY
  #refreshedAtMs: number
  #clientsMaximum = 0
  #heapMaximum = 0
  readonly #lastCounts = new Map<string, number>()
  readonly #loads = new Map<string, number>()
  readonly #said = new Map<string, string>()

  constructor(options: SysTreeOptions) {
    this.#options = options
    this.#refreshedAtMs = options.startedAtMs
    if (options.intervalSec > 0) this.#dueMs = options.startedAtMs
  }

  isDue(nowMs: number): boolean {
    return nowMs >= this.#dueMs
  }

  /** Tells `say` every topic whose text is not what it was. */
  refresh(figures: SysFigures, nowMs: number, say: (topicName: string, text: string) => void): void {
    const { intervalSec, startedAtMs, version } = this.#options
    this.#dueMs = nowMs + intervalSec * 1_000
    this.#clientsMaximum = Math.max(this.#clientsMaximum, figures.clientsTotal)
    this.#heapMaximum = Math.max(this.#heapMaximum, figures.heapBytes)
    const put = (topic: string, text: string): void => {
      if (this.#said.get(topic) === text) return
      this.#said.set(topic, text)
      say(`${ROOT}/${topic}`, text)
    }
    put('version', version)
    put('uptime', `${Math.floor((nowMs - startedAtMs) / 1_000)} seconds`)
    for (const [topic, count] of Object.entries(COUNTS)) put(topic, String(count(figures)))
    put('clients/maximum', String(this.#clientsMaximum))
    put('heap/maximum', String(this.#heapMaximum))
    for (const [topic, count] of Object.entries(LOADS)) this.#putLoads(topic, count(figures), nowMs, put)
    this.#refreshedAtMs = nowMs
  }

  #putLoads(topic: string, count: number, nowMs: number, put: (topic: string, text: string) => void): void {
    const passedMin = (nowMs - this.#refreshedAtMs) / 60_000
    const added = count - (this.#lastCounts.get(topic) ?? 0)
    this.#lastCounts.set(topic, count)
    for (const minutes of WINDOWS_MIN) {
      const name = `load/${topic}/${minutes}min`
      const before = this.#loads.get(name)
      const load = before === undefined || passedMin <= 0 ? 0 : averaged(before, added / passedMin, passedMin / minutes)
      this.#loads.set(name, load)
      put(name, load.toFixed(2))
    }
  }
}

/** What was weighs less the longer ago it was. */
function averaged(before: number, perMinute: number, age: number): number {
  return perMinute + Math.exp(-age) * (before - perMinute)
}
