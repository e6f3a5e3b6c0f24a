/** Processes: one per directory, and kill -9 at any moment loses nothing that was reported as done. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { STORE_TABLES } from '../../../../src/core/ports/store.js'
import type { LmdbStore } from '../../../../src/storage/lmdb/lmdb-store.js'
import { openLmdbStore } from '../../../../src/storage/lmdb/open-lmdb-store.js'
import { bytes, hex, keysOf, sequenceKey } from '../../../contract/store-contract.js'

const timers = { nowMs: () => 0, schedule: () => ({ cancel: () => undefined }) }
const script = fileURLToPath(new URL('./commit-loop.ts', import.meta.url))
const parent = t.testdir()

function startChild(directory: string, durability: string, task: string): ChildProcess {
  const child = spawn(process.execPath, [...process.execArgv, script, directory, durability, task], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

function openStore(directory: string, durability: 'flush' | 'os' = 'flush'): Promise<LmdbStore> {
  return openLmdbStore({ directory, durability, commitTimeoutMs: 10_000, timers })
}

/** Reads what the child reports until `enough` says so, kills it there, and reads on to the end of the pipe. */
async function killAfter(child: ChildProcess, enough: (lines: number) => boolean): Promise<string[]> {
  const lines: string[] = []
  const exited = once(child, 'exit')
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    lines.push(line)
    if (enough(lines.length)) child.kill('SIGKILL')
  }
  await exited
  return lines
}

for (const durability of ['flush', 'os'] as const) {
  t.test(`killed with -9 while it commits, ${durability}: everything reported as done is there`, async (t) => {
    const directory = join(parent, `killed-${durability}`)
    let reported = 0
    for (const commits of [1, 37, 333, 150]) {
      const lines = await killAfter(startChild(directory, durability, 'commit'), (count) => count > commits)
      t.equal(lines[0], 'open')
      reported = Math.max(reported, ...lines.slice(1).map(Number))
      const store = await openStore(directory)
      const last = Number(Buffer.from(store.get('meta', bytes(1)) ?? sequenceKey(0)).readBigUInt64BE())
      t.ok(last >= reported, `reported ${reported}, found ${last}`)
      t.ok(last <= reported + 4, 'and at most the commits that were under way beyond it')
      const expected = Array.from({ length: Math.min(last, 300) }, (_, back) => hex(sequenceKey(last - back))).reverse()
      t.same(keysOf(store, { table: 'journal' }), expected, 'the journal has no hole')
      for (const table of STORE_TABLES) {
        if (table !== 'journal' && table !== 'meta') {
          t.equal(hex(store.get(table, bytes(7))), hex(sequenceKey(last)), `no torn commit: ${table}`)
        }
      }
      await store.close()
    }
  })
}

t.test(
  'a directory in use is refused with the pid, also while the holder is stopped; killed, it is free',
  async (t) => {
    const directory = join(parent, 'locked-'.padEnd(160, 'x'))
    const child = startChild(directory, 'flush', 'hold')
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
    t.same(await once(lines, 'line'), ['open'])
    const locked = { code: 'STORE_LOCKED', message: new RegExp(`locked-x+ is in use by process ${child.pid};`) }
    await t.rejects(openStore(directory), locked)
    child.kill('SIGSTOP')
    await t.rejects(openStore(directory), locked)
    child.kill('SIGKILL')
    await once(child, 'exit')
    t.equal(locksIn(directory).length, 1, 'what the dead process has left')
    const store = await openStore(directory)
    t.same(locksIn(directory), [locksIn(directory).find((name) => name.startsWith(`lock.${process.pid}.`))])
    await store.close()
    t.same(locksIn(directory), [])
  },
)

t.test('within one process a second open is refused too; after close it is possible', async (t) => {
  const directory = join(parent, 'twice')
  const store = await openStore(directory)
  await t.rejects(openStore(directory), { code: 'STORE_LOCKED', message: /in use by this process \(pid \d+\)/ })
  t.equal(locksIn(directory).length, 1)
  await store.close()
  const again = await openStore(directory)
  await again.close()
})

t.test('of several that open in the same instant never two succeed', async (t) => {
  const directory = join(parent, 'race')
  for (let round = 0; round < 20; round += 1) {
    const outcomes = await Promise.allSettled(Array.from({ length: 3 }, () => openStore(directory)))
    const opened = outcomes.filter((outcome) => outcome.status === 'fulfilled')
    t.ok(opened.length <= 1, `${opened.length} opened`)
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') t.equal((outcome.reason as { code?: string }).code, 'STORE_LOCKED')
      else await outcome.value.close()
    }
  }
  t.same(locksIn(directory), [])
})

function locksIn(directory: string): string[] {
  return readdirSync(directory).filter((name) => name !== 'lock.mdb' && /^\.?lock\./.test(name))
}
