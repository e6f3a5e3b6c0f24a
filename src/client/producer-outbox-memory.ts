/**
 * A producer's outbox in memory: outlives the producer, not the process. For tests, and for messages that are worth a
 * retry but no disk. The other adapters are held to it by one suite.
 */
import type { ProducerOutbox, ProducerRow } from './producer-outbox.js'

export function openMemoryProducerOutbox(): ProducerOutbox {
  const rows = new Map<number, ProducerRow>()
  let record: Uint8Array | null = null
  let lastSequence = 0
  let forgotten = 0

  return {
    async load() {
      return record
    },
    async lastSequence() {
      return lastSequence
    },
    async read(afterSequence, messagesMax, bytesMax) {
      const found: ProducerRow[] = []
      let bytes = 0
      for (let sequence = afterSequence + 1; found.length < messagesMax && bytes < bytesMax; sequence += 1) {
        const row = rows.get(sequence)
        if (row === undefined) break
        found.push(row)
        bytes += row.bytes.length
      }
      return found
    },
    async commit(change) {
      for (const { batchRest, bytes } of change.append) {
        lastSequence += 1
        rows.set(lastSequence, { sequence: lastSequence, batchRest, bytes })
      }
      if (change.record !== null) record = change.record
      for (; forgotten < change.forgetSequence; forgotten += 1) rows.delete(forgotten + 1)
      return lastSequence
    },
    async close() {},
  }
}
