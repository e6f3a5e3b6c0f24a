/** The store contract on LMDB, in every durability. */
import { join } from 'node:path'
import t from 'tap'
import { openLmdbStore } from '../../src/storage/lmdb/open-lmdb-store.js'
import { storeContract } from './store-contract.js'

/** The commits of this suite all settle, so the watchdog's timer never has to fire. */
const timers = { nowMs: () => 0, schedule: () => ({ cancel: () => undefined }) }

for (const durability of ['flush', 'os', 'memory'] as const) {
  t.test(`durability ${durability}`, async (t) => {
    const parent = t.testdir()
    let stores = 0
    storeContract(t, async (t) => {
      stores += 1
      const directory = join(parent, `store-${stores}`)
      const store = await openLmdbStore({ directory, durability, commitTimeoutMs: 10_000, timers })
      t.teardown(() => store.close())
      return store
    })
  })
}
