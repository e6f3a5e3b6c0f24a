/**
 * One table of the memory store: rows in byte order, in chunks of at most 512 rows, so that an insert anywhere moves
 * a few hundred references and a million rows stay cheap. It keeps the arrays it is given; the store copies them.
 *
 * A walk survives changes under it: it remembers the last key and seeks again when the table has changed.
 */
const CHUNK_ROWS_MAX = 512

interface Chunk {
  readonly keys: Uint8Array[]
  readonly values: Uint8Array[]
}

/** Byte by byte, a prefix before what it starts: the order of LMDB's default comparison. */
export function compareKeys(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index += 1) {
    const difference = (a[index] as number) - (b[index] as number)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** First position in `keys` whose key is at or after `key`. */
function lowerBound(keys: readonly Uint8Array[], key: Uint8Array): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareKeys(keys[middle] as Uint8Array, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}

export class SortedTable {
  readonly #chunks: Chunk[] = []
  #changes = 0
  #rows = 0

  get rows(): number {
    return this.#rows
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const chunk = this.#chunks[this.#chunkFor(key)]
    if (chunk === undefined) return undefined
    const index = lowerBound(chunk.keys, key)
    const found = chunk.keys[index]
    return found !== undefined && compareKeys(found, key) === 0 ? chunk.values[index] : undefined
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#changes += 1
    const at = this.#chunkFor(key)
    const chunk = this.#chunks[at]
    if (chunk === undefined) {
      this.#chunks.push({ keys: [key], values: [value] })
      this.#rows += 1
      return
    }
    const index = lowerBound(chunk.keys, key)
    const found = chunk.keys[index]
    if (found !== undefined && compareKeys(found, key) === 0) {
      chunk.values[index] = value
      return
    }
    this.#rows += 1
    if (index === chunk.keys.length && index === CHUNK_ROWS_MAX && at === this.#chunks.length - 1) {
      // Appending, as the journal does: leave full chunks behind instead of half-full ones.
      this.#chunks.push({ keys: [key], values: [value] })
      return
    }
    chunk.keys.splice(index, 0, key)
    chunk.values.splice(index, 0, value)
    if (chunk.keys.length > CHUNK_ROWS_MAX) this.#split(at, chunk)
  }

  remove(key: Uint8Array): void {
    const at = this.#chunkFor(key)
    const chunk = this.#chunks[at]
    if (chunk === undefined) return
    const index = lowerBound(chunk.keys, key)
    const found = chunk.keys[index]
    if (found === undefined || compareKeys(found, key) !== 0) return
    this.#changes += 1
    this.#rows -= 1
    chunk.keys.splice(index, 1)
    chunk.values.splice(index, 1)
    if (chunk.keys.length === 0) this.#chunks.splice(at, 1)
  }

  *walk(from: Uint8Array | undefined, until: Uint8Array | undefined): IterableIterator<[Uint8Array, Uint8Array]> {
    let at = from === undefined ? 0 : this.#chunkFor(from)
    let index = from === undefined ? 0 : lowerBound(this.#chunks[at]?.keys ?? [], from)
    for (;;) {
      const chunk = this.#chunks[at]
      if (chunk === undefined) return
      const key = chunk.keys[index]
      if (key === undefined) {
        at += 1
        index = 0
        continue
      }
      if (until !== undefined && compareKeys(key, until) >= 0) return
      const changes = this.#changes
      yield [key, chunk.values[index] as Uint8Array]
      index += 1
      if (changes !== this.#changes) [at, index] = this.#positionAfter(key)
    }
  }

  #positionAfter(key: Uint8Array): [number, number] {
    const at = this.#chunkFor(key)
    const keys = this.#chunks[at]?.keys ?? []
    const index = lowerBound(keys, key)
    const found = keys[index]
    return [at, found !== undefined && compareKeys(found, key) === 0 ? index + 1 : index]
  }

  /** The last chunk that begins at or before `key`: the only one that may hold it. */
  #chunkFor(key: Uint8Array): number {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareKeys((this.#chunks[middle] as Chunk).keys[0] as Uint8Array, key) <= 0) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }

  #split(at: number, chunk: Chunk): void {
    const half = chunk.keys.length >>> 1
    this.#chunks.splice(at + 1, 0, { keys: chunk.keys.splice(half), values: chunk.values.splice(half) })
  }
}
