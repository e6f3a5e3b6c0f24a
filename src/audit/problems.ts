/**
 * What an audit finds: a list with a bound, because one broken page can break a million rows. A problem names the
 * place and says what was found; its kind says what that means and what to do, and is what programs compare.
 */
import type { StoreTable } from '../core/ports/store.js'

export const PROBLEM_KINDS = {
  DAMAGED:
    'these bytes are not the ones that were written: the disk, its cable, memory or another program has changed ' +
    'them. Do not run a broker on this; copy the directory away, check the disk, restore a backup that verifies',
  UNREADABLE:
    'the bytes are the ones that were written, but this build cannot read them: they come from another build, or ' +
    'from a fault in one. Verify with the build that wrote them; if that says the same, keep a copy and report it',
  MISSING:
    'something that was stored is gone, so a message, a session or a count may be lost. Restore a backup that ' +
    'verifies, and keep a copy of this directory: a disk that loses rows must be found',
  LEFT_BEHIND:
    'nothing speaks of this row any more. No message is lost by it, but whoever should have removed it has a fault: ' +
    'keep a copy of the directory and report it',
  INCONSISTENT:
    'two places that were written in one commit contradict each other. One of them is wrong, and nothing here can ' +
    'tell which: keep a copy of the directory, restore a backup that verifies, and report it',
  UNRECOVERABLE:
    'a broker that starts on this directory stops here. Restore a backup that verifies, and keep a copy of this one',
} as const
export type ProblemKind = keyof typeof PROBLEM_KINDS

export interface Problem {
  readonly kind: ProblemKind
  /** null: about the whole. */
  readonly table: StoreTable | null
  /** Of the row, in hexadecimal. */
  readonly key: string | null
  /** Of the journal. */
  readonly record: number | null
  /** Of the data file, where a whole page is meant. */
  readonly page: number | null
  /** What was found, with the numbers and names that a person knows. */
  readonly sentence: string
}

export interface ProblemPlace {
  readonly table?: StoreTable
  readonly key?: Uint8Array
  readonly record?: number
  readonly page?: number
}

export class ProblemList {
  readonly #bound: number
  readonly #found: Problem[] = []
  #leftOut = 0

  constructor(bound = 1_000) {
    this.#bound = bound
  }

  get found(): readonly Problem[] {
    return this.#found
  }
  /** Found beyond the bound and only counted. */
  get leftOut(): number {
    return this.#leftOut
  }

  add(kind: ProblemKind, place: ProblemPlace, sentence: string): void {
    if (this.#found.length >= this.#bound) {
      this.#leftOut += 1
      return
    }
    const { table = null, key, record = null, page = null } = place
    this.#found.push({ kind, table, key: key === undefined ? null : hexadecimal(key), record, page, sentence })
  }
}

/** Of whatever was thrown while something stored was read. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

export function hexadecimal(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
