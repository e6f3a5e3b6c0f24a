/**
 * A Map of things that may still be asleep: only their rows are known, and each is read when somebody asks for it.
 * Who wakes them, and finds out which ones a key may mean, is the owner's affair.
 */
export interface Sleepers<K> {
  /** How many are asleep. */
  readonly count: number
  /** Reads whatever the key may mean, and puts it into the map; more than that does no harm. */
  wake(key: K): void
  wakeAll(): void
}

const NOBODY: Sleepers<unknown> = { count: 0, wake: () => undefined, wakeAll: () => undefined }

export class WakingMap<K, V> {
  readonly #awake = new Map<K, V>()
  #sleepers: Sleepers<K> = NOBODY

  /** Those whose rows were found at the start. */
  sleepBeside(sleepers: Sleepers<K>): void {
    this.#sleepers = sleepers
  }

  /** All of them. */
  get size(): number {
    return this.#awake.size + this.#sleepers.count
  }

  get(key: K): V | undefined {
    const found = this.#awake.get(key)
    if (found !== undefined || this.#sleepers.count === 0) return found
    this.#sleepers.wake(key)
    return this.#awake.get(key)
  }

  has(key: K): boolean {
    return this.get(key) !== undefined
  }

  set(key: K, value: V): void {
    this.#awake.set(key, value)
  }

  delete(key: K): boolean {
    return this.#awake.delete(key)
  }

  /** Wakes all of them, for audits. */
  values(): IterableIterator<V> {
    this.#sleepers.wakeAll()
    return this.#awake.values()
  }

  /** Those in memory. */
  awake(): IterableIterator<V> {
    return this.#awake.values()
  }
}
