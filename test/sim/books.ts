/**
 * What the clients know for certain: what they sent and were promised, what they asked for and what came. Written from
 * packets alone, judged afterwards by `checkers/`. Time is a counter of what happened, so that "before" is never a tie.
 */
import type { QoS } from '../../src/protocol/packets.js'

export interface Violation {
  readonly checker: string
  readonly sentence: string
}

export interface SentMessage {
  /** Unique; the beginning of the payload. Empty: clears a retained message. */
  readonly key: string
  readonly publisher: string
  readonly topicName: string
  /** Per publisher, rising. */
  readonly order: number
  readonly qos: QoS
  readonly kind: 'publish' | 'will' | 'produce'
  readonly retain: boolean
  readonly mayExpire: boolean
  readonly payloadBytes: number
  readonly sentAt: number
  /** Packets sent for it. */
  attempts: number
  /** PUBACK or PUBREC came, or a Will became certain; 0: not promised (yet). */
  promisedAt: number
  isRefused: boolean
  /** A Will that must not come: its DISCONNECT was on disk. */
  isForbidden: boolean
  /** When the broker had it for the first time: process (0: not yet), and the record its copies have to wait for. */
  firstAsked: { readonly processNumber: number; readonly record: number } | null
}

/** A subscription from its client's side. */
export interface Window {
  readonly topicFilter: string
  readonly qos: QoS
  readonly askedAt: number
  /** SUBACK; Infinity: never came. */
  grantedAt: number
  /** UNSUBSCRIBE sent; -1: the SUBACK got lost, so nothing can be said. */
  endedAt: number
  /** UNSUBACK came. */
  goneAt: number
}

export interface Arrival {
  readonly key: string
  readonly topicName: string
  readonly packetId: number
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  /** 0: the protocol has none. */
  readonly deliverySequence: number
  readonly at: number
  /** Counted per session. */
  readonly connection: number
  /** What the client said in CONNECT that it had handled; 0: nothing. */
  readonly cursor: number
  /** The client knows it for a copy of one that it has had: the protocol told it. */
  readonly isRepeat: boolean
  readonly processNumber: number
  /** What the disk had reported when these bytes were written. */
  readonly durableRecord: number
}

/** One session as its client sees it, from a CONNACK without Session Present to its end. */
export interface SessionBook {
  readonly clientId: string
  readonly protocol: 'tally.v1' | 'mqtt'
  readonly arrivals: Arrival[]
  readonly windows: Window[]
  /** False: CONNACK said that there was a session, and the client knew of none. */
  readonly isFromItsBeginning: boolean
  /** Infinity: no bound. */
  readonly maximumPacketSize: number
  /** Lasted to the end of the run. */
  isCurrent: boolean
}

/** An answer to something that the broker had to write down first. */
export interface Answer {
  readonly clientId: string
  readonly what: string
  /** The record it had to wait for, and the one the disk had reported. */
  readonly record: number
  readonly durableRecord: number
}

export class Books {
  /** Counts what happened. */
  #step = 0
  readonly messages = new Map<string, SentMessage>()
  /** Retained publications in the order of sending, by topic. */
  readonly retained = new Map<string, SentMessage[]>()
  readonly sessions: SessionBook[] = []
  /** Only those that came too early are kept. */
  readonly earlyAnswers: Answer[] = []
  /** What was found at once, where it happened. */
  readonly violations: Violation[] = []
  answers = 0
  /** Queues overflow in this world, or packets are refused: then completeness is not owed. */
  isLossy = false
  /** A member of the share group without Session State was there when the broker died: what it had is gone with it. */
  isGroupLossy = false

  /** Rises whenever something happens. */
  get happened(): number {
    return this.#step + this.answers
  }

  now(): number {
    this.#step += 1
    return this.#step
  }

  send(message: Omit<SentMessage, 'sentAt' | Volatile>): SentMessage {
    const { key, publisher, topicName, order, qos, kind, retain, mayExpire, payloadBytes } = message
    const booked: SentMessage = {
      key,
      publisher,
      topicName,
      order,
      qos,
      kind,
      retain,
      mayExpire,
      payloadBytes,
      sentAt: this.now(),
      attempts: 1,
      promisedAt: 0,
      isRefused: false,
      isForbidden: false,
      firstAsked: null,
    }
    if (message.key !== '') this.messages.set(message.key, booked)
    if (message.retain) {
      const sent = this.retained.get(message.topicName)
      if (sent === undefined) this.retained.set(message.topicName, [booked])
      else sent.push(booked)
    }
    return booked
  }

  answered(clientId: string, what: string, record: number, durableRecord: number): void {
    this.answers += 1
    if (durableRecord < record) this.earlyAnswers.push({ clientId, what, record, durableRecord })
  }

  violation(checker: string, sentence: string): void {
    this.violations.push({ checker, sentence })
  }
}

type Volatile = 'attempts' | 'promisedAt' | 'isRefused' | 'isForbidden' | 'firstAsked'

/** Filters here are a name, or a prefix and `#`. */
export function isMatch(topicFilter: string, topicName: string): boolean {
  const filter = isShared(topicFilter) ? topicFilter.split('/').slice(2).join('/') : topicFilter
  return filter.endsWith('#') ? topicName.startsWith(filter.slice(0, -1)) : filter === topicName
}

export function isShared(topicFilter: string): boolean {
  return topicFilter.startsWith('$share/')
}

export function isInGroup(book: SessionBook): boolean {
  return book.windows.some(({ topicFilter }) => isShared(topicFilter))
}

/** How often each live publication came to this session, copies that the protocol marks as such left out. */
export function countLive(book: SessionBook): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { key, retain, isRepeat } of book.arrivals) {
    if (!retain && !isRepeat && key !== '') counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

/** Promised, and nothing that is allowed to happen can have ended it. */
export function isOwed(message: SentMessage): boolean {
  return message.promisedAt > 0 && !message.mayExpire && message.qos > 0
}

/** The subscription was there before the message was sent, and still when it had been promised. */
export function covers(window: Window, message: SentMessage): boolean {
  if (window.qos === 0 || !isMatch(window.topicFilter, message.topicName)) return false
  return window.grantedAt < message.sentAt && message.promisedAt < window.endedAt
}

/** Small enough for the client, whatever the packet around it looks like. */
export function fits(book: SessionBook, message: SentMessage): boolean {
  return message.payloadBytes + message.topicName.length + PACKET_OVERHEAD_BYTES <= book.maximumPacketSize
}

const PACKET_OVERHEAD_BYTES = 60
