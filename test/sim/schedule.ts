/**
 * Virtual time: what is to happen, in order, and nothing in between. Two things at the same moment happen in the order
 * in which they were asked for. `defer` is setImmediate: it runs when the iteration of the event loop is over, which
 * chance decides among what happens at one moment, and always before time goes on.
 */
import type { Random } from '../support/random.js'

export interface Task {
  readonly atMs: number
  readonly order: number
  /** null: called off. */
  run: (() => void) | null
}

/** Iterations of the event loop at one moment before somebody is said to be running in circles. */
const ITERATIONS_MAX = 20_000
/** How often an iteration ends although more could be read in it. */
const ITERATION_ENDS = 0.4

export class Schedule {
  readonly #random: Random
  readonly #heap: Task[] = []
  #deferred: (() => void)[] = []
  #spare: (() => void)[] = []
  #order = 0
  #iterations = 0
  nowMs = 0
  /** Tasks run so far. */
  steps = 0

  constructor(random: Random) {
    this.#random = random
  }

  after(delayMs: number, run: () => void): Task {
    return this.at(this.nowMs + delayMs, run)
  }

  at(atMs: number, run: () => void): Task {
    this.#order += 1
    const task: Task = { atMs: Math.max(atMs, this.nowMs), order: this.#order, run }
    this.#push(task)
    return task
  }

  defer(run: () => void): void {
    this.#deferred.push(run)
  }

  /** Everything up to and including this moment. */
  runUntil(endMs: number): void {
    for (;;) {
      const next = this.#heap[0]
      const isNow = next !== undefined && next.atMs <= this.nowMs
      if (this.#deferred.length > 0 && (!isNow || this.#random.next() < ITERATION_ENDS)) {
        this.#endIteration()
        continue
      }
      if (next === undefined || next.atMs > endMs) break
      this.#pop()
      if (next.atMs > this.nowMs) {
        this.nowMs = next.atMs
        this.#iterations = 0
      }
      this.steps += 1
      next.run?.()
    }
    this.nowMs = endMs
  }

  #endIteration(): void {
    this.#iterations += 1
    if (this.#iterations > ITERATIONS_MAX) throw new Error('the event loop runs in circles: time does not go on')
    const batch = this.#deferred
    this.#deferred = this.#spare
    this.#spare = batch
    for (let index = 0; index < batch.length; index += 1) (batch[index] as () => void)()
    batch.length = 0
  }

  #push(task: Task): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(task)
    while (at > 0) {
      const parent = (at - 1) >>> 1
      const above = heap[parent] as Task
      if (isBefore(above, task)) break
      heap[at] = above
      at = parent
    }
    heap[at] = task
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop() as Task
    const length = heap.length
    if (length === 0) return
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= length) break
      if (child + 1 < length && isBefore(heap[child + 1] as Task, heap[child] as Task)) child += 1
      if (isBefore(last, heap[child] as Task)) break
      heap[at] = heap[child] as Task
      at = child
    }
    heap[at] = last
  }
}

function isBefore(a: Task, b: Task): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}
