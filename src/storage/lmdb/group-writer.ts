/** How a group of commits becomes one transaction: the only place that writes rows. */
import type { StoreError, StoreOperation } from '../../core/ports/store.js'
import type { Environment } from './environment.js'
import { FRAME_BYTES, writeFrame } from './value-frame.js'

/** The buffer that values are framed in is kept up to this size. */
const ARENA_BYTES_KEPT_MAX = 4_194_304

export interface Commit {
  readonly operations: readonly StoreOperation[]
  readonly bytes: number
  readonly done: (error: StoreError | null) => void
}

export class GroupWriter {
  readonly #environment: Environment
  #arena = Buffer.allocUnsafeSlow(65_536)

  constructor(environment: Environment) {
    this.#environment = environment
  }

  /**
   * One explicit batch is one LMDB transaction. Nothing in it may throw, a batch that throws keeps what it has: keys
   * are checked before, the arena is there before. LMDB reads keys and values in a worker thread until the
   * promise settles.
   */
  write(group: readonly Commit[]): Promise<unknown> {
    const tables = this.#environment.tables
    const arena = this.#arenaFor(group)
    let offset = 0
    const settled = this.#environment.root.batch(() => {
      for (const commit of group) {
        for (const operation of commit.operations) {
          const { key, table } = operation
          if (operation.kind === 'remove') tables[table].remove(key)
          else {
            const end = offset + FRAME_BYTES + operation.value.length
            writeFrame(key, operation.value, arena, offset)
            tables[table].put(key, arena.subarray(offset, end))
            offset = end
          }
        }
      }
    })
    tables.meta.remove(NUDGE).catch(() => {})
    return settled
  }

  /** One buffer for all values of a group: LMDB copies from it, and it is free again when the group has settled. */
  #arenaFor(group: readonly Commit[]): Buffer {
    const bytes = groupBytes(group)
    if (bytes <= this.#arena.length) return this.#arena
    const arena = Buffer.allocUnsafeSlow(Math.max(bytes, Math.min(2 * this.#arena.length, ARENA_BYTES_KEPT_MAX)))
    if (arena.length <= ARENA_BYTES_KEPT_MAX) this.#arena = arena
    return arena
  }
}

/**
 * lmdb-js leaves a batch for the next setImmediate, a whole round of the event loop later, unless something more than
 * `txnStartThreshold` is outstanding. Removing a key that nobody has changes nothing and makes the worker start now,
 * while what else has arrived is still being read. It joins the batch's transaction and fails with it.
 */
const NUDGE = Buffer.from('nudge')

export function groupBytes(group: readonly Commit[]): number {
  let bytes = 0
  for (const commit of group) bytes += commit.bytes
  return bytes
}
