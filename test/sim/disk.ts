/**
 * The store of one broker process on a simulated disk: commits take time, some fail, some never report, and the power
 * may go before, while or after one becomes durable. Rules of the port are those of `storage/memory`, which holds the
 * rows; what survives is decided here, at the moment of the crash.
 */
import type { Store, StoreEntry, StoreOperation, StoreRange, StoreTable } from '../../src/core/ports/store.js'
import { StoreError } from '../../src/core/ports/store.js'
import { keyNumber } from '../../src/core/store-keys.js'
import type { MemoryStore } from '../../src/storage/memory/memory-store.js'
import type { Random } from '../support/random.js'
import type { Schedule } from './schedule.js'
import type { Trace } from './trace.js'

export interface DiskPlan {
  readonly commitMsTypical: number
  /** Now and then one takes this long. */
  readonly commitMsSlow: number
  /** Chances per commit. */
  readonly fails: number
  readonly stalls: number
  readonly crashes: number
  /** Reported, but not there before the next one is: no real disk, but the one that the simulator must find out. */
  readonly lies: number
}

/** As `storage.commitTimeoutMs`. */
const COMMIT_TIMEOUT_MS = 10_000

type Fate = 'done' | 'failed' | 'stalled' | 'crash-before' | 'crash-during' | 'crash-after'

export interface DiskOwner {
  /** Runs in the broker's process, unless that is gone; later if it is paused. */
  enter(run: () => void): void
  /** The watchdog gave the commit up. */
  storeFailed(error: StoreError): void
  powerFails(): void
}

export class SimStore implements Store {
  readonly #memory: MemoryStore
  readonly #owner: DiskOwner
  readonly #schedule: Schedule
  readonly #random: Random
  readonly #trace: Trace
  plan: DiskPlan
  /** The commit under way. */
  #record = 0
  #isBusy = false
  #durableAtMs = 0
  #fate: Fate = 'done'
  #done: (error: StoreError | null) => void = () => undefined
  /** What was reported last is not there yet. */
  #hasLied = false
  /** Highest journal record whose commit was reported as done. */
  durableRecord = 0
  commits = 0
  failedCommits = 0

  constructor(
    memory: MemoryStore,
    owner: DiskOwner,
    parts: { schedule: Schedule; random: Random; plan: DiskPlan; trace: Trace },
  ) {
    this.#memory = memory
    this.#owner = owner
    this.#schedule = parts.schedule
    this.#random = parts.random
    this.plan = parts.plan
    this.#trace = parts.trace
  }

  get isBusy(): boolean {
    return this.#isBusy
  }

  get(table: StoreTable, key: Uint8Array): Uint8Array | undefined {
    return this.#memory.get(table, key)
  }

  entries(range: StoreRange): IterableIterator<StoreEntry> {
    return this.#memory.entries(range)
  }

  commit(operations: readonly StoreOperation[], done: (error: StoreError | null) => void): void {
    if (this.#isBusy) throw new Error('the turn hands in one commit at a time')
    this.#isBusy = true
    this.commits += 1
    let record = 0
    for (const { kind, table, key } of operations) {
      if (kind === 'put' && table === 'journal') record = keyNumber(key)
    }
    this.#record = record
    this.#done = done
    this.#trace.number(operations.length)
    this.#memory.commit(operations, ignore)
    this.#begin()
  }

  #begin(): void {
    const random = this.#random
    const { commitMsTypical, commitMsSlow } = this.plan
    const takesMs = (random.chance(0.03) ? commitMsSlow : commitMsTypical) * (0.25 + random.next() * 1.5)
    this.#fate = this.#drawFate()
    this.#durableAtMs = this.#schedule.nowMs + takesMs * random.next()
    if (this.#trace.lines !== null && this.#fate !== 'done')
      this.#say(`commit of record ${this.#record}: ${this.#fate}`)
    switch (this.#fate) {
      case 'crash-before':
        this.#durableAtMs = Number.POSITIVE_INFINITY
        this.#schedule.after(0, this.#powerFails)
        break
      case 'crash-during':
        this.#durableAtMs = random.chance(0.5) ? 0 : Number.POSITIVE_INFINITY
        this.#schedule.after(takesMs, this.#powerFails)
        break
      case 'stalled':
        this.#durableAtMs = random.chance(0.5) ? 0 : Number.POSITIVE_INFINITY
        this.#schedule.after(COMMIT_TIMEOUT_MS, () => this.#owner.enter(this.#stalled))
        break
      default:
        this.#schedule.after(takesMs, () => this.#owner.enter(this.#report))
    }
  }

  #drawFate(): Fate {
    const { fails, stalls, crashes } = this.plan
    const dice = this.#random.next()
    if (dice < fails) return 'failed'
    if (dice < fails + stalls) return 'stalled'
    if (dice >= fails + stalls + crashes) return 'done'
    return this.#random.pick(['crash-before', 'crash-during', 'crash-after'] as const)
  }

  readonly #powerFails = (): void => this.#owner.powerFails()

  readonly #stalled = (): void => {
    this.failedCommits += 1
    const stalled = new StoreError('STORE_STALLED', 'a commit has not been reported for too long')
    this.#owner.storeFailed(stalled)
  }

  readonly #report = (): void => {
    if (this.#fate === 'failed') {
      this.failedCommits += 1
      // Whether the bytes are there after all shows at the next start; the report is the same.
      const isThereAfterAll = this.#random.chance(0.5)
      const error = new StoreError(this.#random.pick(['STORE_IO', 'STORE_FULL'] as const), 'the disk refuses')
      this.#durableAtMs = isThereAfterAll ? 0 : Number.POSITIVE_INFINITY
      this.#done(error)
      return
    }
    this.#isBusy = false
    if (this.#record > 0) this.durableRecord = this.#record
    if (this.#trace.lines !== null) this.#say(`record ${this.durableRecord} is durable`)
    // Right behind the report, before anything that it releases has left.
    if (this.#fate === 'crash-after') this.#schedule.after(0, this.#powerFails)
    this.#hasLied = this.plan.lies > 0 && this.#random.chance(this.plan.lies)
    if (!this.#hasLied) this.#memory.settleAll()
    this.#done(null)
  }

  #say(what: string): void {
    this.#trace.say(this.#schedule.nowMs, 'disk', what)
  }

  /** The process or the machine is gone. @returns what is on the disk. */
  crash(): MemoryStore {
    const isDurable = this.#isBusy && this.#durableAtMs <= this.#schedule.nowMs
    if (isDurable && this.#record > 0) this.durableRecord = this.#record
    const survives = isDurable && !this.#hasLied
    this.#trace.number(survives ? 1 : 0)
    return this.#memory.crash(survives ? 1 : 0)
  }

  async close(): Promise<void> {}
}

function ignore(): void {}
