/**
 * Recovery: tables first, then the journal's tail through the operations that made it. Facts that a row already has
 * are skipped, by the record number in the row. What this cannot explain is corruption, and is said, not skipped.
 */
import { assert } from '../base/assert.js'
import type { DropReason, ProducerRefusal, WillMessage } from '../protocol/packets.js'
import type { SubscribedFact } from './fact-fields.js'
import type { FactHandler } from './facts.js'
import type { Tally } from './ledger/tally.js'
import { Copy, type CopyTerms, isPlain, Message } from './message.js'
import { scanTable } from './ports/store.js'
import type { Producer } from './producer.js'
import { applyProduced, type ProducedFact } from './producer-rows.js'
import { readRecord } from './record-reader.js'
import { putRetained, readRetainedRow, removeRetained, retainedMessage } from './retained.js'
import { Session } from './session.js'
import { applyConnected, applyDisconnected, applyEnded, clearWill, registerSession } from './session-life.js'
import { queueLoader, SessionRowSummary } from './session-rows.js'
import type { BrokerState } from './state.js'
import type { StoredBody } from './stored-body.js'
import { keyNumber } from './store-keys.js'
import { addSubscription, removeSubscription } from './subscribe.js'
import { restoreSession, sessionWaking, subscriptionOf } from './restore-session.js'

export interface Recovered {
  readonly oldestRecord: number
  readonly journalRecords: number
  readonly journalBytes: number
}

export function recover(state: BrokerState): Recovered {
  state.ledger.load()
  loadSessions(state)
  loadRetained(state)
  state.keys.load(state.ports.store)
  const replay = new Replay(state)
  let oldestRecord = 0
  let journalRecords = 0
  let journalBytes = 0
  for (const { key, value } of state.ports.store.entries({ table: 'journal' })) {
    const number = keyNumber(key)
    if (oldestRecord === 0) oldestRecord = number
    assert(journalRecords === 0 || number === oldestRecord + journalRecords, 'the journal has no gap')
    replay.record(number, value)
    journalRecords += 1
    journalBytes += value.length
  }
  state.messages.replayed()
  state.producers.recovered()
  const next = oldestRecord + journalRecords
  state.recordNumber = Math.max(1, next)
  state.ledger.replayed(state.nextMessageId)
  return { oldestRecord: Math.max(1, oldestRecord), journalRecords, journalBytes }
}

function loadSessions(state: BrokerState): void {
  const { sleepingSessions } = state
  sleepingSessions.wakeWith(sessionWaking(state))
  const summary = new SessionRowSummary()
  scanTable(state.ports.store, 'sessions', (key, value) => {
    if (summary.read(value)) sleepingSessions.add(keyNumber(key), summary)
    else restoreSession(state, keyNumber(key), value.slice())
  })
}

function loadRetained(state: BrokerState): void {
  for (const { value } of state.ports.store.entries({ table: 'retained' })) {
    const { record, body } = readRetainedRow(value)
    const message = retainedMessage(body, record)
    message.body = null
    putRetained(state, message)
  }
}

class Replay implements FactHandler {
  readonly #state: BrokerState
  #record = 0
  #message: Message | null = null
  /** The message of this record has a row already: its references are counted there. */
  #isMessageStored = false

  constructor(state: BrokerState) {
    this.#state = state
  }

  record(number: number, record: Uint8Array): void {
    this.#record = number
    this.#message = null
    this.#state.recordNumber = number
    const header = readRecord(record, this)
    this.#state.nextMessageId = header.nextMessageId
    this.#state.nextSessionNumber = header.nextSessionNumber
    this.#state.producers.count = header.producers
    this.#state.ledger.nextAccountNumber = header.nextAccountNumber
  }

  /** The session, if it exists and its row lacks this record. */
  #session(number: number): Session | null {
    if (this.#state.sleepingSessions.rowRecordOf(number) >= this.#record) return null
    const session = this.#state.sessionsByNumber.get(number)
    if (session === undefined || session.rowRecord >= this.#record) return null
    this.#state.touch(session)
    return session
  }

  message(messageId: number, body: StoredBody): void {
    const { topicName, payload, properties, qos, expiresAtMs } = body
    this.#message = new Message(messageId, topicName, payload, properties, qos, expiresAtMs)
    this.#isMessageStored = this.#state.messages.isStored(messageId)
  }

  enqueued(
    number: number,
    messageId: number,
    terms: CopyTerms,
    byteLength: number,
    packetId: number,
    account: number,
  ): void {
    this.#hold(messageId)
    const { sleepingSessions } = this.#state
    const rowRecord = sleepingSessions.rowRecordOf(number)
    if (rowRecord >= this.#record) return
    if (rowRecord >= 0 && packetId === 0 && isPlain(terms)) {
      sleepingSessions.defer(number, this.#record, { messageId, qos: terms.qos, byteLength, account })
      return
    }
    const session = this.#session(number)
    if (session === null) return
    const message = this.#message?.messageId === messageId && !this.#isMessageStored ? this.#message : null
    const copy = new Copy(messageId, message, terms, byteLength, this.#state.ledger.ofStoredCopy(account))
    if (packetId === 0) session.queue.push(copy)
    else session.assign(copy, packetId)
  }

  #hold(messageId: number): void {
    const { messages } = this.#state
    const message = this.#message
    if (message?.messageId !== messageId) return messages.hold(messageId, this.#record)
    if (this.#isMessageStored) return
    message.references += 1
    if (message.references === 1) messages.add(message, this.#record)
  }

  assigned(number: number, packetId: number): void {
    const session = this.#session(number)
    if (session === null) return
    const copy = session.queue.shift(queueLoader(this.#state, session))
    assert(copy !== undefined, 'the copy that went into flight was in the queue')
    session.assign(copy, packetId)
  }

  acknowledged(number: number, packetId: number, messageId: number): void {
    this.#state.messages.release(messageId, this.#record)
    this.#session(number)?.removeInflight(packetId)
  }

  released(number: number, packetId: number, messageId: number): void {
    this.#state.messages.release(messageId, this.#record)
    const session = this.#session(number)
    if (session === null) return
    const copy = session.inflight.get(packetId)
    assert(copy?.messageId === messageId, 'PUBREC was for a copy in flight')
    copy.state = 'released'
    copy.message = null
  }

  completed(number: number, packetId: number): void {
    this.#session(number)?.removeInflight(packetId)
  }

  receiptAdded(number: number, packetId: number): void {
    this.#session(number)?.addReceipt(packetId)
  }

  receiptRemoved(number: number, packetId: number): void {
    this.#session(number)?.removeReceipt(packetId)
  }

  dropped(number: number, messageId: number, reason: DropReason): void {
    this.#shiftHead(number, messageId)?.addLost(reason, 1)
  }

  moved(number: number, messageId: number): void {
    this.#shiftHead(number, messageId)
  }

  #shiftHead(number: number, messageId: number): Session | null {
    this.#state.messages.release(messageId, this.#record)
    const session = this.#session(number)
    if (session === null) return null
    const copy = session.queue.shift(queueLoader(this.#state, session))
    assert(copy?.messageId === messageId, 'the copy that ended was the head of the queue')
    return session
  }

  droppedInflight(number: number, packetId: number, messageId: number, reason: DropReason): void {
    this.#state.messages.release(messageId, this.#record)
    const session = this.#session(number)
    if (session === null) return
    session.removeInflight(packetId)
    session.addLost(reason, 1)
  }

  movedInflight(number: number, packetId: number, messageId: number): void {
    this.#state.messages.release(messageId, this.#record)
    this.#session(number)?.removeInflight(packetId)
  }

  lost(number: number, reason: DropReason): void {
    this.#session(number)?.addLost(reason, 1)
  }

  sessionOpened(number: number, clientId: string, username: string | null): void {
    const state = this.#state
    if (state.sessionsByNumber.has(number)) return
    const session = new Session(number, clientId, username, true, state.limits.queueWindowMessages)
    registerSession(state, session)
    state.touch(session)
  }

  sessionConnected(number: number, sessionExpiryIntervalSec: number, will: WillMessage | null): void {
    const session = this.#session(number)
    if (session === null) return
    applyConnected(this.#state, session, sessionExpiryIntervalSec, will)
    // CONNACK said so.
    session.lost = null
  }

  sessionDisconnected(number: number, atMs: number, sessionExpiryIntervalSec: number, willDueAtMs: number): void {
    const session = this.#session(number)
    if (session !== null) applyDisconnected(this.#state, session, atMs, sessionExpiryIntervalSec, willDueAtMs)
  }

  sessionEnded(number: number, messageIds: readonly number[]): void {
    for (const messageId of messageIds) this.#state.messages.release(messageId, this.#record)
    const session = this.#session(number)
    if (session !== null) applyEnded(this.#state, session)
  }

  subscribed(number: number, fact: SubscribedFact): void {
    const session = this.#session(number)
    if (session === null) return
    addSubscription(this.#state, session, subscriptionOf(session, fact), fact.isRetainedPending)
  }

  unsubscribed(number: number, shareName: string | null, topicFilter: string): void {
    const session = this.#session(number)
    if (session !== null) removeSubscription(this.#state, session, shareName, topicFilter)
  }

  willCleared(number: number): void {
    const session = this.#session(number)
    if (session !== null) clearWill(this.#state, session)
  }

  retainedSet(body: StoredBody): void {
    const state = this.#state
    const known = state.retained.get(body.topicName)
    if (known !== undefined && known.rowRecord >= this.#record) return
    state.touchRetained(body.topicName)
    putRetained(state, retainedMessage(body, 0))
  }

  retainedCleared(topicName: string): void {
    const state = this.#state
    const known = state.retained.get(topicName)
    if (known === undefined || known.rowRecord >= this.#record) return
    state.touchRetained(topicName)
    removeRetained(state, topicName)
  }

  retainedSent(number: number, subscriptionNumber: number): void {
    this.#session(number)?.retainedPending?.delete(subscriptionNumber)
  }

  /** The producer, unless its row has this record. */
  #producer(producerId: Uint8Array): Producer | null {
    const { producers } = this.#state
    const producer = producers.find(producerId)
    assert(producer !== undefined, 'a producer was opened before it is spoken of')
    if (producer.rowRecord >= this.#record) return null
    producers.touch(producer, this.#record)
    return producer
  }

  producerOpened(producerId: Uint8Array, epoch: number, username: string | null): void {
    const { producers } = this.#state
    if (epoch === 1 && producers.find(producerId) === undefined) producers.create(producerId, username)
    const producer = this.#producer(producerId)
    if (producer !== null) producer.epoch = epoch
  }

  produced(producerId: Uint8Array, produced: ProducedFact): void {
    const producer = this.#producer(producerId)
    if (producer !== null) applyProduced(producer, produced, this.#state.hash)
  }

  producerRefused(producerId: Uint8Array, refusal: ProducerRefusal): void {
    this.#producer(producerId)?.refuse(refusal)
  }

  producerConfirmed(producerId: Uint8Array, sequence: number): void {
    this.#producer(producerId)?.confirm(sequence)
  }

  keyUsed(key: Uint8Array, content: Uint8Array, atMs: number): void {
    this.#state.keys.used(key, content, atMs, this.#record)
  }

  ledgerAccount(account: number, clientId: string, topicClass: string, isTransient: boolean): void {
    this.#state.ledger.replayAccount(account, clientId, topicClass, isTransient, this.#record)
  }

  ledger(hour: number, account: number, tally: Tally): void {
    this.#state.ledger.replayTally(hour, account, tally, this.#record)
  }

  /** Its row is in the same commit. */
  hourClosed(hour: number): void {
    assert(hour <= this.#state.ledger.hours.lastClosed, 'a closed hour has its row')
  }
}
