/**
 * One branch or leaf page of a search tree, taken apart with every check that one page allows: its nodes lie side by
 * side without gap or overlap and their keys ascend. So a flipped bit in a length, an offset or a key's order shows.
 */
import { number64, PAGE_FLAG, PAGE_HEADER_BYTES, PageDamage, type PageFile, pageNumber } from './page-file.js'

export const NODE_FLAG = { OVERFLOW: 1, TREE: 2 } as const
const NODE_HEADER_BYTES = 8
const OVERFLOW_NODE_BYTES = 24

export interface TreeNode {
  readonly key: Buffer
  readonly flags: number
  /** Of a branch node. */
  readonly child: number
  /** Of a leaf node; with `OVERFLOW` the value is elsewhere. */
  readonly valueBytes: number
  /** What lies in the node: the value, or where it is. */
  readonly data: Buffer
}

export interface TreePage {
  readonly number: number
  readonly transaction: number
  readonly isLeaf: boolean
  readonly nodes: readonly TreeNode[]
}

/** How keys are ordered: as bytes, and in LMDB's own tree of free pages as numbers. */
export type KeyOrder = (one: Buffer, other: Buffer) => number

export const byteOrder: KeyOrder = (one, other) => Buffer.compare(one, other)
export const numberOrder: KeyOrder = (one, other) => number64(one, 0) - number64(other, 0)

/** @throws PageDamage */
export function readTreePage(file: PageFile, number: number, order: KeyOrder): TreePage {
  const bytes = file.pages(number)
  const room = file.pageSize - PAGE_HEADER_BYTES
  const flags = bytes.readUInt16LE(18)
  if (pageNumber(bytes, 0) !== number) throw new PageDamage(number, 'says that it is another page')
  if (flags !== PAGE_FLAG.BRANCH && flags !== PAGE_FLAG.LEAF) {
    throw new PageDamage(number, `is neither branch nor leaf of a search tree (flags 0x${flags.toString(16)})`)
  }
  const isLeaf = flags === PAGE_FLAG.LEAF
  const lower = bytes.readUInt16LE(20)
  const upper = bytes.readUInt16LE(22)
  if (bytes.readUInt16LE(16) !== 0 || lower % 2 !== 0 || lower > upper || upper > room) {
    throw new PageDamage(number, `has free space from ${lower} to ${upper}, which cannot be`)
  }
  const nodes: TreeNode[] = []
  const places: [offset: number, bytes: number][] = []
  for (let index = 0; index < lower / 2; index += 1) {
    const offset = bytes.readUInt16LE(PAGE_HEADER_BYTES + 2 * index)
    const node = readNode(bytes, number, offset, upper, room, isLeaf)
    places.push([offset, roomOf(node, isLeaf)])
    nodes.push(node)
  }
  checkPlaces(number, places, upper, room)
  checkOrder(number, nodes, isLeaf, order)
  return { number, transaction: number64(bytes, 8), isLeaf, nodes }
}

function readNode(
  bytes: Buffer,
  number: number,
  offset: number,
  upper: number,
  room: number,
  isLeaf: boolean,
): TreeNode {
  const damage = () => new PageDamage(number, `has a node at ${offset} that does not lie within it`)
  if (offset < upper || offset % 2 !== 0 || offset + NODE_HEADER_BYTES > room) throw damage()
  const at = PAGE_HEADER_BYTES + offset
  const low = bytes.readUInt32LE(at)
  const flags = bytes.readUInt16LE(at + 4)
  const keyAt = at + NODE_HEADER_BYTES
  const dataAt = keyAt + bytes.readUInt16LE(at + 6)
  const dataBytes = !isLeaf ? 0 : flags === NODE_FLAG.OVERFLOW ? OVERFLOW_NODE_BYTES : low
  if (dataAt + dataBytes > PAGE_HEADER_BYTES + room) throw damage()
  if (isLeaf && flags !== 0 && flags !== NODE_FLAG.OVERFLOW && flags !== NODE_FLAG.TREE) {
    throw new PageDamage(number, `has a node at ${offset} of an unknown kind (flags 0x${flags.toString(16)})`)
  }
  return {
    key: bytes.subarray(keyAt, dataAt),
    flags: isLeaf ? flags : 0,
    child: isLeaf ? -1 : low + flags * 4_294_967_296,
    valueBytes: isLeaf ? low : 0,
    data: bytes.subarray(dataAt, dataAt + dataBytes),
  }
}

/** Nodes begin at even offsets. */
function roomOf(node: TreeNode, isLeaf: boolean): number {
  const bytes = NODE_HEADER_BYTES + node.key.length + (isLeaf ? node.data.length : 0)
  return bytes + (bytes % 2)
}

/** Side by side, from the end of the free space to the end of the page. */
function checkPlaces(number: number, places: [offset: number, bytes: number][], upper: number, room: number): void {
  let at = upper
  for (const [offset, bytes] of places.sort(([one], [other]) => one - other)) {
    if (offset !== at) throw new PageDamage(number, `has a gap or an overlap between its nodes at ${at}`)
    at += bytes
  }
  if (at !== room) throw new PageDamage(number, `has nodes up to ${at}, but should have them up to ${room}`)
}

/** The first key of a branch page means "from the beginning", whatever it holds. */
function checkOrder(number: number, nodes: readonly TreeNode[], isLeaf: boolean, order: KeyOrder): void {
  for (let index = isLeaf ? 1 : 2; index < nodes.length; index += 1) {
    const before = nodes[index - 1] as TreeNode
    if (order(before.key, (nodes[index] as TreeNode).key) < 0) continue
    throw new PageDamage(number, `has keys out of order at its entry ${index}`)
  }
}

/** Where a value too large for its leaf lies. */
export interface OverflowPlace {
  readonly page: number
  readonly transaction: number
  readonly pages: number
}

export function overflowPlace(node: TreeNode): OverflowPlace {
  return { page: pageNumber(node.data, 0), transaction: number64(node.data, 8), pages: number64(node.data, 16) }
}

/** @throws PageDamage */
export function readOverflow(file: PageFile, node: TreeNode): Buffer {
  const { page, transaction, pages } = overflowPlace(node)
  const needed = Math.floor((PAGE_HEADER_BYTES - 1 + node.valueBytes) / file.pageSize) + 1
  // A value that takes the place of a longer one keeps its pages.
  if (pages < needed) throw new PageDamage(page, `begins a value of ${needed} pages, but its leaf says ${pages}`)
  if (page < 2) throw new PageDamage(page, 'cannot hold a value, but a leaf says that it does')
  const bytes = file.pages(page, pages)
  if (pageNumber(bytes, 0) !== page || bytes.readUInt16LE(18) !== PAGE_FLAG.OVERFLOW) {
    throw new PageDamage(page, 'should begin a large value, and does not')
  }
  if (bytes.readUInt32LE(20) !== pages || number64(bytes, 8) !== transaction) {
    throw new PageDamage(page, 'begins another large value than its leaf speaks of')
  }
  return bytes.subarray(PAGE_HEADER_BYTES, PAGE_HEADER_BYTES + node.valueBytes)
}
