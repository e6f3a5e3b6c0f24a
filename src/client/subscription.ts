/**
 * What `subscribe` returns: the messages of one request, as an async iterable or through a callback. QoS 1 and 2 wait
 * here without a bound of their own, because Receive Maximum bounds them at the broker; QoS 0 is bounded here.
 */
import type { SubscriptionRequest } from '../protocol/packets.js'
import type { Message, SubscribeOptions, Subscription } from './api.js'
import { type Deferred, deferred } from './deferred.js'
import { Fifo } from './fifo.js'
import type { ReceivedMessage } from './message.js'
import type { TallyError } from './tally-error.js'
import { matchedFilter, topicMatches } from './topic-match.js'

interface Waiting {
  readonly message: ReceivedMessage
  readonly arrival: number
  /** It counts for the acknowledgement; false: only a copy on the side. */
  readonly isTaker: boolean
}

const BUFFER_MESSAGES_MAX = 1_000
const END: IteratorResult<Message> = { done: true, value: undefined }

export class LiveSubscription implements Subscription {
  readonly requests: readonly SubscriptionRequest[]
  readonly options: SubscribeOptions
  reasonCodes: readonly number[] = []
  droppedMessages = 0
  readonly #listenerFailed: (cause: unknown) => void
  readonly #unsubscribe: (subscription: LiveSubscription, signal: AbortSignal | undefined) => Promise<void>
  readonly #removed = new Set<string>()
  /** Two queues and one count of arrivals, so that the oldest QoS 0 message can go without a search. */
  readonly #lossless = new Fifo<Waiting>()
  readonly #lossy = new Fifo<Waiting>()
  readonly #handedOver = new Fifo<Waiting>()
  readonly #takes = new Fifo<Deferred<IteratorResult<Message>>>()
  #arrivals = 0
  #isIterated = false
  #end: { readonly error: TallyError | null } | null = null

  constructor(options: {
    requests: readonly SubscriptionRequest[]
    options: SubscribeOptions
    listenerFailed: (cause: unknown) => void
    unsubscribe: (subscription: LiveSubscription, signal: AbortSignal | undefined) => Promise<void>
  }) {
    this.requests = options.requests
    this.options = options.options
    this.#listenerFailed = options.listenerFailed
    this.#unsubscribe = options.unsubscribe
  }

  /** Those still in force. */
  get topicFilters(): readonly string[] {
    return this.requests.map((request) => request.topicFilter).filter((filter) => !this.#removed.has(filter))
  }

  get subscriptionIdentifier(): number | undefined {
    return this.options.subscriptionIdentifier
  }

  get isEnded(): boolean {
    return this.#end !== null
  }

  matches(topicName: string, subscriptionIdentifiers: readonly number[]): boolean {
    const { subscriptionIdentifier } = this.options
    if (subscriptionIdentifier !== undefined) return subscriptionIdentifiers.includes(subscriptionIdentifier)
    for (const filter of this.topicFilters) if (topicMatches(matchedFilter(filter), topicName)) return true
    return false
  }

  /** @param hasOtherTaker somebody else gets it too: a subscription that nobody reads must not hold up its ack. */
  receive(message: ReceivedMessage, hasOtherTaker: boolean): void {
    const { onMessage } = this.options
    if (onMessage !== undefined) {
      call(onMessage, message, this.#listenerFailed)
      return
    }
    const isTaker = message.qos > 0 && (this.#isIterated || !hasOtherTaker)
    if (isTaker) message.addTaker()
    const waiting = { message, arrival: this.#arrivals, isTaker }
    this.#arrivals += 1
    const take = this.#takes.shift()
    if (take !== undefined) {
      take.resolve(this.#handOver(waiting))
      return
    }
    if (isTaker) {
      this.#lossless.push(waiting)
      return
    }
    this.#lossy.push(waiting)
    if (this.#lossy.length > (this.options.bufferMessagesMax ?? BUFFER_MESSAGES_MAX)) {
      this.#lossy.shift()
      this.droppedMessages += 1
    }
  }

  unsubscribe(options: { signal?: AbortSignal } = {}): Promise<void> {
    return this.#unsubscribe(this, options.signal)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.unsubscribe()
  }

  [Symbol.asyncIterator](): AsyncIterator<Message> {
    this.#isIterated = true
    return {
      next: () => this.#next(),
      // The loop was left: what it had in hand is done, what waits stays for another loop.
      return: async () => {
        this.#acknowledgeHandedOver()
        return END
      },
    }
  }

  /** Takes filters out; the iteration ends with the last one. */
  removeFilters(topicFilters: readonly string[]): void {
    for (const filter of topicFilters) this.#removed.add(filter)
    if (this.topicFilters.length === 0) this.end('unsubscribed')
  }

  /**
   * @param how `unsubscribed`: what waits is dropped as done. Otherwise nothing is acknowledged any more: whoever has
   * the session next gets it, so nobody gets QoS 1 and 2 here; after a failure QoS 0 can still be read.
   */
  end(how: 'unsubscribed' | 'closed' | TallyError): void {
    if (this.#end !== null) return
    const isByCaller = typeof how === 'string'
    this.#end = { error: isByCaller ? null : how }
    if (how === 'unsubscribed') this.#acknowledgeHandedOver()
    for (let waiting = this.#lossless.shift(); waiting !== undefined; waiting = this.#lossless.shift()) {
      if (how === 'unsubscribed') waiting.message.takerDropped()
    }
    if (isByCaller) this.#lossy.clear()
    for (let take = this.#takes.shift(); take !== undefined; take = this.#takes.shift()) {
      if (isByCaller) take.resolve(END)
      else take.reject(how)
    }
  }

  #next(): Promise<IteratorResult<Message>> {
    this.#acknowledgeHandedOver()
    const waiting = this.#shift()
    if (waiting !== undefined) return Promise.resolve(this.#handOver(waiting))
    if (this.#end !== null) return this.#end.error === null ? Promise.resolve(END) : Promise.reject(this.#end.error)
    const take = deferred<IteratorResult<Message>>()
    this.#takes.push(take)
    return take.promise
  }

  #shift(): Waiting | undefined {
    const lossless = this.#lossless.peek()
    const lossy = this.#lossy.peek()
    if (lossy === undefined) return this.#lossless.shift()
    if (lossless === undefined || lossy.arrival < lossless.arrival) return this.#lossy.shift()
    return this.#lossless.shift()
  }

  #handOver(waiting: Waiting): IteratorResult<Message> {
    if (waiting.isTaker) this.#handedOver.push(waiting)
    return { done: false, value: waiting.message }
  }

  #acknowledgeHandedOver(): void {
    for (let done = this.#handedOver.shift(); done !== undefined; done = this.#handedOver.shift()) {
      done.message.takerDone()
    }
  }
}

/** Runs a callback of the application; its message is done when it, or the promise it returned, is. */
export function call(
  listener: (message: Message) => void | Promise<void>,
  message: ReceivedMessage,
  failed: (cause: unknown) => void,
): void {
  message.addTaker()
  const fail = (cause: unknown) => {
    message.takerFailed()
    failed(cause)
  }
  try {
    const result = listener(message)
    if (typeof result?.then === 'function') result.then(() => message.takerDone(), fail)
    else message.takerDone()
  } catch (cause) {
    fail(cause)
  }
}
