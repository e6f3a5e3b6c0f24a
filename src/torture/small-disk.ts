/** A file system that is soon full: a tmpfs of some kilobytes. Needs the right to mount, or says that it is missing. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface SmallDisk {
  readonly directory: string
  grow(sizeKiB: number): void
  /** Whatever is on it is gone. */
  unmount(): void
}

function mount(...args: string[]): void {
  execFileSync('mount', args, { stdio: 'pipe' })
}

/** @returns the disk, or why there is none. */
export function mountSmallDisk(sizeKiB: number): SmallDisk | string {
  const directory = mkdtempSync(join(tmpdir(), 'tallymq-disk-'))
  try {
    mount('-t', 'tmpfs', '-o', `size=${sizeKiB}k`, 'tmpfs', directory)
  } catch (error) {
    rmdirSync(directory)
    return `cannot mount a tmpfs here: ${String((error as Error).message).split('\n')[0]}`
  }
  return {
    directory,
    grow: (newSizeKiB) => mount('-o', `remount,size=${newSizeKiB}k`, directory),
    unmount() {
      execFileSync('umount', ['-l', directory])
      rmdirSync(directory)
    },
  }
}
