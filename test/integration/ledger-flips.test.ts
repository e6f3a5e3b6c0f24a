/**
 * One flipped bit anywhere in data.mdb or in the journal file: `ledger verify` names it, or it is where nothing is, and
 * then a broker reads exactly the same rows. TALLYMQ_FLIPS=100000 for a long run.
 */
import { createHash } from 'node:crypto'
import { closeSync, cpSync, openSync, readFileSync, readSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { verifyDirectory } from '../../src/main/closed-directory.js'
import { STORE_TABLES, type Store } from '../../src/core/ports/store.js'
import { systemTimers } from '../../src/server/system-clock.js'
import { RecordWalk, readSlotHead } from '../../src/storage/lmdb/journal/slot-format.js'
import { slotNames } from '../../src/storage/lmdb/journal/slot-names.js'
import { openLmdbStore } from '../../src/storage/lmdb/open-lmdb-store.js'
import { checkPages } from '../../src/storage/lmdb/pages/check-pages.js'
import { PageFile } from '../../src/storage/lmdb/pages/page-file.js'
import { PageStore } from '../../src/storage/lmdb/pages/page-store.js'
import { auditedStore, writeDirectory } from '../support/audited-store.js'
import { Random } from '../support/random.js'

const FLIPS = Number(process.env.TALLYMQ_FLIPS ?? 250)
const META_BYTES = 168

function digestOf(store: Store): string {
  const hash = createHash('sha256')
  for (const table of STORE_TABLES) {
    for (const { key, value } of store.entries({ table }))
      hash.update(`${table} ${value.length} `).update(key).update(value)
  }
  return hash.digest('hex')
}

async function readByPages(directory: string): Promise<string> {
  const store = new PageStore(new PageFile(join(directory, 'data.mdb')), directory)
  const digest = digestOf(store)
  await store.close()
  return digest
}

/** What a broker would read: with LMDB itself, on a copy. */
async function readByLmdb(directory: string): Promise<string> {
  const copy = `${directory}.copy`
  rmSync(copy, { recursive: true, force: true })
  cpSync(directory, copy, { recursive: true })
  try {
    const store = await openLmdbStore({
      directory: copy,
      durability: 'os',
      commitTimeoutMs: 60_000,
      timers: systemTimers,
    })
    try {
      return digestOf(store)
    } finally {
      await store.close()
    }
  } catch (error) {
    return (error as Error).message
  }
}

function flip(descriptor: number, at: number, bit: number): void {
  const byte = Buffer.alloc(1)
  readSync(descriptor, byte, 0, 1, at)
  byte[0] = (byte[0] as number) ^ (1 << bit)
  writeSync(descriptor, byte, 0, 1, at)
}

function pickPage(random: Random, uses: ReadonlyMap<number, string>, pages: number): number {
  if (random.chance(0.7)) return random.below(pages)
  const branches = [...uses].filter(([, use]) => use === 'branch' || use === 'overflow')
  return branches[random.below(branches.length)]?.[0] ?? 0
}

/** Mostly where something lies: most of a branch page is empty. */
function offsetIn(use: string, random: Random, descriptor: number, from: number, pageSize: number): number {
  if (use === 'meta') return random.below(META_BYTES)
  if ((use !== 'branch' && use !== 'leaf') || random.chance(0.1)) return random.below(pageSize)
  const header = Buffer.alloc(24)
  readSync(descriptor, header, 0, 24, from)
  const used = 24 + header.readUInt16LE(20)
  const nodes = 24 + header.readUInt16LE(22)
  const at = random.below(used + pageSize - nodes)
  return at < used ? at : at - used + nodes
}

t.test('a flipped bit is found and named, or harmless because nothing lies there', async (t) => {
  const directory = join(t.testdir(), 'data')
  await writeDirectory(auditedStore(), directory)
  const path = join(directory, 'data.mdb')
  const whole = await verifyDirectory(directory)
  t.same(whole.problems, [], 'the directory is whole')
  const digest = await readByPages(directory)
  t.equal(await readByLmdb(directory), digest, 'LMDB reads the same')
  const file = new PageFile(path)
  const uses = new Map<number, string>(checkPages(file).uses)
  const { pageSize, metas } = file
  // The root of the snapshot before this one: free, but looked at to know which snapshot is the newer one.
  for (const { main } of metas) if (uses.get(main.root) === 'free') uses.delete(main.root)
  file.close()
  t.same(new Set(uses.values()), new Set(['leaf', 'branch', 'overflow', 'free']), 'pages of every kind')
  const descriptor = openSync(path, 'r+')
  const random = new Random(7)
  const outcome: Record<string, { found: number; harmless: number }> = {}
  const missed: string[] = []
  for (let turn = 0; turn < FLIPS; turn += 1) {
    const page = turn % 6 === 0 ? random.below(2) : pickPage(random, uses, statSync(path).size / pageSize)
    const use = page < 2 ? 'meta' : (uses.get(page) ?? 'unused')
    const at = page * pageSize + offsetIn(use, random, descriptor, page * pageSize, pageSize)
    const bit = random.below(8)
    outcome[use] ??= { found: 0, harmless: 0 }
    flip(descriptor, at, bit)
    const { problems } = await verifyDirectory(directory)
    if (problems.length > 0) outcome[use].found += 1
    else {
      const readings = [await readByPages(directory), await readByLmdb(directory)]
      if (readings.every((each) => each === digest)) outcome[use].harmless += 1
      else missed.push(`bit ${bit} of byte ${at % pageSize} in ${use} page ${page}: ${readings.join(', ')}`)
    }
    flip(descriptor, at, bit)
  }
  closeSync(descriptor)
  t.same(missed, [], 'no flip changes what is read without being named')
  t.equal(outcome.free?.found, 0, 'what is free holds nothing')
  for (const use of ['meta', 'leaf', 'branch', 'overflow']) t.ok((outcome[use]?.found ?? 0) > 0, `${use} pages`)
  t.comment(`${FLIPS} flips: ${JSON.stringify(outcome)}`)
  t.same((await verifyDirectory(directory)).problems, [], 'and all bits are back')
})

t.test('a flipped bit in the journal file is found and named', async (t) => {
  const directory = join(t.testdir(), 'data')
  await writeDirectory(auditedStore(), directory)
  const [name = ''] = slotNames(directory)
  const path = join(directory, name)
  const head = readSlotHead(readFileSync(path))
  const walk = new RecordWalk(readFileSync(path), head?.epoch ?? 0)
  let records = 0
  while (walk.next()) records += 1
  t.ok(records > 1, `${records} records lie in it`)
  t.same((await verifyDirectory(directory)).problems, [], 'the directory is whole')
  const digest = await readByPages(directory)
  const descriptor = openSync(path, 'r+')
  const random = new Random(8)
  const outcome = { found: 0, harmless: 0 }
  const missed: string[] = []
  for (let turn = 0; turn < FLIPS; turn += 1) {
    const at = random.chance(0.1) ? random.below(32) : random.below(walk.end)
    const bit = random.below(8)
    flip(descriptor, at, bit)
    const { problems } = await verifyDirectory(directory)
    if (problems.length > 0) outcome.found += 1
    else {
      const readings = [await readByPages(directory), await readByLmdb(directory)]
      if (readings.every((each) => each === digest)) outcome.harmless += 1
      else missed.push(`bit ${bit} of byte ${at}: ${readings.join(', ')}`)
    }
    flip(descriptor, at, bit)
  }
  closeSync(descriptor)
  t.same(missed, [], 'no flip changes what is read without being named')
  t.ok(outcome.found > 10 * outcome.harmless, 'only the few bytes between two records hold nothing')
  t.comment(`${FLIPS} flips: ${JSON.stringify(outcome)}`)
  t.same((await verifyDirectory(directory)).problems, [], 'and all bits are back')
})
