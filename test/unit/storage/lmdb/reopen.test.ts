/** What LMDB keeps over a restart, and what it refuses to open: formats, damage, foreign directories, loose rights. */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { verifyDirectory } from '../../../../src/main/closed-directory.js'
import type { LmdbStore } from '../../../../src/storage/lmdb/lmdb-store.js'
import { openLmdbStore } from '../../../../src/storage/lmdb/open-lmdb-store.js'
import { bytes, commit, hex, keysOf, put, remove, sequenceKey } from '../../../contract/store-contract.js'

const timers = { nowMs: () => 0, schedule: () => ({ cancel: () => undefined }) }
const parent = t.testdir()
let directories = 0

function newDirectory(): string {
  directories += 1
  return join(parent, `store-${directories}`)
}

function openStore(directory: string, more: { durability?: 'flush' | 'os'; buildName?: string } = {}) {
  return openLmdbStore({ directory, durability: 'flush', commitTimeoutMs: 10_000, timers, ...more })
}

async function withStore(directory: string, run: (store: LmdbStore) => unknown): Promise<void> {
  const store = await openStore(directory)
  try {
    await run(store)
  } finally {
    await store.close()
  }
}

function mode(path: string): string {
  return (statSync(path).mode & 0o777).toString(8)
}

t.test('a copy, or what a backup brought back, is another incarnation; it keeps that one', async (t) => {
  const directory = newDirectory()
  let incarnation = ''
  await withStore(directory, async (store) => {
    incarnation = store.incarnation
    t.equal(store.previousIncarnation, null)
    await commit(store, [put('journal', sequenceKey(1), bytes(1))])
  })
  const copy = newDirectory()
  cpSync(directory, copy, { recursive: true })
  let copied = ''
  await withStore(copy, (store) => {
    copied = store.incarnation
    t.not(copied, incarnation)
    t.equal(store.previousIncarnation, incarnation)
    t.same(store.get('journal', sequenceKey(1)), bytes(1), 'nothing else is different')
  })
  await withStore(copy, (store) => {
    t.equal(store.incarnation, copied)
    t.equal(store.previousIncarnation, null)
  })
  await withStore(directory, (store) => t.equal(store.incarnation, incarnation, 'the original is what it was'))
})

t.test('a restored data.mdb that was given the inode of the removed one is another file', async (t) => {
  const directory = newDirectory()
  await withStore(directory, () => undefined)
  const path = join(directory, 'store.json')
  const known = JSON.parse(readFileSync(path, 'utf8')) as { incarnation: string; dataFile: string }
  const [inode = '', born = ''] = known.dataFile.split('@')
  t.not(born, '0', 'this file system keeps the birth of a file')
  // As it is after `rm -r data && cp -r backup data`: the number is taken again, the birth is later.
  writeFileSync(path, JSON.stringify({ ...known, dataFile: `${inode}@${BigInt(born) - 1_000_000_000n}` }))
  await withStore(directory, (store) => {
    t.not(store.incarnation, known.incarnation)
    t.equal(store.previousIncarnation, known.incarnation)
  })
})

t.test(
  'a store.json of a build that did not note the file is read, keeps its incarnation, and gets the note',
  async (t) => {
    const directory = newDirectory()
    await withStore(directory, () => undefined)
    const path = join(directory, 'store.json')
    writeFileSync(path, '{"format":1,"writtenBy":"tallymq","incarnation":"old"}')
    await withStore(directory, (store) => {
      t.equal(store.incarnation, 'old')
      t.equal(store.previousIncarnation, null)
    })
    t.match(JSON.parse(readFileSync(path, 'utf8')), { format: 3, incarnation: 'old', dataFile: /^\d+@\d+$/ })
  },
)

t.test('reopening finds everything that was done, and the same incarnation', async (t) => {
  const directory = newDirectory()
  let incarnation = ''
  await withStore(directory, async (store) => {
    incarnation = store.incarnation
    for (let row = 0; row < 50; row += 1) await commit(store, [put('journal', sequenceKey(row), bytes(row))])
    await commit(store, [remove('journal', sequenceKey(0)), put('meta', bytes(1), new Uint8Array(100_000).fill(7))])
  })
  await withStore(directory, (store) => {
    t.equal(store.incarnation, incarnation)
    t.equal(keysOf(store, { table: 'journal' }).length, 49)
    t.equal(hex(store.get('journal', sequenceKey(49))), '31')
    t.equal(store.get('meta', bytes(1))?.length, 100_000)
  })
  const other = newDirectory()
  await withStore(other, (store) => t.not(store.incarnation, incarnation))
})

t.test('a directory whose name looks like a file name is still a directory', async (t) => {
  const directory = `${newDirectory()}.mdb`
  await withStore(directory, (store) => commit(store, [put('meta', bytes(1), bytes(1))]))
  t.same(readdirSync(directory).sort(), ['data.mdb', 'lock.mdb', 'store.json'])
})

t.test('the directory is created 0700 and its files 0600; loose rights are tightened at open', async (t) => {
  const directory = join(newDirectory(), 'deeper', 'store')
  const mask = process.umask(0)
  t.teardown(() => process.umask(mask))
  await withStore(directory, () => {
    for (const name of readdirSync(directory)) t.equal(mode(join(directory, name)), '600', name.replace(/\d+.*/, ''))
    t.equal(mode(directory), '700')
  })
  chmodSync(directory, 0o755)
  for (const name of readdirSync(directory)) chmodSync(join(directory, name), 0o644)
  await withStore(directory, () => {
    t.equal(mode(directory), '700')
    for (const name of readdirSync(directory)) t.equal(mode(join(directory, name)), '600', name.replace(/\d+.*/, ''))
  })
})

t.test('a directory that holds something else is refused and left alone', async (t) => {
  const directory = newDirectory()
  mkdirSync(directory, { mode: 0o755 })
  chmodSync(directory, 0o755)
  writeFileSync(join(directory, 'thesis.tex'), 'precious')
  await t.rejects(openStore(directory), { code: 'STORE_FORMAT', message: /not empty and holds no store/ })
  t.equal(mode(directory), '755')
  t.same(readdirSync(directory), ['thesis.tex'])
})

t.test('an empty directory, even a mount point with lost+found, is taken', async (t) => {
  const directory = newDirectory()
  mkdirSync(join(directory, 'lost+found'), { recursive: true })
  await withStore(directory, () => t.equal(mode(directory), '700'))
})

t.test('a newer format is refused with both versions and what to do; the data stays', async (t) => {
  const directory = newDirectory()
  await withStore(directory, (store) => commit(store, [put('meta', bytes(1), bytes(1))]))
  const path = join(directory, 'store.json')
  const description = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  t.match(description, { format: 3, writtenBy: 'tallymq', incarnation: /^[0-9a-f-]{36}$/ })
  writeFileSync(path, JSON.stringify({ ...description, format: 4, writtenBy: 'tallymq 9.1.0', more: true }))
  await t.rejects(openStore(directory, { buildName: 'tallymq 0.1.0' }), {
    code: 'STORE_FORMAT',
    message: /store format 4, written by tallymq 9\.1\.0; this is tallymq 0\.1\.0, which reads formats 1 to 3\. Run/,
  })
  writeFileSync(path, JSON.stringify({ ...description, unknownField: 1 }))
  await withStore(directory, (store) => t.equal(hex(store.get('meta', bytes(1))), '01'))
})

t.test('an older format is read, and raised when the store is opened for writing; nothing else changes', async (t) => {
  const directory = newDirectory()
  await withStore(directory, (store) => commit(store, [put('meta', bytes(1), bytes(1))]))
  const path = join(directory, 'store.json')
  const description = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  writeFileSync(path, JSON.stringify({ ...description, format: 1, writtenBy: 'tallymq 0.0.1' }))
  await verifyDirectory(directory)
  t.match(JSON.parse(readFileSync(path, 'utf8')), { format: 1, writtenBy: 'tallymq 0.0.1' }, 'looking changes nothing')
  await withStore(directory, (store) => {
    t.equal(store.incarnation, description.incarnation)
    t.equal(hex(store.get('meta', bytes(1))), '01')
    t.same(JSON.parse(readFileSync(path, 'utf8')), description, 'before anything is written')
    t.equal(mode(path), '600')
  })
  t.same(readdirSync(directory).sort(), ['data.mdb', 'lock.mdb', 'store.json'])
})

t.test(
  'a damaged or missing description, or a missing data file, is an error and never a new empty store',
  async (t) => {
    const directory = newDirectory()
    await withStore(directory, (store) => commit(store, [put('meta', bytes(1), bytes(1))]))
    const path = join(directory, 'store.json')
    const good = readFileSync(path)
    for (const bad of ['', '{"format":', '{}', '{"format":0,"incarnation":"x"}', '[]', 'null']) {
      writeFileSync(path, bad)
      await t.rejects(openStore(directory), { code: 'STORE_CORRUPT', message: /store\.json is damaged/ }, bad)
    }
    rmSync(path)
    await t.rejects(openStore(directory), { code: 'STORE_FORMAT', message: /store\.json is missing/ })
    writeFileSync(path, good)
    await withStore(directory, (store) => t.equal(hex(store.get('meta', bytes(1))), '01'))
    rmSync(join(directory, 'data.mdb'))
    await t.rejects(openStore(directory), { code: 'STORE_CORRUPT', message: /data\.mdb is missing/ })
    t.notOk(existsSync(join(directory, 'data.mdb')))
  },
)

t.test('creation cut short before the description was written is finished by the next open', async (t) => {
  const directory = newDirectory()
  await withStore(directory, () => undefined)
  rmSync(join(directory, 'store.json'))
  await withStore(directory, (store) => t.match(store.incarnation, /^[0-9a-f-]{36}$/))
})

t.test(
  'a flipped bit in a stored value throws STORE_CORRUPT naming the record, and other records are readable',
  async (t) => {
    const directory = newDirectory()
    const key = Buffer.from('invoice-17')
    const small = Buffer.from('the customer owes exactly 1700')
    const large = Buffer.alloc(20_000, 'large value spanning pages ')
    await withStore(directory, async (store) => {
      await commit(store, [put('messages', key, small), put('messages', Buffer.from('invoice-18'), bytes(1))])
      await commit(store, [put('journal', sequenceKey(5), large)])
    })
    const data = join(directory, 'data.mdb')
    const file = readFileSync(data)
    let flips = 0
    for (const needle of [small, large.subarray(3_000, 3_400)]) {
      for (let at = file.indexOf(needle); at !== -1; at = file.indexOf(needle, at + needle.length)) {
        file[at + 9] = (file[at + 9] as number) ^ 0x04
        flips += 1
      }
    }
    t.ok(flips >= 2, 'the values lie in the file as they are')
    writeFileSync(data, file)
    await withStore(directory, (store) => {
      const named = { code: 'STORE_CORRUPT', message: /0x696e766f6963652d3137 "invoice-17" .* table messages/ }
      t.throws(() => store.get('messages', key), named)
      t.throws(() => Array.from(store.entries({ table: 'messages' })), named)
      t.throws(() => store.get('journal', sequenceKey(5)), { message: /0x0000000000000005 .* table journal/ })
      t.equal(hex(store.get('messages', Buffer.from('invoice-18'))), '01')
      t.same(keysOf(store, { table: 'messages', from: Buffer.from('invoice-18') }).length, 1)
    })
  },
)

t.test(
  'an unflushed store is flushed when it is closed, and refused when the machine went down under it',
  async (t) => {
    const directory = newDirectory()
    const first = await openStore(directory, { durability: 'os' })
    const mark = join(directory, 'unflushed')
    t.ok(existsSync(mark))
    await commit(first, [put('meta', bytes(1), bytes(1))])
    const thisBoot = readFileSync(mark, 'utf8')
    await first.close()
    t.notOk(existsSync(mark))
    writeFileSync(mark, thisBoot)
    await withStore(directory, (store) => {
      t.notOk(existsSync(mark), 'killed, but the machine is still up: the pages are flushed at open')
      t.equal(hex(store.get('meta', bytes(1))), '01')
    })
    writeFileSync(mark, '00000000-0000-0000-0000-000000000000\n')
    await t.rejects(openStore(directory), {
      code: 'STORE_CORRUPT',
      message: /durability os or memory when the machine/,
    })
  },
)

t.test('LMDB runs without overlapping sync: the page of the third, late-flushed meta stays empty', async (t) => {
  const directory = newDirectory()
  await withStore(directory, async (store) => {
    for (let row = 1; row < 5; row += 1) await commit(store, [put('meta', bytes(row), bytes(row))])
    // With lmdb-js's default this area of page 0 holds the meta that says how far the flush has come.
    const lateMeta = readFileSync(join(directory, 'data.mdb')).subarray(2_080, 2_240)
    t.ok(lateMeta.every((byte) => byte === 0))
  })
})

t.test('a path that cannot be a directory is STORE_IO with the reason', async (t) => {
  const file = newDirectory()
  writeFileSync(file, '')
  await t.rejects(openStore(join(file, 'store')), { code: 'STORE_IO', message: /cannot open the store in .*ENOTDIR/ })
  const dangling = newDirectory()
  symlinkSync(join(parent, 'nowhere', 'at', 'all'), dangling)
  await t.rejects(openStore(dangling), { code: 'STORE_IO' })
})

t.test('many commits of 64 KB records with the oldest removed leave the file at a bounded size', async (t) => {
  const directory = newDirectory()
  const kept = 40
  const record = new Uint8Array(65_536).fill(9)
  const store = await openStore(directory, { durability: 'os' })
  t.teardown(() => store.close())
  let oldest = 0
  let sizeEarly = 0
  for (let row = 0; row < 1_200; row += 1) {
    const operations = [put('journal', sequenceKey(row), record)]
    // Trimmed in batches, as a checkpoint does.
    if (row % 20 === 19) while (oldest < row - kept) operations.push(remove('journal', sequenceKey(oldest++)))
    t.equal(await commit(store, operations), null)
    if (row === 300) sizeEarly = statSync(join(directory, 'data.mdb')).size
  }
  const size = statSync(join(directory, 'data.mdb')).size
  t.ok(size < 16_777_216, `75 MB written, ${size} bytes of file`)
  t.ok(size <= sizeEarly * 1.25, `${sizeEarly} bytes after 300 records, ${size} after 1 200`)
})
