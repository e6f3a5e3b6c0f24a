/**
 * The process that is traced: opens the real store and gives it the commits of a script, one after the other and now
 * and then two at a time. In a file beside the store it notes when a commit begins and when it was reported as
 * durable; the notes are in the trace too, in their true order between the writes.
 */
import { openSync, readFileSync, writeSync } from 'node:fs'
import { deserialize } from 'node:v8'
import type { Timers } from '../../src/base/clock.js'
import type { StoreError } from '../../src/core/ports/store.js'
import { systemTimers } from '../../src/server/system-clock.js'
import { openLmdbStore } from '../../src/storage/lmdb/open-lmdb-store.js'
import { Random } from '../support/random.js'
import type { CommitScript } from './commits.js'
import { JOURNAL_SLOT_BYTES, NOTE } from './trace.js'

export interface WriteTask {
  readonly parent: string
  readonly scriptFile: string
  readonly seed: number
  /** Anything but 'flush' must be caught. */
  readonly durability: 'flush' | 'os'
}

export async function writeStore(task: WriteTask, timers: Timers): Promise<void> {
  const { parent, scriptFile, seed, durability } = task
  const { commits } = deserialize(readFileSync(scriptFile)) as CommitScript
  const notes = openSync(`${parent}/notes`, 'w', 0o600)
  const note = (what: number, number: number) => {
    const bytes = Buffer.alloc(8)
    bytes.writeUInt32LE(what, 0)
    bytes.writeUInt32LE(number, 4)
    writeSync(notes, bytes)
  }
  const store = await openLmdbStore({
    directory: `${parent}/data`,
    durability,
    commitTimeoutMs: 60_000,
    timers,
    mapSizeBytes: 2 ** 30,
    journalSlotBytes: JOURNAL_SLOT_BYTES,
  })
  const random = new Random(seed)
  let isAhead: Promise<void> = Promise.resolve()
  for (const [index, operations] of commits.entries()) {
    note(NOTE.BEGUN, index + 1)
    const isDone = new Promise<void>((resolve, reject) => {
      store.commit(operations, (error: StoreError | null) => {
        if (error !== null) return reject(error)
        note(NOTE.DURABLE, index + 1)
        resolve()
      })
    })
    if (random.chance(0.2)) isAhead = isDone
    else await Promise.all([isAhead, isDone])
  }
  await isAhead
  await store.close()
}

const task = process.argv[2]
if (task !== undefined) await writeStore(JSON.parse(task) as WriteTask, systemTimers)
