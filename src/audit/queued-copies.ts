/** The copies that wait in a session's queue, oldest first, wherever they are. Only while no commit is under way. */
import type { Copy } from '../core/message.js'
import type { Session } from '../core/session.js'
import { queueLoader } from '../core/session-rows.js'
import type { BrokerState } from '../core/state.js'

/** @throws StoreError when a chunk of it is missing. */
export function queuedCopies(state: BrokerState, session: Session): Copy[] {
  const { queue } = session
  const front = queue.front()
  const back = [...queue.inMemory()].slice(front.length)
  const cold: Copy[] = []
  const loader = queueLoader(state, session)
  for (let chunk = queue.firstChunk; chunk < queue.nextChunk; chunk += 1) cold.push(...loader.loadChunk(chunk))
  return [...front, ...cold, ...back]
}

/** Copies that are owed: queued, or sent and not taken. */
export function heldCopies(state: BrokerState, session: Session): Copy[] {
  const sent = session.inflight.inOrder().filter((copy) => copy.state === 'sent')
  return [...sent, ...queuedCopies(state, session)]
}
