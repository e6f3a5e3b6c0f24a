/**
 * One process per data directory: announce, then look.
 *
 * Each candidate puts a listening Unix socket with a name of its own (`lock.<pid>.<random>`) into the directory and
 * then tries to connect to every other one it finds. Somebody answers: refuse. Nobody: that one is dead, its file goes.
 * Why a socket: the kernel ends it with the process, so kill -9 leaves nothing to clean up; it cannot be fooled by a
 * reused pid; it works between containers that share a volume but neither pids nor networks. Why unique names: removing
 * a dead one can never remove a live one, which is the race of every single lock file. Of two that start in the same
 * instant both may refuse; never do both go on, because each announces before it looks.
 */
import { randomBytes } from 'node:crypto'
import { chmodSync, closeSync, openSync, readdirSync, renameSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { StoreError } from '../../core/ports/store.js'
import { describe } from './commit-errors.js'

const LOCK_NAME = /^lock\.(\d+)\.[0-9a-f]{8}$/

export interface DirectoryLock {
  release(): Promise<void>
}

/** @throws StoreError STORE_LOCKED when a living process holds the directory. */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  let lock: SocketLock | undefined
  try {
    lock = new SocketLock(directory)
    await lock.announce()
    for (const other of readdirSync(directory)) {
      const pid = LOCK_NAME.exec(other)?.[1]
      if (pid === undefined || other === lock.name) continue
      if (await answers(join(lock.base, other))) throw lockedBy(directory, Number(pid))
      removeFile(join(directory, other))
    }
    return lock
  } catch (error) {
    await lock?.release()
    if (error instanceof StoreError) throw error
    const reason = `${describe(error)}; its file system must allow Unix sockets`
    throw new StoreError('STORE_IO', `cannot lock ${directory}: ${reason}`, { cause: error })
  }
}

/** Writes nothing. @returns the pid of a living process that holds the directory, or null. */
export async function directoryHolder(directory: string): Promise<number | null> {
  const descriptor = openSync(directory, 'r')
  try {
    for (const name of readdirSync(directory)) {
      const pid = LOCK_NAME.exec(name)?.[1]
      if (pid !== undefined && (await answers(join(throughDescriptor(directory, descriptor), name)))) return Number(pid)
    }
    return null
  } finally {
    closeSync(descriptor)
  }
}

/** A socket's address holds 107 bytes, a data directory's path may be longer: go through the open directory. */
function throughDescriptor(directory: string, descriptor: number): string {
  return process.platform === 'linux' ? `/proc/self/fd/${descriptor}` : directory
}

class SocketLock implements DirectoryLock {
  readonly name = `lock.${process.pid}.${randomBytes(4).toString('hex')}`
  readonly base: string
  readonly #path: string
  readonly #descriptor: number
  readonly #server: Server
  #released = false

  constructor(directory: string) {
    this.#path = join(directory, this.name)
    this.#descriptor = openSync(directory, 'r')
    this.base = throughDescriptor(directory, this.#descriptor)
    this.#server = createServer((socket) => socket.destroy())
  }

  /** Listens under a hidden name first: under its real name a lock answers from its first moment. */
  async announce(): Promise<void> {
    const hidden = join(this.base, `.${this.name}`)
    await new Promise<void>((resolve, reject) => {
      this.#server.on('error', reject)
      this.#server.listen(hidden, () => resolve())
    })
    // The directory lock alone must not keep a process running.
    this.#server.unref()
    chmodSync(hidden, 0o600)
    renameSync(hidden, this.#path)
  }

  async release(): Promise<void> {
    if (this.#released) return
    this.#released = true
    removeFile(this.#path)
    if (this.#server.listening) await new Promise<void>((resolve) => this.#server.close(() => resolve()))
    closeSync(this.#descriptor)
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // Anything but "nobody listens" (a full backlog, missing rights) may be a living holder.
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT')
    })
  })
}

function lockedBy(directory: string, pid: number): StoreError {
  const who = pid === process.pid ? `this process (pid ${pid})` : `process ${pid}`
  return new StoreError('STORE_LOCKED', `${directory} is in use by ${who}; stop it, or choose another directory`)
}

function removeFile(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
