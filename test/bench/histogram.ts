/**
 * Counts of durations in log-linear buckets: each power of two in 64 equal parts, so that a percentile is at most 1.6 %
 * above the truth. Fixed memory, nothing allocated when a value is recorded.
 */

const PARTS_BITS = 6
const PARTS = 1 << PARTS_BITS
const POWERS = 32
/** The curve of a report: these, and the maximum. */
const CURVE_PERCENTILES = [1, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.999]

export class Histogram {
  readonly #counts = new Float64Array(POWERS * PARTS)
  #count = 0
  #max = 0

  /** @param micros below 2^31; negative ones, from clocks that disagree, count as 0. */
  record(micros: number): void {
    const whole = micros > 0 ? Math.ceil(micros) : 0
    const bucket = bucketOf(whole)
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1
    this.#count += 1
    if (micros > this.#max) this.#max = micros
  }

  get count(): number {
    return this.#count
  }

  get maxMicros(): number {
    return this.#max
  }

  /** Upper end of the bucket in which this share (0 to 1) of the values is reached; never above the maximum. */
  percentileMicros(share: number): number {
    if (this.#count === 0) throw new Error('a percentile of nothing')
    const wanted = Math.max(1, Math.ceil(share * this.#count))
    let seen = 0
    for (let bucket = 0; bucket < this.#counts.length; bucket += 1) {
      seen += this.#counts[bucket] as number
      if (seen >= wanted) return Math.min(upperEndOf(bucket), Math.ceil(this.#max))
    }
    return this.#max
  }

  /** Percentile and milliseconds, as far out as there are values to say so. */
  curve(): (readonly [percentile: number, ms: number])[] {
    const told = CURVE_PERCENTILES.filter((percentile) => (1 - percentile / 100) * this.#count >= 1)
    return [
      ...told.map((percentile) => [percentile, this.percentileMicros(percentile / 100) / 1_000] as const),
      [100, this.#max / 1_000] as const,
    ]
  }
}

/** Below 64 each value has its own bucket. */
function bucketOf(whole: number): number {
  if (whole < PARTS) return whole
  const power = 31 - Math.clz32(whole)
  return (power - PARTS_BITS + 1) * PARTS + ((whole >>> (power - PARTS_BITS)) & (PARTS - 1))
}

function upperEndOf(bucket: number): number {
  if (bucket < PARTS) return bucket
  const power = Math.floor(bucket / PARTS) - 1
  return (PARTS + (bucket % PARTS) + 1) * 2 ** power - 1
}
