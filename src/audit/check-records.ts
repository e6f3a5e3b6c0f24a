/**
 * Double entry: the events of a journal record, counted again from its facts, against what the same record enters into
 * the ledger. Only records since everything is counted; sessions that end with their connection leave no facts about
 * copies, so their accounts have nothing to be compared with but the messages they have published.
 */
import type { FactHandler } from '../core/facts.js'
import { DROP_REASONS } from '../core/drop-reasons.js'
import { droppedSlot, Slot, Tally } from '../core/ledger/tally.js'
import type { CopyTerms } from '../core/message.js'
import type { Store } from '../core/ports/store.js'
import type { ProducedFact } from '../core/producer-rows.js'
import { readRecord } from '../core/record-reader.js'
import type { StoredBody } from '../core/stored-body.js'
import { keyNumber } from '../core/store-keys.js'
import type { DropReason } from '../protocol/packets.js'
import { countingSince, type LedgerCheck } from './check-ledger.js'
import { ProblemList } from './problems.js'
import { walkRows } from './walk-rows.js'

/** @returns how many records were compared. */
export function checkRecords(store: Store, ledger: LedgerCheck, problems: ProblemList): number {
  const since = countingSince(store)
  if (since === null) return 0
  const books = new RecordBooks(ledger)
  let compared = 0
  // What cannot be read was said when the rows were read, and is passed over here.
  walkRows(store, 'journal', new ProblemList(0), ({ key, value }) => {
    const record = keyNumber(key)
    books.begin()
    readRecord(value, books)
    if (record < since) return
    compared += 1
    for (const difference of books.differences()) {
      problems.add('INCONSISTENT', { table: 'journal', key, record }, `journal record ${record} ${difference}`)
    }
  })
  return compared
}

/** What the ledger and the facts say about one account. */
interface Entry {
  published: number
  publishedBytes: number
  enqueued: number
  enqueuedBytes: number
}

class RecordBooks implements FactHandler {
  readonly #ledger: LedgerCheck
  /** From facts, by account. */
  #facts = new Map<number, Entry>()
  /** Entries of the record. */
  #tallies = new Map<number, Tally>()
  /** Copies that ended, from facts: by slot, all accounts together, because these facts name sessions. */
  #ended = new Map<number, number>()
  /** That its entries belong to. */
  #hour = 0
  #problem: string | null = null

  constructor(ledger: LedgerCheck) {
    this.#ledger = ledger
  }

  begin(): void {
    this.#facts = new Map()
    this.#tallies = new Map()
    this.#ended = new Map()
    this.#problem = null
  }

  *differences(): IterableIterator<string> {
    if (this.#problem !== null) yield this.#problem
    const ended = new Map<number, number>()
    let isWhole = true
    for (const [account, tally] of this.#tallies) {
      if (!this.#ledger.knownAccounts.has(account)) {
        // Given up since, and what said who it was is older than the retention: whose copies ended cannot be told.
        if (this.#ledger.isForgotten(this.#hour)) {
          isWhole = false
          continue
        }
        yield `enters something for account ${account}, which is unknown`
      }
      const facts = this.#facts.get(account) ?? newEntry()
      yield* differencesOf(account, tally, facts, this.#ledger.transientAccounts.has(account))
      if (this.#ledger.transientAccounts.has(account)) continue
      for (const slot of ENDED_SLOTS) ended.set(slot, (ended.get(slot) ?? 0) + tally.get(slot))
    }
    for (const [account, { published, enqueued }] of this.#facts) {
      if (account === 0 || this.#tallies.has(account)) continue
      yield `has ${published} messages and ${enqueued} copies of account ${account} that it does not enter`
    }
    if (!isWhole) return
    for (const slot of ENDED_SLOTS) {
      const [events, entries] = [this.#ended.get(slot) ?? 0, ended.get(slot) ?? 0]
      if (events !== entries) yield `has ${events} copies that were ${nameOfSlot(slot)}, but enters ${entries}`
    }
  }

  #entry(account: number): Entry {
    let entry = this.#facts.get(account)
    if (entry === undefined) {
      entry = newEntry()
      this.#facts.set(account, entry)
    }
    return entry
  }

  #end(slot: number, copies = 1): void {
    this.#ended.set(slot, (this.#ended.get(slot) ?? 0) + copies)
  }

  message(_messageId: number, body: StoredBody, account: number): void {
    if (account === 0) return
    const entry = this.#entry(account)
    entry.published += 1
    entry.publishedBytes += body.topicName.length + body.payload.length
  }

  enqueued(
    _session: number,
    _messageId: number,
    _terms: CopyTerms,
    byteLength: number,
    _packetId: number,
    account: number,
  ): void {
    const entry = this.#entry(account)
    entry.enqueued += 1
    entry.enqueuedBytes += byteLength
  }

  lost(_session: number, reason: DropReason, account: number, byteLength: number): void {
    const entry = this.#entry(account)
    entry.enqueued += 1
    entry.enqueuedBytes += byteLength
    this.#end(droppedSlot(reason))
  }

  acknowledged(): void {
    this.#end(Slot.DELIVERED)
  }
  released(): void {
    this.#end(Slot.DELIVERED)
  }
  dropped(_session: number, _messageId: number, reason: DropReason): void {
    this.#end(reason === 'session-ended' ? Slot.PURGED : droppedSlot(reason))
  }
  droppedInflight(_session: number, _packetId: number, _messageId: number, reason: DropReason): void {
    this.#end(droppedSlot(reason))
  }
  moved(): void {
    this.#end(Slot.MOVED)
  }
  movedInflight(): void {
    this.#end(Slot.MOVED)
  }
  sessionEnded(_session: number, messageIds: readonly number[]): void {
    this.#end(Slot.ABANDONED, messageIds.length)
  }

  ledgerAccount(account: number, _clientId: string, _topicClass: string, isTransient: boolean): void {
    this.#ledger.knownAccounts.add(account)
    if (isTransient) this.#ledger.transientAccounts.add(account)
  }
  ledger(hour: number, account: number, tally: Tally): void {
    this.#hour = hour
    const known = this.#tallies.get(account) ?? new Tally()
    known.addAll(tally)
    this.#tallies.set(account, known)
  }

  produced(_producerId: Uint8Array, { sequence, accepted, refused }: ProducedFact): void {
    if (sequence === accepted + refused) return
    this.#problem = `has a producer at sequence ${sequence} with ${accepted} messages accepted and ${refused} refused`
  }

  assigned(): void {}
  completed(): void {}
  receiptAdded(): void {}
  receiptRemoved(): void {}
  sessionOpened(): void {}
  sessionConnected(): void {}
  sessionDisconnected(): void {}
  subscribed(): void {}
  unsubscribed(): void {}
  willCleared(): void {}
  retainedSet(): void {}
  retainedCleared(): void {}
  retainedSent(): void {}
  producerOpened(): void {}
  producerRefused(): void {}
  producerConfirmed(): void {}
  keyUsed(): void {}
  hourClosed(): void {}
}

const DROPPED_SLOTS = DROP_REASONS.map(droppedSlot)
const ENDED_SLOTS: readonly number[] = [Slot.DELIVERED, Slot.ABANDONED, Slot.PURGED, Slot.MOVED, ...DROPPED_SLOTS]

function* differencesOf(account: number, tally: Tally, facts: Entry, isTransient: boolean): IterableIterator<string> {
  const unrouted = tally.get(Slot.UNROUTED)
  const stored = tally.accepted - unrouted
  if (stored !== facts.published) {
    yield `has ${facts.published} messages of account ${account}, but enters ${stored} that had subscribers`
  } else if (unrouted === 0 && tally.acceptedBytes !== facts.publishedBytes) {
    yield `has ${facts.publishedBytes} bytes of messages of account ${account}, but enters ${tally.acceptedBytes}`
  }
  if (isTransient) return
  if (tally.enqueued === facts.enqueued && tally.enqueuedBytes === facts.enqueuedBytes) return
  const has = `${facts.enqueued} copies (${facts.enqueuedBytes} bytes)`
  yield `has ${has} for account ${account}, but enters ${tally.enqueued} (${tally.enqueuedBytes} bytes)`
}

function newEntry(): Entry {
  return { published: 0, publishedBytes: 0, enqueued: 0, enqueuedBytes: 0 }
}

function nameOfSlot(slot: number): string {
  if (slot === Slot.DELIVERED) return 'delivered'
  if (slot === Slot.ABANDONED) return 'abandoned'
  if (slot === Slot.PURGED) return 'purged'
  if (slot === Slot.MOVED) return 'moved'
  return `dropped (${DROP_REASONS[DROPPED_SLOTS.indexOf(slot)]})`
}
