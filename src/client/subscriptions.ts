/**
 * SUBSCRIBE and UNSUBSCRIBE as exchanges: sent when there is a connection, asked again on the next one while
 * unanswered, and, when the broker has lost the session, sent for everything that was in force.
 */
import {
  type Packet,
  PacketType,
  type SubackPacket,
  type SubscribePacket,
  type SubscriptionRequest,
  type UnsubackPacket,
} from '../protocol/packets.js'
import { isFailure } from '../protocol/reason-codes.js'
import { onAbort, throwIfAborted } from './abort.js'
import type { SubscribeOptions } from './api.js'
import type { Dispatch } from './dispatch.js'
import type { PacketIds } from './packet-ids.js'
import { LiveSubscription } from './subscription.js'
import { TallyError } from './tally-error.js'

export interface SubscriptionsLink {
  write(packet: Packet): void
}

interface Exchange {
  packetId: number
  packet(packetId: number): Packet
  answered(reasonCodes: readonly number[], reasonString: string | undefined): void
  failed(error: TallyError): void
}

export class Subscriptions {
  readonly #packetIds: PacketIds
  readonly #dispatch: Dispatch
  readonly #report: (error: TallyError) => void
  /** In the order of asking; `packetId` 0: not sent on this connection. */
  readonly #exchanges = new Set<Exchange>()
  #link: SubscriptionsLink | null = null
  #isStopped = false

  constructor(packetIds: PacketIds, dispatch: Dispatch, report: (error: TallyError) => void) {
    this.#packetIds = packetIds
    this.#dispatch = dispatch
    this.#report = report
  }

  connected(link: SubscriptionsLink, sessionPresent: boolean): void {
    this.#link = link
    const unanswered = [...this.#exchanges]
    if (!sessionPresent) {
      for (const subscription of this.#dispatch.subscriptions) {
        if (subscription.reasonCodes.length > 0) this.#resubscribe(subscription)
      }
    }
    for (const exchange of unanswered) this.#send(exchange)
  }

  disconnected(): void {
    this.#link = null
    for (const exchange of this.#exchanges) {
      this.#packetIds.release(exchange.packetId)
      exchange.packetId = 0
    }
  }

  receiveAck(ack: SubackPacket | UnsubackPacket): void {
    for (const exchange of this.#exchanges) {
      if (exchange.packetId !== ack.packetId) continue
      this.#exchanges.delete(exchange)
      this.#packetIds.release(ack.packetId)
      exchange.answered(ack.reasonCodes, ack.properties?.reasonString)
      return
    }
  }

  subscribe(requests: readonly SubscriptionRequest[], options: SubscribeOptions): Promise<LiveSubscription> {
    const { signal } = options
    throwIfAborted(signal)
    const subscription = new LiveSubscription({
      requests,
      options,
      listenerFailed: this.#dispatch.listenerFailed,
      unsubscribe: (ended, unsubscribeSignal) => this.#unsubscribeAll(ended, unsubscribeSignal),
    })
    // Before SUBACK: messages may come first [v5 3.8.4].
    this.#dispatch.add(subscription)
    return new Promise((resolve, reject) => {
      const stopListening = onAbort(signal, (error) => {
        reject(error)
        this.#abandon(subscription)
      })
      this.#ask({
        packetId: 0,
        packet: (packetId) => subscribePacket(packetId, requests, options),
        answered: (reasonCodes, reasonString) => {
          const refusal = this.#granted(subscription, reasonCodes, reasonString)
          if (refusal === undefined) {
            resolve(subscription)
            return
          }
          stopListening()
          reject(refusal)
        },
        failed: (error) => {
          stopListening()
          reject(error)
        },
      })
    })
  }

  unsubscribe(topicFilters: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    for (const subscription of this.#dispatch.subscriptions) {
      subscription.removeFilters(topicFilters)
      if (subscription.isEnded) this.#dispatch.remove(subscription)
    }
    this.#dispatch.changed()
    return this.#sendUnsubscribe(topicFilters, signal)
  }

  /** @param isByCaller iterations end without an error. */
  stop(error: TallyError, isByCaller: boolean): void {
    this.#isStopped = true
    for (const exchange of this.#exchanges) exchange.failed(error)
    this.#exchanges.clear()
    for (const subscription of this.#dispatch.subscriptions) subscription.end(isByCaller ? 'closed' : error)
  }

  #ask(exchange: Exchange): void {
    this.#exchanges.add(exchange)
    this.#send(exchange)
  }

  #send(exchange: Exchange): void {
    if (this.#link === null) return
    const packetId = this.#packetIds.take()
    if (packetId === 0) {
      this.#exchanges.delete(exchange)
      exchange.failed(new TallyError('OUTBOX_FULL', 'all 65 535 packet ids are in use', { retryable: true }))
      return
    }
    exchange.packetId = packetId
    this.#link.write(exchange.packet(packetId))
  }

  /** @returns why nothing of it is in force, if so. */
  #granted(
    subscription: LiveSubscription,
    reasonCodes: readonly number[],
    reasonString: string | undefined,
  ): TallyError | undefined {
    subscription.reasonCodes = reasonCodes
    // The signal fired between SUBSCRIBE and SUBACK.
    if (subscription.isEnded) {
      this.#undo(subscription)
      return undefined
    }
    const refused = subscription.requests.filter((_, index) => isFailure(reasonCodes[index] ?? 0x80))
    if (refused.length === 0) return undefined
    subscription.removeFilters(refused.map((request) => request.topicFilter))
    this.#dispatch.changed()
    if (!subscription.isEnded) return undefined
    this.#dispatch.remove(subscription)
    return subscribeRefused(subscription, reasonString)
  }

  /** The broker has a new session for us: what was in force is asked for again. */
  #resubscribe(subscription: LiveSubscription): void {
    const requests = subscription.requests.filter(({ topicFilter }) => subscription.topicFilters.includes(topicFilter))
    this.#ask({
      packetId: 0,
      packet: (packetId) => subscribePacket(packetId, requests, subscription.options),
      answered: (reasonCodes, reasonString) => {
        const refused = requests.filter((_, index) => isFailure(reasonCodes[index] ?? 0x80))
        if (refused.length === 0) return
        const error = subscribeRefused({ requests: refused, reasonCodes: reasonCodes.filter(isFailure) }, reasonString)
        if (refused.length === requests.length) subscription.end(error)
        else subscription.removeFilters(refused.map((request) => request.topicFilter))
        if (subscription.isEnded) this.#dispatch.remove(subscription)
        this.#dispatch.changed()
        this.#report(error)
      },
      failed: () => {},
    })
  }

  #abandon(subscription: LiveSubscription): void {
    const isInForce = subscription.reasonCodes.length > 0
    subscription.end('unsubscribed')
    this.#dispatch.remove(subscription)
    if (isInForce) this.#undo(subscription)
  }

  async #unsubscribeAll(subscription: LiveSubscription, signal: AbortSignal | undefined): Promise<void> {
    if (subscription.isEnded || this.#isStopped) return
    subscription.end('unsubscribed')
    this.#dispatch.remove(subscription)
    await this.#sendUnsubscribe(this.#unneeded(subscription), signal)
  }

  #undo(subscription: LiveSubscription): void {
    this.#sendUnsubscribe(this.#unneeded(subscription), undefined).catch((error: TallyError) => {
      if (!this.#isStopped) this.#report(error)
    })
  }

  /** Its filters, without those that another subscription of this client still has. */
  #unneeded(subscription: LiveSubscription): readonly string[] {
    const needed = new Set<string>()
    for (const other of this.#dispatch.subscriptions) for (const filter of other.topicFilters) needed.add(filter)
    return subscription.topicFilters.filter((filter) => !needed.has(filter))
  }

  #sendUnsubscribe(topicFilters: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal)
    if (topicFilters.length === 0) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const stopListening = onAbort(signal, reject)
      this.#ask({
        packetId: 0,
        packet: (packetId) => ({ type: PacketType.UNSUBSCRIBE, packetId, topicFilters, properties: {} }),
        answered: (reasonCodes) => {
          stopListening()
          const reasonCode = reasonCodes.find(isFailure)
          if (reasonCode === undefined) return resolve()
          reject(new TallyError('UNSUBSCRIBE_REFUSED', 'the broker did not unsubscribe', { reasonCode }))
        },
        failed: (error) => {
          stopListening()
          reject(error)
        },
      })
    })
  }
}

function subscribePacket(
  packetId: number,
  subscriptions: readonly SubscriptionRequest[],
  options: SubscribeOptions,
): SubscribePacket {
  const { subscriptionIdentifier, userProperties } = options
  const properties: SubscribePacket['properties'] = {}
  if (subscriptionIdentifier !== undefined) properties.subscriptionIdentifier = subscriptionIdentifier
  if (userProperties !== undefined) properties.userProperties = userProperties
  return { type: PacketType.SUBSCRIBE, packetId, subscriptions, properties }
}

function subscribeRefused(
  refused: { readonly requests: readonly SubscriptionRequest[]; readonly reasonCodes: readonly number[] },
  reasonString: string | undefined,
): TallyError {
  const filters = refused.requests.map((request) => JSON.stringify(request.topicFilter)).join(', ')
  const why = reasonString === undefined ? '' : `: ${reasonString}`
  const reasonCode = refused.reasonCodes.find(isFailure) ?? 0x80
  return new TallyError('SUBSCRIBE_REFUSED', `the broker refused to subscribe to ${filters}${why}`, { reasonCode })
}
