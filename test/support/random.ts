/** Which seeds a test runs: a few by default, one or many by environment. The chance itself is `src/base/random.ts`. */
export { Random } from '../../src/base/random.js'

/** Seeds for a run: `TALLYMQ_SEED=7` runs that one, `TALLYMQ_SEEDS=5000` runs so many, else `usual`. */
export function seedsOfThisRun(usual: number): number[] {
  const { TALLYMQ_SEED: one, TALLYMQ_SEEDS: many } = process.env
  if (one !== undefined) return [Number(one)]
  return Array.from({ length: many === undefined ? usual : Number(many) }, (_, index) => index + 1)
}
