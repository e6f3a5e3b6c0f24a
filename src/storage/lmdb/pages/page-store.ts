/**
 * The store port over a data file and the journal file beside it, for reading only and without LMDB: what
 * `ledger verify` and `explain` look at. Opens nothing but these files, so that a copy on a read-only disk will do; a
 * broker must not be writing to them meanwhile.
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
import {
  type JournalContents,
  type JournalDamage,
  journalRows,
  mergedByKey,
  readJournal,
} from '../journal/journal-slots.js'
import { JOURNAL_STATE_KEY, JOURNAL_STATE_TABLE, newJournalState, readJournalState } from '../journal/journal-state.js'
import { KeyRanges } from '../journal/key-ranges.js'
import { readFrame } from '../value-frame.js'
import { tableTrees } from './check-pages.js'
import { PageDamage, PageFile, type TreeRecord } from './page-file.js'
import { byteOrder, NODE_FLAG, readOverflow, readTreePage, type TreeNode, type TreePage } from './tree-page.js'

const KNOWN_PAGES_MAX = 256

export class PageStore implements Store {
  readonly #file: PageFile
  readonly #trees: ReadonlyMap<string, TreeRecord>
  readonly #passesDamage: boolean
  readonly #journal: Pick<JournalContents, 'slots' | 'ranges' | 'damages'>
  /** Taken apart already: lookups in order pass through the same branches and leaves. */
  readonly #known = new Map<number, TreePage>()

  /**
   * @param passesDamage for an audit that knows from `checkPages` what cannot be read: go on behind it, instead of
   * throwing STORE_CORRUPT.
   * @throws StoreError STORE_CORRUPT
   */
  constructor(file: PageFile, directory: string, passesDamage = false) {
    this.#file = file
    this.#passesDamage = passesDamage
    this.#trees = this.#attempt(null, () => tableTrees(file)) ?? new Map()
    this.#journal = this.#readJournal(directory)
    const [damage] = this.journalDamages
    if (damage === undefined || passesDamage) return
    const { place, sentence } = damage
    throw new StoreError('STORE_CORRUPT', `the journal file in ${directory} is damaged at ${place}: ${sentence}`)
  }

  get journalDamages(): readonly JournalDamage[] {
    return this.#journal.damages
  }

  /** A build before the journal file has left neither a row that speaks of it nor a slot; one alone is damage. */
  #readJournal(directory: string): Pick<JournalContents, 'slots' | 'ranges' | 'damages'> {
    const row = this.#attempt(null, () => this.#find(JOURNAL_STATE_TABLE, JOURNAL_STATE_KEY)) ?? null
    try {
      return readJournal(directory, row === null ? newJournalState() : readJournalState(this.#value(row)))
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'STORE_CORRUPT') throw error
      const damages = [{ place: `the row of table ${JOURNAL_STATE_TABLE}`, sentence: error.message }]
      return { slots: [], ranges: new KeyRanges(), damages }
    }
  }

  get(table: StoreTable, key: Uint8Array): Uint8Array | undefined {
    for (const { value } of table === 'journal' ? this.#ofJournal(key, Uint8Array.from([...key, 0])) : []) return value
    return this.#attempt(table, () => {
      const node = this.#find(table, Buffer.from(key))
      return node === null ? undefined : readFrame(table, key, this.#value(node))
    })
  }

  #ofJournal(from: Uint8Array, until: Uint8Array | undefined): IterableIterator<StoreEntry> {
    return journalRows(this.#journal.slots, this.#journal.ranges, from, until)
  }

  #find(table: string, key: Buffer): TreeNode | null {
    let page = this.#root(table)
    for (let level = this.#trees.get(table)?.depth ?? 0; page !== null; level -= 1) {
      if (level <= 0) throw new PageDamage(page.number, 'lies deeper than its tree is')
      if (page.isLeaf) {
        const node = page.nodes[childIndex(page, key)]
        return node?.key.equals(key) === true ? node : null
      }
      page = this.#page((page.nodes[childIndex(page, key)] as TreeNode).child)
    }
    return null
  }

  *entries(range: StoreRange): IterableIterator<StoreEntry> {
    const { table, from, until, limit = Number.POSITIVE_INFINITY } = range
    if (table !== 'journal') return yield* this.#ofTree(range)
    let left = limit
    if (left <= 0) return
    const ofTree = this.#ofTree({ ...range, limit: Number.POSITIVE_INFINITY })
    for (const entry of mergedByKey(ofTree, this.#ofJournal(from ?? new Uint8Array(0), until))) {
      yield entry
      left -= 1
      if (left <= 0) return
    }
  }

  *#ofTree({ table, from, until, limit = Number.POSITIVE_INFINITY }: StoreRange): IterableIterator<StoreEntry> {
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

  /** Rows by LMDB's own count, and the records of the journal file. */
  rowCounts(): Partial<Record<StoreTable, number>> {
    const inFile = this.#journal.ranges.size
    return Object.fromEntries(
      STORE_TABLES.map((table) => [table, (this.#trees.get(table)?.entries ?? 0) + (table === 'journal' ? inFile : 0)]),
    )
  }

  #root(table: string): TreePage | null {
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
