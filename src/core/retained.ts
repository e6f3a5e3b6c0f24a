/**
 * Retained messages: the last one of each topic [v5 3.3.1.3], and handing them to a new subscriber complete and paced.
 * In memory: topic and terms; a body goes to disk with the next checkpoint and is read when somebody needs it.
 */
import { assert } from '../base/assert.js'
import { ByteReader } from '../base/byte-reader.js'
import { ByteWriter } from '../base/byte-writer.js'
import type { PublishProperties, QoS } from '../protocol/packets.js'
import type { ClientConnection } from './connection.js'
import { deliverQoS0, deliverStored, remainingExpirySec } from './deliver.js'
import { TransientPublication } from './message.js'
import type { StoreOperation } from './ports/store.js'
import { StoreError } from './ports/store.js'
import { openMessage, type Publishing } from './publish.js'
import type { RetainedWalk } from './retained-tree.js'
import type { Session, SessionSubscription } from './session.js'
import type { BrokerState } from './state.js'
import { readBody, readContent, type StoredBody, type StoredContent, writeBody } from './stored-body.js'
import { topicKey, topicLookupKey } from './store-keys.js'

export interface RetainedMessage {
  readonly topicName: string
  readonly qos: QoS
  /** 0: never. */
  readonly expiresAtMs: number
  readonly byteLength: number
  /** null: only on disk. */
  body: StoredBody | null
  /** Journal record as of which its row is on disk; 0: no row yet. */
  rowRecord: number
}

/** What is still to be sent to one new subscription. */
export interface RetainedJob {
  subscription: SessionSubscription
  readonly topics: RetainedWalk<RetainedMessage>
}

export function retainedMessage(body: StoredBody, rowRecord: number): RetainedMessage {
  const byteLength = body.payload.length + body.topicName.length
  const { topicName, qos, expiresAtMs } = body
  return { topicName, qos, expiresAtMs, byteLength, body, rowRecord }
}

/** @param ahead what is going to be retained before it, taken for new topics all of it. */
export function isRetainedFull(
  state: BrokerState,
  what: { topicName: string; payload: Uint8Array },
  ahead: { readonly retainedMessages: number; readonly retainedBytes: number } | null = null,
): boolean {
  const known = state.retained.get(what.topicName)
  const size = state.retained.size + (ahead?.retainedMessages ?? 0)
  if (known === undefined && size >= state.limits.retainedMessagesMax) return true
  const grown = what.payload.length + what.topicName.length - (known?.byteLength ?? 0) + (ahead?.retainedBytes ?? 0)
  return state.retainedBytes + grown > state.limits.retainedBytesMax
}

export function setRetained(state: BrokerState, what: Publishing, expiresAtMs: number): void {
  const { topicName, qos, properties } = what
  // A view would keep the network chunk it came in alive for as long as the message is retained.
  const body: StoredBody = { topicName, payload: what.payload.slice(), qos, expiresAtMs, properties }
  state.touchRetained(topicName)
  state.record.retainedSet(body)
  putRetained(state, retainedMessage(body, 0))
}

export function clearRetained(state: BrokerState, topicName: string): void {
  if (state.retained.get(topicName) === undefined) return
  state.touchRetained(topicName)
  state.record.retainedCleared(topicName)
  removeRetained(state, topicName)
}

/** Changes memory only: for `setRetained`, recovery and replay. */
export function putRetained(state: BrokerState, message: RetainedMessage): void {
  state.retainedBytes += message.byteLength - (state.retained.get(message.topicName)?.byteLength ?? 0)
  state.retained.set(message)
  state.retainedSweep.note(message.expiresAtMs)
}

export function removeRetained(state: BrokerState, topicName: string): void {
  const known = state.retained.get(topicName)
  if (known === undefined) return
  state.retainedBytes -= known.byteLength
  state.retained.remove(topicName)
}

/** Rows of retained topics that changed in records up to `target`. @returns true when none is left. */
export function writeRetainedRows(
  state: BrokerState,
  target: number,
  record: number,
  rowsMax: number,
  operations: StoreOperation[],
  sealed: RetainedMessage[],
): boolean {
  let rows = 0
  for (const [topicName, since] of state.dirtyRetained) {
    if (since > target) break
    if (rows >= rowsMax) return false
    rows += 1
    state.dirtyRetained.delete(topicName)
    const key = topicKey(topicName)
    const message = state.retained.get(topicName)
    if (message === undefined) {
      operations.push({ kind: 'remove', table: 'retained', key })
      continue
    }
    assert(message.body !== null, 'a retained message that changed is in memory')
    const writer = new ByteWriter(message.byteLength + 64)
    writer.varint(record)
    writeBody(writer, message.body)
    operations.push({ kind: 'put', table: 'retained', key, value: writer.take() })
    sealed.push(message)
  }
  return true
}

/** The commit with the rows is on disk: bodies leave memory. */
export function retainedCommitted(state: BrokerState, record: number, sealed: readonly RetainedMessage[]): void {
  for (const message of sealed) {
    message.rowRecord = record
    if (state.retained.get(message.topicName) === message) message.body = null
  }
}

export function readRetainedRow(row: Uint8Array): { record: number; body: StoredBody } {
  const reader = new ByteReader(row)
  const read = { record: reader.varint(), body: readBody(reader) }
  assert(reader.isAtEnd, 'the row of a retained message is read to its end')
  return read
}

/**
 * The topic name is known, and not read again: a new subscriber may want a million of them.
 * @param isKept false: what is returned may be the store's own bytes, to be used before it is called again.
 */
function contentOf(state: BrokerState, message: RetainedMessage, isKept: boolean): StoredContent {
  if (message.body !== null) return message.body
  const { store } = state.ports
  const key = topicLookupKey(message.topicName)
  const row = isKept || store.view === undefined ? store.get('retained', key) : store.view('retained', key)
  if (row === undefined) throw new StoreError('STORE_CORRUPT', 'a retained message is known but not stored')
  const reader = new ByteReader(row)
  reader.varint()
  const content = readContent(reader)
  assert(reader.isAtEnd, 'the row of a retained message is read to its end')
  return content
}

/**
 * A subscription is new (or asks again, and starts over): its retained messages go out bit by bit, after the SUBACK.
 */
export function startRetained(
  state: BrokerState,
  connection: ClientConnection,
  subscription: SessionSubscription,
): void {
  // No filter matches topics of both trees: a wildcard does not match a first level with $ [v5 MQTT-4.7.2-1].
  const tree = subscription.topicFilter.startsWith('$SYS') ? state.systemTopics : state.retained
  const topics = tree.iterate(subscription.topicFilter)
  const { subscriptionNumber } = subscription
  const jobs = (connection.retainedJobs ?? []).filter(
    (job) => job.subscription.subscriptionNumber !== subscriptionNumber,
  )
  jobs.push({ subscription, topics })
  connection.retainedJobs = jobs
  state.retainedJobConnections.add(connection)
}

/** A subscription was replaced and wants no new start: what is still to come goes by the new terms. */
export function changeRetained(connection: ClientConnection, subscription: SessionSubscription): void {
  for (const job of connection.retainedJobs ?? []) {
    if (job.subscription.subscriptionNumber === subscription.subscriptionNumber) job.subscription = subscription
  }
}

/** A bounded slice of the jobs, all together. @returns whether one of them could go on at once. */
export function runRetained(state: BrokerState, nowMs: number): boolean {
  const connections = state.retainedJobConnections
  let left = state.limits.retainedPerTurn
  for (const connection of connections) {
    left = runJobs(state, connection, left, nowMs)
    if (connection.retainedJobs === null) connections.delete(connection)
    if (left > 0) continue
    // Who comes next is another one.
    if (connections.delete(connection)) connections.add(connection)
    return connections.size > 0
  }
  return false
}

/** @returns what is left of `budget`: nothing; or this one is done, or waits for acknowledgements or its socket. */
function runJobs(state: BrokerState, connection: ClientConnection, budget: number, nowMs: number): number {
  const { session, retainedJobs } = connection
  if (session === null || session.connection !== connection || retainedJobs === null) {
    connection.retainedJobs = null
    return budget
  }
  let left = budget
  for (let job = retainedJobs[0]; job !== undefined; job = retainedJobs[0]) {
    for (;;) {
      if (left === 0) return 0
      if (!session.queue.isEmpty || isBusy(state, connection)) return left
      const message = job.topics.advance(NODES_PER_STEP)
      if (message !== undefined) sendRetained(state, session, job.subscription, message, nowMs)
      else if (job.topics.done) break
      left -= 1
    }
    retainedJobs.shift()
    finishJob(state, session, job.subscription)
  }
  connection.retainedJobs = null
  return left
}

/** Topics looked at for one message: a filter that matches little must not walk the whole tree in one turn. */
const NODES_PER_STEP = 64

function isBusy(state: BrokerState, connection: ClientConnection): boolean {
  if (connection.link.bufferedBytes <= state.limits.outputBufferBytesMax / 2) return false
  // `Broker.drained` starts the job again.
  connection.isCongested = true
  return true
}

function finishJob(state: BrokerState, session: Session, subscription: SessionSubscription): void {
  session.retainedPending?.delete(subscription.subscriptionNumber)
  if (!session.isDurable) return
  state.touch(session)
  state.record.retainedSent(session.number, subscription.subscriptionNumber)
}

function sendRetained(
  state: BrokerState,
  session: Session,
  subscription: SessionSubscription,
  message: RetainedMessage,
  nowMs: number,
): void {
  if (message.expiresAtMs !== 0 && nowMs >= message.expiresAtMs) {
    clearRetained(state, message.topicName)
    return
  }
  const { topicName } = message
  const qos = Math.min(message.qos, subscription.qos)
  const { payload, properties } = contentOf(state, message, qos > 0)
  const identifiers = subscription.subscriptionIdentifier === 0 ? null : [subscription.subscriptionIdentifier]
  if (qos === 0) {
    const publication = new TransientPublication(topicName, payload, properties)
    deliverQoS0(state, session, publication, true, identifiers, remainingExpirySec(message.expiresAtMs, nowMs), true)
    return
  }
  const granted = qos as 1 | 2
  const stored = openMessage(
    state,
    { topicName, payload, properties: properties as PublishProperties | null },
    granted,
    message.expiresAtMs,
    null,
  )
  const terms = { qos: granted, retain: true, subscriptionIdentifiers: identifiers, sharedSubscriptionNumber: 0 }
  deliverStored(state, session, stored, terms, nowMs)
  if (stored.references > 0) state.messages.add(stored, state.recordNumber)
}
