/**
 * The durable state of a broker as plain data, so that a live one and one recovered from its store can be compared.
 * What holds in every committed state is checked by `src/audit/`.
 */
import { heldCopies, queuedCopies } from '../../src/audit/queued-copies.js'
import { verifyStore } from '../../src/audit/verify-store.js'
import { STORE_TABLES, type Store, type StoreTable } from '../../src/core/ports/store.js'
import { recover } from '../../src/core/replay.js'
import type { Session, SessionSubscription } from '../../src/core/session.js'
import { type Account, type AccountHour, readAccountRow, readHourRow } from '../../src/core/ledger/account.js'
import { DIGEST_BYTES, HourDigest, readHoursRow } from '../../src/core/ledger/hours.js'
import type { Copy } from '../../src/core/message.js'
import { durableCopies } from '../../src/core/session-rows.js'
import { type BrokerPorts, BrokerState } from '../../src/core/state.js'
import { accountOfKey, hourOfKey, keyNumber, topicKey } from '../../src/core/store-keys.js'
import { readRetainedRow } from '../../src/core/retained.js'
import { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { Breach } from './book-keeping.js'

function describeSession(state: BrokerState, session: Session): object {
  return {
    clientId: session.clientId,
    hasEnded: session.hasEnded,
    expiry: session.sessionExpiryIntervalSec,
    subscriptions: [...session.subscriptions].map(describeSubscription).sort(),
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
export function recoveredState(store: Store, ports: BrokerPorts, hour = 0): object {
  const state = new BrokerState({ ...ports, store })
  recover(state)
  return durableState(state, hour, false)
}

/**
 * @param hour of the ledger whose accounts are told in detail; those of other hours may be written and gone.
 * @param hasTransient copies of sessions without rows are there, and not only in the books.
 */
export function durableState(state: BrokerState, hour = 0, hasTransient = true): object {
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
  checkLedger(state, hasTransient)
  const told = { ledger: ledgerState(state, hour), producers }
  return { sessions: described, retained: retained.sort(), nextMessageId, references: references(state), ...told }
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

function ledgerState({ ledger }: BrokerState, hour: number): object[] {
  return [...ledger.accounts.values()]
    .filter((account) => account.queued > 0 || (account.hour !== 0 && account.hour === hour))
    .sort((one, other) => one.number - other.number)
    .map((account) => {
      const { number, clientId, isTransient, queued, queuedBytes } = account
      const inHour = account.hour === hour ? { opening: account.opening, totals: account.totals.entries() } : {}
      return { number, clientId, isTransient, topicClass: account.topicClass?.name, queued, queuedBytes, ...inHour }
    })
}

/** Every account balances, and what it says is queued is what sessions hold. Only while no commit is under way. */
export function checkLedger(state: BrokerState, hasTransient = true): void {
  const held = new Map<Account | null, { count: number; bytes: number }>()
  const isForStrangers = (each: Account) => each.clientId === '*' && each.topicClass?.name === '*' && !each.isTransient
  const strangers = [...state.ledger.accounts.values()].find(isForStrangers) ?? null
  const hold = ({ account: own, byteLength }: Copy) => {
    const account = own ?? strangers
    const { count, bytes } = held.get(account) ?? { count: 0, bytes: 0 }
    held.set(account, { count: count + 1, bytes: bytes + byteLength })
  }
  for (const copy of durableCopies(state)) hold(copy)
  for (const session of state.sessionsByNumber.values()) {
    if (session.isDurable) continue
    for (const copy of session.inflight.inOrder()) if (copy.state === 'sent') hold(copy)
    for (const copy of session.queue.inMemory()) hold(copy)
  }
  for (const [account, { count }] of held) {
    if (account === null) throw new Breach(`${count} copies are in no account`)
    if (state.ledger.accounts.get(account.number) !== account) throw new Breach(`account ${account.number} is gone`)
  }
  for (const account of state.ledger.accounts.values()) {
    const { count, bytes } = held.get(account) ?? { count: 0, bytes: 0 }
    const queued = account.queued + account.open.balance(0)
    const queuedBytes = account.queuedBytes + account.open.balance(1)
    if (account.isTransient && !hasTransient) continue
    if (queued === count && queuedBytes === bytes) continue
    const { number, clientId } = account
    const [booked, found] = [`${queued} copies (${queuedBytes} bytes)`, `${count} (${bytes} bytes)`]
    throw new Breach(`account ${number} of ${clientId} has ${booked}, sessions have ${found}`)
  }
}

/**
 * What tables say of hours that are over: the chain holds, each digest is that of its rows as long as they are kept,
 * and what an account has left in one hour is what its next begins with.
 */
export function checkHours(store: Store): void {
  const hours = [...store.entries({ table: 'hours' })].map(({ key, value }) => readHoursRow(keyNumber(key), value))
  const rows = [...store.entries({ table: 'ledger' })]
  const oldestKept = rows[0] === undefined ? 0 : hourOfKey(rows[0].key)
  let previous: Uint8Array = new Uint8Array(DIGEST_BYTES)
  for (const { hour, rows: count, previousDigest, digest } of hours) {
    if (digest === null) continue
    if (Buffer.compare(previousDigest, previous) !== 0) throw new Breach(`hour ${hour} does not follow the one before`)
    previous = digest
    if (count === 0) throw new Breach(`hour ${hour} was closed without a row`)
    // Of the oldest some may have been removed already.
    if (hour <= oldestKept) continue
    const recomputed = new HourDigest(previousDigest, hour)
    for (const { key, value } of rows) if (hourOfKey(key) === hour) recomputed.add(key, value)
    const isSame = recomputed.rows === count && Buffer.compare(recomputed.digest(), digest) === 0
    if (!isSame) throw new Breach(`the digest of hour ${hour} is not that of its rows`)
  }
  checkOpenings(store)
}

function checkOpenings(store: Store): void {
  const left = new Map<number, { count: number; bytes: number; hour: number }>()
  const follow = (number: number, hour: number, { opening, openingBytes, totals }: AccountHour) => {
    const before = left.get(number)
    if (before !== undefined && before.hour >= hour) return
    if (before !== undefined && (before.count !== opening || before.bytes !== openingBytes)) {
      throw new Breach(`account ${number} left ${before.count} copies and opens hour ${hour} with ${opening}`)
    }
    const [count, bytes] = [opening + totals.balance(0), openingBytes + totals.balance(1)]
    if (count < 0 || bytes < 0) throw new Breach(`account ${number} has ${count} copies (${bytes} bytes) left`)
    left.set(number, { count, bytes, hour })
  }
  for (const { key, value } of store.entries({ table: 'ledger' })) {
    follow(accountOfKey(key), hourOfKey(key), readHourRow(value))
  }
  for (const { key, value } of store.entries({ table: 'accounts' })) {
    const row = readAccountRow(value)
    if (row.hour !== 0) follow(keyNumber(key), row.hour, row)
  }
}

/** Copies per message according to the sessions; also checks that the table counts the same. */
function references(state: BrokerState): [number, number][] {
  const held = new Map<number, number>()
  for (const session of state.sessionsByNumber.values()) {
    if (!session.isDurable) continue
    for (const { messageId } of heldCopies(state, session)) held.set(messageId, (held.get(messageId) ?? 0) + 1)
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
