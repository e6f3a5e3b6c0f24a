/**
 * What every adapter of `core/ports/store.ts` must do, as one suite. It knows no adapter: the caller hands in a maker.
 * Values are compared as hex, because an adapter may return any kind of Uint8Array.
 */
import type { Test } from 'tap'
import {
  KEY_BYTES_MAX,
  STORE_TABLES,
  type Store,
  type StoreError,
  type StoreOperation,
  type StoreTable,
} from '../../src/core/ports/store.js'

export type MakeStore = (t: Test) => Promise<Store>

export function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values)
}

export function put(table: StoreTable, key: Uint8Array, value: Uint8Array): StoreOperation {
  return { kind: 'put', table, key, value }
}

export function remove(table: StoreTable, key: Uint8Array): StoreOperation {
  return { kind: 'remove', table, key }
}

/** Journal-like key: eight bytes, big endian. */
export function sequenceKey(sequence: number): Uint8Array {
  const key = new Uint8Array(8)
  new DataView(key.buffer).setBigUint64(0, BigInt(sequence))
  return key
}

export function commit(store: Store, operations: readonly StoreOperation[]): Promise<StoreError | null> {
  return new Promise((resolve) => store.commit(operations, resolve))
}

export function hex(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : Buffer.from(value).toString('hex')
}

export function keysOf(store: Store, range: Parameters<Store['entries']>[0]): string[] {
  return Array.from(store.entries(range), (entry) => Buffer.from(entry.key).toString('hex'))
}

function patterned(length: number, seed: number): Uint8Array {
  const value = new Uint8Array(length)
  for (let index = 0; index < length; index += 1) value[index] = (index * 31 + seed) & 0xff
  return value
}

export function storeContract(t: Test, makeStore: MakeStore): void {
  t.test('commits', (t) => commitContract(t, makeStore))
  t.test('pipelined and large commits', (t) => pipelineContract(t, makeStore))
  t.test('keys and values', (t) => valueContract(t, makeStore))
  t.test('sizes and ownership', (t) => sizeContract(t, makeStore))
  t.test('views', (t) => viewContract(t, makeStore))
  t.test('ranges', (t) => rangeContract(t, makeStore))
  t.test('walks', (t) => walkContract(t, makeStore))
  t.test('closing', (t) => closeContract(t, makeStore))
}

async function commitContract(t: Test, makeStore: MakeStore): Promise<void> {
  await t.test('a fresh store is empty in every table', async (t) => {
    const store = await makeStore(t)
    for (const table of STORE_TABLES) {
      t.equal(store.get(table, bytes(1)), undefined)
      t.same(keysOf(store, { table }), [])
    }
  })
  await t.test('done is called once, with null, and not from inside commit', async (t) => {
    const store = await makeStore(t)
    let calls = 0
    await new Promise<void>((resolve) => {
      store.commit([put('meta', bytes(1), bytes(2))], (error) => {
        calls += 1
        t.equal(error, null)
        resolve()
      })
      t.equal(calls, 0)
    })
    t.equal(await commit(store, []), null, 'an empty commit is done too')
    t.equal(calls, 1)
  })
  await t.test('a commit is visible from done on and not before', async (t) => {
    const store = await makeStore(t)
    await commit(store, [put('sessions', bytes(1), bytes(1))])
    const pending = commit(store, [
      put('sessions', bytes(1), bytes(2)),
      put('queues', bytes(1), bytes(3)),
      remove('meta', bytes(9)),
    ])
    for (let turn = 0; turn < 3; turn += 1) {
      t.equal(hex(store.get('sessions', bytes(1))), '01')
      t.equal(store.get('queues', bytes(1)), undefined)
      t.same(keysOf(store, { table: 'queues' }), [])
    }
    t.equal(await pending, null)
    t.equal(hex(store.get('sessions', bytes(1))), '02')
    t.equal(hex(store.get('queues', bytes(1))), '03')
  })
}

async function pipelineContract(t: Test, makeStore: MakeStore): Promise<void> {
  await t.test('in done n the first n pipelined commits are visible, whole and in order', async (t) => {
    const store = await makeStore(t)
    const commits = 60
    let reported = 0
    const holes: string[] = []
    await new Promise<void>((resolve) => {
      for (let sequence = 1; sequence <= commits; sequence += 1) {
        const operations = [
          put('journal', sequenceKey(sequence), bytes(sequence)),
          put('meta', bytes(0), bytes(sequence)),
        ]
        if (sequence > 1) operations.push(remove('references', sequenceKey(sequence - 1)))
        operations.push(put('references', sequenceKey(sequence), bytes(1)))
        store.commit(operations, (error) => {
          if (error !== null || sequence !== reported + 1) holes.push(`done ${sequence} after ${reported}`)
          reported = sequence
          // Commits may share a transaction, so later ones may be visible: but always a whole prefix.
          const last = store.get('meta', bytes(0))?.[0] ?? 0
          const journal = keysOf(store, { table: 'journal' }).length
          const references = keysOf(store, { table: 'references' })
          if (last < sequence || journal !== last) holes.push(`after ${sequence}: last ${last}, ${journal} records`)
          if (references.length !== 1 || references[0] !== hex(sequenceKey(last)))
            holes.push(`references ${references}`)
          if (sequence === commits) resolve()
        })
      }
    })
    t.same(holes, [])
  })
  await t.test('operations of one commit apply in the order given', async (t) => {
    const store = await makeStore(t)
    await commit(store, [put('meta', bytes(1), bytes(1)), remove('meta', bytes(1)), put('meta', bytes(2), bytes(1))])
    t.same(keysOf(store, { table: 'meta' }), ['02'])
    await commit(store, [remove('meta', bytes(2)), put('meta', bytes(2), bytes(7)), put('meta', bytes(2), bytes(8))])
    t.equal(hex(store.get('meta', bytes(2))), '08')
    t.equal(await commit(store, [remove('meta', bytes(77))]), null, 'removing what is not there is no error')
  })
  await t.test('a commit of 5 000 rows is one piece', async (t) => {
    const store = await makeStore(t)
    const operations = Array.from({ length: 5_000 }, (_, row) => put('messages', sequenceKey(row), patterned(100, row)))
    const pending = commit(store, operations)
    t.equal(store.get('messages', sequenceKey(0)), undefined)
    t.equal(await pending, null)
    t.equal(keysOf(store, { table: 'messages' }).length, 5_000)
    t.equal(hex(store.get('messages', sequenceKey(4_999))), hex(patterned(100, 4_999)))
  })
}

async function valueContract(t: Test, makeStore: MakeStore): Promise<void> {
  await t.test('tables do not share keys', async (t) => {
    const store = await makeStore(t)
    await commit(
      store,
      STORE_TABLES.map((table, index) => put(table, bytes(1, 2), bytes(index))),
    )
    for (const [index, table] of STORE_TABLES.entries()) t.equal(hex(store.get(table, bytes(1, 2))), hex(bytes(index)))
  })
  await t.test(
    'binary keys, with 0x00 and 0xff and as prefixes of each other, are kept apart and in byte order',
    async (t) => {
      const store = await makeStore(t)
      const keys = [
        [0],
        [0, 0],
        [0, 255],
        [1],
        [1, 0],
        [1, 0, 0],
        [127],
        [128],
        [254, 255],
        [255],
        [255, 0],
        [255, 255],
      ]
      const shuffled = [...keys].sort((a, b) => (((a[0] ?? 0) * 7 + a.length) % 5) - (((b[0] ?? 0) * 7 + b.length) % 5))
      await commit(
        store,
        shuffled.map((key) => put('retained', bytes(...key), bytes(key.length, ...key))),
      )
      t.same(
        keysOf(store, { table: 'retained' }),
        keys.map((key) => hex(bytes(...key))),
      )
      for (const key of keys) t.equal(hex(store.get('retained', bytes(...key))), hex(bytes(key.length, ...key)))
      t.equal(store.get('retained', bytes(0, 0, 0)), undefined)
    },
  )
}

async function sizeContract(t: Test, makeStore: MakeStore): Promise<void> {
  await t.test('keys have 1 to KEY_BYTES_MAX bytes; others are refused before anything is written', async (t) => {
    const store = await makeStore(t)
    const longest = patterned(KEY_BYTES_MAX, 3)
    t.equal(await commit(store, [put('retained', longest, bytes(1)), put('retained', bytes(1), bytes(2))]), null)
    t.equal(hex(store.get('retained', longest)), '01')
    t.same(keysOf(store, { table: 'retained', from: longest, limit: 1 }), [hex(longest)])
    const behind = Uint8Array.from([...longest, 0])
    t.same(keysOf(store, { table: 'retained', until: behind }), [hex(longest), '01'].sort())
    t.same(
      keysOf(store, { table: 'retained', from: behind }),
      ['01'].filter((key) => key > String(hex(behind))),
    )
    t.throws(() => store.entries({ table: 'retained', from: new Uint8Array(KEY_BYTES_MAX + 2) }), { code: 'ASSERTION' })
    for (const bad of [new Uint8Array(0), new Uint8Array(KEY_BYTES_MAX + 1)]) {
      const operations = [put('meta', bytes(5), bytes(5)), put('meta', bad, bytes(1))]
      t.throws(() => store.commit(operations, () => t.fail('must not report')), { code: 'ASSERTION' })
      t.throws(() => store.get('meta', bad), { code: 'ASSERTION' })
    }
    t.equal(await commit(store, []), null)
    t.equal(store.get('meta', bytes(5)), undefined)
  })
  await t.test('values of 0 bytes and of 8 MB come back as they were', async (t) => {
    const store = await makeStore(t)
    const large = patterned(8_388_608, 9)
    await commit(store, [put('journal', bytes(1), bytes()), put('journal', bytes(2), large)])
    t.equal(store.get('journal', bytes(1))?.length, 0)
    t.ok(Buffer.from(large.buffer).equals(store.get('journal', bytes(2)) as Uint8Array))
    const sizes = Array.from(store.entries({ table: 'journal' }), (entry) => entry.value.length)
    t.same(sizes, [0, 8_388_608])
  })
  await t.test(
    'bytes passed in may be views and may change after done; bytes returned belong to the caller',
    async (t) => {
      const store = await makeStore(t)
      const backing = patterned(64, 1)
      const key = backing.subarray(3, 7)
      const value = backing.subarray(10, 30)
      const [keyHex, valueHex] = [hex(key), hex(value)]
      const keyCopy = Uint8Array.from(key)
      await commit(store, [put('meta', key, value)])
      backing.fill(0)
      t.equal(hex(store.get('meta', keyCopy)), valueHex)
      store.get('meta', keyCopy)?.fill(0xee)
      const [entry] = store.entries({ table: 'meta' })
      t.equal(hex(entry?.key), keyHex)
      entry?.value.fill(0xdd)
      entry?.key.fill(0xcc)
      t.equal(hex(store.get('meta', keyCopy)), valueHex)
      const first = store.get('meta', keyCopy)
      for (let row = 0; row < 50; row += 1) store.get('meta', keyCopy)?.fill(row)
      t.equal(hex(first), valueHex, 'a later read does not change an earlier one')
    },
  )
}

async function viewContract(t: Test, makeStore: MakeStore): Promise<void> {
  await t.test('a view, where there is one, shows what get returns', async (t) => {
    const store = await makeStore(t)
    const sizes = [0, 1, 64, 64, 2_048, 2_049, 100_000]
    await commit(
      store,
      sizes.map((size, index) => put('retained', bytes(index + 1), patterned(size, index))),
    )
    const view = store.view?.bind(store) ?? store.get.bind(store)
    for (let round = 0; round < 2; round += 1) {
      for (const [index, size] of sizes.entries()) {
        t.equal(hex(view('retained', bytes(index + 1))), hex(patterned(size, index)), `${size} bytes`)
      }
    }
    t.equal(view('retained', bytes(99)), undefined)
    t.throws(() => view('retained', bytes()), { code: 'ASSERTION' })
    const kept = store.get('retained', bytes(3))
    view('retained', bytes(4))
    t.equal(hex(kept), hex(patterned(64, 2)), 'a copy that was read before stays what it was')
  })
}

async function rangeContract(t: Test, makeStore: MakeStore): Promise<void> {
  await t.test('from is included, until is not, limit is obeyed', async (t) => {
    const store = await makeStore(t)
    await commit(
      store,
      [10, 20, 30, 40].map((byte) => put('queues', bytes(byte), bytes(byte))),
    )
    const table = 'queues'
    t.same(keysOf(store, { table, from: bytes(20) }), ['14', '1e', '28'])
    t.same(keysOf(store, { table, from: bytes(11), until: bytes(40) }), ['14', '1e'])
    t.same(keysOf(store, { table, until: bytes(20) }), ['0a'])
    t.same(keysOf(store, { table, until: bytes(20, 0) }), ['0a', '14'])
    t.same(keysOf(store, { table, limit: 2 }), ['0a', '14'])
    t.same(keysOf(store, { table, limit: 0 }), [])
    t.same(keysOf(store, { table, from: bytes(41) }), [])
    t.same(keysOf(store, { table, from: bytes(30), until: bytes(30) }), [])
    t.same(keysOf(store, { table, from: bytes(30), until: bytes(10) }), [])
  })
  await t.test('a long table is walked completely, across pages, with exact limits', async (t) => {
    const store = await makeStore(t)
    const rows = 3_000
    await commit(
      store,
      Array.from({ length: rows }, (_, row) => put('messages', sequenceKey(row), sequenceKey(row))),
    )
    const wrong = Array.from(store.entries({ table: 'messages' })).filter(
      (entry, row) => hex(entry.key) !== hex(sequenceKey(row)) || hex(entry.value) !== hex(sequenceKey(row)),
    )
    t.same(wrong, [])
    for (const limit of [255, 256, 257, 512, 1_025, rows, rows + 1]) {
      t.equal(keysOf(store, { table: 'messages', limit }).length, Math.min(limit, rows), `limit ${limit}`)
    }
    const range = { table: 'messages', from: sequenceKey(100), until: sequenceKey(2_900) } as const
    t.equal(keysOf(store, range).length, 2_800)
  })
}

async function walkContract(t: Test, makeStore: MakeStore): Promise<void> {
  await t.test('a walk goes on while commits change the table: what is untouched comes once, in order', async (t) => {
    const store = await makeStore(t)
    await commit(
      store,
      Array.from({ length: 1_500 }, (_, row) => put('queues', sequenceKey(row * 2), bytes(1))),
    )
    const seen: number[] = []
    for (const { key } of store.entries({ table: 'queues' })) {
      const row = Number(Buffer.from(key).readBigUInt64BE())
      seen.push(row)
      if (row % 500 !== 0) continue
      await commit(store, [
        remove('queues', key),
        remove('queues', sequenceKey(row + 600)),
        put('queues', sequenceKey(row + 701), bytes(2)),
        put('queues', sequenceKey(row + 2), bytes(9)),
      ])
    }
    t.same(
      seen,
      [...new Set(seen)].sort((a, b) => a - b),
    )
    t.equal(seen[0], 0)
    const removed = new Set([0, 500, 1_000, 1_500, 2_000, 2_500].flatMap((row) => [row, row + 600]))
    const untouched = Array.from({ length: 1_500 }, (_, row) => row * 2).filter((row) => !removed.has(row))
    const visited = new Set(seen)
    t.same(
      untouched.filter((row) => !visited.has(row)),
      [],
    )
    t.notOk(visited.has(2_600), 'a row removed long before the walk came there is not seen')
    t.ok(visited.has(2_701), 'a row added long before the walk came there is seen')
  })
  await t.test('a walk can be left early and another one begun', async (t) => {
    const store = await makeStore(t)
    await commit(
      store,
      Array.from({ length: 600 }, (_, row) => put('meta', sequenceKey(row), bytes(1))),
    )
    const walk = store.entries({ table: 'meta' })
    t.equal(hex(walk.next().value?.key), hex(sequenceKey(0)))
    const other = store.entries({ table: 'meta', from: sequenceKey(300) })
    t.equal(hex(other.next().value?.key), hex(sequenceKey(300)))
    t.equal(hex(walk.next().value?.key), hex(sequenceKey(1)))
    walk.return?.()
    t.equal(walk.next().done, true)
    t.equal(hex(other.next().value?.key), hex(sequenceKey(301)))
  })
}

async function closeContract(t: Test, makeStore: MakeStore): Promise<void> {
  await t.test('close waits for the commits under way', async (t) => {
    const store = await makeStore(t)
    const results: (StoreError | null)[] = []
    for (let row = 0; row < 20; row += 1) {
      store.commit([put('journal', sequenceKey(row), patterned(5_000, row))], (error) => results.push(error))
    }
    await store.close()
    t.same(
      results,
      Array.from({ length: 20 }, () => null),
    )
    await store.close()
  })
  await t.test('a closed store refuses reads and fails commits with STORE_CLOSED', async (t) => {
    const store = await makeStore(t)
    await commit(
      store,
      Array.from({ length: 600 }, (_, row) => put('meta', sequenceKey(row), bytes(1))),
    )
    const walk = store.entries({ table: 'meta' })
    walk.next()
    await store.close()
    t.throws(() => store.get('meta', bytes(1)), { code: 'STORE_CLOSED' })
    t.throws(() => store.entries({ table: 'meta' }), { code: 'STORE_CLOSED' })
    t.throws(() => Array.from(walk), { code: 'STORE_CLOSED' })
    const error = await commit(store, [put('meta', bytes(1), bytes(1))])
    t.equal(error?.code, 'STORE_CLOSED')
  })
}
