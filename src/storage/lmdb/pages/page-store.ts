/**
 * The store port over a data file, for reading only and without LMDB: what `ledger verify` and `explain` look at. Opens
 * nothing but the file, so that a copy on a read-only disk will do; a broker must not be writing to it meanwhile.
 */
import { join } from 'node:path'
import {
  STORE_TABLES,
  type Store,
  type StoreEntry,
  StoreError,
  type StoreRange,
  type StoreTable,
} from '../../../core/ports/store.js'
import { DATA_FILE } from '../directory.js'
import { readFrame } from '../value-frame.js'
import { tableTrees } from './check-pages.js'
import { PageDamage, PageFile, type TreeRecord } from './page-file.js'
import { byteOrder, NODE_FLAG, readOverflow, readTreePage, type TreeNode, type TreePage } from './tree-page.js'

const KNOWN_PAGES_MAX = 256

export class PageStore implements Store {
  readonly #file: PageFile
  readonly #trees: ReadonlyMap<string, TreeRecord>
  readonly #passesDamage: boolean
  /** Taken apart already: lookups in order pass through the same branches and leaves. */
  readonly #known = new Map<number, TreePage>()

  /**
   * @param passesDamage for an audit that knows from `checkPages` what cannot be read: go on behind it, instead of
   * throwing STORE_CORRUPT.
   * @throws StoreError STORE_CORRUPT
   */
  constructor(file: PageFile, passesDamage = false) {
    this.#file = file
    this.#passesDamage = passesDamage
    this.#trees = this.#attempt(null, () => tableTrees(file)) ?? new Map()
  }

  get(table: StoreTable, key: Uint8Array): Uint8Array | undefined {
    return this.#attempt(table, () => this.#get(table, Buffer.from(key)))
  }

  #get(table: StoreTable, key: Buffer): Uint8Array | undefined {
    let page = this.#root(table)
    for (let level = this.#trees.get(table)?.depth ?? 0; page !== null; level -= 1) {
      if (level <= 0) throw new PageDamage(page.number, 'lies deeper than its tree is')
      if (page.isLeaf) {
        const node = page.nodes[childIndex(page, key)]
        return node === undefined || !node.key.equals(key) ? undefined : readFrame(table, key, this.#value(node))
      }
      page = this.#page((page.nodes[childIndex(page, key)] as TreeNode).child)
    }
    return undefined
  }

  *entries({ table, from, until, limit = Number.POSITIVE_INFINITY }: StoreRange): IterableIterator<StoreEntry> {
    const root = this.#attempt(table, () => this.#root(table)) ?? null
    if (root === null || limit <= 0) return
    const start = Buffer.from(from ?? [])
    const end = until === undefined ? null : Buffer.from(until)
    let left = limit
    for (const node of this.#nodes(table, root, start, new Set())) {
      if (Buffer.compare(node.key, start) < 0) continue
      if (end !== null && Buffer.compare(node.key, end) >= 0) return
      const framed = this.#attempt(table, () => this.#value(node))
      if (framed === undefined) continue
      const key = new Uint8Array(node.key)
      yield { key, value: new Uint8Array(readFrame(table, key, framed)) }
      left -= 1
      if (left <= 0) return
    }
  }

  commit(): void {
    throw new StoreError('STORE_IO', 'this store was opened for reading')
  }

  async close(): Promise<void> {
    this.#file.close()
  }

  /** Rows by LMDB's own count. */
  rowCounts(): Partial<Record<StoreTable, number>> {
    return Object.fromEntries(STORE_TABLES.map((table) => [table, this.#trees.get(table)?.entries ?? 0]))
  }

  #root(table: StoreTable): TreePage | null {
    const root = this.#trees.get(table)?.root ?? -1
    return root < 0 ? null : this.#page(root)
  }

  #page(number: number): TreePage {
    const known = this.#known.get(number)
    if (known !== undefined) return known
    const page = readTreePage(this.#file, number, byteOrder)
    if (this.#known.size >= KNOWN_PAGES_MAX) this.#known.clear()
    this.#known.set(number, page)
    return page
  }

  /** @param visited a damaged branch may lead back to where it came from. */
  *#nodes(table: StoreTable, page: TreePage, from: Buffer, visited: Set<number>): IterableIterator<TreeNode> {
    visited.add(page.number)
    if (page.isLeaf) {
      yield* page.nodes
      return
    }
    for (let index = childIndex(page, from); index < page.nodes.length; index += 1) {
      const { child } = page.nodes[index] as TreeNode
      if (visited.has(child)) continue
      const below = this.#attempt(table, () => this.#page(child))
      if (below !== undefined) yield* this.#nodes(table, below, from, visited)
    }
  }

  #value(node: TreeNode): Buffer {
    return node.flags === NODE_FLAG.OVERFLOW ? readOverflow(this.#file, node) : node.data
  }

  #attempt<Result>(table: StoreTable | null, run: () => Result): Result | undefined {
    try {
      return run()
    } catch (error) {
      if (!(error instanceof PageDamage)) throw error
      if (this.#passesDamage) return undefined
      const where = table === null ? '' : ` of table ${table}`
      throw new StoreError('STORE_CORRUPT', `the data file is damaged: ${error.message}${where}`, { cause: error })
    }
  }
}

/** The last node whose key is not behind `key`; the first one otherwise. */
function childIndex({ nodes }: TreePage, key: Buffer): number {
  let low = 0
  let high = nodes.length - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (Buffer.compare((nodes[middle] as TreeNode).key, key) > 0) high = middle - 1
    else low = middle
  }
  return low
}

/** @throws StoreError STORE_CORRUPT, STORE_IO */
export function openPageFile(directory: string): PageFile {
  try {
    return new PageFile(join(directory, DATA_FILE))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const code = error instanceof PageDamage ? 'STORE_CORRUPT' : 'STORE_IO'
    throw new StoreError(code, `cannot read ${DATA_FILE} in ${directory}: ${reason}`, { cause: error })
  }
}
