/** Once the faults have stopped everything comes to rest: clients are connected, outboxes and queues are empty. */
export interface SettlingClient {
  readonly clientId: string
  readonly isSettled: boolean
  /** Its connection is dead, and it has not noticed: what it is sent meanwhile it has not got. */
  readonly isHalfOpen: boolean
}
export interface SettlingSession {
  readonly clientId: string
  readonly connection: object | null
  readonly queue: { readonly count: number }
  readonly inflight: { readonly size: number }
}

export interface SettlingSessions {
  get(clientId: string): SettlingSession | undefined
  /** Those in memory: whoever is connected is there. */
  values(): Iterable<SettlingSession>
}

/** @returns who is not at rest, and why; empty: all is well. */
export function unsettled(clients: Iterable<SettlingClient>, sessions: SettlingSessions): string[] {
  const found: string[] = []
  for (const { clientId, isSettled, isHalfOpen } of clients) {
    const session = sessions.get(clientId)
    if (!isSettled) found.push(`${clientId} still waits for the broker`)
    else if (isHalfOpen) found.push(`${clientId} does not know yet that its connection is dead`)
    // One of the two may not have noticed yet that the connection is dead.
    if (session === undefined || session.connection === null) found.push(`${clientId} is not connected`)
  }
  for (const { clientId, connection, queue, inflight } of sessions.values()) {
    if (connection === null) continue
    if (queue.count > 0) found.push(`${queue.count} messages still wait for ${clientId}, which is connected`)
    if (inflight.size > 0) found.push(`${inflight.size} copies are still in flight to ${clientId}`)
  }
  return found
}
