/**
 * The commits of a seeded world of clients, in the order in which they became durable, and what the store must hold
 * after each: the words of the real core, to be spoken to the real store.
 */
import { createHash } from 'node:crypto'
import { STORE_TABLES, type Store, type StoreOperation } from '../../src/core/ports/store.js'
import { numberKey } from '../../src/core/store-keys.js'
import { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { World } from '../support/book-keeping-world.js'
import { Random } from '../support/random.js'

export interface CommitScript {
  /** Commits of the core, whose rows `verifyStore` understands. */
  readonly isOfCore: boolean
  readonly commits: readonly (readonly StoreOperation[])[]
  /** `digests[n]`: the rows after n commits. */
  readonly digests: readonly string[]
}

/** @throws Breach when the world itself finds something wrong. */
export function commitScript(seed: number, steps: number): CommitScript {
  const commits: StoreOperation[][] = []
  const world = new World(seed, { onDurable: (operations) => commits.push(operations.map(copied)) })
  world.run(steps)
  return { isOfCore: true, commits, digests: digestsOf(commits) }
}

/**
 * What a broker under load gives its store, told in short: records of many sizes, most of them alone in their commit,
 * and now and then rows with them, while the oldest records go. Slots of the journal file are changed and filled again.
 */
export function journalScript(seed: number, count: number): CommitScript {
  const random = new Random(seed)
  const commits: StoreOperation[][] = []
  let oldest = 1
  for (let number = 1; number <= count; number += 1) {
    const value = new Uint8Array(random.below(random.chance(0.2) ? 2_500 : 400)).fill(number)
    const operations: StoreOperation[] = [{ kind: 'put', table: 'journal', key: numberKey(number), value }]
    if (random.chance(0.1)) {
      const key = numberKey(random.below(20))
      operations.push({ kind: 'put', table: 'queues', key, value: new Uint8Array(random.below(600)).fill(number) })
      for (const kept = 5 + random.below(15); oldest < number - kept; oldest += 1) {
        operations.push({ kind: 'remove', table: 'journal', key: numberKey(oldest) })
      }
    }
    commits.push(operations)
  }
  return { isOfCore: false, commits, digests: digestsOf(commits) }
}

function digestsOf(commits: readonly (readonly StoreOperation[])[]): string[] {
  const store = new MemoryStore({ settle: 'manual' })
  const digests = [digestOfRows(store)]
  for (const operations of commits) {
    store.commit(operations, () => undefined)
    store.settleAll()
    digests.push(digestOfRows(store))
  }
  return digests
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
