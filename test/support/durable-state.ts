/**
 * The durable state of a broker as plain data, so that a live one and one recovered from its store can be compared.
 * What holds in every committed state is checked by `src/audit/`.
 */
import { heldMessageIds, queuedCopies } from '../../src/audit/queued-copies.js'
import { verifyStore } from '../../src/audit/verify-store.js'
import { STORE_TABLES, type Store, type StoreTable } from '../../src/core/ports/store.js'
import { recover } from '../../src/core/replay.js'
import type { Session, SessionSubscription } from '../../src/core/session.js'
import { type BrokerPorts, BrokerState } from '../../src/core/state.js'
import { topicKey } from '../../src/core/store-keys.js'
import { readRetainedRow } from '../../src/core/retained.js'
import { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { Breach } from './book-keeping.js'

function describeSession(state: BrokerState, session: Session): object {
  return {
    clientId: session.clientId,
    hasEnded: session.hasEnded,
    expiry: session.sessionExpiryIntervalSec,
    subscriptions: [...session.subscriptions.values()].map(describeSubscription).sort(),
    retainedPending: [...(session.retainedPending ?? [])].sort(),
    receipts: [...session.receipts].sort((a, b) => a - b),
    inflight: session.inflight.inOrder().map((copy) => {
      const { packetId, messageId, deliverySequence, qos, retain, sharedSubscriptionNumber } = copy
      return { packetId, messageId, deliverySequence, qos, retain, sharedSubscriptionNumber, state: copy.state }
    }),
    queue: queuedCopies(state, session).map(({ messageId }) => messageId),
    queueBytes: session.queue.byteLength,
    formerShares: [...(session.formerShares ?? [])].map(([number, share]) => ({ number, ...share })),
    nextDeliverySequence: session.nextDeliverySequence,
    nextSubscriptionNumber: session.nextSubscriptionNumber,
    lost: [...(session.lost ?? [])],
    will: session.will === null ? null : { topic: session.will.topicName, payload: [...session.will.payload] },
  }
}

function describeSubscription(subscription: SessionSubscription): string {
  const { shareName, topicFilter, qos, noLocal, retainAsPublished, retainHandling } = subscription
  const { subscriptionIdentifier, subscriptionNumber } = subscription
  const terms = [qos, noLocal, retainAsPublished, retainHandling, subscriptionIdentifier, subscriptionNumber]
  return `${shareName} ${topicFilter} ${terms.join()}`
}

/** What a broker that starts on this store knows, before time goes on for it. */
export function recoveredState(store: Store, ports: BrokerPorts): object {
  const state = new BrokerState({ ...ports, store })
  recover(state)
  return durableState(state)
}

export function durableState(state: BrokerState): object {
  const sessions = [...state.sessionsByNumber.values()].filter(({ isDurable }) => isDurable)
  sessions.sort((a, b) => a.number - b.number)
  const retained = [...state.retained.iterate('#')].map((message) => {
    const row = message.body === null ? state.ports.store.get('retained', topicKey(message.topicName)) : undefined
    const body = message.body ?? (row === undefined ? null : readRetainedRow(row).body)
    return `${message.topicName} ${message.qos} ${body === null ? 'missing' : new TextDecoder().decode(body.payload)}`
  })
  const { nextMessageId } = state
  const described = sessions
    .filter((session) => !session.hasEnded || !session.queue.isEmpty)
    .map((session) => describeSession(state, session))
  const { count } = state.producers
  const producers = { count, each: describeProducers(state) }
  return { sessions: described, retained: retained.sort(), nextMessageId, references: references(state), producers }
}

function describeProducers(state: BrokerState): object[] {
  const ids = [...state.producers.inMemory()].map(({ producerId }) => producerId)
  for (const { key } of state.ports.store.entries({ table: 'producers' })) ids.push(key)
  const names = new Set(ids.map((id) => Buffer.from(id).toString('hex')))
  return [...names].sort().map((name) => {
    const producer = state.producers.find(new Uint8Array(Buffer.from(name, 'hex')))
    if (producer === undefined) throw new Breach(`producer ${name} is neither in memory nor on disk`)
    const { username, epoch, sequence, accepted, refused, refusals } = producer
    const digest = Buffer.from(producer.digest.digest()).toString('hex')
    state.producers.release(producer)
    return { name, username, epoch, sequence, accepted, refused, digest, refusals: [...refusals] }
  })
}

/** Copies per message according to the sessions; also checks that the table counts the same. */
function references(state: BrokerState): [number, number][] {
  const held = new Map<number, number>()
  for (const session of state.sessionsByNumber.values()) {
    if (!session.isDurable) continue
    for (const messageId of heldMessageIds(state, session)) held.set(messageId, (held.get(messageId) ?? 0) + 1)
  }
  for (const [messageId, count] of held) {
    const counted = state.messages.references(messageId)
    if (counted !== count) throw new Breach(`message ${messageId} has ${count} copies and ${counted} references`)
    state.messages.load(messageId)
  }
  return [...held].sort(([a], [b]) => a - b)
}

/** Every committed state is one that `verifyStore` finds nothing wrong with. */
export function checkStore(store: Store): void {
  const { problems, problemsLeftOut } = verifyStore(store)
  const [first] = problems
  if (first === undefined) return
  const { kind, table, key, record, sentence } = first
  const place = `${table} ${key} record ${record}`
  throw new Breach(`${problems.length + problemsLeftOut} problems in the store, first: ${kind} ${place}: ${sentence}`)
}

/** Row counts by table. */
export function rowCounts(store: Store): Record<StoreTable, number> {
  const counts = STORE_TABLES.map((table) => [table, [...store.entries({ table })].length])
  return Object.fromEntries(counts) as Record<StoreTable, number>
}

/** A second store with the same rows, as a copy of the disk would be. */
export function copyStore(store: Store): MemoryStore {
  const copy = new MemoryStore({ settle: 'manual' })
  for (const table of STORE_TABLES) {
    for (const { key, value } of store.entries({ table }))
      copy.commit([{ kind: 'put', table, key, value }], () => undefined)
  }
  copy.settleAll()
  return copy
}
