/** A file system that is soon full: a tmpfs of some megabytes. Needs the right to mount, or says that it is missing. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface SmallDisk {
  readonly directory: string
  grow(sizeMiB: number): void
}

function mount(...args: string[]): void {
  execFileSync('mount', args, { stdio: 'pipe' })
}

/** @returns the disk, unmounted with the test, or why there is none. @throws Error where every peer is required. */
export function smallDisk(t: { teardown(done: () => unknown): void }, sizeMiB: number): SmallDisk | string {
  // Not in the test's own directory, which is removed before this one is unmounted.
  const directory = mkdtempSync(join(tmpdir(), 'tallymq-disk-'))
  try {
    mount('-t', 'tmpfs', '-o', `size=${sizeMiB}m`, 'tmpfs', directory)
  } catch (error) {
    const reason = `cannot mount a tmpfs here: ${String((error as Error).message).split('\n')[0]}`
    rmdirSync(directory)
    // Only root may mount, so whoever is not cannot be blamed.
    if (process.env.TALLYMQ_REQUIRE_PEERS === '1' && process.geteuid?.() === 0) throw new Error(reason)
    return reason
  }
  t.teardown(() => {
    execFileSync('umount', ['-l', directory])
    rmdirSync(directory)
  })
  return {
    directory,
    grow: (newSizeMiB) => mount('-o', `remount,size=${newSizeMiB}m`, directory),
  }
}
