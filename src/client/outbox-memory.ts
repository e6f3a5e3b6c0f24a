/**
 * An outbox in memory: outlives a `Client`, not the process. For tests, and for handing a session from one `Client` to
 * the next. The other adapters are held to it by one suite.
 */
import type { OutboxChange, OutboxContents, OutboxEntry, OutboxStore } from './outbox.js'

export function openMemoryOutbox(): OutboxStore {
  const entries = new Map<number, OutboxEntry>()
  const receivedPacketIds = new Set<number>()

  function apply(change: OutboxChange): void {
    if (change.kind === 'publish') entries.set(change.entry.sequence, change.entry)
    else if (change.kind === 'remove') entries.delete(change.sequence)
    else if (change.kind === 'receipt') receivedPacketIds.add(change.packetId)
    else if (change.kind === 'receipt-end') receivedPacketIds.delete(change.packetId)
    else if (change.kind === 'receipts-clear') receivedPacketIds.clear()
    else {
      const entry = entries.get(change.sequence)
      if (entry !== undefined) entries.set(change.sequence, { ...entry, state: 'released' })
    }
  }

  return {
    async load(): Promise<OutboxContents> {
      const ordered = [...entries.values()].sort((a, b) => a.sequence - b.sequence)
      return { entries: ordered, receivedPacketIds: [...receivedPacketIds] }
    },
    async commit(changes) {
      for (const change of changes) apply(change)
    },
    async close() {},
  }
}
