/**
 * The commits of a seeded world of clients, in the order in which they became durable, and what the store must hold
 * after each: the words of the real core, to be spoken to the real store.
 */
import { createHash } from 'node:crypto'
import { STORE_TABLES, type Store, type StoreOperation } from '../../src/core/ports/store.js'
import { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { World } from '../support/book-keeping-world.js'

export interface CommitScript {
  readonly commits: readonly (readonly StoreOperation[])[]
  /** `digests[n]`: the rows after n commits. */
  readonly digests: readonly string[]
}

/** @throws Breach when the world itself finds something wrong. */
export function commitScript(seed: number, steps: number): CommitScript {
  const commits: StoreOperation[][] = []
  const world = new World(seed, { onDurable: (operations) => commits.push(operations.map(copied)) })
  world.run(steps)
  const store = new MemoryStore({ settle: 'manual' })
  const digests = [digestOfRows(store)]
  for (const operations of commits) {
    store.commit(operations, () => undefined)
    store.settleAll()
    digests.push(digestOfRows(store))
  }
  return { commits, digests }
}

function copied(operation: StoreOperation): StoreOperation {
  const key = new Uint8Array(operation.key)
  return operation.kind === 'put'
    ? { ...operation, key, value: new Uint8Array(operation.value) }
    : { ...operation, key }
}

/** Every row of every table that the core writes; `meta` is the adapter's own. */
export function digestOfRows(store: Store): string {
  const hash = createHash('sha256')
  for (const table of STORE_TABLES) {
    if (table === 'meta') continue
    for (const { key, value } of store.entries({ table })) {
      hash.update(`${table} ${key.length} ${value.length} `).update(key).update(value)
    }
  }
  return hash.digest('hex')
}
