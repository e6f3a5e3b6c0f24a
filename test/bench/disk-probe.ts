/**
 * What the disk itself does meanwhile: a small flushed write now and then, beside the broker's and on the same file
 * system. A disk that stands still for 100 ms makes the 99th percentile of a run, and is told from the broker so.
 */
import { close, constants, open, write } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Histogram } from './histogram.js'
import type { Figures } from './scenario.js'

const INTERVAL_MS = 10
const PIECE = Buffer.alloc(512, 1)
/** Allocated first, and then written over and over, as the broker does. */
const FILE_BYTES = 65_536

const opened = promisify(open)
const written = promisify(write)
const closed = promisify(close)

export async function besideDiskProbe(directory: string, measured: Promise<Figures>): Promise<Figures> {
  const flags = constants.O_CREAT | constants.O_WRONLY | constants.O_DSYNC
  const file = await opened(join(directory, 'disk-probe'), flags, 0o600)
  const latency = new Histogram()
  try {
    await written(file, Buffer.alloc(FILE_BYTES, 1), 0, FILE_BYTES, 0)
    let isOver = false
    const end = measured.finally(() => {
      isOver = true
    })
    end.catch(() => undefined)
    for (let at = 0; !isOver; at = (at + PIECE.length) % FILE_BYTES) {
      const start = process.hrtime.bigint()
      await written(file, PIECE, 0, PIECE.length, at)
      latency.record(Number(process.hrtime.bigint() - start) / 1_000)
      await Promise.race([end, new Promise((resolve) => setTimeout(resolve, INTERVAL_MS))])
    }
    const figures = await end
    const values = { diskP50Ms: latency.percentileMicros(0.5) / 1_000, diskMaxMs: latency.maxMicros / 1_000 }
    return { ...figures, values: { ...figures.values, ...values } }
  } finally {
    await closed(file)
  }
}
