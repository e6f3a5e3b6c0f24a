/** Turns what LMDB and the operating system say into the store port's errors. Messages name no keys and no values. */
import { statfsSync } from 'node:fs'
import { StoreError } from '../../core/ports/store.js'

/** LMDB reports numbers, Node names. */
const FULL: readonly unknown[] = [28, 'ENOSPC', 122, 'EDQUOT']
const EIO: readonly unknown[] = [5, 'EIO']
const MDB_MAP_FULL = -30792
const MDB_PAGE_NOTFOUND = -30797
const MDB_CORRUPTED = -30796
const MDB_INVALID = -30793

/**
 * @param writtenBytes what the failed commit put: a full disk shows as a short write, which LMDB reports as EIO, so
 * free space decides between the two.
 */
export function commitError(cause: unknown, directory: string, writtenBytes: number): StoreError {
  const code = errorCode(cause)
  const full =
    FULL.includes(code) ||
    code === MDB_MAP_FULL ||
    (EIO.includes(code) && freeBytes(directory) < Math.max(1_048_576, 2 * writtenBytes))
  if (full) return new StoreError('STORE_FULL', `no space left for the store in ${directory}`, { cause })
  return new StoreError('STORE_IO', `writing the store in ${directory} failed: ${describe(cause)}`, { cause })
}

/** Whatever the file system or LMDB throws becomes a StoreError. */
export function attempt<Result>(directory: string, run: () => Result): Result {
  try {
    return run()
  } catch (error) {
    if (error instanceof StoreError) throw error
    const code = (error as { code?: unknown }).code
    if (FULL.includes(code)) {
      throw new StoreError('STORE_FULL', `no space left to open the store in ${directory}`, { cause: error })
    }
    const kind = isCorruption(error) ? 'STORE_CORRUPT' : 'STORE_IO'
    throw new StoreError(kind, `cannot open the store in ${directory}: ${describe(error)}`, { cause: error })
  }
}

/** @returns true when LMDB itself has found its pages damaged. */
export function isCorruption(cause: unknown): boolean {
  const code = errorCode(cause)
  return code === MDB_PAGE_NOTFOUND || code === MDB_CORRUPTED || code === MDB_INVALID
}

export function describe(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

function errorCode(cause: unknown): unknown {
  return typeof cause === 'object' && cause !== null ? (cause as { code?: unknown }).code : undefined
}

function freeBytes(directory: string): number {
  try {
    const { bavail, bsize } = statfsSync(directory)
    return bavail * bsize
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
