/**
 * `$share/{name}/{filter}`: which member gets the next message. Round-robin over the members that are connected and
 * not congested; if there is none, over those whose session will take it later; a full queue comes last.
 */
import { isQueueFull } from './deliver.js'
import type { Session } from './session.js'
import type { BrokerState } from './state.js'
import type { ShareGroup, Subscription } from './topic-tree.js'

/** @param except a session that is leaving. */
export function chooseMember(
  group: ShareGroup<Session>,
  state: BrokerState,
  except: Session | null = null,
): Subscription<Session> | null {
  const { members } = group
  let fallback: Subscription<Session> | null = null
  let fallbackRank = 0
  for (let step = 0; step < members.length; step += 1) {
    const index = (group.next + step) % members.length
    const member = members[index] as Subscription<Session>
    if (member.session === except || member.session.hasEnded) continue
    const rank = rankOf(member.session, state)
    if (rank === READY) {
      group.next = (index + 1) % members.length
      return member
    }
    if (rank > fallbackRank) {
      fallback = member
      fallbackRank = rank
    }
  }
  if (fallback !== null) group.next = (members.indexOf(fallback) + 1) % members.length
  return fallback
}

const READY = 4

/** 4 takes it at once · 3 connected, but busy · 2 not connected, its session keeps it · 1 its queue is full. */
function rankOf(session: Session, state: BrokerState): number {
  if (isQueueFull(state, session, 0)) return 1
  const connection = session.connection
  if (connection === null) return 2
  const isBusy = !session.queue.isEmpty || connection.outstanding >= connection.receiveMaximum
  return isBusy || connection.link.bufferedBytes > state.limits.outputBufferBytesMax ? 3 : READY
}
