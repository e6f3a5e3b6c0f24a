/**
 * Power cuts at points of what the real store writes; `npm run crash-images` takes every point of many seeds. And the
 * proof that the judges look: the same store without flushes must fail.
 */
import { readFileSync } from 'node:fs'
import { buildSync } from 'esbuild'
import t, { type Test } from 'tap'
import { verifyStore } from '../../src/audit/verify-store.js'
import { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { runBattery } from '../crash-images/battery.js'
import { commitScript } from '../crash-images/commits.js'
import { readTrace, TracedFile } from '../crash-images/trace.js'
import { needs } from '../support/peers.js'
import { Random } from '../support/random.js'

const FOLDER = new URL('../crash-images/', import.meta.url).pathname
const options: { skip?: string } =
  process.platform === 'linux' ? needs('gcc') : { skip: 'preloading is done on Linux only' }

function battery(t: Test, durability: 'flush' | 'os', pointsMax: number) {
  // Inside the checkout, so that the programs find their packages.
  const scratch = t.testdir()
  buildSync({
    entryPoints: [`${FOLDER}judge.ts`, `${FOLDER}write-store.ts`],
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    outdir: `${scratch}/programs`,
  })
  const tracerSource = `${FOLDER}trace-writes.c`
  const shared = { seed: 3, steps: 250, pointsMax, judges: 1, scratch, programs: `${scratch}/programs`, tracerSource }
  return runBattery({ ...shared, durability })
}

t.test(
  'whatever a power cut leaves of the store, every commit that was reported as durable is whole',
  options,
  async (t) => {
    const { images, points, commits, appends, failures } = await battery(t, 'flush', 120)
    t.same(failures, [])
    t.ok(appends > 8 && appends < commits, `${appends} of ${commits} went into the journal file`)
    t.ok(points > 60, `${points} points`)
    t.ok(images > 150, `${images} images of ${commits} commits`)
  },
)

t.test('a store that reports before it has flushed is found out', options, async (t) => {
  const { failures } = await battery(t, 'os', 4)
  t.ok(
    failures.some(({ sentence }) => /was reported as durable/.test(sentence)),
    'an image without what was promised',
  )
})

t.test('every committed state passes verifyStore, also while old hours are swept from the ledger', (t) => {
  const store = new MemoryStore({ settle: 'manual' })
  const problems: unknown[] = []
  for (const operations of commitScript(1, 600).commits) {
    store.commit(operations, () => undefined)
    store.settleAll()
    problems.push(...verifyStore(store).problems)
  }
  t.same(problems, [])
  t.end()
})

t.test('an image holds what was flushed, and any part of what was not', (t) => {
  const file = new TracedFile()
  file.write(0, Buffer.alloc(1_024, 1))
  t.equal(file.image('none', new Random(1)).length, 0)
  file.flush()
  t.same(file.variants, ['none'])
  file.write(512, Buffer.alloc(1_024, 2))
  t.same([...new Set(file.image('none', new Random(1)))], [1])
  t.equal(file.image('all', new Random(1)).length, 1_536)
  const sectors = new Set<string>()
  for (let seed = 1; seed <= 40; seed += 1) {
    const image = file.image('torn-512', new Random(seed))
    for (let at = 0; at < image.length; at += 512) t.equal(new Set(image.subarray(at, at + 512)).size, 1)
    sectors.add([...image].filter((_, at) => at % 512 === 0).join())
  }
  t.same([...sectors].sort(), ['1,0,2', '1,1', '1,1,2', '1,2', '1,2,2'].filter((each) => sectors.has(each)).sort())
  t.ok(sectors.size >= 3, 'sectors are torn apart')
  file.write(0, Buffer.alloc(512, 3))
  file.flushNewest()
  t.equal(file.image('none', new Random(1))[0], 3, 'a write through a flushing descriptor is on the disk')
  t.end()
})

t.test('a trace that was cut short is refused', (t) => {
  const entry = Buffer.alloc(16 + 4 + 2)
  entry.writeUInt8(1, 0)
  entry.writeUInt16LE(4, 2)
  entry.writeUInt32LE(2, 4)
  entry.write('data', 16)
  t.match(readTrace(entry), [{ kind: 'write', name: 'data', offset: 0, isFlushed: false }])
  t.throws(() => readTrace(entry.subarray(0, 21)), /whole entry/)
  t.match(readFileSync(`${FOLDER}trace-writes.c`, 'utf8'), /WRITE = 1, FLUSH = 2, TRUNCATE = 3, RENAME = 4/)
  t.end()
})
