/**
 * The durable state of a broker as plain data, so that a live one and one recovered from its store can be compared,
 * and the invariants between sessions, reference counts and rows.
 */
import { STORE_TABLES, type Store, type StoreTable } from '../../src/core/ports/store.js'
import { recover } from '../../src/core/replay.js'
import type { Session, SessionSubscription } from '../../src/core/session.js'
import { queueLoader, readSessionRow } from '../../src/core/session-rows.js'
import { type BrokerPorts, BrokerState } from '../../src/core/state.js'
import { chunkKey, keyNumber, topicKey } from '../../src/core/store-keys.js'
import { readRetainedRow } from '../../src/core/retained.js'
import { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { Breach } from './book-keeping.js'

/** Message ids waiting in a session's queue, oldest first. Only while no commit is under way. */
export function queuedMessageIds(state: BrokerState, session: Session): number[] {
  const { queue } = session
  const front = queue.front()
  const back = [...queue.inMemory()].slice(front.length)
  const cold: number[] = []
  const loader = queueLoader(state, session)
  for (let chunk = queue.firstChunk; chunk < queue.nextChunk; chunk += 1) {
    for (const copy of loader.loadChunk(chunk)) cold.push(copy.messageId)
  }
  return [...front.map(({ messageId }) => messageId), ...cold, ...back.map(({ messageId }) => messageId)]
}

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
    queue: queuedMessageIds(state, session),
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
  return { sessions: described, retained: retained.sort(), nextMessageId, references: references(state) }
}

/** Copies per message according to the sessions; also checks that the table counts the same. */
function references(state: BrokerState): [number, number][] {
  const held = new Map<number, number>()
  for (const session of state.sessionsByNumber.values()) {
    if (!session.isDurable) continue
    const sent = session.inflight.inOrder().filter((copy) => copy.state === 'sent')
    const messageIds = [...sent.map(({ messageId }) => messageId), ...queuedMessageIds(state, session)]
    for (const messageId of messageIds) held.set(messageId, (held.get(messageId) ?? 0) + 1)
  }
  for (const [messageId, count] of held) {
    const counted = state.messages.references(messageId)
    if (counted !== count) throw new Breach(`message ${messageId} has ${count} copies and ${counted} references`)
    state.messages.load(messageId)
  }
  return [...held].sort(([a], [b]) => a - b)
}

/** What nothing speaks of any more: call with an empty journal tail, that is after a full checkpoint at rest. */
export function checkRows(state: BrokerState): void {
  const { store } = state.ports
  const held = new Set(references(state).map(([messageId]) => messageId))
  for (const { key } of store.entries({ table: 'messages' })) {
    if (!held.has(keyNumber(key))) throw new Breach(`the row of message ${keyNumber(key)} is left behind`)
  }
  for (const { key } of store.entries({ table: 'references' })) {
    if (!held.has(keyNumber(key))) throw new Breach(`the reference row of message ${keyNumber(key)} is left behind`)
  }
  const chunks = new Set<string>()
  for (const { key, value } of store.entries({ table: 'sessions' })) {
    const number = keyNumber(key)
    const session = state.sessionsByNumber.get(number)
    if (session === undefined) throw new Breach(`the row of session ${number} is left behind`)
    const { queue } = readSessionRow(number, value, state.limits.queueWindowMessages).session
    for (let chunk = queue.firstChunk; chunk < queue.nextChunk; chunk += 1) chunks.add(chunkKey(number, chunk).join())
  }
  for (const { key } of store.entries({ table: 'queues' })) {
    if (!chunks.has(key.join())) throw new Breach(`chunk ${key.join()} is left behind`)
  }
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
