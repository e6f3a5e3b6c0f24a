/** What only the memory store can do: hold, complete and fail commits by hand, crash, damage a value. */
import t from 'tap'
import { StoreError } from '../../../../src/core/ports/store.js'
import { MemoryStore } from '../../../../src/storage/memory/memory-store.js'
import { bytes, commit, hex, put, sequenceKey } from '../../../contract/store-contract.js'

t.test('with manual settling a commit is held until it is settled', async (t) => {
  const store = new MemoryStore({ settle: 'manual' })
  const results: string[] = []
  store.commit([put('meta', bytes(1), bytes(1))], () => results.push('first'))
  store.commit([put('meta', bytes(1), bytes(2))], () => results.push('second'))
  await Promise.resolve()
  t.equal(store.pendingCommits, 2)
  t.equal(store.get('meta', bytes(1)), undefined)
  t.equal(store.settleNext(), true)
  t.same(results, ['first'])
  t.equal(hex(store.get('meta', bytes(1))), '01')
  store.settleAll()
  t.same(results, ['first', 'second'])
  t.equal(hex(store.get('meta', bytes(1))), '02')
  t.equal(store.settleNext(), false)
})

t.test('after a failed commit every later one fails, pending or new, and nothing of them is visible', async (t) => {
  const store = new MemoryStore({ settle: 'manual' })
  const codes: (string | undefined)[] = []
  for (let row = 1; row <= 3; row += 1) {
    store.commit([put('meta', bytes(row), bytes(row))], (error) => codes.push(error?.code))
  }
  store.settleNext()
  store.settleNext(new StoreError('STORE_FULL', 'disk full'))
  t.same(codes, [undefined, 'STORE_FULL', 'STORE_FULL'])
  t.equal((await commit(store, [put('meta', bytes(4), bytes(4))]))?.code, 'STORE_FULL')
  t.same(
    Array.from(store.entries({ table: 'meta' }), (entry) => hex(entry.key)),
    ['01'],
  )
})

t.test('a crash keeps what was done, and as much more as had reached the disk unreported', async (t) => {
  const make = () => {
    const store = new MemoryStore({ settle: 'manual' })
    for (let row = 1; row <= 3; row += 1) {
      store.commit([put('journal', sequenceKey(row), bytes(row))], (error) => {
        t.equal(row, 1, 'only the first commit reports')
        t.equal(error, null)
      })
    }
    store.settleNext()
    return store
  }
  for (const surviving of [0, 1, 2]) {
    const before = make()
    const after = before.crash(surviving)
    t.equal(Array.from(after.entries({ table: 'journal' })).length, 1 + surviving)
    t.equal(after.pendingCommits, 0)
    t.throws(() => before.get('journal', sequenceKey(1)), { code: 'STORE_CLOSED' })
    t.equal(before.settleNext(), false)
    after.commit([put('journal', sequenceKey(9), bytes(9))], (error) => t.equal(error, null))
    after.settleAll()
    t.equal(hex(after.get('journal', sequenceKey(9))), '09')
  }
})

t.test(
  'a damaged value throws STORE_CORRUPT naming table and key, survives a crash, and is healed by a put',
  async (t) => {
    const store = new MemoryStore()
    await commit(store, [put('messages', bytes(1), bytes(1)), put('messages', bytes(0xab, 0xcd), bytes(2))])
    store.damage('messages', bytes(0xab, 0xcd))
    const corrupt = { code: 'STORE_CORRUPT', message: /messages abcd/ }
    t.throws(() => store.get('messages', bytes(0xab, 0xcd)), corrupt)
    const after = store.crash()
    t.throws(() => Array.from(after.entries({ table: 'messages' })), corrupt)
    t.equal(hex(after.get('messages', bytes(1))), '01')
    await commit(after, [put('messages', bytes(0xab, 0xcd), bytes(3))])
    t.equal(hex(after.get('messages', bytes(0xab, 0xcd))), '03')
  },
)
