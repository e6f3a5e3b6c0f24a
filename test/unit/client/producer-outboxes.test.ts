/** One suite for every producer outbox: what was committed is there after closing and opening again, in order. */
import 'fake-indexeddb/auto'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { open } from 'lmdb'
import t, { type Test } from 'tap'
import type { PreparedMessage, ProducerOutbox, ProducerOutboxChange } from '../../../src/client/producer-outbox.js'
import { openIndexedDbProducerOutbox } from '../../../src/client/producer-outbox-indexeddb.js'
import { lmdbProducerOutbox, openLmdbProducerOutbox } from '../../../src/client/producer-outbox-lmdb.js'
import { openMemoryProducerOutbox } from '../../../src/client/producer-outbox-memory.js'

const ADAPTERS: Record<string, (t: Test) => () => Promise<ProducerOutbox>> = {
  memory: () => {
    const store = openMemoryProducerOutbox()
    return async () => store
  },
  lmdb: (t) => {
    const directory = join(t.testdir(), 'outbox')
    return async () => openLmdbProducerOutbox(directory)
  },
  indexeddb: (t) => () => openIndexedDbProducerOutbox(t.fullname),
}

const message = (text: string, batchRest = 0): PreparedMessage => ({ batchRest, bytes: new TextEncoder().encode(text) })
const change = (fields: Partial<ProducerOutboxChange>): ProducerOutboxChange => {
  return { append: [], record: null, forgetSequence: 0, refusals: [], ...fields }
}
const texts = async (store: ProducerOutbox, after = 0, messagesMax = 1_000, bytesMax = 1e6) =>
  (await store.read(after, messagesMax, bytesMax)).map(
    ({ sequence, batchRest, bytes }) => `${sequence} ${new TextDecoder().decode(bytes)} ${batchRest}`,
  )

for (const [name, adapter] of Object.entries(ADAPTERS)) {
  t.test(`${name}: a new outbox is empty, and what is appended counts from 1`, async (t) => {
    const reopen = adapter(t)
    let store = await reopen()
    t.equal(await store.load(), null)
    t.equal(await store.lastSequence(), 0)
    t.same(await texts(store), [])
    t.equal(await store.commit(change({ append: [message('a'), message('b', 1)] })), 2)
    t.equal(await store.commit(change({ append: [message('')], record: Uint8Array.of(1, 2) })), 3)
    t.equal(await store.commit(change({ record: Uint8Array.of(0, 255) })), 3)
    await store.close()
    store = await reopen()
    t.same([...((await store.load()) ?? [])], [0, 255])
    t.equal(await store.lastSequence(), 3)
    t.same(await texts(store), ['1 a 0', '2 b 1', '3  0'])
    await store.close()
  })

  t.test(`${name}: reads begin behind a sequence and stop at either bound`, async (t) => {
    const store = await adapter(t)()
    const append = Array.from({ length: 300 }, (_, index) => message(`${index + 1}`.padStart(100), index))
    await store.commit(change({ append }))
    const all = await texts(store)
    t.equal(all.length, 300)
    t.same(await texts(store, 0, 3), all.slice(0, 3))
    t.same(await texts(store, 256, 3), all.slice(256, 259))
    t.same(await texts(store, 299), all.slice(299))
    t.same(await texts(store, 300), [])
    t.equal((await texts(store, 0, 300, 1_000)).length, 10)
    t.equal((await texts(store, 0, 300, 1)).length, 1, 'one at least')
    await store.close()
  })

  t.test(`${name}: rows that are no longer needed go, their sequences are not given again`, async (t) => {
    const reopen = adapter(t)
    let store = await reopen()
    await store.commit(change({ append: [message('1'), message('2'), message('3')] }))
    await store.commit(change({ record: Uint8Array.of(1), forgetSequence: 2 }))
    t.same(await texts(store, 2), ['3 3 0'])
    await store.commit(change({ forgetSequence: 3 }))
    await store.close()
    store = await reopen()
    t.same(await texts(store, 3), [])
    t.equal(await store.lastSequence(), 3)
    t.equal(await store.commit(change({ append: [message('4')] })), 4)
    await store.commit(change({ forgetSequence: 3 }))
    t.same(await texts(store, 3), ['4 4 0'])
    await store.close()
  })
}

t.test('lmdb: refusals stay until the application has cleared them', async (t) => {
  const store = openLmdbProducerOutbox(join(t.testdir(), 'outbox'))
  const refusals = [
    { sequence: 2, reasonCode: 0x87 },
    { sequence: 300, reasonCode: 0x97, reasonString: 'full' },
  ]
  await store.commit(change({ refusals }))
  await store.commit(change({ refusals: [{ sequence: 301, reasonCode: 0xc4 }] }))
  t.same(store.refusals(), [...refusals, { sequence: 301, reasonCode: 0xc4 }])
  await store.clearRefusals(300)
  t.same(store.refusals(), [{ sequence: 301, reasonCode: 0xc4 }])
  await store.close()
})

t.test('lmdb: the directory is for its owner only', async (t) => {
  const directory = join(t.testdir(), 'deep', 'outbox')
  const store = openLmdbProducerOutbox(directory)
  t.equal(statSync(directory).mode & 0o777, 0o700)
  t.equal(statSync(join(directory, 'data.mdb')).mode & 0o077, 0)
  await store.close()
})

t.test('lmdb: in an environment of the application, rows are there if its transaction is', async (t) => {
  const root = open({ path: join(t.testdir(), 'data'), overlappingSync: false, maxDbs: 8 })
  const orders = root.openDB<string, number>({ name: 'orders' })
  const store = lmdbProducerOutbox(root)
  await root.transaction(() => {
    orders.put(1, 'one')
    store.append([message('one')])
  })
  const refused = root.childTransaction(() => {
    orders.put(2, 'two')
    store.append([message('two')])
    throw new Error('no')
  })
  await t.rejects(Promise.resolve(refused), { message: 'no' })
  t.same(await texts(store), ['1 one 0'])
  t.equal(orders.get(2), undefined)
  t.equal(
    root.transactionSync(() => store.append([message('two')])),
    2,
  )
  t.same(await texts(store), ['1 one 0', '2 two 0'])
  await store.close()
  t.equal(orders.get(1), 'one', 'it is not the outbox that closes the environment')
  await root.close()
})

t.test('indexeddb: one that cannot be opened says so', async (t) => {
  const database = await new Promise<IDBDatabase>((resolve) => {
    const opening = indexedDB.open('newer', 9)
    opening.onsuccess = () => resolve(opening.result)
  })
  database.close()
  await t.rejects(openIndexedDbProducerOutbox('newer'), { code: 'OUTBOX_FAILED' })
})
