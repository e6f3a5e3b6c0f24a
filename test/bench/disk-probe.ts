/**
 * What the disk itself does meanwhile: a small flushed write now and then, beside the broker's and on the same file
 * system. A disk that stands still for 100 ms makes the 99th percentile of a run, and is told from the broker so.
 */
import { constants, open } from 'node:fs/promises'
import { join } from 'node:path'
import { Histogram } from './histogram.js'
import { secondsSince, wait } from './scale/crowd.js'
import type { Figures } from './scenario.js'

const INTERVAL_MS = 10
const PIECE = Buffer.alloc(512, 1)
/** Allocated first, and then written over and over, as the broker does. */
const FILE_BYTES = 65_536
const FLAGS = constants.O_CREAT | constants.O_WRONLY | constants.O_DSYNC

export async function besideDiskProbe(directory: string, measure: () => Promise<Figures>): Promise<Figures> {
  const file = await open(join(directory, 'disk-probe'), FLAGS, 0o600)
  const latency = new Histogram()
  let isOver = false
  const probe = async () => {
    for (let at = 0; !isOver; at = (at + PIECE.length) % FILE_BYTES) {
      const began = process.hrtime.bigint()
      await file.write(PIECE, 0, PIECE.length, at)
      latency.record(secondsSince(began) * 1e6)
      await wait(INTERVAL_MS)
    }
  }
  try {
    await file.write(Buffer.alloc(FILE_BYTES, 1), 0, FILE_BYTES, 0)
    const measured = measure().finally(() => {
      isOver = true
    })
    const [figures] = await Promise.all([measured, probe()])
    const values = { diskP50Ms: latency.percentileMicros(0.5) / 1_000, diskMaxMs: latency.maxMicros / 1_000 }
    return { ...figures, values: { ...figures.values, ...values } }
  } finally {
    isOver = true
    await file.close()
  }
}
