/**
 * Remembers what a topic name matched, so that a busy topic costs one Map lookup. Knows nothing of subscriptions.
 *
 * Invalidation. A changed filter without wildcard drops its own topic. A changed wildcard filter raises one counter,
 * chosen by its literal beginning (up to three levels; none for `+/…` and `#`). An entry is current while the sum of
 * the counters of its topic's beginnings is what it was. So clients that subscribe `device/{id}/#` touch each other's
 * topics only by a collision of hashes. (NATS has one number for all and had to add a switch for such storms.)
 * Bounded by two generations: a full young one becomes the old one, what is asked for again moves up, the rest goes.
 * Once it has been full, a topic gets in the second time it is asked for: with more topics than places to keep them
 * nothing would be found again, and all of it would be copied by the garbage collector until it is old.
 */
interface CacheEntry<V> {
  readonly value: V
  /** Of the topic's first one, two and three levels; the deepest repeated when it has fewer. */
  readonly slot1: number
  readonly slot2: number
  readonly slot3: number
  readonly epochs: number
  readonly weight: number
}

const SLOTS = 32_768
const SEEN_SLOTS = 65_536
const LEVELS_TOLD_APART = 3

export class MatchCache<V> {
  /** Counters only rise, in doubles that never wrap: equal sums mean that none has changed. */
  readonly #epochs = new Float64Array(SLOTS)
  #globalEpoch = 0
  #young = new Map<string, CacheEntry<V>>()
  #old = new Map<string, CacheEntry<V>>()
  #youngWeight = 0
  /** Hashes of topics that were asked for and not let in; null: it has never been full. */
  #seen: Int32Array | null = null
  readonly #generationEntriesMax: number
  readonly #generationWeightMax: number
  readonly #slots: [number, number, number] = [0, 0, 0]

  constructor(options: { entriesMax: number; weightMax: number }) {
    this.#generationEntriesMax = Math.floor(options.entriesMax / 2)
    this.#generationWeightMax = options.weightMax / 2
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(topicName: string): V | undefined {
    const entry = this.#young.get(topicName)
    if (entry !== undefined) return this.#isCurrent(entry) ? entry.value : undefined
    const aged = this.#old.get(topicName)
    if (aged === undefined) return undefined
    this.#old.delete(topicName)
    if (!this.#isCurrent(aged)) return undefined
    this.#insert(topicName, aged)
    return aged.value
  }

  /** @param weight what the value holds on to, in the unit of `weightMax`. */
  set(topicName: string, value: V, weight: number): void {
    if (this.#generationEntriesMax === 0 || !this.#isWorthIt(topicName)) return
    const slots = this.#slots
    const levels = hashBeginnings(topicName, slots)
    const slot1 = slots[0]
    const slot2 = levels > 1 ? slots[1] : slot1
    const slot3 = levels > 2 ? slots[2] : slot2
    this.#old.delete(topicName)
    this.#insert(topicName, { value, slot1, slot2, slot3, epochs: this.#sum(slot1, slot2, slot3), weight })
  }

  /** A subscription to exactly this topic came or went. */
  invalidateTopic(topicName: string): void {
    const entry = this.#young.get(topicName)
    if (entry !== undefined) {
      this.#young.delete(topicName)
      this.#youngWeight -= entry.weight
    }
    this.#old.delete(topicName)
  }

  /** The same with a wildcard filter. */
  invalidateFilter(topicFilter: string): void {
    const levels = hashBeginnings(topicFilter, this.#slots)
    if (levels === 0) {
      this.#globalEpoch += 1
      return
    }
    const slot = this.#slots[levels - 1] as number
    this.#epochs[slot] = (this.#epochs[slot] as number) + 1
  }

  #isCurrent(entry: CacheEntry<V>): boolean {
    return entry.epochs === this.#sum(entry.slot1, entry.slot2, entry.slot3)
  }

  #sum(slot1: number, slot2: number, slot3: number): number {
    const epochs = this.#epochs
    return this.#globalEpoch + (epochs[slot1] as number) + (epochs[slot2] as number) + (epochs[slot3] as number)
  }

  #insert(topicName: string, entry: CacheEntry<V>): void {
    const replaced = this.#young.get(topicName)
    if (replaced !== undefined) this.#youngWeight -= replaced.weight
    else if (this.#young.size >= this.#generationEntriesMax) this.#age()
    if (this.#youngWeight + entry.weight > this.#generationWeightMax) this.#age()
    this.#young.set(topicName, entry)
    this.#youngWeight += entry.weight
  }

  /** The second time, give or take a collision of hashes. */
  #isWorthIt(topicName: string): boolean {
    const seen = this.#seen
    if (seen === null) return true
    let hash = 0x811c9dc5
    for (let index = 0; index < topicName.length; index += 1) {
      hash = Math.imul(hash ^ topicName.charCodeAt(index), 0x01000193)
    }
    const slot = (hash ^ (hash >>> 15)) & (SEEN_SLOTS - 1)
    if (seen[slot] === hash) return true
    seen[slot] = hash
    return false
  }

  #age(): void {
    this.#seen ??= new Int32Array(SEEN_SLOTS)
    this.#old = this.#young
    this.#young = new Map()
    this.#youngWeight = 0
  }
}

/**
 * Hashes the first one, two and three levels of `topic` into `slots`, as far as they hold no wildcard.
 * @returns how many of the three there are.
 */
function hashBeginnings(topic: string, slots: [number, number, number]): number {
  let hash = 0x811c9dc5
  let levels = 0
  for (let index = 0; index < topic.length; index += 1) {
    const unit = topic.charCodeAt(index)
    if (unit === 0x2b || unit === 0x23) return levels
    if (unit === 0x2f) {
      slots[levels] = slotOf(hash)
      levels += 1
      if (levels === LEVELS_TOLD_APART) return levels
    }
    hash = Math.imul(hash ^ unit, 0x01000193)
  }
  slots[levels] = slotOf(hash)
  return levels + 1
}

/** FNV's low bits alone mix poorly for short texts. */
function slotOf(hash: number): number {
  return (hash ^ (hash >>> 15)) & (SLOTS - 1)
}
