/**
 * Is the file's structure whole? Walks every search tree from the newest snapshot and accounts for every page: used
 * exactly once, or free, and not both. LMDB checks nothing of this, so a tree that lost a branch only looks shorter.
 *
 * What shows here: page numbers, types and sizes; keys out of order in a page or outside of what the branch above
 * promises; counts of pages and entries; pages that are younger than what points to them; free pages that are in use
 * (the next write would destroy them). What lies in pages is the business of whoever reads the rows.
 */
import {
  type MetaPage,
  number64,
  PageDamage,
  type PageFile,
  readTreeRecord,
  TREE_RECORD_BYTES,
  type TreeRecord,
} from './page-file.js'
import {
  byteOrder,
  type KeyOrder,
  NODE_FLAG,
  numberOrder,
  overflowPlace,
  readOverflow,
  readTreePage,
  type TreeNode,
} from './tree-page.js'

export interface PageProblem {
  readonly page: number
  /** The table whose tree the page belongs to; null: LMDB's own. */
  readonly table: string | null
  readonly sentence: string
}

export type PageUse = 'branch' | 'leaf' | 'overflow' | 'free'

export interface PageReport {
  readonly problems: readonly PageProblem[]
  /** By page number, from page 2 on; what is not here is neither used nor known as free: wasted, but harmless. */
  readonly uses: ReadonlyMap<number, PageUse>
  readonly pages: number
}

export function checkPages(file: PageFile): PageReport {
  const check = new PageCheck(file)
  check.run()
  return { problems: check.problems, uses: check.uses, pages: file.meta.lastPage + 1 }
}

/** The named tables of the newest snapshot. @throws PageDamage */
export function tableTrees(file: PageFile): Map<string, TreeRecord> {
  const trees = new Map<string, TreeRecord>()
  const visit = (page: number, depth: number): void => {
    const { isLeaf, nodes } = readTreePage(file, page, byteOrder)
    if (depth <= 0) throw new PageDamage(page, 'lies deeper than its tree is')
    for (const node of nodes) {
      if (!isLeaf) visit(node.child, depth - 1)
      else if (node.flags === NODE_FLAG.TREE) trees.set(tableName(node), readTreeRecord(node.data, 0))
    }
  }
  const { main } = file.meta
  if (main.root >= 0) visit(main.root, main.depth)
  return trees
}

/** lmdb-js ends names with a zero byte. */
function tableName({ key }: TreeNode): string {
  return key.subarray(0, key.at(-1) === 0 ? -1 : key.length).toString('latin1')
}

interface Seen {
  branch: number
  leaf: number
  overflow: number
  entries: number
}

/** What a branch promises about the pages below a node. */
interface Span {
  /** Included; null: from the beginning. */
  readonly from: Buffer | null
  /** Excluded; null: to the end. */
  readonly until: Buffer | null
  readonly transaction: number
}

/** A tree while it is walked. */
interface Walk {
  readonly table: string | null
  readonly record: TreeRecord
  readonly order: KeyOrder
  readonly seen: Seen
  readonly visitLeaf: (node: TreeNode, transaction: number) => void
  isWhole: boolean
}

class PageCheck {
  readonly #file: PageFile
  readonly #meta: MetaPage
  readonly problems: PageProblem[] = []
  readonly uses = new Map<number, PageUse>()

  constructor(file: PageFile) {
    this.#file = file
    this.#meta = file.meta
  }

  run(): void {
    this.#checkMetas()
    const { free, main, transaction } = this.#meta
    this.#tree(null, main, byteOrder, transaction, (node, from) => this.#namedTree(node, from))
    const freePages: number[] = []
    this.#tree(null, free, numberOrder, transaction, (node) => this.#freeRecord(node, freePages))
    for (const page of freePages) this.#markFree(page)
  }

  /** Two snapshots, one commit apart, each with a root that its own transaction has written. */
  #checkMetas(): void {
    const { metas, pageSize } = this.#file
    for (const { page, transaction, main, free, lastPage, mapBytes } of metas) {
      // A new file has two meta pages of transaction 0 until the second commit.
      if (transaction > 1 && transaction % 2 !== page) {
        this.#problem(page, null, `holds transaction ${transaction}, which belongs on the other meta page`)
      }
      if (free.flags !== metas[0].free.flags || main.flags !== metas[0].main.flags || main.flags !== 0) {
        this.#problem(page, null, 'names settings that this store never had')
      }
      if (mapBytes % pageSize !== 0 || mapBytes < (lastPage + 1) * pageSize || mapBytes > 2 ** 47) {
        this.#problem(page, null, `names a map of ${mapBytes} bytes, which cannot be`)
      }
      this.#checkRoot(page, main.root, transaction)
    }
    const [even, odd] = metas
    if (Math.abs(even.transaction - odd.transaction) === 1 || Math.min(even.transaction, odd.transaction) === 0) return
    const both = `transactions ${even.transaction} and ${odd.transaction}`
    this.#problem(0, null, `and page 1 hold ${both}, which do not follow each other`)
  }

  /** Every commit writes the root of the tree of tables anew. */
  #checkRoot(page: number, root: number, transaction: number): void {
    if (root < 0) return
    try {
      const { transaction: written } = readTreePage(this.#file, root, byteOrder)
      if (written === transaction) return
      this.#problem(page, null, `holds transaction ${transaction}, but its tree was written by transaction ${written}`)
    } catch (error) {
      this.#damage(null, error)
    }
  }

  #namedTree(node: TreeNode, transaction: number): void {
    if (node.flags !== NODE_FLAG.TREE || node.data.length !== TREE_RECORD_BYTES) return
    const table = tableName(node)
    const record = readTreeRecord(node.data, 0)
    this.#tree(table, record, byteOrder, transaction, () => undefined)
  }

  #tree(
    table: string | null,
    record: TreeRecord,
    order: KeyOrder,
    transaction: number,
    visitLeaf: Walk['visitLeaf'],
  ): void {
    const seen = { branch: 0, leaf: 0, overflow: 0, entries: 0 }
    const walk: Walk = { table, record, order, seen, visitLeaf, isWhole: true }
    if (record.root >= 0) this.#page(walk, record.root, record.depth, { from: null, until: null, transaction })
    else if (record.entries !== 0) walk.isWhole = false
    const { branchPages, leafPages, overflowPages, entries } = record
    const isRight =
      seen.branch === branchPages &&
      seen.leaf === leafPages &&
      seen.overflow === overflowPages &&
      seen.entries === entries
    if (isRight && walk.isWhole) return
    const wanted = `${entries} rows on ${branchPages} + ${leafPages} + ${overflowPages} pages`
    const found = `${seen.entries} on ${seen.branch} + ${seen.leaf} + ${seen.overflow}`
    this.#problem(Math.max(0, record.root), table, `begins a tree that should have ${wanted}, and has ${found}`)
  }

  #page(walk: Walk, number: number, level: number, span: Span): void {
    try {
      this.#checkPage(walk, number, level, span)
    } catch (error) {
      walk.isWhole = false
      this.#damage(walk.table, error)
    }
  }

  #checkPage(walk: Walk, number: number, level: number, span: Span): void {
    this.#checkNumber(number)
    const { isLeaf, nodes, transaction } = readTreePage(this.#file, number, walk.order)
    if (isLeaf !== (level === 1)) throw new PageDamage(number, `is of another kind than its level ${level} needs`)
    this.#use(walk.table, number, 1, isLeaf ? 'leaf' : 'branch')
    if (transaction > span.transaction) {
      const sentence = `was written by transaction ${transaction}, after what points to it (${span.transaction})`
      this.#problem(number, walk.table, sentence)
    }
    walk.seen[isLeaf ? 'leaf' : 'branch'] += 1
    this.#checkSpan(walk, number, nodes, isLeaf, span)
    if (isLeaf) {
      for (const node of nodes) this.#leafNode(walk, node, transaction)
      return
    }
    for (const [index, node] of nodes.entries()) {
      const from = index === 0 ? span.from : node.key
      const until = nodes[index + 1]?.key ?? span.until
      this.#page(walk, node.child, level - 1, { from, until, transaction })
    }
  }

  #checkSpan(walk: Walk, number: number, nodes: readonly TreeNode[], isLeaf: boolean, { from, until }: Span): void {
    const first = nodes[isLeaf ? 0 : 1]
    const last = nodes.at(-1)
    if (first === undefined || last === undefined) return
    const isBefore = from !== null && walk.order(first.key, from) < 0
    const isBehind = until !== null && walk.order(last.key, until) >= 0
    if (!isBefore && !isBehind) return
    this.#problem(number, walk.table, 'has keys that a lookup would not find there')
  }

  #leafNode(walk: Walk, node: TreeNode, transaction: number): void {
    walk.seen.entries += 1
    if (node.flags === NODE_FLAG.OVERFLOW) {
      const { page, pages, transaction: written } = overflowPlace(node)
      try {
        this.#checkNumber(page)
        readOverflow(this.#file, node)
        this.#use(walk.table, page, pages, 'overflow')
        walk.seen.overflow += pages
        if (written > transaction) this.#problem(page, walk.table, 'is younger than the leaf that points to it')
      } catch (error) {
        walk.isWhole = false
        this.#damage(walk.table, error)
        return
      }
    }
    walk.visitLeaf(node, transaction)
  }

  #checkNumber(number: number): void {
    if (number >= 2 && number <= this.#meta.lastPage) return
    throw new PageDamage(number, `is pointed to, but pages in use are 2 to ${this.#meta.lastPage}`)
  }

  #use(table: string | null, first: number, count: number, use: PageUse): void {
    for (let page = first; page < first + count; page += 1) {
      const known = this.uses.get(page)
      if (known !== undefined) this.#problem(page, table, `is used twice: as ${known} and as ${use}`)
      this.uses.set(page, use)
    }
  }

  /** A list of page numbers: its length, then numbers; 0 is a gap, -n a run of n pages that begins with the next. */
  #freeRecord(node: TreeNode, pages: number[]): void {
    const bytes = node.flags === NODE_FLAG.OVERFLOW ? readOverflow(this.#file, node) : node.data
    const transaction = number64(node.key, 0)
    const count = number64(bytes, 0)
    if (node.key.length !== 8 || transaction > this.#meta.transaction || bytes.length < 8 * (count + 1)) {
      this.#problem(this.#meta.free.root, null, `has a list of free pages that cannot be (transaction ${transaction})`)
      return
    }
    for (let index = 1; index <= count; index += 1) {
      const entry = Number(bytes.readBigInt64LE(8 * index))
      if (entry > 0) pages.push(entry)
      if (entry >= 0) continue
      index += 1
      const first = index > count ? 0 : Number(bytes.readBigInt64LE(8 * index))
      if (first <= 0 || -entry > this.#meta.lastPage) {
        this.#problem(this.#meta.free.root, null, `has a list of free pages with a run of ${-entry} from ${first}`)
        return
      }
      for (let page = first; page < first - entry; page += 1) pages.push(page)
    }
  }

  #markFree(page: number): void {
    const { lastPage } = this.#meta
    const known = this.uses.get(page)
    if (page < 2 || page > lastPage) this.#problem(page, null, `is listed as free, but pages are 2 to ${lastPage}`)
    else if (known === 'free') this.#problem(page, null, 'is listed as free twice')
    else if (known !== undefined) {
      this.#problem(page, null, `is listed as free, but in use as ${known}: the next write would destroy it`)
    } else this.uses.set(page, 'free')
  }

  #damage(table: string | null, error: unknown): void {
    if (!(error instanceof PageDamage)) throw error
    this.problems.push({ page: error.page, table, sentence: error.message })
  }

  #problem(page: number, table: string | null, what: string): void {
    this.problems.push({ page, table, sentence: `page ${page} ${what}` })
  }
}
