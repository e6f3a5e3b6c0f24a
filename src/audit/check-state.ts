/**
 * What a broker would know that starts on this store, and whether that agrees with itself: the copies that sessions
 * hold are the references that are counted, every message held can be loaded, every message stored is held, retained
 * messages have their bodies, and one client has one session.
 */
import type { Copy } from '../core/message.js'
import type { Session } from '../core/session.js'
import type { BrokerState } from '../core/state.js'
import { numberKey, topicKey } from '../core/store-keys.js'
import type { Holding } from './check-ledger.js'
import type { RowCheck } from './check-rows.js'
import { hexadecimal, type ProblemList, reasonOf } from './problems.js'
import { heldCopies } from './queued-copies.js'

export interface StateFigures {
  readonly sessions: number
  /** In queues and in flight. */
  readonly copies: number
  /** Messages that copies need. */
  readonly messages: number
  readonly retained: number
  readonly producers: number
}

export interface StateCheck {
  readonly figures: StateFigures
  /** Copies by account number, 0: of none; null: not every session could be read. */
  readonly holdings: ReadonlyMap<number, Holding> | null
}

export function checkState(state: BrokerState, rows: RowCheck, problems: ProblemList): StateCheck {
  const held = new Map<number, number>()
  const holdings = new Map<number, Holding>()
  let copies = 0
  let isWhole = true
  for (const session of state.sessionsByNumber.values()) {
    if (!session.isDurable) continue
    try {
      for (const copy of heldCopies(state, session)) {
        held.set(copy.messageId, (held.get(copy.messageId) ?? 0) + 1)
        addTo(holdings, copy)
        copies += 1
      }
    } catch (error) {
      isWhole = false
      const place = { table: 'queues', key: numberKey(session.number) } as const
      problems.add('MISSING', place, `the queue of ${nameOf(session)} cannot be read: ${reasonOf(error)}`)
    }
    checkOnlySession(state, session, problems)
  }
  // Without the copies of every session no count can be right.
  if (isWhole) checkMessages(state, rows, held, problems)
  checkRetained(state, rows, problems)
  checkProducers(state, rows, problems)
  const figures = {
    sessions: state.sessions.size,
    copies,
    messages: held.size,
    retained: state.retained.size,
    producers: state.producers.count,
  }
  return { figures, holdings: isWhole ? holdings : null }
}

function addTo(holdings: Map<number, Holding>, { account, byteLength }: Copy): void {
  const number = account?.number ?? 0
  const holding = holdings.get(number)
  if (holding === undefined) holdings.set(number, { copies: 1, bytes: byteLength })
  else {
    holding.copies += 1
    holding.bytes += byteLength
  }
}

function checkOnlySession(state: BrokerState, session: Session, problems: ProblemList): void {
  const known = state.sessions.get(session.clientId)
  if (session.hasEnded || known === session) return
  const other = known === undefined ? 'nobody finds it' : `session ${known.number} is that client's too`
  const place = { table: 'sessions', key: numberKey(session.number) } as const
  problems.add('INCONSISTENT', place, `${nameOf(session)} has not ended, but ${other}`)
}

function checkMessages(
  state: BrokerState,
  rows: RowCheck,
  held: ReadonlyMap<number, number>,
  problems: ProblemList,
): void {
  for (const [messageId, copies] of held) {
    const place = { table: 'messages', key: numberKey(messageId) } as const
    try {
      const counted = state.messages.references(messageId)
      if (counted !== copies) {
        problems.add('INCONSISTENT', place, `message ${messageId} has ${copies} copies, but ${counted} are counted`)
      }
      state.messages.load(messageId)
    } catch (error) {
      problems.add('MISSING', place, `message ${messageId} waits in ${copies} copies, but: ${reasonOf(error)}`)
    }
    if (messageId < state.nextMessageId) continue
    problems.add('INCONSISTENT', place, `message ${messageId} is held, but its number has not been given out yet`)
  }
  for (const messageId of rows.messageRows) {
    if (held.has(messageId)) continue
    const place = { table: 'messages', key: numberKey(messageId) } as const
    problems.add('LEFT_BEHIND', place, `message ${messageId} is stored, but no session holds a copy of it`)
  }
}

/** A retained message whose body is in memory comes from the journal; its row, if any, is older. */
function checkRetained(state: BrokerState, rows: RowCheck, problems: ProblemList): void {
  let bytes = 0
  for (const { topicName, byteLength, body } of state.retained.iterateAll()) {
    bytes += byteLength
    if (body !== null || rows.retainedTopics.has(topicName)) continue
    const place = { table: 'retained', key: topicKey(topicName) } as const
    problems.add('MISSING', place, `the retained message of "${topicName}" is known, but not stored`)
  }
  for (const topicName of rows.retainedTopics) {
    if (state.retained.get(topicName) !== undefined || state.dirtyRetained.has(topicName)) continue
    const place = { table: 'retained', key: topicKey(topicName) } as const
    problems.add(
      'LEFT_BEHIND',
      place,
      `the retained message of "${topicName}" is stored, but recovery does not know it`,
    )
  }
  if (bytes === state.retainedBytes) return
  const sentence = `retained messages hold ${bytes} bytes, but ${state.retainedBytes} are counted`
  problems.add('INCONSISTENT', { table: 'retained' }, sentence)
}

/** The journal counts the producers that were ever opened: each has a row, or facts that are still in the journal. */
function checkProducers(state: BrokerState, rows: RowCheck, problems: ProblemList): void {
  let found = rows.producerRows.size
  for (const { producerId } of state.producers.inMemory())
    if (!rows.producerRows.has(hexadecimal(producerId))) found += 1
  if (found === state.producers.count) return
  const sentence = `${state.producers.count} producers were ever opened, but ${found} are known`
  problems.add(found < state.producers.count ? 'MISSING' : 'INCONSISTENT', { table: 'producers' }, sentence)
}

function nameOf(session: Session): string {
  return `session ${session.number} ("${session.clientId}")`
}
