/**
 * Plays a trace to each of its points, writes the files that a power cut there could have left, opens them with the
 * real store and asks: does it hold the rows of a commit that had begun, and of no earlier one than the last that was
 * reported as durable? Does `verifyStore` find nothing? Can it still write?
 *
 * In a process of its own, because a damaged file can take LMDB and its process down: that is a failure like others.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { deserialize } from 'node:v8'
import { verifyStore } from '../../src/audit/verify-store.js'
import type { Timers } from '../../src/base/clock.js'
import type { StoreOperation } from '../../src/core/ports/store.js'
import { keyNumber, numberKey } from '../../src/core/store-keys.js'
import { systemTimers } from '../../src/server/system-clock.js'
import type { LmdbStore } from '../../src/storage/lmdb/lmdb-store.js'
import { openLmdbStore } from '../../src/storage/lmdb/open-lmdb-store.js'
import { Random } from '../support/random.js'
import { type CommitScript, digestOfRows } from './commits.js'
import {
  type DiskImage,
  isSameImage,
  JOURNAL_SLOT_BYTES,
  NOTE,
  readTrace,
  TracedDisk,
  type TraceEvent,
  type Variant,
} from './trace.js'

export interface JudgeTask {
  /** The traced directory as it was at the end: files that are not traced write by write are taken from it. */
  readonly parent: string
  readonly traceFile: string
  readonly scriptFile: string
  readonly seed: number
  /** This process takes every `shares`th point, beginning at `share`. */
  readonly share: number
  readonly shares: number
  /** Points before this one are done. */
  readonly from: number
  /** At most so many points, evenly spread; 0: all. */
  readonly pointsMax: number
  readonly scratch: string
}

export type JudgeReport =
  /** The point that is looked at now: if nothing comes after it, it has taken the process down. */
  | { readonly at: number; readonly variant: Variant }
  | { readonly failure: string; readonly at: number; readonly variant: Variant }
  | { readonly images: number; readonly points: number }

const STORE_FILE = /^data\/(data\.mdb|journal\.\d+)$/

/** What the store has said so far. */
interface Promises {
  begun: number
  durable: number
}

export async function judge(task: JudgeTask, timers: Timers, report: (report: JudgeReport) => void): Promise<void> {
  const script = deserialize(readFileSync(task.scriptFile)) as CommitScript
  const events = readTrace(readFileSync(task.traceFile))
  const disk = new TracedDisk()
  const promises: Promises = { begun: 0, durable: 0 }
  let isDescribed = false
  let images = 0
  let points = 0
  const stride = task.pointsMax === 0 ? 1 : Math.max(1, Math.ceil(events.length / task.pointsMax))
  for (const [at, event] of events.entries()) {
    if (event.kind === 'rename' && event.name === 'data/store.json') isDescribed = true
    begin(event, disk, promises)
    const isMine = Math.floor(at / stride) % task.shares === task.share
    if (isDescribed && isMine && at % stride === 0 && at >= task.from) {
      points += 1
      const random = new Random(task.seed * 1_000_003 + at)
      const seen: DiskImage[] = []
      for (const variant of disk.variants) {
        const image = disk.image(variant, random)
        if (seen.some((other) => isSameImage(other, image))) continue
        seen.push(image)
        report({ at, variant })
        images += 1
        const failure = await look(task, image, promises, script, timers)
        if (failure !== null) report({ failure, at, variant })
      }
    }
    end(event, disk)
  }
  report({ images, points })
}

function begin(event: TraceEvent, disk: TracedDisk, promises: Promises): void {
  if (event.kind === 'write' && event.name === 'notes') {
    const number = event.bytes.readUInt32LE(4)
    if (event.bytes.readUInt32LE(0) === NOTE.BEGUN) promises.begun = number
    else promises.durable = number
  }
  if (!STORE_FILE.test(event.name)) return
  if (event.kind === 'write') disk.file(event.name).write(event.offset, event.bytes)
  else if (event.kind === 'truncate') disk.file(event.name).truncate(event.length)
}

function end(event: TraceEvent, disk: TracedDisk): void {
  if (!STORE_FILE.test(event.name)) return
  if (event.kind === 'flush') disk.file(event.name).flush()
  else if (event.kind === 'write' && event.isFlushed) disk.file(event.name).flushNewest()
}

/** @returns what is wrong with this image, or null. */
async function look(
  task: JudgeTask,
  image: DiskImage,
  { begun, durable }: Promises,
  { digests, isOfCore }: CommitScript,
  timers: Timers,
): Promise<string | null> {
  const directory = `${task.scratch}/${task.share}`
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  for (const [name, bytes] of image) {
    writeFileSync(`${directory}/${name.replace('data/', '')}`, bytes, { mode: 0o600 })
  }
  writeFileSync(`${directory}/store.json`, readFileSync(`${task.parent}/data/store.json`), { mode: 0o600 })
  let store: LmdbStore | null = null
  try {
    store = await opened(directory, timers)
    const found = digestOfRows(store)
    const allowed = digests.slice(durable, begun + 1)
    if (!allowed.includes(found)) return wrongState(digests.indexOf(found), durable, begun)
    const { problems } = isOfCore ? verifyStore(store) : { problems: [] }
    if (problems[0] !== undefined) return `${problems.length} problems, the first: ${JSON.stringify(problems[0])}`
    return (await writes(store)) ?? (await goesOn(store, () => opened(directory, timers)))
  } catch (error) {
    return `it cannot be opened and read: ${(error as Error).message}`
  } finally {
    await store?.close()
  }
}

function wrongState(found: number, durable: number, begun: number): string {
  const what = found < 0 ? 'the rows of no commit' : `the rows after commit ${found}`
  return `it holds ${what}, but ${durable} was reported as durable and ${begun} had begun`
}

function opened(directory: string, timers: Timers): Promise<LmdbStore> {
  const shared = { directory, durability: 'flush', commitTimeoutMs: 60_000, timers } as const
  return openLmdbStore({ ...shared, mapSizeBytes: 2 ** 30, journalSlotBytes: JOURNAL_SLOT_BYTES })
}

/** A record behind those that survived; after another start the journal has it, and nothing that was torn before. */
async function goesOn(store: LmdbStore, reopen: () => Promise<LmdbStore>): Promise<string | null> {
  const numbers = journalNumbers(store)
  const next = (numbers.at(-1) ?? 0) + 1
  const value = new Uint8Array(next % 300).fill(next)
  const error = await committed(store, [{ kind: 'put', table: 'journal', key: numberKey(next), value }])
  if (error !== null) return `a record cannot be added: ${error.message}`
  await store.close()
  const again = await reopen()
  try {
    const found = journalNumbers(again)
    const expected = [...numbers, next]
    return found.join() === expected.join() ? null : `after another start the journal ends with ${found.slice(-5)}`
  } finally {
    await again.close()
  }
}

function journalNumbers(store: LmdbStore): number[] {
  return Array.from(store.entries({ table: 'journal' }), ({ key }) => keyNumber(key))
}

function committed(store: LmdbStore, operations: readonly StoreOperation[]): Promise<Error | null> {
  return new Promise((resolve) => store.commit(operations, resolve))
}

async function writes(store: LmdbStore): Promise<string | null> {
  const key = new Uint8Array([255])
  const value = new Uint8Array([1, 2, 3])
  const error = await committed(store, [{ kind: 'put', table: 'queues', key, value }])
  if (error !== null) return `it cannot be written to: ${error.message}`
  return store.get('queues', key)?.length === 3 ? null : 'what was written is not there'
}

const task = process.argv[2]
if (process.send !== undefined && task !== undefined) {
  const send = process.send.bind(process)
  await judge(JSON.parse(task) as JudgeTask, systemTimers, (report) => send(report))
  process.disconnect()
}
