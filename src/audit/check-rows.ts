/**
 * The rows as they lie in their tables, without recovery: every one decodes to its end, the journal has no gap, no row
 * is from the future, and a session's row and the chunks of its queue say the same. Rows of one session are written in
 * one commit, so this holds in every committed state; what journal and rows say together is `check-state.ts`.
 */
import { ByteReader } from '../base/byte-reader.js'
import { readKeyRow } from '../core/idempotency-keys.js'
import { readMessageRow } from '../core/message-table.js'
import { DEFAULT_LIMITS } from '../core/limits.js'
import { STORE_TABLES, type Store, type StoreEntry, type StoreTable } from '../core/ports/store.js'
import { readProducerRow } from '../core/producer-rows.js'
import { readRecord } from '../core/record-reader.js'
import { RecordWriter } from '../core/record-writer.js'
import { readRetainedRow } from '../core/retained.js'
import { NO_ACCOUNTS, readChunkRow, readSessionRow } from '../core/session-rows.js'
import { keyNumber, topicKey } from '../core/store-keys.js'
import { hexadecimal, type ProblemList } from './problems.js'
import { isEqual, walkRows } from './walk-rows.js'

/** What a session's row says about the chunks of its queue, and what of it has been found. */
interface ExpectedChunks {
  nextChunk: number
  readonly endChunk: number
  copiesLeft: number
  bytesLeft: number
}

export class RowCheck {
  readonly #store: Store
  readonly #problems: ProblemList
  readonly #expected = new Map<number, ExpectedChunks>()
  readonly messageRows = new Set<number>()
  readonly retainedTopics = new Set<string>()
  readonly producerRows = new Set<string>()
  readonly rows: Partial<Record<StoreTable, number>> = {}
  oldestRecord = 0
  newestRecord = 0
  nextMessageId = 1
  nextSessionNumber = 1
  /** The journal was read to its end, so what it says is newest is. */
  #isJournalWhole = true
  /** The row that is as of the newest record, of those that are newer than the journal. */
  #ahead: { readonly place: RowPlace; readonly record: number; readonly name: string } | null = null
  #aheadRows = 0

  constructor(store: Store, problems: ProblemList) {
    this.#store = store
    this.#problems = problems
  }

  run(): void {
    this.#isJournalWhole = this.walk('journal', (entry) => this.#journal(entry))
    this.walk('sessions', (entry) => this.#session(entry))
    if (this.walk('queues', (entry) => this.#chunk(entry))) this.#checkChunksFound()
    this.walk('messages', (entry) => this.#message(entry))
    this.walk('references', (entry) => this.#references(entry))
    this.walk('retained', (entry) => this.#retained(entry))
    this.walk('producers', (entry) => this.#producer(entry))
    this.walk('keys', ({ key, value }) => this.#idempotencyKey(key, value))
  }

  /** After every other check: frames and keys of the tables that nobody has looked into, and the journal's end. */
  finish(): void {
    for (const table of STORE_TABLES) if (this.rows[table] === undefined) this.walk(table, () => undefined)
    this.#checkJournalEnd()
  }

  /** Every row of a table, counted. @returns whether it was read to its end. */
  walk(table: StoreTable, visit: (entry: StoreEntry) => void): boolean {
    const { rows, isWhole } = walkRows(this.#store, table, this.#problems, visit)
    this.rows[table] = rows
    return isWhole
  }

  #journal({ key, value }: StoreEntry): void {
    const record = numberOf(key)
    if (this.oldestRecord === 0) this.oldestRecord = record
    else if (record !== this.newestRecord + 1) this.#gap(key, record)
    this.newestRecord = record
    const header = readRecord(value, new RecordWriter())
    const { nextMessageId, nextSessionNumber } = header
    if (nextMessageId < this.nextMessageId || nextSessionNumber < this.nextSessionNumber) {
      const sentence = `journal record ${record} counts messages and sessions from lower numbers than the one before it`
      this.#problems.add('INCONSISTENT', { table: 'journal', key, record }, sentence)
    }
    this.nextMessageId = nextMessageId
    this.nextSessionNumber = nextSessionNumber
  }

  #gap(key: Uint8Array, record: number): void {
    const first = this.newestRecord + 1
    const which = first === record - 1 ? `journal record ${first} is` : `journal records ${first} to ${record - 1} are`
    this.#problems.add('MISSING', { table: 'journal', key, record }, `${which} missing before record ${record}`)
  }

  #session({ key, value }: StoreEntry): void {
    const number = numberOf(key)
    const { session } = readSessionRow(number, value, DEFAULT_LIMITS.queueWindowMessages, NO_ACCOUNTS)
    const { queue, inflight, clientId } = session
    const place = { table: 'sessions', key } as const
    this.checkAge(place, session.rowRecord, `the row of session ${number} ("${clientId}")`)
    if (!this.#isCounted(number, this.nextSessionNumber)) {
      this.#problems.add('INCONSISTENT', place, `session ${number} has a row, but the journal has not counted that far`)
    }
    let inlineBytes = 0
    for (const copy of queue.front()) inlineBytes += copy.byteLength
    this.#expected.set(number, {
      nextChunk: queue.firstChunk,
      endChunk: queue.nextChunk,
      copiesLeft: queue.coldCount,
      bytesLeft: queue.byteLength - inlineBytes,
    })
    for (const { packetId, deliverySequence } of inflight.inOrder()) {
      if (deliverySequence >= 1 && deliverySequence < session.nextDeliverySequence) continue
      const sentence = `session ${number} ("${clientId}") has packet ${packetId} in flight with delivery sequence `
      const bound = `${deliverySequence}, and the next one it will give out is ${session.nextDeliverySequence}`
      this.#problems.add('INCONSISTENT', place, sentence + bound)
    }
  }

  #chunk({ key, value }: StoreEntry): void {
    if (key.length !== 16) throw new RangeError(`its key has ${key.length} bytes, not 16`)
    const number = keyNumber(key)
    const chunk = keyNumber(key.subarray(8))
    const place = { table: 'queues', key } as const
    const copies = readChunkRow(value, NO_ACCOUNTS)
    const expected = this.#expected.get(number)
    const name = `chunk ${chunk} of the queue of session ${number}`
    if (expected === undefined) {
      this.#problems.add('LEFT_BEHIND', place, `${name} is there, but no row of that session`)
      return
    }
    if (chunk < expected.nextChunk || chunk >= expected.endChunk) {
      this.#problems.add('LEFT_BEHIND', place, `${name} is there, but the row of the session does not speak of it`)
      return
    }
    this.#missingChunks(number, expected, chunk)
    expected.nextChunk = chunk + 1
    expected.copiesLeft -= copies.length
    for (const copy of copies) expected.bytesLeft -= copy.byteLength
  }

  #missingChunks(number: number, expected: ExpectedChunks, until: number): void {
    if (expected.nextChunk === until) return
    const range = `${expected.nextChunk} to ${until - 1}`
    const sentence = `chunks ${range} of the queue of session ${number} are missing, and the messages waiting in them`
    this.#problems.add('MISSING', { table: 'queues' }, sentence)
    // Counts cannot be right any more, and that is said already.
    expected.copiesLeft = Number.NaN
  }

  #checkChunksFound(): void {
    for (const [number, expected] of this.#expected) {
      this.#missingChunks(number, expected, expected.endChunk)
      const { copiesLeft, bytesLeft } = expected
      if (Number.isNaN(copiesLeft) || (copiesLeft === 0 && bytesLeft === 0)) continue
      const lack = `${copiesLeft} copies and ${bytesLeft} bytes`
      const sentence = `the queue of session ${number} lacks ${lack} of what its row says`
      this.#problems.add('INCONSISTENT', { table: 'sessions' }, sentence)
    }
  }

  #message({ key, value }: StoreEntry): void {
    const messageId = numberOf(key)
    const { record, references } = readMessageRow(value)
    const place = { table: 'messages', key } as const
    this.messageRows.add(messageId)
    this.checkAge(place, record, `the row of message ${messageId}`)
    if (!this.#isCounted(messageId, this.nextMessageId)) {
      this.#problems.add(
        'INCONSISTENT',
        place,
        `message ${messageId} has a row, but the journal has not counted so far`,
      )
    }
    if (references < 1) {
      this.#problems.add('INCONSISTENT', place, `message ${messageId} was stored for ${references} copies`)
    }
  }

  #references({ key, value }: StoreEntry): void {
    const messageId = numberOf(key)
    const reader = new ByteReader(value)
    const record = reader.varint()
    const count = reader.varint()
    if (!reader.isAtEnd) throw new RangeError('there are bytes behind its end')
    const place = { table: 'references', key } as const
    this.checkAge(place, record, `the count of copies of message ${messageId}`)
    if (count < 1) this.#problems.add('INCONSISTENT', place, `message ${messageId} is counted for ${count} copies`)
    if (this.messageRows.has(messageId)) return
    this.#problems.add('LEFT_BEHIND', place, `copies of message ${messageId} are counted, but it has no row`)
  }

  #retained({ key, value }: StoreEntry): void {
    const { record, body } = readRetainedRow(value)
    const place = { table: 'retained', key } as const
    this.retainedTopics.add(body.topicName)
    this.checkAge(place, record, `the retained message of "${body.topicName}"`)
    if (isEqual(topicKey(body.topicName), key)) return
    this.#problems.add('INCONSISTENT', place, `this row holds the retained message of "${body.topicName}"`)
  }

  #producer({ key, value }: StoreEntry): void {
    const producer = readProducerRow(key, value)
    const place = { table: 'producers', key } as const
    this.producerRows.add(hexadecimal(key))
    this.checkAge(place, producer.rowRecord, `the row of producer ${hexadecimal(key)}`)
    const { refusals, refused, sequence, epoch } = producer
    const highest = refusals.at(-1)?.sequence ?? 0
    if (epoch >= 1 && refusals.length <= refused && highest <= sequence) return
    const sentence =
      `producer ${hexadecimal(key)} has ${refusals.length} refusals up to ${highest} at epoch ${epoch}, ` +
      `but ${refused} of ${sequence} messages were refused`
    this.#problems.add('INCONSISTENT', place, sentence)
  }

  #idempotencyKey(key: Uint8Array, value: Uint8Array): void {
    if (key.length !== 16) throw new RangeError(`its key has ${key.length} bytes, not 16`)
    readKeyRow(value)
  }

  /** One problem for all of them: where the end of the journal is missing, every second row may be ahead of it. */
  checkAge(place: RowPlace, record: number, name: string): void {
    if (record <= this.newestRecord) return
    this.#aheadRows += 1
    if (this.#ahead === null || record > this.#ahead.record) this.#ahead = { place, record, name }
  }

  #checkJournalEnd(): void {
    const ahead = this.#ahead
    if (!this.#isJournalWhole || ahead === null) return
    const { place, record, name } = ahead
    const newest = this.newestRecord === 0 ? 'the journal is empty' : `the newest one here is ${this.newestRecord}`
    const sentence =
      `${name} is as of journal record ${record}, but ${newest}: the end of the journal is missing ` +
      `(${this.#aheadRows} rows are ahead of it)`
    this.#problems.add('MISSING', { ...place, record }, sentence)
  }

  /** The newest record is never removed: its header has the counters that everything else is numbered by. */
  #isCounted(number: number, next: number): boolean {
    return number < next || !this.#isJournalWhole || this.newestRecord === 0
  }
}

interface RowPlace {
  readonly table: StoreTable
  readonly key: Uint8Array
}

function numberOf(key: Uint8Array): number {
  if (key.length !== 8) throw new RangeError(`its key has ${key.length} bytes, not 8`)
  return keyNumber(key)
}
