/**
 * A short run of the simulator; CI and the nightly run more seeds of the same by `npm run sim`. And what makes a seed
 * worth writing down: the same seed is the same world, byte for byte, whatever ran before it.
 */
import t from 'tap'
import { commandFor, relevantLines, shrink } from './shrink.js'
import { runSeed } from './world.js'

const SEEDS = Number(process.env.TALLYMQ_SIM_SEEDS ?? 60)

t.test(`${SEEDS} worlds: no promise is broken`, async (t) => {
  const failures: string[] = []
  const total = { crashes: 0, restarts: 0, failedCommits: 0, messages: 0, deliveries: 0 }
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const result = runSeed({ seed })
    for (const { checker, sentence } of result.violations) {
      failures.push(`npm run sim -- --seeds 1 --seed ${seed}: ${checker}: ${sentence}`)
    }
    for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += result[name]
  }
  for (const failure of failures.slice(0, 5)) t.fail(failure)
  t.equal(failures.length, 0, 'no seed breaks a promise')
  t.ok(total.deliveries > SEEDS * 50 && total.messages > SEEDS * 50, 'messages were sent and did arrive')
  t.ok(total.crashes > SEEDS && total.restarts > SEEDS, 'brokers died and came back')
  t.ok(total.failedCommits > 0, 'and disks failed')
  t.comment(JSON.stringify(total))
})

// What long runs found: 11923, a refusal nobody heard lets a resend come behind a newer message; 6901, a world was
// judged while a client still sat on a dead connection; 48457, one slow commit outlasted the judge's patience with the
// broker: faults of the judges. 10541, 17347, 47538: an hour of the ledger opened again after a crash.
t.test('seeds that once failed', async (t) => {
  for (const seed of [6901, 10541, 11923, 17347, 47538, 48457]) {
    t.same(runSeed({ seed, hours: 0.03 }).violations, [], `seed ${seed}`)
  }
})

t.test('the same seed is the same world, whatever ran before it', async (t) => {
  const forward = [11, 12, 13].map((seed) => runSeed({ seed }).hash)
  const backward = [13, 12, 11].map((seed) => runSeed({ seed }).hash)
  t.same(backward.reverse(), forward)
  t.equal(new Set(forward).size, 3, 'and another seed is another world')
})

t.test('a told world is the same one, line for line', async (t) => {
  const first = runSeed({ seed: 14 }, true)
  t.equal(first.hash, runSeed({ seed: 14 }).hash, 'telling changes nothing')
  t.same(first.lines, runSeed({ seed: 14 }, true).lines)
})

t.test('a disk that reports what is not there is found out, and the trace is small', async (t) => {
  const liars = [1, 2, 3, 4, 5, 6].map((seed) => ({ seed, diskLies: 0.5 }))
  const failing = liars.find((choice) => runSeed(choice).violations.length > 0)
  if (failing === undefined) return t.fail('nobody noticed')
  const found = runSeed(failing)
  const { checker } = found.violations[0] as { checker: string }
  const smallest = shrink(failing, checker)
  const complaint = smallest.result.violations.find((violation) => violation.checker === checker)
  t.not(complaint, undefined, 'the smallest world fails in the same way')
  t.ok(smallest.without.length > 5, `without ${smallest.without.join()}`)
  const lines = relevantLines(smallest.result.lines ?? [], complaint?.sentence ?? '')
  t.ok(lines.length > 0 && lines.length <= 120, 'what is printed can be read')
  t.match(commandFor(failing.seed, smallest), /^npm run sim -- --seeds 1 --seed \d+ --without [\w,-]+ --until \d+$/)
})
