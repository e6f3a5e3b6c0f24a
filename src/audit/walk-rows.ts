/**
 * Every row of a table, in order, going on behind a damaged one. Checks what holds for every row: keys ascend, and
 * looking a row up by its key finds what the walk has found. The second is not idle: a walk follows the leaves of a
 * search tree and a lookup its branches, so a damaged branch shows only in a lookup.
 */
import { type Store, type StoreEntry, StoreError, type StoreTable } from '../core/ports/store.js'
import { keyNumber } from '../core/store-keys.js'
import type { ProblemList } from './problems.js'
import { reasonOf } from './problems.js'

export interface WalkResult {
  readonly rows: number
  /** The table could be read to its end. */
  readonly isWhole: boolean
}

/** @param visit may throw: then the row cannot be read, and that is a problem of kind UNREADABLE. */
export function walkRows(
  store: Store,
  table: StoreTable,
  problems: ProblemList,
  visit: (entry: StoreEntry) => void,
): WalkResult {
  const walk = new RowWalk(store, table, problems, visit)
  let from: Uint8Array | undefined
  for (;;) {
    const damaged = walk.run(from)
    if (damaged === null) return { rows: walk.rows, isWhole: walk.isWhole }
    from = successor(damaged)
  }
}

class RowWalk {
  readonly #store: Store
  readonly #table: StoreTable
  readonly #problems: ProblemList
  readonly #visit: (entry: StoreEntry) => void
  #last: Uint8Array | null = null
  rows = 0
  isWhole = true

  constructor(store: Store, table: StoreTable, problems: ProblemList, visit: (entry: StoreEntry) => void) {
    this.#store = store
    this.#table = table
    this.#problems = problems
    this.#visit = visit
  }

  /** @returns the key of a damaged row to go on behind, or null at the end. */
  run(from: Uint8Array | undefined): Uint8Array | null {
    const table = this.#table
    try {
      for (const entry of this.#store.entries({ table, ...(from !== undefined && { from }) })) this.#row(entry)
      return null
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      this.isWhole = false
      if (error.row === null) {
        const place = this.#last === null ? { table } : { table, key: this.#last }
        const where = this.#last === null ? 'its first row' : 'the row named here'
        this.#problems.add('DAMAGED', place, `table ${table} cannot be read beyond ${where}: ${error.message}`)
        return null
      }
      const { key } = error.row
      this.rows += 1
      this.#problems.add('DAMAGED', this.#place(key), error.message)
      if (!this.#isBehind(key)) return null
      this.#last = key
      return key
    }
  }

  #row(entry: StoreEntry): void {
    const { key, value } = entry
    const place = this.#place(key)
    this.rows += 1
    if (!this.#isBehind(key)) {
      this.#problems.add('DAMAGED', place, `rows of table ${this.#table} are out of order at this key`)
    }
    this.#last = key
    this.#lookUp(key, value)
    try {
      this.#visit(entry)
    } catch (error) {
      this.#problems.add('UNREADABLE', place, `this row of table ${this.#table} cannot be read: ${reasonOf(error)}`)
    }
  }

  #lookUp(key: Uint8Array, value: Uint8Array): void {
    const table = this.#table
    let found: Uint8Array | undefined
    try {
      found = this.#store.get(table, key)
    } catch (error) {
      const sentence = `looking this row of table ${table} up fails: ${reasonOf(error)}`
      this.#problems.add('DAMAGED', this.#place(key), sentence)
      return
    }
    if (found !== undefined && isEqual(found, value)) return
    const what = found === undefined ? 'nothing' : 'another value'
    this.#problems.add('DAMAGED', this.#place(key), `looking this row of table ${table} up by its key finds ${what}`)
  }

  #isBehind(key: Uint8Array): boolean {
    return this.#last === null || compareKeys(key, this.#last) > 0
  }

  #place(key: Uint8Array) {
    const table = this.#table
    return table === 'journal' && key.length === 8 ? { table, key, record: keyNumber(key) } : { table, key }
  }
}

/** The smallest key after `key`. */
function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}

export function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && compareKeys(one, other) === 0
}

function compareKeys(one: Uint8Array, other: Uint8Array): number {
  const shorter = Math.min(one.length, other.length)
  for (let index = 0; index < shorter; index += 1) {
    const difference = (one[index] as number) - (other[index] as number)
    if (difference !== 0) return difference
  }
  return one.length - other.length
}
