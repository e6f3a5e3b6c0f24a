/** How large the buffer of a writer is born, and what it grows into, the same for both codecs. */

const FIRST_CAPACITY_MIN = 256
/** What a busy connection starts with at most; more is grown into. */
const FIRST_CAPACITY_MAX = 131_072

/**
 * Turns are alike; an eighth more than last time is rarely too little, twice as much is zeroed in vain.
 * @param lastLength bytes that the last turn wrote. @returns bytes.
 */
export function firstCapacity(lastLength: number): number {
  return Math.min(Math.max(FIRST_CAPACITY_MIN, lastLength + (lastLength >>> 3)), FIRST_CAPACITY_MAX)
}

/**
 * A buffer that has to grow becomes at once what the last turn took in the end: each doubling would copy all of it.
 * @param capacity of the buffer that is full. @param lastLength see above. @param needed at least. @returns bytes.
 */
export function grownCapacity(capacity: number, lastLength: number, needed: number): number {
  return Math.max(needed, capacity * 2, lastLength + (lastLength >>> 3))
}
