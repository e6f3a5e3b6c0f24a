/** How large the buffer of a writer is born, the same for both codecs. */

export const FIRST_CAPACITY_MIN = 256
/** What a busy connection starts with at most; more is grown into. */
const FIRST_CAPACITY_MAX = 131_072

/**
 * Turns are alike; an eighth more than last time is rarely too little, twice as much is zeroed in vain.
 * @param lastLength bytes that the last turn wrote. @returns bytes.
 */
export function firstCapacity(lastLength: number): number {
  return Math.min(Math.max(FIRST_CAPACITY_MIN, lastLength + (lastLength >>> 3)), FIRST_CAPACITY_MAX)
}
