/** A file system that is soon full, unmounted with the test. The mounting itself is `src/torture/small-disk.ts`. */
import { mountSmallDisk } from '../../src/torture/small-disk.js'

export interface SmallDisk {
  readonly directory: string
  grow(sizeMiB: number): void
}

/** @returns the disk, or why there is none. @throws Error where every peer is required. */
export function smallDisk(t: { teardown(done: () => unknown): void }, sizeMiB: number): SmallDisk | string {
  const disk = mountSmallDisk(sizeMiB * 1_024)
  if (typeof disk === 'string') {
    // Only root may mount, so whoever is not cannot be blamed.
    if (process.env.TALLYMQ_REQUIRE_PEERS === '1' && process.geteuid?.() === 0) throw new Error(disk)
    return disk
  }
  t.teardown(() => disk.unmount())
  return { directory: disk.directory, grow: (newSizeMiB) => disk.grow(newSizeMiB * 1_024) }
}
