/**
 * Group commit over an `OutboxStore`: changes of one turn go out as one commit, and while it is being written the next
 * one collects. Callbacks run in the order of their changes, after the commit that holds them, never before.
 */
import { type Deferred, deferred } from './deferred.js'
import type { OutboxChange, OutboxStore } from './outbox.js'

export class OutboxLog {
  readonly #store: OutboxStore
  readonly #failed: (cause: unknown) => void
  #changes: OutboxChange[] = []
  #callbacks: (() => void)[] = []
  /** Who asked `stored`, not yet answered. */
  readonly #waiters = new Set<Deferred<void>>()
  #cause: unknown
  #state: 'idle' | 'scheduled' | 'committing' | 'failed' = 'idle'
  #idleWaiters: (() => void)[] = []

  constructor(store: OutboxStore, failed: (cause: unknown) => void) {
    this.#store = store
    this.#failed = failed
  }

  /** @param durable runs when the change, and everything before it, is durable; never when the store fails. */
  append(change: OutboxChange | null, durable: (() => void) | null): void {
    if (this.#state === 'failed') return
    if (change !== null) this.#changes.push(change)
    if (durable !== null) this.#callbacks.push(durable)
    if (this.#state !== 'idle') return
    this.#state = 'scheduled'
    queueMicrotask(() => void this.#commit())
  }

  /** Resolves when everything appended so far is durable. @throws what the store threw. */
  stored(): Promise<void> {
    if (this.#state === 'failed') return Promise.reject(this.#cause)
    const waiter = deferred<void>()
    this.#waiters.add(waiter)
    this.append(null, () => {
      this.#waiters.delete(waiter)
      waiter.resolve()
    })
    return waiter.promise
  }

  /** Resolves when nothing waits to be written any more, or the store has failed. */
  settled(): Promise<void> {
    if (this.#state === 'idle' || this.#state === 'failed') return Promise.resolve()
    return new Promise((resolve) => this.#idleWaiters.push(resolve))
  }

  async #commit(): Promise<void> {
    while (this.#changes.length > 0 || this.#callbacks.length > 0) {
      this.#state = 'committing'
      const changes = this.#changes
      const callbacks = this.#callbacks
      this.#changes = []
      this.#callbacks = []
      try {
        if (changes.length > 0) await this.#store.commit(changes)
      } catch (cause) {
        this.#state = 'failed'
        this.#cause = cause
        for (const waiter of this.#waiters) waiter.reject(cause as Error)
        this.#wakeIdleWaiters()
        this.#failed(cause)
        return
      }
      for (const callback of callbacks) callback()
    }
    this.#state = 'idle'
    this.#wakeIdleWaiters()
  }

  #wakeIdleWaiters(): void {
    const waiters = this.#idleWaiters
    this.#idleWaiters = []
    for (const wake of waiters) wake()
  }
}
