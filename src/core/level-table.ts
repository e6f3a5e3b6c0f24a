/**
 * The children of one trie node by their level, when there are thousands: found by what stands in the topic, which is
 * neither cut out nor made a key. Open addressing, the hashes side by side: a look-up meets one or two lines of memory
 * before it comes to the child, where a Map meets the keys of all that share its bucket.
 * The hash is no secret. Whoever makes levels that collide gets a refusal from `add`, and the caller has a Map.
 */
interface Leveled {
  readonly level: string
}

/** Far beyond what comes of chance, with half of the places free. */
const PROBES_MAX = 256

export class LevelTable<N extends Leveled> {
  /** 0: free. As many as places, a power of two. */
  #hashes: Int32Array
  #nodes: (N | null)[]
  #size = 0

  constructor(places: number) {
    this.#hashes = new Int32Array(places)
    this.#nodes = new Array<N | null>(places).fill(null)
  }

  /** @returns null when too many of them collide. */
  static of<N extends Leveled>(nodes: Iterable<N>, count: number): LevelTable<N> | null {
    const table = new LevelTable<N>(2 ** Math.ceil(Math.log2(2 * count + 2)))
    for (const node of nodes) if (!table.add(node)) return null
    return table
  }

  get size(): number {
    return this.#size
  }

  /** The one whose level is `text[start, end)`. */
  find(text: string, start: number, end: number): N | null {
    const hashes = this.#hashes
    const mask = hashes.length - 1
    const hash = hashOf(text, start, end)
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const found = hashes[place]
      if (found === 0) return null
      if (found !== hash) continue
      const node = this.#nodes[place] as N
      if (isLevel(node.level, text, start, end)) return node
    }
  }

  /** One that is not there. @returns false: nothing has changed, the table cannot take it. */
  add(node: N): boolean {
    if (2 * (this.#size + 1) > this.#hashes.length && !this.#resize(2 * this.#hashes.length)) return false
    if (!this.#put(node, hashOf(node.level, 0, node.level.length))) return false
    this.#size += 1
    return true
  }

  remove(node: N): void {
    const hashes = this.#hashes
    const mask = hashes.length - 1
    let gap = hashOf(node.level, 0, node.level.length) & mask
    while (this.#nodes[gap] !== node) {
      if (hashes[gap] === 0) return
      gap = (gap + 1) & mask
    }
    // Who stands behind a gap would not be found: those that may move up to it do.
    for (let place = (gap + 1) & mask; hashes[place] !== 0; place = (place + 1) & mask) {
      const home = (hashes[place] as number) & mask
      if (((place - home) & mask) < ((place - gap) & mask)) continue
      hashes[gap] = hashes[place] as number
      this.#nodes[gap] = this.#nodes[place] as N
      gap = place
    }
    hashes[gap] = 0
    this.#nodes[gap] = null
    this.#size -= 1
    if (this.#size > 0 && 16 * this.#size < hashes.length) this.#resize(hashes.length / 4)
  }

  *[Symbol.iterator](): IterableIterator<N> {
    for (const node of this.#nodes) if (node !== null) yield node
  }

  #put(node: N, hash: number): boolean {
    const hashes = this.#hashes
    const mask = hashes.length - 1
    let place = hash & mask
    for (let probes = 0; hashes[place] !== 0; probes += 1) {
      if (probes === PROBES_MAX) return false
      place = (place + 1) & mask
    }
    hashes[place] = hash
    this.#nodes[place] = node
    return true
  }

  #resize(places: number): boolean {
    const hashes = this.#hashes
    const nodes = this.#nodes
    this.#hashes = new Int32Array(places)
    this.#nodes = new Array<N | null>(places).fill(null)
    for (let place = 0; place < nodes.length; place += 1) {
      const node = nodes[place] as N | null
      if (node === null || this.#put(node, hashes[place] as number)) continue
      this.#hashes = hashes
      this.#nodes = nodes
      return false
    }
    return true
  }
}

/** FNV-1a, stirred, because its low bits alone mix poorly for short texts; never 0. */
export function hashOf(text: string, start: number, end: number): number {
  let hash = 0x811c9dc5
  for (let index = start; index < end; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  hash ^= hash >>> 13
  return hash === 0 ? 1 : hash
}

export function isLevel(level: string, text: string, start: number, end: number): boolean {
  const { length } = level
  if (length !== end - start) return false
  for (let index = 0; index < length; index += 1) {
    if (level.charCodeAt(index) !== text.charCodeAt(start + index)) return false
  }
  return true
}
