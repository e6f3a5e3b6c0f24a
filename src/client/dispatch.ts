/**
 * Who gets a message: every subscription that matches, and every `message` listener. What nobody wants is kept for a
 * while when the session is older than this client (its subscriptions will come), otherwise acknowledged and reported.
 */
import type { TimerHandle, Timers } from '../base/clock.js'
import type { Message } from './api.js'
import { Fifo } from './fifo.js'
import type { ReceivedMessage } from './message.js'
import { call, type LiveSubscription } from './subscription.js'
import { TallyError } from './tally-error.js'

type MessageListener = (message: Message) => void | Promise<void>

/** Topics whose subscriptions are remembered; beyond it the memory starts anew. */
const ROUTES_MAX = 10_000
/** QoS 0 messages kept unclaimed. QoS 1 and 2 are bounded by Receive Maximum. */
const UNCLAIMED_QOS0_MAX = 1_000

export class Dispatch {
  readonly #subscriptions = new Set<LiveSubscription>()
  readonly #listeners = new Set<MessageListener>()
  readonly #report: (error: TallyError) => void
  readonly #routes = new Map<string, readonly LiveSubscription[]>()
  readonly #unclaimed = new Fifo<ReceivedMessage>()
  #isHolding = false
  #holdTimer: TimerHandle | null = null
  #hasIdentifiers = false

  constructor(report: (error: TallyError) => void) {
    this.#report = report
  }

  get subscriptions(): ReadonlySet<LiveSubscription> {
    return this.#subscriptions
  }

  add(subscription: LiveSubscription): void {
    this.#subscriptions.add(subscription)
    this.changed()
    this.#offerUnclaimed()
  }

  remove(subscription: LiveSubscription): void {
    this.#subscriptions.delete(subscription)
    this.changed()
  }

  /** A subscription has other filters now. */
  changed(): void {
    this.#routes.clear()
    this.#hasIdentifiers = false
    for (const { subscriptionIdentifier } of this.#subscriptions) {
      if (subscriptionIdentifier !== undefined) this.#hasIdentifiers = true
    }
  }

  addListener(listener: MessageListener): () => void {
    this.#listeners.add(listener)
    this.#offerUnclaimed()
    return () => this.#listeners.delete(listener)
  }

  readonly deliver = (message: ReceivedMessage): void => {
    const takers = this.#matching(message)
    const takersCount = takers.length + this.#listeners.size
    if (takersCount === 0) {
      this.#keepOrDrop(message)
      return
    }
    // Held open while it is handed out, so that the first to be done is not the last.
    message.addTaker()
    for (const listener of this.#listeners) call(listener, message, this.listenerFailed)
    for (const subscription of takers) subscription.receive(message, this.#listeners.size > 0)
    message.takerDone()
  }

  readonly listenerFailed = (cause: unknown): void => {
    this.#report(
      new TallyError('LISTENER_FAILED', 'a message callback failed; its message is not acknowledged', { cause }),
    )
  }

  /** A session of an earlier process was resumed: its subscriptions may be asked for within `holdMs`. */
  holdUnclaimed(timers: Timers, holdMs: number): void {
    this.#isHolding = true
    this.#holdTimer = timers.schedule(holdMs, () => {
      this.#isHolding = false
      this.#offerUnclaimed()
    })
  }

  stop(): void {
    this.#holdTimer?.cancel()
  }

  #matching(message: ReceivedMessage): readonly LiveSubscription[] {
    const { topicName, subscriptionIdentifiers } = message
    const known = this.#hasIdentifiers ? undefined : this.#routes.get(topicName)
    if (known !== undefined) return known
    const matching = [...this.#subscriptions].filter((each) => each.matches(topicName, subscriptionIdentifiers))
    if (!this.#hasIdentifiers) {
      if (this.#routes.size >= ROUTES_MAX) this.#routes.clear()
      this.#routes.set(topicName, matching)
    }
    return matching
  }

  #keepOrDrop(message: ReceivedMessage): void {
    if (!this.#isHolding) {
      const { topicName } = message
      message.acknowledge()
      this.#report(new TallyError('UNCLAIMED_MESSAGE', `nobody here is subscribed to ${JSON.stringify(topicName)}`))
      return
    }
    if (message.qos === 0 && this.#unclaimed.length >= UNCLAIMED_QOS0_MAX) return
    this.#unclaimed.push(message)
  }

  #offerUnclaimed(): void {
    for (let count = this.#unclaimed.length; count > 0; count -= 1) {
      const message = this.#unclaimed.shift()
      if (message !== undefined) this.deliver(message)
    }
  }
}
