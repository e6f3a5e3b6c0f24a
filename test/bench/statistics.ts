/** Medians, spreads and ratios of interleaved runs. Pure. */

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** Of an even count, the mean of the middle two. */
export function median(numbers: readonly number[]): number {
  if (numbers.length === 0) throw new Error('the median of nothing')
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] as number
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2
}

export function spread(numbers: readonly number[]): Spread {
  return { median: median(numbers), min: Math.min(...numbers), max: Math.max(...numbers) }
}

/**
 * Ours by theirs, round by round, because a machine is slow for both in the same minute. A round in which either is
 * missing (NaN) is left out. @returns null when no round has both.
 */
export function ratio(ours: readonly number[], theirs: readonly number[]): Spread | null {
  const ratios: number[] = []
  for (let round = 0; round < Math.min(ours.length, theirs.length); round += 1) {
    const value = (ours[round] as number) / (theirs[round] as number)
    if (Number.isFinite(value)) ratios.push(value)
  }
  return ratios.length === 0 ? null : spread(ratios)
}
