/** A disk under the broker that breaks on command: `faulty-disk.c`, compiled for this test and preloaded. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { needs } from './peers.js'

const SOURCE = new URL('./faulty-disk.c', import.meta.url).pathname

/** Options of a test that needs one: `{}` or a reason to skip. */
export const faultyDiskNeeds: { skip?: string } =
  process.platform === 'linux' ? needs('gcc') : { skip: 'preloading is done on Linux only' }

export type DiskOrder = 'works' | 'eio' | 'stall' | 'delay' | 'meta-eio' | 'lmdb-only'

export class FaultyDisk {
  /** For the broker's process. */
  readonly environment: Record<string, string>
  readonly #orders: string

  /** @param directory for the library and the order. @throws Error when it cannot be compiled. */
  constructor(directory: string, order: DiskOrder = 'works') {
    const library = `${directory}/faulty-disk.so`
    const flags = ['-shared', '-fPIC', '-O1', '-o', library, SOURCE, '-ldl']
    const compiled = spawnSync('gcc', flags, { encoding: 'utf8' })
    if (compiled.status !== 0) throw new Error(`gcc: ${compiled.stderr}`)
    this.#orders = `${directory}/orders`
    this.environment = { LD_PRELOAD: library, FAULTY_DISK: this.#orders }
    this.order(order)
  }

  order(order: DiskOrder): void {
    writeFileSync(this.#orders, order)
  }
}
