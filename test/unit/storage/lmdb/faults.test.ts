/**
 * Disks that fail: a full file system for real (a small tmpfs), and LMDB's own failures played by a stand-in for its
 * `batch`, because nothing portable makes a real disk return EIO or makes LMDB hang.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { StoreError } from '../../../../src/core/ports/store.js'
import { commitError } from '../../../../src/storage/lmdb/commit-errors.js'
import { MAP_SIZE_BYTES_DEFAULT, openEnvironment } from '../../../../src/storage/lmdb/environment.js'
import { openJournal } from '../../../../src/storage/lmdb/journal/open-journal.js'
import { LmdbStore } from '../../../../src/storage/lmdb/lmdb-store.js'
import { openLmdbStore } from '../../../../src/storage/lmdb/open-lmdb-store.js'
import { bytes, commit, hex, keysOf, put, sequenceKey } from '../../../contract/store-contract.js'

const parent = t.testdir()

class HandTimers {
  now = 1_000
  scheduled: { atMs: number; run: () => void }[] = []
  nowMs(): number {
    return this.now
  }
  schedule(delayMs: number, run: () => void): { cancel(): void } {
    const timer = { atMs: this.now + delayMs, run }
    this.scheduled.push(timer)
    return { cancel: () => (this.scheduled = this.scheduled.filter((other) => other !== timer)) }
  }
  /** As a running process sees time pass: timers that timers schedule are due as well. */
  advance(ms: number): void {
    const endMs = this.now + ms
    for (;;) {
      const due = this.scheduled.filter((timer) => timer.atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0]
      if (due === undefined) break
      this.now = Math.max(this.now, due.atMs)
      this.#run(due)
    }
    this.now = endMs
  }
  /** As a process sees it that was stopped meanwhile: what is due runs once, late. */
  jump(ms: number): void {
    this.now += ms
    for (const timer of this.scheduled.filter((timer) => timer.atMs <= this.now)) this.#run(timer)
  }
  #run(timer: HandTimers['scheduled'][number]): void {
    this.scheduled = this.scheduled.filter((other) => other !== timer)
    timer.run()
  }
}

type Batch = (write: () => void) => Promise<boolean>

/** A store on a real environment whose `batch` can be replaced. */
async function makeStore(name: string, timers = new HandTimers()) {
  const directory = join(parent, name)
  mkdirSync(directory)
  const environment = openEnvironment(directory, 'os', MAP_SIZE_BYTES_DEFAULT)
  const journal = await openJournal(directory, 'os', environment)
  const realBatch: Batch = environment.root.batch.bind(environment.root) as Batch
  const control: { batch: Batch } = { batch: realBatch }
  environment.root.batch = ((write: () => void) => control.batch(write)) as typeof environment.root.batch
  const fatal: StoreError[] = []
  let closes = 0
  const store = new LmdbStore({
    environment,
    journal,
    directory,
    incarnation: 'test',
    commitTimeoutMs: 10_000,
    timers,
    onFatal: (error) => fatal.push(error),
    afterClose: async () => {
      closes += 1
    },
  })
  return { store, control, realBatch, fatal, timers, closes: () => closes }
}

/** As lmdb-js rejects: a wrapper, with the reason in a promise that rejects as well. */
function rejection(code: number): Error {
  const reason = Object.assign(new Error(`code ${code}`), { code })
  return Object.assign(new Error('Commit failed (see commitError for details)'), {
    commitError: Promise.reject(reason),
  })
}

t.test(
  'after a rejected commit it, those behind it and all later ones fail; what was done stays readable',
  async (t) => {
    const { store, control, fatal, closes } = await makeStore('rejected')
    t.equal(await commit(store, [put('meta', bytes(1), bytes(1))]), null)
    let batches = 0
    control.batch = async () => {
      batches += 1
      throw rejection(5)
    }
    const order: string[] = []
    const failed = [2, 3, 4].map((row) =>
      commit(store, [put('meta', bytes(row), bytes(row))]).then((error) => {
        order.push(`${row} ${error?.code} ${fatal.length}`)
      }),
    )
    await Promise.all(failed)
    t.same(
      order.map((line) => line.slice(0, 10)),
      ['2 STORE_IO', '3 STORE_IO', '4 STORE_IO'],
    )
    t.equal(batches, 1, 'nothing more is handed to LMDB')
    t.equal((await commit(store, [put('meta', bytes(5), bytes(5))]))?.code, 'STORE_IO')
    t.equal(fatal.length, 1)
    t.match(fatal[0], { code: 'STORE_IO', message: /writing the store in .* failed: code 5/ })
    t.same(keysOf(store, { table: 'meta' }), ['01'])
    await store.close()
    t.equal(closes(), 1)
  },
)

t.test('what LMDB has committed but not reported yet stays invisible until done', async (t) => {
  const { store, control, realBatch } = await makeStore('unreported')
  t.equal(await commit(store, [put('meta', bytes(1), bytes(1))]), null)
  let committed: () => void = () => undefined
  const isCommitted = new Promise<void>((resolve) => (committed = resolve))
  let release: (value: boolean) => void = () => undefined
  control.batch = async (write) => {
    await realBatch(write)
    committed()
    return new Promise((resolve) => (release = resolve))
  }
  const pending = commit(store, [put('meta', bytes(1), bytes(2)), put('meta', bytes(3), bytes(3))])
  await isCommitted
  t.equal(hex(store.get('meta', bytes(1))), '01')
  t.same(keysOf(store, { table: 'meta' }), ['01'])
  release(true)
  t.equal(await pending, null)
  t.equal(hex(store.get('meta', bytes(1))), '02')
  t.same(keysOf(store, { table: 'meta' }), ['01', '03'])
  control.batch = realBatch
  await store.close()
})

t.test('LMDB throwing instead of rejecting is a failed commit too, reported later', async (t) => {
  const { store, control, fatal } = await makeStore('throwing')
  control.batch = () => {
    throw new Error('Internal buffers have been corrupted')
  }
  let reported: StoreError | null | undefined
  store.commit([put('meta', bytes(1), bytes(1))], (error) => {
    reported = error
  })
  t.equal(reported, undefined)
  t.equal((await commit(store, []))?.code, 'STORE_IO')
  t.equal(reported?.code, 'STORE_IO')
  t.equal(fatal.length, 1)
  await store.close()
})

t.test('a commit that does not settle in time fails with STORE_STALLED; settling later changes nothing', async (t) => {
  const { store, control, realBatch, fatal, timers, closes } = await makeStore('stalled')
  t.equal(await commit(store, [put('meta', bytes(1), bytes(1))]), null)
  let release: (value: boolean) => void = () => undefined
  control.batch = () => new Promise((resolve) => (release = resolve))
  timers.advance(6_000)
  const results: (string | undefined)[] = []
  store.commit([put('meta', bytes(2), bytes(2))], (error) => results.push(error?.code))
  store.commit([put('meta', bytes(3), bytes(3))], (error) => results.push(error?.code))
  timers.advance(9_999)
  t.same(results, [], 'the watch of an earlier commit does not end this one early')
  timers.advance(2_500)
  t.same(results, ['STORE_STALLED', 'STORE_STALLED'])
  t.match(fatal, [{ code: 'STORE_STALLED', message: /has not settled within 10000 ms/ }])
  release(true)
  control.batch = realBatch
  t.equal((await commit(store, [put('meta', bytes(4), bytes(4))]))?.code, 'STORE_STALLED')
  t.same(results, ['STORE_STALLED', 'STORE_STALLED'])
  t.same(keysOf(store, { table: 'meta' }), ['01'])
  await store.close()
  t.equal(closes(), 0, 'the stuck environment and its lock are left to the end of the process')
})

t.test(
  'a process that was stopped for an hour while a commit was under way finds it settled, not stalled',
  async (t) => {
    const { store, fatal, timers } = await makeStore('stopped')
    const pending = commit(store, [put('meta', bytes(1), bytes(1))])
    timers.jump(3_600_000)
    t.equal(await pending, null)
    t.same(fatal, [])
    await store.close()
  },
)

t.test('the first commit after an idle time is given up at its timeout', async (t) => {
  const { store, control, fatal, timers } = await makeStore('first')
  control.batch = () => new Promise(() => undefined)
  const pending = commit(store, [put('meta', bytes(1), bytes(1))])
  timers.advance(9_999)
  t.same(fatal, [])
  timers.advance(1)
  t.equal((await pending)?.code, 'STORE_STALLED')
  await store.close()
})

t.test('commits that settle leave one watch at most, and none after close', async (t) => {
  const { store, timers } = await makeStore('watch')
  for (let row = 0; row < 50; row += 1) await commit(store, [put('meta', bytes(row), bytes(row))])
  t.equal(timers.scheduled.length, 1)
  timers.advance(20_000)
  t.equal(timers.scheduled.length, 0, 'an idle store needs no watch')
  t.equal(await commit(store, [put('meta', bytes(1), bytes(1))]), null)
  t.equal(timers.scheduled.length, 1)
  await store.close()
  t.equal(timers.scheduled.length, 0)
})

t.test('error numbers become store errors; free space tells a full disk from a broken one', async (t) => {
  const code = (value: unknown, written = 0) => commitError({ code: value }, parent, written).code
  t.equal(code(28), 'STORE_FULL')
  t.equal(code(122), 'STORE_FULL')
  t.equal(code(-30792), 'STORE_FULL')
  t.equal(code(5), 'STORE_IO')
  t.equal(code(5, Number.MAX_SAFE_INTEGER), 'STORE_FULL', 'less is free than the commit needed')
  t.equal(commitError({ code: 5 }, join(parent, 'gone'), 0).code, 'STORE_IO')
  t.equal(code(-30795), 'STORE_IO')
  t.equal(commitError(undefined, parent, 0).code, 'STORE_IO')
})

function mountTmpfs(directory: string, size: string): string | null {
  mkdirSync(directory)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', directory], { stdio: 'pipe' })
    return null
  } catch (error) {
    return `cannot mount a tmpfs here: ${String((error as Error).message).split('\n')[0]}`
  }
}

t.test(
  'a full file system: STORE_FULL, nothing acknowledged is lost, and with space again the store goes on',
  async (t) => {
    const mount = join(parent, 'small')
    const reason = mountTmpfs(mount, '4m')
    if (reason !== null) {
      t.pass('skipped', { skip: reason })
      return
    }
    t.teardown(() => execFileSync('umount', ['-l', mount]))
    const directory = join(mount, 'store')
    const open = (onFatal?: (error: StoreError) => void) =>
      openLmdbStore({
        directory,
        durability: 'flush',
        commitTimeoutMs: 10_000,
        timers: new HandTimers(),
        ...(onFatal && { onFatal }),
      })
    for (const recordBytes of [100_000, 700]) {
      const fatal: StoreError[] = []
      const store = await open((error) => fatal.push(error))
      const before = keysOf(store, { table: 'journal' }).length
      let sequence = before
      let failure: StoreError | null = null
      while (failure === null && sequence < before + 100_000) {
        const record = new Uint8Array(recordBytes).fill(sequence)
        failure = await commit(store, [
          put('journal', sequenceKey(sequence), record),
          put('meta', bytes(1), sequenceKey(sequence)),
        ])
        if (failure === null) sequence += 1
      }
      t.equal(failure?.code, 'STORE_FULL', failure?.message ?? 'no failure')
      t.ok(sequence > before, `${sequence - before} records of ${recordBytes} bytes fitted`)
      t.equal((await commit(store, [put('meta', bytes(2), bytes(2))]))?.code, 'STORE_FULL')
      t.equal(fatal.length, 1)
      t.equal(keysOf(store, { table: 'journal' }).length, sequence, 'readable while full')
      await store.close()
      execFileSync('mount', ['-o', `remount,size=${recordBytes === 100_000 ? '6m' : '12m'}`, mount])
      const reopened = await open()
      t.equal(keysOf(reopened, { table: 'journal' }).length, sequence)
      t.equal(hex(reopened.get('meta', bytes(1))), hex(sequenceKey(sequence - 1)))
      t.equal(await commit(reopened, [put('meta', bytes(9), bytes(9))]), null)
      await reopened.close()
    }
  },
)
