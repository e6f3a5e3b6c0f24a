/** The failing store itself: counts what it says it counts, and a script run with N = 1, 2, 3 … comes to an end. */
import t from 'tap'
import { StoreError } from '../../../src/core/ports/store.js'
import { MemoryStore } from '../../../src/storage/memory/memory-store.js'
import { bytes, commit, put, sequenceKey } from '../../contract/store-contract.js'
import { FailingStore } from '../../support/failing-store.js'

t.test('every operation of a script is the failing one once, then the script passes untouched', async (t) => {
  const outcomes: string[] = []
  for (let failAt = 1; failAt < 20; failAt += 1) {
    const store = new FailingStore(new MemoryStore(), { failAt, fault: 'ENOSPC' })
    const rows = Array.from({ length: 300 }, (_, row) => put('queues', sequenceKey(row), bytes(1)))
    const first = await commit(store, rows)
    const second = await commit(store, [put('meta', bytes(1), bytes(1))])
    let read = 'read'
    try {
      store.get('meta', bytes(1))
      for (const _ of store.entries({ table: 'queues' }));
    } catch (error) {
      read = (error as StoreError).code
    }
    outcomes.push(`${first?.code ?? 'done'} ${second?.code ?? 'done'} ${read}`)
    if (!store.fired) break
  }
  t.same(outcomes, [
    'STORE_FULL STORE_FULL read',
    'done STORE_FULL read',
    'done done STORE_FULL',
    'done done STORE_FULL',
    'done done STORE_FULL',
    'done done read',
  ])
})

t.test('a failed commit reports after those under way and leaves no trace', async (t) => {
  const inner = new MemoryStore({ settle: 'manual' })
  const store = new FailingStore(inner, { failAt: 2, fault: 'EIO', kinds: ['commit'] })
  const order: string[] = []
  store.commit([put('meta', bytes(1), bytes(1))], (error) => order.push(`1 ${error?.code ?? 'done'}`))
  store.commit([put('meta', bytes(2), bytes(2))], (error) => order.push(`2 ${error?.code ?? 'done'}`))
  store.commit([put('meta', bytes(3), bytes(3))], (error) => order.push(`3 ${error?.code ?? 'done'}`))
  t.same(order, [])
  inner.settleAll()
  t.same(order, ['1 done', '2 STORE_IO', '3 STORE_IO'])
  t.equal(Array.from(inner.entries({ table: 'meta' })).length, 1)
})

t.test('a stalled commit settles only when released, and so do those behind it', async (t) => {
  for (const failure of [null, new StoreError('STORE_STALLED', 'released by the test')]) {
    const inner = new MemoryStore({ settle: 'manual' })
    const store = new FailingStore(inner, { failAt: 1, fault: 'stall' })
    const order: string[] = []
    store.commit([put('meta', bytes(1), bytes(1))], (error) => order.push(`1 ${error?.code ?? 'done'}`))
    store.commit([put('meta', bytes(2), bytes(2))], (error) => order.push(`2 ${error?.code ?? 'done'}`))
    inner.settleAll()
    t.same(order, [])
    t.equal(store.fired, true)
    store.releaseStall(failure)
    inner.settleAll()
    const outcome = failure?.code ?? 'done'
    t.same(order, [`1 ${outcome}`, `2 ${outcome}`])
  }
})
