/**
 * The turn: what makes speed and safety the same mechanism. Whatever one iteration of the event loop reads is decided
 * at once; at its end everything that waits for a disk goes into one commit and everything else leaves, with one write
 * per connection. While a commit is under way the next one collects. No timer on this path.
 *
 * It also answers for the bound on what may wait for the disk: above `journalBytesMax` those who send are not read.
 */
import type { Clock } from '../base/clock.js'
import type { Store, StoreError } from '../core/ports/store.js'
import type { CoreApi, CoreConnection } from './core-api.js'
import type { Promises } from './promises.js'

/** A connection, as the turn sees it. */
export interface TurnMember {
  flush(nowMs: number): void
  seal(): void
  releaseSealed(): void
  releaseOpen(): void
  /** Hands on what was read before reading was paused, then reads on. */
  resume(nowMs: number): void
  /** Its buffer was full, and is no longer. */
  notifyDrained(nowMs: number): void
}

export interface TurnOptions {
  readonly core: CoreApi<CoreConnection>
  readonly store: Store
  readonly promises: Promises
  readonly clock: Clock
  /** Runs once the current iteration has read all there is: setImmediate. */
  readonly defer: (run: () => void) => void
  /** Called once; nothing is acknowledged from then on. */
  readonly onFatal: (error: unknown) => void
  readonly journalBytesMax: number
}

/** A record of this size is worth a flush of its own: the disk writes it while what follows is read. */
const EARLY_COMMIT_BYTES = 65_536
/** A turn that has taken so long begins no other slice of background work: who waits for an answer comes first. */
const WORK_MS = 2
/** Also where time stands still. */
const WORK_SLICES_MAX = 32

export class Turn {
  readonly #options: TurnOptions
  #isScheduled = false
  #isCommitting = false
  #hasFailed = false
  #inFlightBytes = 0
  #dirty: TurnMember[] = []
  #dirtySpare: TurnMember[] = []
  #held: TurnMember[] = []
  #sealed: TurnMember[] = []
  #resumed: TurnMember[] = []
  #throttled: TurnMember[] = []
  #drained: TurnMember[] = []
  #idleWaiters: (() => void)[] = []

  constructor(options: TurnOptions) {
    this.#options = options
  }

  get hasFailed(): boolean {
    return this.#hasFailed
  }

  /** True when senders must wait for the disk: pause them with `throttle`. */
  get isJournalFull(): boolean {
    return this.#options.core.openRecordBytes + this.#inFlightBytes > this.#options.journalBytesMax
  }

  /** Has bytes for the end of the turn. */
  markDirty(member: TurnMember): void {
    this.#dirty.push(member)
    this.schedule()
  }

  /** Has bytes that wait for the record being filled. */
  markHeld(member: TurnMember): void {
    this.#held.push(member)
    this.schedule()
  }

  markResumed(member: TurnMember): void {
    this.#resumed.push(member)
    this.schedule()
  }

  markDrained(member: TurnMember): void {
    this.#drained.push(member)
    this.schedule()
  }

  /** `resume` is called when the journal has room again. */
  throttle(member: TurnMember): void {
    this.#throttled.push(member)
    this.schedule()
  }

  /** A chunk has been decided on. When much has come and the disk is idle, it need not wait for the rest. */
  chunkReceived(nowMs: number): void {
    this.schedule()
    if (this.#isCommitting || this.#hasFailed || this.#options.core.openRecordBytes < EARLY_COMMIT_BYTES) return
    try {
      this.#commit(nowMs)
    } catch (error) {
      this.fail(error)
    }
  }

  schedule(): void {
    if (this.#isScheduled || this.#hasFailed) return
    this.#isScheduled = true
    this.#options.defer(this.#end)
  }

  /** Resolves when nothing is to be committed or flushed, or when all is lost. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idleWaiters.push(resolve)
      if (this.#hasFailed) this.#wakeIdleWaiters()
      else this.schedule()
    })
  }

  /** A broken invariant or a broken disk: from here on nothing leaves that promises anything. */
  fail(error: unknown): void {
    if (this.#hasFailed) return
    this.#hasFailed = true
    this.#dirty.length = 0
    this.#held.length = 0
    this.#sealed.length = 0
    this.#options.onFatal(error)
    this.#wakeIdleWaiters()
  }

  readonly #end = (): void => {
    this.#isScheduled = false
    if (this.#hasFailed) return
    try {
      this.#run(this.#options.clock.nowMs())
    } catch (error) {
      this.fail(error)
    }
  }

  #run(nowMs: number): void {
    const { core } = this.#options
    this.#resume(nowMs)
    if (core.nextTimeoutMs() <= nowMs) core.handleTimeout(nowMs)
    let hasMoreWork = core.work(nowMs)
    // Before the flush: the disk works while the sockets are written, and what need not wait for it joins the flush.
    this.#commit(nowMs)
    this.#flush(nowMs)
    this.#notifyDrained(nowMs)
    if (hasMoreWork) hasMoreWork = this.#workOn(nowMs)
    if (hasMoreWork || core.nextTimeoutMs() <= nowMs) this.schedule()
    if (!this.#isScheduled && !this.#isCommitting) this.#wakeIdleWaiters()
  }

  /**
   * More slices of background work while the turn's time lasts, after everybody has been answered. What comes of them
   * is committed and leaves with the next turn. @returns true: there has to be one.
   */
  #workOn(nowMs: number): boolean {
    const { core, clock } = this.#options
    for (let slices = 1; slices < WORK_SLICES_MAX; slices += 1) {
      if (clock.nowMs() - nowMs >= WORK_MS || !core.work(nowMs)) break
    }
    return true
  }

  #commit(nowMs: number): void {
    if (this.#isCommitting) return
    const { core, store } = this.#options
    const bytes = core.openRecordBytes
    const operations = core.takeCommit(nowMs)
    const held = this.#held
    if (operations === null) {
      for (const member of held) member.releaseOpen()
      held.length = 0
      return
    }
    this.#isCommitting = true
    this.#inFlightBytes = bytes
    this.#held = this.#sealed
    this.#sealed = held
    this.#options.promises.handedOver()
    for (const member of held) member.seal()
    store.commit(operations, this.#committed)
  }

  readonly #committed = (error: StoreError | null): void => {
    if (this.#hasFailed) return
    if (error !== null) {
      this.fail(error)
      return
    }
    try {
      const nowMs = this.#options.clock.nowMs()
      this.#isCommitting = false
      this.#inFlightBytes = 0
      this.#options.promises.reported()
      for (const member of this.#sealed) member.releaseSealed()
      this.#sealed.length = 0
      this.#options.core.committed(nowMs)
      this.#commit(nowMs)
      this.#unthrottle()
      this.schedule()
    } catch (failure) {
      this.fail(failure)
    }
  }

  #flush(nowMs: number): void {
    const dirty = this.#dirty
    this.#dirty = this.#dirtySpare
    this.#dirtySpare = dirty
    for (const member of dirty) member.flush(nowMs)
    dirty.length = 0
  }

  #resume(nowMs: number): void {
    if (this.#resumed.length === 0) return
    const resumed = this.#resumed
    this.#resumed = []
    for (const member of resumed) member.resume(nowMs)
  }

  /** After the flush, so that one fast reader with a long queue takes turns with everybody else. */
  #notifyDrained(nowMs: number): void {
    if (this.#drained.length === 0) return
    const drained = this.#drained
    this.#drained = []
    for (const member of drained) member.notifyDrained(nowMs)
    this.schedule()
  }

  #unthrottle(): void {
    if (this.#throttled.length === 0 || this.isJournalFull) return
    const throttled = this.#throttled
    this.#throttled = []
    for (const member of throttled) this.markResumed(member)
  }

  #wakeIdleWaiters(): void {
    const waiters = this.#idleWaiters
    this.#idleWaiters = []
    for (const wake of waiters) wake()
  }
}
