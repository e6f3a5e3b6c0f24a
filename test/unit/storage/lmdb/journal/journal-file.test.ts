/**
 * The journal file under a real store: what goes into it, how slots are used again, and what an opening makes of a
 * last write that is torn, of damage, and of files that are missing or come from elsewhere.
 */
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { StoreOperation } from '../../../../../src/core/ports/store.js'
import { verifyDirectory } from '../../../../../src/main/closed-directory.js'
import { MARK_BYTES, MARK_OFFSET } from '../../../../../src/storage/lmdb/journal/slot-format.js'
import { slotNames } from '../../../../../src/storage/lmdb/journal/slot-names.js'
import type { LmdbStore } from '../../../../../src/storage/lmdb/lmdb-store.js'
import { openLmdbStore } from '../../../../../src/storage/lmdb/open-lmdb-store.js'
import { commit, put, remove, sequenceKey } from '../../../../contract/store-contract.js'

const timers = { nowMs: () => 0, schedule: () => ({ cancel: () => undefined }) }
const parent = t.testdir()
let directories = 0

function newDirectory(): string {
  directories += 1
  return join(parent, `journal-${directories}`)
}

function openStore(t: Test, directory: string): Promise<LmdbStore> {
  return openLmdbStore({ directory, durability: 'flush', commitTimeoutMs: 10_000, timers }).then((store) => {
    t.teardown(() => store.close())
    return store
  })
}

/** What tells records apart: their number, all over. */
function filledWith(number: number, length = 100): Uint8Array {
  return new Uint8Array(length).fill(number % 251)
}

async function append(store: LmdbStore, from: number, until: number, length = 100): Promise<void> {
  for (let number = from; number <= until; number += 1) {
    const error = await commit(store, [put('journal', sequenceKey(number), filledWith(number, length))])
    if (error !== null) throw error
  }
}

function numbersOf(store: LmdbStore): number[] {
  return Array.from(store.entries({ table: 'journal' }), ({ key, value }) => {
    const number = Number(Buffer.from(key).readBigUInt64BE())
    if (value.some((byte) => byte !== number % 251)) throw new Error(`record ${number} has another's value`)
    return number
  })
}

const upTo = (from: number, until: number) => Array.from({ length: until - from + 1 }, (_, index) => from + index)

/** As kill -9 leaves it: a copy of the files while the store is open. @returns the copy. */
function killedCopy(directory: string): string {
  const copy = newDirectory()
  cpSync(directory, copy, { recursive: true, filter: (path) => !/lock\./.test(path.slice(directory.length)) })
  return copy
}

/** Commits until records go into the file: the first slot is made in the background. */
async function intoFile(store: LmdbStore, directory: string): Promise<number> {
  let number = 0
  const isUsed = () => slotNames(directory).some((name) => readFileSync(join(directory, name))[0] === 0x54)
  while (!isUsed()) {
    number += 1
    await append(store, number, number)
  }
  return number
}

function slotWith(directory: string, bytes: Uint8Array): { path: string; at: number } {
  for (const name of slotNames(directory)) {
    const path = join(directory, name)
    const at = readFileSync(path).indexOf(bytes)
    if (at >= 0) return { path, at }
  }
  throw new Error('no slot holds these bytes')
}

function change(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at] = (bytes[at] as number) ^ 1
  writeFileSync(path, bytes)
}

/** As if the power had gone before the mark and what LMDB knows of the journal were written. */
function forget(directory: string): void {
  for (const name of slotNames(directory)) {
    const path = join(directory, name)
    const bytes = readFileSync(path)
    bytes.fill(0, MARK_OFFSET, MARK_OFFSET + MARK_BYTES)
    writeFileSync(path, bytes)
  }
}

t.test('a commit that only adds a record goes into the file, and is there at the next opening', async (t) => {
  const directory = newDirectory()
  const store = await openStore(t, directory)
  const first = await intoFile(store, directory)
  const { size } = statSync(join(directory, 'data.mdb'))
  await append(store, first + 1, first + 500)
  t.equal(statSync(join(directory, 'data.mdb')).size, size, 'LMDB has not grown')
  t.same(numbersOf(store), upTo(1, first + 500))
  t.same(store.get('journal', sequenceKey(first + 3)), filledWith(first + 3))
  t.equal(store.get('journal', sequenceKey(first + 501)), undefined)
  const killed = killedCopy(directory)
  await store.close()
  for (const each of [directory, killed]) {
    const next = await openStore(t, each)
    t.same(numbersOf(next), upTo(1, first + 500))
    await append(next, first + 501, first + 510)
    t.same(numbersOf(next), upTo(1, first + 510))
    await next.close()
    t.equal((await verifyDirectory(each)).rows.journal, first + 510)
  }
})

t.test('records in the file and in LMDB are one table; commits with more than a record go through LMDB', async (t) => {
  const directory = newDirectory()
  const store = await openStore(t, directory)
  const first = await intoFile(store, directory)
  for (let number = first + 1; number <= first + 60; number += 1) {
    const operations: StoreOperation[] = [put('journal', sequenceKey(number), filledWith(number))]
    if (number % 3 === 0) operations.push(put('queues', sequenceKey(number), filledWith(number)))
    t.equal(await commit(store, operations), null)
  }
  t.same(numbersOf(store), upTo(1, first + 60))
  const some = store.entries({ table: 'journal', from: sequenceKey(10), until: sequenceKey(40), limit: 25 })
  t.equal(Array.from(some).length, 25)
  const removals = upTo(1, first + 30).map((number) => remove('journal', sequenceKey(number)))
  t.equal(await commit(store, removals), null)
  t.same(numbersOf(store), upTo(first + 31, first + 60))
  const killed = killedCopy(directory)
  await store.close()
  for (const each of [directory, killed]) t.same(numbersOf(await openStore(t, each)), upTo(first + 31, first + 60))
})

t.test('slots are used again, so that the file does not grow with what goes through it', async (t) => {
  const directory = newDirectory()
  const store = await openStore(t, directory)
  const kept = 60
  let next = 1
  const round = async (records: number) => {
    for (const end = next + records; next < end; next += 1) {
      const operations: StoreOperation[] = [put('journal', sequenceKey(next), filledWith(next, 20_000))]
      if (next > kept && next % 20 === 0) {
        for (let old = next - kept - 19; old <= next - kept; old += 1) {
          if (old > 0) operations.push(remove('journal', sequenceKey(old)))
        }
      }
      t.equal(await commit(store, operations), null)
    }
  }
  await round(400)
  const bytes = () => slotNames(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0)
  const early = bytes()
  await round(1_200)
  t.ok(bytes() <= early, `${bytes()} bytes after 32 MB of records, ${early} after 8`)
  const killed = killedCopy(directory)
  const expected = numbersOf(store)
  t.equal(expected.at(-1), 1_600)
  t.equal(expected.length - expected.indexOf(1_600 - kept + 1), kept)
  await store.close()
  for (const each of [directory, killed]) t.same(numbersOf(await openStore(t, each)), expected)
})

t.test('records that no slot has room for go through LMDB', async (t) => {
  const directory = newDirectory()
  const store = await openStore(t, directory)
  const first = await intoFile(store, directory)
  await append(store, first + 1, first + 1, 6_000_000)
  await append(store, first + 2, first + 2)
  t.same(numbersOf(store), upTo(1, first + 2))
  t.equal(store.get('journal', sequenceKey(first + 1))?.length, 6_000_000)
})

t.test('a last write that is torn was never acknowledged and is not there; the next one takes its place', async (t) => {
  const directory = newDirectory()
  const store = await openStore(t, directory)
  const first = await intoFile(store, directory)
  await append(store, first + 1, first + 9, 3_000)
  const killed = killedCopy(directory)
  await store.close()
  for (const [name, offset] of [
    ['its value', 1_500],
    ['its head', -20],
  ] as const) {
    const torn = killedCopy(killed)
    const { path, at } = slotWith(torn, filledWith(first + 9, 3_000))
    change(path, at + offset)
    const refusal = { code: 'STORE_CORRUPT' }
    if (offset < 0) await t.rejects(openStore(t, torn), refusal, 'the mark says that it was on the disk')
    else {
      const marked = await openStore(t, torn)
      t.throws(() => numbersOf(marked), refusal)
      await marked.close()
    }
    forget(torn)
    const next = await openStore(t, torn)
    t.same(numbersOf(next), upTo(1, first + 8), name)
    await append(next, first + 9, first + 12)
    t.same(numbersOf(next), upTo(1, first + 12))
    await next.close()
    t.same(numbersOf(await openStore(t, torn)), upTo(1, first + 12))
  }
})

t.test('after an orderly end even the last record is known, and its damage is said', async (t) => {
  const directory = newDirectory()
  const store = await openStore(t, directory)
  const first = await intoFile(store, directory)
  await append(store, first + 1, first + 9, 3_000)
  await store.close()
  const { path, at } = slotWith(directory, filledWith(first + 9, 3_000))
  change(path, at - 20)
  await t.rejects(openStore(t, directory), { code: 'STORE_CORRUPT', message: /record \d+ should be there/ })
  change(path, at - 20)
  change(path, at + 5)
  const next = await openStore(t, directory)
  t.throws(() => numbersOf(next), { code: 'STORE_CORRUPT', row: { table: 'journal', key: sequenceKey(first + 9) } })
})

t.test('a damaged value is named, and what lies behind it can be read', async (t) => {
  const directory = newDirectory()
  const store = await openStore(t, directory)
  const first = await intoFile(store, directory)
  await append(store, first + 1, first + 9, 3_000)
  await store.close()
  const { path, at } = slotWith(directory, filledWith(first + 4, 3_000))
  change(path, at + 7)
  const next = await openStore(t, directory)
  const row = { table: 'journal', key: sequenceKey(first + 4) }
  t.throws(() => numbersOf(next), { code: 'STORE_CORRUPT', message: /does not match, in journal\.\d+/, row })
  t.throws(() => next.get('journal', sequenceKey(first + 4)), { code: 'STORE_CORRUPT', row })
  const behind = next.entries({ table: 'journal', from: sequenceKey(first + 5) })
  t.equal(Array.from(behind).length, 5)
})

t.test('a damaged head in the middle, a lost slot, and a slot of another database are refused and said', async (t) => {
  const directory = newDirectory()
  const store = await openStore(t, directory)
  const first = await intoFile(store, directory)
  await append(store, first + 1, first + 9, 3_000)
  await store.close()
  const { path, at } = slotWith(directory, filledWith(first + 4, 3_000))
  change(path, at - 12)
  const damage = { code: 'STORE_CORRUPT', message: /damaged at byte \d+ of journal\.\d+: a record is damaged/ }
  await t.rejects(openStore(t, directory), damage)
  const { problems } = await verifyDirectory(directory)
  t.ok(problems.some(({ kind, sentence }) => kind === 'DAMAGED' && /byte \d+ of journal\.\d+/.test(sentence)))
  change(path, at - 12)
  renameSync(path, `${path}.away`)
  await t.rejects(openStore(t, directory), { code: 'STORE_CORRUPT', message: /record \d+ should be there/ })
  renameSync(`${path}.away`, path)

  const other = newDirectory()
  const foreign = await openStore(t, other)
  await intoFile(foreign, other)
  await foreign.close()
  for (const name of slotNames(other)) rmSync(join(other, name))
  cpSync(path, join(other, 'journal.0'))
  await t.rejects(openStore(t, other), { code: 'STORE_CORRUPT', message: /belongs to another database/ })
  change(path, 9)
  await t.rejects(openStore(t, directory), { code: 'STORE_CORRUPT', message: /its head is damaged/ })
})

t.test('journal records of a store of format 2 are read, and go when they are removed', async (t) => {
  const directory = newDirectory()
  const store = await openStore(t, directory)
  // Format 2 kept all of them in LMDB, where commits with more than a record still go.
  for (let number = 1; number <= 5; number += 1) {
    await commit(store, [
      put('journal', sequenceKey(number), filledWith(number)),
      put('queues', sequenceKey(1), filledWith(1)),
    ])
  }
  await store.close()
  const path = join(directory, 'store.json')
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), format: 2 }))
  const next = await openStore(t, directory)
  t.equal(JSON.parse(readFileSync(path, 'utf8')).format, 3)
  await append(next, 6, 20)
  t.same(numbersOf(next), upTo(1, 20))
  await commit(
    next,
    upTo(1, 12).map((number) => remove('journal', sequenceKey(number))),
  )
  t.same(numbersOf(next), upTo(13, 20))
})

t.test(
  'removing a record that is not the oldest, or writing one twice, is refused before anything is lost',
  async (t) => {
    const directory = newDirectory()
    const store = await openStore(t, directory)
    const first = await intoFile(store, directory)
    await append(store, first + 1, first + 3)
    const wrong: StoreOperation[][] = [
      [remove('journal', sequenceKey(first + 3))],
      [put('journal', sequenceKey(first + 3), filledWith(1)), put('queues', sequenceKey(1), filledWith(1))],
    ]
    for (const operations of wrong) {
      const killed = killedCopy(directory)
      const next = await openStore(t, killed)
      const error = await commit(next, operations)
      t.match(error, { code: 'STORE_IO', message: /oldest|once/ })
      await next.close()
      t.same(numbersOf(await openStore(t, killed)), upTo(1, first + 3))
    }
    t.ok(readdirSync(directory).includes('journal.0'))
  },
)
