/** Memory and LMDB give the same answers to the same script: random commits, reads and ranges, step by step. */
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { STORE_TABLES, type Store, type StoreOperation } from '../../src/core/ports/store.js'
import { openLmdbStore } from '../../src/storage/lmdb/open-lmdb-store.js'
import { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { commit, hex } from './store-contract.js'

const table = fc.constantFrom(...STORE_TABLES.slice(0, 3))
/** Few different bytes, the extreme ones among them, so that keys meet again and are prefixes of each other. */
const key = fc
  .array(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), { minLength: 1, maxLength: 4 })
  .map((bytes) => Uint8Array.from(bytes))
const value = fc.uint8Array({ maxLength: 40 })
const operation: fc.Arbitrary<StoreOperation> = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), table, key, value }),
  fc.record({ kind: fc.constant('remove' as const), table, key }),
)
const range = fc.record({ table, from: key, until: key, limit: fc.nat(6) }, { requiredKeys: ['table'] })
const step = fc.oneof(
  { weight: 3, arbitrary: fc.array(operation, { maxLength: 12 }).map((operations) => ({ operations })) },
  { weight: 1, arbitrary: fc.record({ table, key }).map((get) => ({ get })) },
  { weight: 2, arbitrary: range.map((range) => ({ range })) },
)
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never

async function answer(store: Store, step: Step): Promise<unknown> {
  if ('operations' in step) return (await commit(store, step.operations))?.code ?? 'done'
  if ('get' in step) return hex(store.get(step.get.table, step.get.key))
  return Array.from(store.entries(step.range), (entry) => [hex(entry.key), hex(entry.value)])
}

t.test('the same script has the same answers', async (t) => {
  const parent = t.testdir()
  const timers = { nowMs: () => 0, schedule: () => ({ cancel: () => undefined }) }
  let stores = 0
  const scripts = fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
    stores += 1
    const directory = join(parent, `store-${stores}`)
    const lmdb = await openLmdbStore({ directory, durability: 'os', commitTimeoutMs: 10_000, timers })
    const memory = new MemoryStore()
    try {
      for (const step of steps) {
        const [expected, found] = [await answer(memory, step), await answer(lmdb, step)]
        if (JSON.stringify(expected) !== JSON.stringify(found)) {
          throw new Error(`memory says ${JSON.stringify(expected)}, LMDB says ${JSON.stringify(found)}`)
        }
      }
    } finally {
      await lmdb.close()
    }
  })
  await t.resolves(fc.assert(scripts, { numRuns: 150 }))
})
