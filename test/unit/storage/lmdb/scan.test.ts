/** The way around LMDB's binding that a start takes: the same rows as `entries`, the same complaint about damage. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { STORE_TABLES, type Store, type StoreTable } from '../../../../src/core/ports/store.js'
import { openLmdbStore } from '../../../../src/storage/lmdb/open-lmdb-store.js'
import { bytes, commit, put, remove, sequenceKey } from '../../../contract/store-contract.js'

const TIMERS = { nowMs: () => 0, schedule: () => ({ cancel: () => undefined }) }

function open(directory: string) {
  return openLmdbStore({ directory, durability: 'flush', commitTimeoutMs: 10_000, timers: TIMERS })
}

async function fill(directory: string): Promise<void> {
  const store = await open(directory)
  for (let round = 0; round < 4; round += 1) {
    const operations = []
    for (let index = round; index < 4_000; index += 4) {
      const value = new Uint8Array((index * 7) % 97).fill(index)
      operations.push(
        put('sessions', sequenceKey(index), value),
        put('accounts', bytes(index >> 8, index & 255), value),
      )
    }
    await commit(store, operations)
  }
  const large = [3_000, 30_000, 300_000].map((length) => put('retained', sequenceKey(length), new Uint8Array(length)))
  await commit(store, [...large, put('meta', bytes(1), bytes(2)), remove('sessions', sequenceKey(7))])
  await store.close()
}

function scanned(store: Store, table: StoreTable): string[] {
  const rows: string[] = []
  store.scan?.(table, (key, value) =>
    rows.push(`${Buffer.from(key).toString('hex')} ${Buffer.from(value).toString('hex')}`),
  )
  return rows
}

function walked(store: Store, table: StoreTable): string[] {
  return Array.from(store.entries({ table }), ({ key, value }) => {
    return `${Buffer.from(key).toString('hex')} ${Buffer.from(value).toString('hex')}`
  })
}

t.test('the rows of every table, before and after a commit', async (t) => {
  const directory = t.testdir()
  await fill(join(directory, 'data'))
  const store = await open(join(directory, 'data'))
  for (const table of STORE_TABLES) t.same(scanned(store, table), walked(store, table), table)
  t.equal(scanned(store, 'sessions').length, 3_999)
  await commit(store, [put('sessions', sequenceKey(9_000), bytes(9)), remove('sessions', sequenceKey(0))])
  t.same(scanned(store, 'sessions'), walked(store, 'sessions'))
  await store.close()
})

t.test('what a visitor throws comes through', async (t) => {
  const directory = t.testdir()
  await fill(join(directory, 'data'))
  const store = await open(join(directory, 'data'))
  const fail = () => {
    throw new RangeError('enough')
  }
  t.throws(() => store.scan('sessions', fail), { message: 'enough' })
  await store.close()
})

t.test('a damaged row is named, after those before it', async (t) => {
  const directory = t.testdir()
  await fill(join(directory, 'data'))
  flip(t, join(directory, 'data', 'data.mdb'), Buffer.from(new Uint8Array(90).fill(3_000 & 255)))
  const store = await open(join(directory, 'data'))
  for (const table of ['sessions', 'accounts'] as const) {
    const seen: string[] = []
    const walkedRows: string[] = []
    const problem = errorOf(() => store.scan(table, (key) => seen.push(Buffer.from(key).toString('hex'))))
    const expected = errorOf(() => {
      for (const { key } of store.entries({ table })) walkedRows.push(Buffer.from(key).toString('hex'))
    })
    t.equal(problem, expected)
    t.same(seen, walkedRows)
  }
  await store.close()
})

function errorOf(run: () => void): string | null {
  try {
    run()
    return null
  } catch (error) {
    return (error as Error).message
  }
}

/** One bit of every place in the file that has these bytes. */
function flip(t: Test, path: string, pattern: Buffer): void {
  const content = readFileSync(path)
  const descriptor = openSync(path, 'r+')
  let flipped = 0
  for (let at = content.indexOf(pattern); at >= 0; at = content.indexOf(pattern, at + pattern.length)) {
    writeSync(descriptor, Uint8Array.of((content[at] as number) ^ 1), 0, 1, at)
    flipped += 1
  }
  closeSync(descriptor)
  t.ok(flipped > 0, 'something has been damaged')
}
