/**
 * The reader of LMDB's pages against LMDB itself: whatever has been written, removed and written again, both read the
 * same, every page is accounted for, and nothing is found wrong. `TALLYMQ_SEEDS` runs more.
 */
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { STORE_TABLES, type Store, StoreError, type StoreOperation } from '../../../../../src/core/ports/store.js'
import { systemTimers } from '../../../../../src/server/system-clock.js'
import { openLmdbStore } from '../../../../../src/storage/lmdb/open-lmdb-store.js'
import { checkPages } from '../../../../../src/storage/lmdb/pages/check-pages.js'
import { PageFile } from '../../../../../src/storage/lmdb/pages/page-file.js'
import { openPageFile, PageStore } from '../../../../../src/storage/lmdb/pages/page-store.js'
import { Random, seedsOfThisRun } from '../../../../support/random.js'

const COMMITS = 60
const TABLES = STORE_TABLES.filter((table) => table !== 'meta' && table !== 'journal')

function keyOf(number: number): Uint8Array {
  const key = new Uint8Array(8 + (number % 5 === 0 ? number % 200 : 0))
  new DataView(key.buffer).setBigUint64(0, BigInt(number))
  return key
}

function operationsOf(random: Random): StoreOperation[] {
  const count = 1 + random.below(random.chance(0.1) ? 800 : 40)
  return Array.from({ length: count }, () => {
    const row = { table: random.pick(TABLES), key: keyOf(random.below(3_000)) }
    if (random.chance(0.33)) return { kind: 'remove', ...row }
    const value = new Uint8Array(random.below(random.chance(0.05) ? 20_000 : 300)).fill(random.below(256))
    return { kind: 'put', ...row, value }
  })
}

/** As a broker writes it: one record a commit, most often alone; the oldest go when there are many. */
class Journal {
  #oldest = 1
  #next = 1

  operationsWith(others: readonly StoreOperation[], random: Random): StoreOperation[] {
    const value = new Uint8Array(random.below(2_000)).fill(random.below(256))
    const operations: StoreOperation[] = [{ kind: 'put', table: 'journal', key: keyOf8(this.#next), value }]
    this.#next += 1
    if (random.chance(0.7)) return operations
    operations.push(...others)
    for (; this.#next - this.#oldest > 20; this.#oldest += 1) {
      operations.push({ kind: 'remove', table: 'journal', key: keyOf8(this.#oldest) })
    }
    return operations
  }
}

function recordsOf(journal: Journal, random: Random): StoreOperation[][] {
  return Array.from({ length: 8 }, () => journal.operationsWith(operationsOf(random), random))
}

function keyOf8(number: number): Uint8Array {
  return keyOf(number).slice(0, 8)
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const listOf = (store: Store, range: Parameters<Store['entries']>[0]): string[] =>
  [...store.entries(range)].map(({ key, value }) => `${hex(key)} ${hex(value)}`)

function compare(t: Test, store: Store, directory: string, random: Random): void {
  const file = openPageFile(directory)
  const { problems, uses, pages } = checkPages(file)
  t.same(problems, [])
  t.equal(uses.size, pages - 2, 'every page is used or free')
  const read = new PageStore(file, directory)
  const counts = read.rowCounts()
  for (const table of STORE_TABLES) {
    const rows = listOf(store, { table })
    if (rows.join() !== listOf(read, { table }).join()) t.fail(`table ${table} is not the same`)
    t.equal(counts[table], rows.length)
    const range = {
      table,
      from: keyOf(random.below(3_000)),
      until: keyOf(random.below(3_000)),
      limit: random.below(30),
    }
    t.same(listOf(read, range), listOf(store, range))
    if (table === 'journal') {
      const some = { table, from: keyOf8(random.below(500)), until: keyOf8(random.below(500)), limit: random.below(30) }
      t.same(listOf(read, some), listOf(store, some))
    }
    for (let lookup = 0; lookup < 20; lookup += 1) {
      const key = keyOf(random.below(3_000))
      t.same(read.get(table, key), store.get(table, key))
    }
  }
  file.close()
}

for (const seed of seedsOfThisRun(3)) {
  t.test(`pages and LMDB say the same, seed ${seed}`, async (t) => {
    const random = new Random(seed)
    const directory = join(t.testdir(), 'data')
    const store = await openLmdbStore({ directory, durability: 'os', commitTimeoutMs: 60_000, timers: systemTimers })
    const journal = new Journal()
    for (let commit = 0; commit < COMMITS; commit += 1) {
      for (const operations of [operationsOf(random), ...recordsOf(journal, random)]) {
        await new Promise<void>((resolve, reject) => {
          store.commit(operations, (error) => (error === null ? resolve() : reject(error)))
        })
      }
      if (commit % 12 === 0) compare(t, store, directory, random)
    }
    compare(t, store, directory, random)
    t.ok(readdirSync(directory).includes('journal.0'), 'records lie in the journal file')
    await store.close()
    compare(t, new PageStore(openPageFile(directory), directory), directory, random)
  })
}

t.test('a store with nothing in it', async (t) => {
  const directory = join(t.testdir(), 'data')
  const store = await openLmdbStore({ directory, durability: 'os', commitTimeoutMs: 60_000, timers: systemTimers })
  compare(t, store, directory, new Random(1))
  await store.close()
})

t.test('what is no LMDB file is said, and nothing is written to what is one', async (t) => {
  const directory = t.testdir()
  const path = join(directory, 'data.mdb')
  const contents: [bytes: Buffer, sentence: RegExp][] = [
    [Buffer.alloc(0), /page 0 is not whole: the file has only 0 bytes/],
    [Buffer.alloc(8_192), /page 0 names a page size of 0 bytes/],
    [Buffer.alloc(100_000, 'x'), /page 0 names a page size/],
  ]
  for (const [bytes, sentence] of contents) {
    writeFileSync(path, bytes)
    t.throws(() => openPageFile(directory), { code: 'STORE_CORRUPT', message: sentence })
  }
  const store = await openLmdbStore({
    directory: join(directory, 'data'),
    durability: 'os',
    commitTimeoutMs: 60_000,
    timers: systemTimers,
  })
  await store.close()
  const read = new PageStore(new PageFile(join(directory, 'data', 'data.mdb')), join(directory, 'data'))
  t.throws(() => read.commit(), StoreError)
  await read.close()
})
