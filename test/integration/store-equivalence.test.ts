/**
 * The same story on memory and on LMDB: the same packets in the same order, the same rows, the same after a failure.
 */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { STORE_TABLES, type Store } from '../../src/core/ports/store.js'
import { openLmdbStore } from '../../src/storage/lmdb/open-lmdb-store.js'
import { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { copyStore } from '../support/durable-state.js'
import { FailingStore } from '../support/failing-store.js'
import { runStoreScript } from '../support/store-script.js'
import { testBroker } from '../support/test-broker.js'

/** Every commit here settles, so the watchdog's timer need not fire. */
const timers = { nowMs: () => 0, schedule: () => ({ cancel: () => undefined }) }

async function openDisk(t: Test, directory: string): Promise<Store> {
  const store = await openLmdbStore({ directory, durability: 'flush', commitTimeoutMs: 10_000, timers })
  t.teardown(() => store.close())
  return store
}

function rowsOf(store: Store): string[] {
  const rows: string[] = []
  for (const table of STORE_TABLES) {
    for (const { key, value } of store.entries({ table })) {
      rows.push(`${table} ${Buffer.from(key).toString('hex')} ${Buffer.from(value).toString('hex')}`)
    }
  }
  return rows
}

t.test('a story that nothing disturbs is the same on both stores', async (t) => {
  const memory = new MemoryStore()
  const disk = await openDisk(t, t.testdir())
  const onMemory = await runStoreScript(memory)
  const onDisk = await runStoreScript(disk)
  t.equal(onMemory.failure, null)
  t.equal(onDisk.failure, null)
  t.same(onDisk.transcript, onMemory.transcript)
  t.ok(onMemory.transcript.length > 60, 'much happened')
  t.same(rowsOf(disk), rowsOf(memory))
})

t.test('a story that a store failure ends is the same on both stores, and so is what the restart finds', async (t) => {
  const parent = t.testdir()
  let compared = 0
  for (let failAt = 3; ; failAt += 17) {
    const memory = new MemoryStore()
    const disk = await openDisk(t, join(parent, `fail-${failAt}`))
    const failing = new FailingStore(disk, { failAt, fault: 'EIO' })
    const onMemory = await runStoreScript(new FailingStore(memory, { failAt, fault: 'EIO' }))
    const onDisk = await runStoreScript(failing)
    t.same(onDisk.transcript, onMemory.transcript, `operation ${failAt}`)
    t.equal(onDisk.failure?.code, onMemory.failure?.code)
    t.same(rowsOf(disk), rowsOf(memory))
    const { clock } = onDisk
    const found = [disk, memory].map((store) =>
      testBroker({ store: copyStore(store), clock })
        .resume('consumer')
        .drain(),
    )
    t.same(found[0], found[1])
    if (!failing.fired) break
    compared += 1
  }
  t.ok(compared >= 5, `${compared} failures compared`)
})
