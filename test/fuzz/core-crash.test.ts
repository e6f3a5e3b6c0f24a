/**
 * Seeded worlds of clients around one broker that loses power at any turn; the clients' books are the judge.
 * `TALLYMQ_SEED=7` repeats one seed, `TALLYMQ_SEEDS=20000` runs long. What a seed finds becomes a story in
 * `broker/crash-regressions.test.ts`.
 */
import t from 'tap'
import { World } from '../support/book-keeping-world.js'
import { seedsOfThisRun } from '../support/random.js'

const STEPS = Number(process.env.TALLYMQ_STEPS ?? 600)

t.test('nothing is lost and nothing comes twice, whenever the broker dies', async (t) => {
  const seeds = seedsOfThisRun(300)
  const failures: string[] = []
  const total = { crashes: 0, checkpoints: 0, comparisons: 0, messages: 0, arrivals: 0 }
  for (const seed of seeds) {
    const world = new World(seed)
    try {
      world.run(STEPS)
    } catch (error) {
      failures.push(`TALLYMQ_SEED=${seed}: ${(error as Error).stack}`)
    }
    total.crashes += world.crashes
    total.checkpoints += world.checkpoints
    total.comparisons += world.comparisons
    total.messages += world.ledger.messages.size
    for (const { arrivals } of world.ledger.sessions) total.arrivals += arrivals.size
  }
  for (const failure of failures.slice(0, 5)) t.fail(failure)
  t.equal(failures.length, 0, 'no seed breaks a promise')
  t.comment(`${seeds.length} seeds: ${JSON.stringify(total)}`)
  t.ok(total.arrivals > seeds.length, 'messages did arrive')
})
