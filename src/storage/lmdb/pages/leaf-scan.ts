/**
 * All rows of one table, leaf by leaf from the data file: what LMDB's binding makes of a row costs several times as
 * much as reading it, and a start reads hundreds of thousands. For a file that nobody is writing to. It checks what it
 * takes from a leaf; whoever uses it counts the rows, and has LMDB itself for whatever looks wrong here.
 */
import { PAGE_FLAG, PAGE_HEADER_BYTES, PageDamage, type PageFile, pageNumber, type TreeRecord } from './page-file.js'
import { byteOrder, NODE_FLAG, readOverflow, readTreePage, type TreeNode } from './tree-page.js'

const NODE_HEADER_BYTES = 8

/** Rows side by side: views into the page. */
export interface LeafRows {
  readonly keys: readonly Uint8Array[]
  /** In their frames. */
  readonly values: readonly Uint8Array[]
}

/** @throws PageDamage */
export function* leafRows(file: PageFile, tree: TreeRecord): IterableIterator<LeafRows> {
  if (tree.root < 0) return
  yield* below(file, tree.root, tree.depth)
}

function* below(file: PageFile, page: number, depth: number): IterableIterator<LeafRows> {
  if (depth <= 0) throw new PageDamage(page, 'lies deeper than its tree is')
  if (depth === 1) {
    yield readLeaf(file, page)
    return
  }
  const { isLeaf, nodes } = readTreePage(file, page, byteOrder)
  if (isLeaf) throw new PageDamage(page, 'is a leaf above the lowest level of its tree')
  for (const { child } of nodes) yield* below(file, child, depth - 1)
}

function readLeaf(file: PageFile, number: number): LeafRows {
  const bytes = file.pages(number)
  const lower = bytes.readUInt16LE(20)
  if (pageNumber(bytes, 0) !== number || bytes.readUInt16LE(18) !== PAGE_FLAG.LEAF || lower % 2 !== 0) {
    throw new PageDamage(number, 'is not the leaf that it should be')
  }
  const keys: Uint8Array[] = []
  const values: Uint8Array[] = []
  for (let index = 0; index < lower / 2; index += 1) {
    const slot = PAGE_HEADER_BYTES + 2 * index
    if (slot + 2 > bytes.length) throw new PageDamage(number, 'has more nodes than it has room for')
    const at = PAGE_HEADER_BYTES + bytes.readUInt16LE(slot)
    if (at + NODE_HEADER_BYTES > bytes.length) throw new PageDamage(number, 'has a node that does not lie within it')
    const keyAt = at + NODE_HEADER_BYTES
    const valueAt = keyAt + bytes.readUInt16LE(at + 6)
    const flags = bytes.readUInt16LE(at + 4)
    const valueBytes = bytes.readUInt32LE(at)
    const end = valueAt + (flags === 0 ? valueBytes : 24)
    if (end > bytes.length) throw new PageDamage(number, 'has a node that does not lie within it')
    keys.push(view(bytes, keyAt, valueAt))
    if (flags === 0) values.push(view(bytes, valueAt, end))
    else if (flags === NODE_FLAG.OVERFLOW) {
      const node: TreeNode = { key: bytes, flags, child: -1, valueBytes, data: bytes.subarray(valueAt, end) }
      values.push(readOverflow(file, node))
    } else throw new PageDamage(number, `has a node of an unknown kind (flags 0x${flags.toString(16)})`)
  }
  return { keys, values }
}

function view(bytes: Buffer, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start)
}
