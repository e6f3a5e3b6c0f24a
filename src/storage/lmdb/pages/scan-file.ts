/** A table read from the data file itself, as far as every page and every frame is what it should be. */
import { join } from 'node:path'
import { StoreError, type StoreTable } from '../../../core/ports/store.js'
import { DATA_FILE } from '../directory.js'
import { readFrame } from '../value-frame.js'
import { tableTrees } from './check-pages.js'
import { leafRows } from './leaf-scan.js'
import { PageDamage, PageFile } from './page-file.js'

type Visit = (key: Uint8Array, value: Uint8Array) => void

/**
 * @param transaction the one that LMDB has opened: after a power cut that need not be the newest in the file.
 * @returns the key of the last row visited when something was wrong behind it, null: before the first; or 'all'.
 */
export function scanFile(
  directory: string,
  transaction: number,
  table: StoreTable,
  visit: Visit,
): Uint8Array | null | 'all' {
  let file: PageFile
  try {
    file = new PageFile(join(directory, DATA_FILE))
  } catch {
    return null
  }
  try {
    return file.meta.transaction === transaction ? scanPages(file, table, visit) : null
  } finally {
    file.close()
  }
}

function scanPages(file: PageFile, table: StoreTable, visit: Visit): Uint8Array | null | 'all' {
  let last: Uint8Array | null = null
  let rows = 0
  const leaves = sound(() => {
    const tree = tableTrees(file).get(table)
    return tree === undefined ? null : { tree, each: leafRows(file, tree) }
  })
  if (leaves === null) return last
  for (;;) {
    const leaf = sound(() => leaves.each.next())
    if (leaf === null) return last
    if (leaf.done === true) break
    const { keys, values } = leaf.value
    for (let index = 0; index < keys.length; index += 1) {
      const key = keys[index] as Uint8Array
      const value = isBehind(key, last) ? sound(() => readFrame(table, key, values[index] as Uint8Array)) : null
      if (value === null) return last
      visit(key, value)
      last = key
      rows += 1
    }
  }
  if (rows === leaves.tree.entries) return 'all'
  throw new StoreError('STORE_CORRUPT', `table ${table} has ${leaves.tree.entries} rows by its own count, not ${rows}`)
}

/** What is damaged here is LMDB's to say. */
function sound<Result>(read: () => Result): Result | null {
  try {
    return read()
  } catch (error) {
    if (error instanceof PageDamage || error instanceof StoreError) return null
    throw error
  }
}

function isBehind(key: Uint8Array, last: Uint8Array | null): boolean {
  return last === null || Buffer.compare(last, key) < 0
}
