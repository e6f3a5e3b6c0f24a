/**
 * A producer's writes to its outbox, one transaction after the other: what is published in one turn goes into one, and
 * while it is being written the next one collects. How far the broker is goes along, or follows a little later by
 * itself. Also whom to tell what became of which message.
 */
import type { TimerHandle, Timers } from '../base/clock.js'
import { ProducerReason, type ProducerRefusal } from '../protocol/packets.js'
import { type Deferred, deferred } from './deferred.js'
import { Fifo } from './fifo.js'
import { refusalError } from './producer-errors.js'
import type { PreparedMessage, ProducerOutbox, ProducerRow } from './producer-outbox.js'
import type { ProducerProgress } from './producer-progress.js'
import { TallyError } from './tally-error.js'

export interface ProducerLogSettings {
  readonly outbox: ProducerOutbox
  readonly timers: Timers
  readonly progress: ProducerProgress
  readonly lastSequence: number
  readonly ackedRowsKeptMs: number
  readonly refused: (refusal: ProducerRefusal, isAwaited: boolean) => void
  /** Durable, with their sequences. */
  readonly appended: (rows: readonly ProducerRow[]) => void
  readonly failed: (error: TallyError) => void
}

export interface PublishedRange {
  readonly firstSequence: number
  readonly lastSequence: number
}

interface Waiter {
  /** 0: not in the outbox yet. */
  firstSequence: number
  lastSequence: number
  readonly messages: readonly PreparedMessage[]
  readonly answer: Deferred<PublishedRange>
  refusal: ProducerRefusal | null
}

/** What the broker has answered is worth a transaction of its own only after this long: nothing is lost without it. */
const SAVE_DELAY_MS = 100

export class ProducerLog {
  readonly #settings: ProducerLogSettings
  #lastSequence: number
  #queue: Waiter[] = []
  /** In the outbox and not answered, by rising sequence. */
  readonly #waiters = new Fifo<Waiter>()
  #unfinishedMessages = 0
  #refusals: ProducerRefusal[] = []
  /** Refusals up to it have been told. */
  #heardSequence = 0
  #isChanged = false
  #isUrgent = false
  #saveTimer: TimerHandle | null = null
  #isCommitting = false
  /** Those who asked `stored` or `saved`, for the next commit to begin. */
  #commitWaiters: Deferred<void>[] = []
  #answeredWaiters: { readonly sequence: number; readonly answer: Deferred<void> }[] = []
  #failure: TallyError | null = null

  constructor(settings: ProducerLogSettings) {
    this.#settings = settings
    this.#lastSequence = settings.lastSequence
  }

  /** The highest sequence in the outbox, as far as we know. */
  get lastSequence(): number {
    return this.#lastSequence
  }

  /** Messages of `publish` without an answer. */
  get unfinishedMessages(): number {
    return this.#unfinishedMessages
  }

  publish(messages: readonly PreparedMessage[]): Promise<PublishedRange> {
    const answer = deferred<PublishedRange>()
    this.#queue.push({ firstSequence: 0, lastSequence: 0, messages, answer, refusal: null })
    this.#unfinishedMessages += messages.length
    this.#schedule()
    return answer.promise
  }

  /** Resolves when everything published so far is durable in the outbox. */
  stored(): Promise<void> {
    if (this.#queue.length === 0 && !this.#isCommitting) return Promise.resolve()
    return this.#nextCommit()
  }

  /** Resolves when the outbox knows how far the broker is. */
  saved(): Promise<void> {
    if (!this.#isChanged && !this.#isCommitting) return Promise.resolve()
    this.#isUrgent = true
    return this.#nextCommit()
  }

  /** Rows of somebody else's transactions are there. */
  async found(): Promise<void> {
    const lastSequence = await this.#settings.outbox.lastSequence()
    this.#lastSequence = Math.max(this.#lastSequence, lastSequence)
  }

  /** Resolves when the broker has answered everything that is in the outbox now. */
  async allAnswered(): Promise<void> {
    if (this.#failure !== null) throw this.#failure
    if (this.#settings.progress.answered >= this.#lastSequence) return
    const waiter = { sequence: this.#lastSequence, answer: deferred<void>() }
    this.#answeredWaiters.push(waiter)
    await waiter.answer.promise
  }

  /** `progress` has gone back. */
  rewound(): void {
    this.#isChanged = true
    this.#heardSequence = this.#settings.progress.answered
  }

  /** The broker has answered everything up to `progress.answered`; these of it were refused. */
  answered(refusals: readonly ProducerRefusal[]): void {
    const { progress, timers } = this.#settings
    const awaited = this.#settle(refusals)
    for (const refusal of refusals) {
      if (refusal.sequence > progress.confirmed) this.#refuse(refusal, awaited.has(refusal.sequence))
    }
    if (progress.answered === progress.confirmed) return
    this.#isChanged = true
    this.#saveTimer ??= timers.schedule(SAVE_DELAY_MS, () => {
      this.#saveTimer = null
      this.#isUrgent = true
      this.#schedule()
    })
    if (this.#refusals.length > 0) this.#isUrgent = true
    if (this.#isUrgent) this.#schedule()
  }

  end(error: TallyError): void {
    this.#failure = error
    this.#saveTimer?.cancel()
    for (const { answer } of this.#queue) answer.reject(error)
    for (let waiter = this.#waiters.shift(); waiter !== undefined; waiter = this.#waiters.shift()) {
      waiter.answer.reject(error)
    }
    for (const { answer } of this.#answeredWaiters) answer.reject(error)
    for (const waiter of this.#commitWaiters) waiter.reject(error)
    this.#queue = []
    this.#answeredWaiters = []
    this.#commitWaiters = []
    this.#unfinishedMessages = 0
  }

  /** A refusal comes again until our disk has it; the application hears of it once. */
  #refuse(refusal: ProducerRefusal, isAwaited: boolean): void {
    if (refusal.sequence <= this.#heardSequence) return
    this.#heardSequence = refusal.sequence
    this.#refusals.push(refusal)
    this.#settings.refused(refusal, isAwaited)
  }

  /** @returns the sequences whose refusal a promise has told. */
  #settle(refusals: readonly ProducerRefusal[]): ReadonlySet<number> {
    const awaited = new Set<number>()
    const { answered } = this.#settings.progress
    let next = 0
    for (let waiter = this.#waiters.peek(); waiter !== undefined; waiter = this.#waiters.peek()) {
      while ((refusals[next]?.sequence ?? Infinity) < waiter.firstSequence) next += 1
      for (; (refusals[next]?.sequence ?? Infinity) <= waiter.lastSequence; next += 1) {
        const refusal = refusals[next] as ProducerRefusal
        awaited.add(refusal.sequence)
        // Of a batch the one that is at fault says more than those that went with it.
        if (waiter.refusal === null || waiter.refusal.reasonCode === ProducerReason.BATCH_REFUSED) {
          waiter.refusal = refusal
        }
      }
      if (waiter.lastSequence > answered) break
      this.#waiters.shift()
      this.#unfinishedMessages -= waiter.messages.length
      const { firstSequence, lastSequence, refusal, answer } = waiter
      if (refusal === null) answer.resolve({ firstSequence, lastSequence })
      else answer.reject(refusalError(refusal))
    }
    if (this.#answeredWaiters.length === 0) return awaited
    for (const { sequence, answer } of this.#answeredWaiters) if (sequence <= answered) answer.resolve()
    this.#answeredWaiters = this.#answeredWaiters.filter(({ sequence }) => sequence > answered)
    return awaited
  }

  #nextCommit(): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    const waiter = deferred<void>()
    this.#commitWaiters.push(waiter)
    this.#schedule()
    return waiter.promise
  }

  #schedule(): void {
    if (this.#isCommitting) return
    this.#isCommitting = true
    queueMicrotask(() => void this.#commitAll())
  }

  async #commitAll(): Promise<void> {
    while (this.#queue.length > 0 || this.#isUrgent || this.#commitWaiters.length > 0) {
      await this.#commit()
    }
    this.#isCommitting = false
  }

  async #commit(): Promise<void> {
    const { outbox, progress, timers, ackedRowsKeptMs } = this.#settings
    const published = this.#queue
    const refusals = this.#refusals
    const commitWaiters = this.#commitWaiters
    const snapshot = this.#isChanged ? progress.snapshot(timers.nowMs(), ackedRowsKeptMs) : null
    this.#queue = []
    this.#refusals = []
    this.#commitWaiters = []
    this.#isChanged = false
    this.#isUrgent = false
    const append = published.length === 1 && published[0] !== undefined ? published[0].messages : flat(published)
    if (append.length > 0 || snapshot !== null) {
      const forgetSequence = snapshot?.forgetSequence ?? 0
      try {
        const last = await outbox.commit({ append, record: snapshot?.record ?? null, forgetSequence, refusals })
        this.#lastSequence = Math.max(this.#lastSequence, last)
        snapshot?.written()
        if (append.length > 0) this.#stored(published, append, last)
      } catch (cause) {
        const error = new TallyError('OUTBOX_FAILED', 'the outbox could not be written', { cause })
        for (const waiter of commitWaiters) waiter.reject(error)
        for (const { answer } of published) answer.reject(error)
        this.#settings.failed(error)
        return
      }
    }
    for (const waiter of commitWaiters) waiter.resolve()
  }

  #stored(published: readonly Waiter[], append: readonly PreparedMessage[], last: number): void {
    if (this.#failure !== null) {
      for (const { answer } of published) answer.reject(this.#failure)
      return
    }
    let sequence = last - append.length + 1
    const rows = append.map(({ batchRest, bytes }, index) => ({ sequence: sequence + index, batchRest, bytes }))
    for (const waiter of published) {
      waiter.firstSequence = sequence
      sequence += waiter.messages.length
      waiter.lastSequence = sequence - 1
      this.#waiters.push(waiter)
    }
    this.#settings.appended(rows)
  }
}

function flat(published: readonly Waiter[]): readonly PreparedMessage[] {
  return published.flatMap((waiter) => waiter.messages)
}
