/** A store with some rows changed, and a journal record with some facts changed: what a fault would have left. */
import type { FactHandler } from '../../src/core/facts.js'
import type { Store, StoreTable } from '../../src/core/ports/store.js'
import { readRecord } from '../../src/core/record-reader.js'
import { RecordWriter } from '../../src/core/record-writer.js'
import type { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { copyStore } from './durable-state.js'

export interface RowEdit {
  readonly table: StoreTable
  readonly key: Uint8Array
  /** null: the row is removed. */
  readonly value: Uint8Array | null
}

export function alteredStore(store: Store, ...edits: readonly RowEdit[]): MemoryStore {
  const copy = copyStore(store)
  for (const { table, key, value } of edits) {
    const row = { table, key }
    copy.commit([value === null ? { kind: 'remove', ...row } : { kind: 'put', ...row, value }], () => undefined)
  }
  copy.settleAll()
  return copy
}

type Arguments<Name extends keyof FactHandler> = Parameters<FactHandler[Name]>

/**
 * The record with every fact of one kind passed through `change`: undefined leaves it as it is, null leaves it out.
 * @returns null when nothing was changed.
 */
export function alteredRecord<Name extends keyof FactHandler>(
  record: Uint8Array,
  name: Name,
  change: (...fact: Arguments<Name>) => Arguments<Name> | null | undefined,
): Uint8Array | null {
  const writer = new RecordWriter()
  let isChanged = false
  const handler = new Proxy(writer, {
    get: (_target, method: keyof FactHandler) => {
      return (...fact: Arguments<Name>) => {
        const write = writer[method].bind(writer) as (...args: Arguments<Name>) => void
        if (method !== name) return write(...fact)
        const changed = change(...fact)
        if (changed === undefined) return write(...fact)
        isChanged = true
        if (changed !== null) write(...changed)
      }
    },
  })
  const header = readRecord(record, handler)
  return isChanged ? writer.seal(header) : null
}
