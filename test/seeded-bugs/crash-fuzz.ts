/** The seeded worlds of `fuzz/core-crash.test.ts` as a program: stops at the first seed that breaks a promise. */
import { World } from '../support/book-keeping-world.js'

const [seeds, steps] = process.argv.slice(2).map(Number)

function firstBreach(): string | null {
  for (let seed = 1; seed <= (seeds ?? 1); seed += 1) {
    try {
      new World(seed).run(steps ?? 600)
    } catch (error) {
      return `seed ${seed}: ${(error as Error).message.split('\n')[0]}`
    }
  }
  return null
}

const breach = firstBreach()
if (breach !== null) process.stdout.write(`${breach}\n`)
process.exitCode = breach === null ? 0 : 1
