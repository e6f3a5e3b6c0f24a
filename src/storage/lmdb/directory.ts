/**
 * The data directory around LMDB's files: created 0700, kept to its owner, and described by two small files.
 *
 * - `store.json`: on-disk format, who wrote it, and the incarnation, a random id of this database. Written last, so
 *   that a directory without it never held anything that was acknowledged. It also names the file that `data.mdb` was,
 *   by inode and time of birth: another file is a copy or a backup, whose past is not what clients were told. The inode
 *   alone would not do, because file systems give the number of a removed file to the next; nor would the device, whose
 *   number another boot may change.
 * - `unflushed`: present while a store runs without flushing; holds the boot id of the machine. If the machine has been
 *   restarted since, LMDB's pages may be any mixture of old and new, and opening it could even crash: refuse.
 */
import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { StoreError } from '../../core/ports/store.js'
import { slotNames } from './journal/slot-names.js'

/**
 * What this build writes. It reads every format from 1 on; new in 2: producers, idempotency keys and the ledger; in 3:
 * the journal file.
 */
export const STORE_FORMAT = 3
export const DATA_FILE = 'data.mdb'
const LMDB_LOCK_FILE = 'lock.mdb'
const DESCRIPTION_FILE = 'store.json'
const UNFLUSHED_FILE = 'unflushed'
/** What may lie in a directory that nobody has used yet. */
const NEUTRAL_NAMES = /^(lost\+found|\.?lock\..*|store\.json\.new|unflushed)$/

export interface StoreDescription {
  readonly format: number
  readonly writtenBy: string
  readonly incarnation: string
  /** Which file `data.mdb` was, as `inode@birth in ns`; null: written by a build that did not note it. */
  readonly dataFile: string | null
}

/** Creates the directory or takes an empty or known one; nobody but the owner may look into it afterwards. */
export function takeDirectory(directory: string): void {
  const created = makeDirectories(resolve(directory))
  if (created !== undefined) flushCreated(directory, created)
  const stat = statSync(directory)
  const user = process.geteuid?.()
  if (user !== undefined && user !== 0 && stat.uid !== user) {
    throw new StoreError('STORE_IO', `${directory} belongs to user ${stat.uid}, this process runs as ${user}`)
  }
  const names = readdirSync(directory)
  const ours = names.includes(DESCRIPTION_FILE) || names.includes(DATA_FILE)
  if (!ours && !names.every((name) => NEUTRAL_NAMES.test(name))) {
    const message = `${directory} is not empty and holds no store; choose an empty or a new directory`
    throw new StoreError('STORE_FORMAT', message)
  }
  if ((stat.mode & 0o077) !== 0) chmodSync(directory, 0o700)
  for (const name of [DATA_FILE, LMDB_LOCK_FILE, DESCRIPTION_FILE, ...slotNames(directory)]) {
    tightenFile(join(directory, name))
  }
}

/**
 * Level by level: `mkdir` with `recursive` never returns on a file system that answers ENOENT below a directory that is
 * there, such as /proc. @returns the first directory that did not exist, if any.
 */
function makeDirectories(directory: string): string | undefined {
  if (existsSync(directory)) return undefined
  const above = dirname(directory)
  const created = above === directory ? undefined : makeDirectories(above)
  mkdirSync(directory, { mode: 0o700 })
  return created ?? directory
}

export function tightenFile(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat !== undefined && (stat.mode & 0o177) !== 0) chmodSync(path, 0o600)
}

/** @returns null when nothing has been stored here yet. @throws StoreError STORE_FORMAT, STORE_CORRUPT. */
export function readDescription(directory: string, writtenBy: string): StoreDescription | null {
  const path = join(directory, DESCRIPTION_FILE)
  if (!existsSync(path)) return null
  const description = parseDescription(path)
  if (description.format > STORE_FORMAT) {
    throw new StoreError(
      'STORE_FORMAT',
      `${directory} has store format ${description.format}, written by ${description.writtenBy}; ` +
        `this is ${writtenBy}, which reads formats 1 to ${STORE_FORMAT}. ` +
        `Run ${description.writtenBy} or newer on it, or choose another directory`,
    )
  }
  if (!existsSync(join(directory, DATA_FILE))) {
    throw new StoreError('STORE_CORRUPT', `${directory} has a ${DESCRIPTION_FILE}, but its ${DATA_FILE} is missing`)
  }
  return description
}

function parseDescription(path: string): StoreDescription {
  const text = readFileSync(path, 'utf8')
  try {
    const { format, writtenBy, incarnation, dataFile } = JSON.parse(text) as Partial<Record<string, unknown>>
    if (typeof format === 'number' && Number.isInteger(format) && format >= 1 && typeof incarnation === 'string') {
      const name = typeof writtenBy === 'string' ? writtenBy : 'an unknown build'
      return { format, writtenBy: name, incarnation, dataFile: isFileIdentity(dataFile) ? dataFile : null }
    }
  } catch (error) {
    throw new StoreError('STORE_CORRUPT', `${path} is damaged: it is not JSON`, { cause: error })
  }
  throw new StoreError('STORE_CORRUPT', `${path} is damaged: it needs format (1 or more) and incarnation`)
}

/** Makes the new database's files durable, then the description that vouches for them. */
export function writeDescription(directory: string, writtenBy: string): StoreDescription {
  flushPath(join(directory, DATA_FILE))
  flushPath(directory)
  const dataFile = identityOfData(directory)
  return replaceDescription(directory, { format: STORE_FORMAT, writtenBy, incarnation: randomUUID(), dataFile })
}

/**
 * Before this build writes what an older one cannot read, the format is raised: from here on that one refuses the
 * directory, and says so. And a copy or a restored backup begins a new incarnation: clients know of things that it
 * does not.
 */
export function renewDescription(directory: string, known: StoreDescription, writtenBy: string): StoreDescription {
  const dataFile = identityOfData(directory)
  if (known.dataFile === dataFile && known.format === STORE_FORMAT) return known
  const incarnation = isOtherFile(directory, known) ? randomUUID() : known.incarnation
  const raised = known.format === STORE_FORMAT ? {} : { format: STORE_FORMAT, writtenBy }
  return replaceDescription(directory, { ...known, ...raised, incarnation, dataFile })
}

/** Is `data.mdb` another file than the one that was described? */
export function isOtherFile(directory: string, { dataFile }: StoreDescription): boolean {
  return dataFile !== null && dataFile !== identityOfData(directory)
}

/** The birth is 0 on a file system that does not keep it. */
function identityOfData(directory: string): string {
  const { ino, birthtimeNs } = statSync(join(directory, DATA_FILE), { bigint: true })
  return `${ino}@${birthtimeNs}`
}

/** Earlier builds noted `device:inode`, which says too little. */
function isFileIdentity(noted: unknown): noted is string {
  return typeof noted === 'string' && /^\d+@\d+$/.test(noted)
}

function replaceDescription(directory: string, description: StoreDescription): StoreDescription {
  const path = join(directory, DESCRIPTION_FILE)
  writeFileSync(`${path}.new`, `${JSON.stringify(description)}\n`, { mode: 0o600 })
  flushPath(`${path}.new`)
  renameSync(`${path}.new`, path)
  flushPath(directory)
  return description
}

/** The machine went down, or the directory was copied from another one, while the store was not flushed. */
export function isLeftUnflushed(directory: string): boolean {
  const path = join(directory, UNFLUSHED_FILE)
  if (!existsSync(path)) return false
  return readFileSync(path, 'utf8').trim() !== bootId() && existsSync(join(directory, DATA_FILE))
}

/** Before LMDB opens: is what lies here trustworthy after an unflushed session? If so it is flushed now. */
export function settleUnflushed(directory: string): void {
  if (!existsSync(join(directory, UNFLUSHED_FILE))) return
  if (isLeftUnflushed(directory)) {
    throw new StoreError(
      'STORE_CORRUPT',
      `${directory} was in use with durability os or memory when the machine went down, so its contents cannot be ` +
        'trusted: restore a backup or remove the directory. Durability flush survives a power cut',
    )
  }
  markFlushed(directory)
}

/** The store begins to write without flushing. */
export function markUnflushed(directory: string): void {
  const path = join(directory, UNFLUSHED_FILE)
  writeFileSync(path, `${bootId()}\n`, { mode: 0o600 })
  flushPath(path)
  flushPath(directory)
}

/** Flushes everything written without flushing (fdatasync on any descriptor of a file covers all its pages). */
export function markFlushed(directory: string): void {
  for (const name of [DATA_FILE, ...slotNames(directory)]) {
    const path = join(directory, name)
    if (existsSync(path)) flushPath(path, fdatasyncSync)
  }
  unlinkSync(join(directory, UNFLUSHED_FILE))
  flushPath(directory)
}

/** A name is durable only when the directory that holds it is: flush every level that `mkdir` has made, and above. */
function flushCreated(directory: string, firstCreated: string): void {
  const top = dirname(resolve(firstCreated))
  let path = resolve(directory)
  for (;;) {
    flushPath(path)
    if (path === top || path === dirname(path)) return
    path = dirname(path)
  }
}

export function flushPath(path: string, flush: (descriptor: number) => void = fsyncSync): void {
  const descriptor = openSync(path, 'r')
  try {
    flush(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Changes when the machine starts anew. Elsewhere than on Linux unknown, and then an unflushed store is trusted. */
function bootId(): string {
  if (process.platform !== 'linux') return 'unknown'
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}
