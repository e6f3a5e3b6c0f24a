/**
 * `npm run crash-images`: power cuts at every point of what the real store writes. Exit code 0: every image was whole;
 * 1: one was not, or the battery could not run; 64: wrong arguments.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { type ImageFailure, runBattery } from './battery.js'

const USAGE = `Usage: npm run crash-images -- [options]

  --images <n>    go on with further seeds until so many images were looked at; default 2000
  --seed <n>      the first seed; default 1
  --steps <n>     steps of the world that writes; default 600
  --points <n>    points per seed, evenly spread; 0: every one; default 0
  --judges <n>    processes that look at images; default 2
  --durability os the store does not flush: its images must fail, which shows that the judges look
  --json          one object: {images, points, commits, seeds, seconds, failures: [{seed, at, variant, sentence}]}
`

const programs = new URL('.', import.meta.url).pathname.replace(/\/$/, '')
const tracerSource = `${process.cwd()}/test/crash-images/trace-writes.c`

function read() {
  try {
    const text = (value: string) => ({ type: 'string', default: value }) as const
    const { values } = parseArgs({
      options: {
        images: text('2000'),
        seed: text('1'),
        steps: text('600'),
        points: text('0'),
        judges: text('2'),
        durability: text('flush'),
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    const { images, seed, steps, points, judges } = values
    const numbers = { images, seed, steps, points, judges }
    const sound = Object.values(numbers).every((value) => /^\d{1,9}$/.test(value))
    return values.help || !sound || Number(judges) < 1 ? null : { ...values, numbers }
  } catch {
    return null
  }
}

async function run(): Promise<number> {
  const asked = read()
  if (asked === null) {
    process.stderr.write(USAGE)
    return 64
  }
  const imagesMin = Number(asked.images)
  const memory = '/dev/shm'
  const base = statSync(memory, { throwIfNoEntry: false })?.isDirectory() ? memory : tmpdir()
  const total = { images: 0, points: 0, commits: 0, seeds: 0 }
  const failures: ImageFailure[] = []
  const begunAtMs = performance.now()
  // Two at the least: one of each kind.
  for (let seed = Number(asked.seed); total.images < imagesMin || total.seeds < 2; seed += 1) {
    const scratch = mkdtempSync(`${base}/crash-images-`)
    try {
      const result = await runBattery({
        seed,
        steps: Number(asked.steps),
        pointsMax: Number(asked.points),
        judges: Number(asked.judges),
        durability: asked.durability === 'os' ? 'os' : 'flush',
        scratch,
        programs,
        tracerSource,
      })
      total.images += result.images
      total.points += result.points
      total.commits += result.commits
      total.seeds += 1
      failures.push(...result.failures)
    } finally {
      rmSync(scratch, { recursive: true, force: true })
    }
    const { images, points, commits } = total
    const said = `seed ${seed}: ${images} images of ${points} points in ${commits} commits, ${failures.length} failures`
    process.stderr.write(`${said}\n`)
  }
  const seconds = Math.round((performance.now() - begunAtMs) / 100) / 10
  for (const { seed, at, variant, sentence } of failures.slice(0, 20)) {
    process.stderr.write(`seed ${seed}, entry ${at}, ${variant}: ${sentence}\n`)
  }
  if (asked.json) process.stdout.write(`${JSON.stringify({ ...total, seconds, failures })}\n`)
  else process.stdout.write(`${total.images} crash images in ${seconds} s, ${failures.length} failures\n`)
  return failures.length === 0 ? 0 : 1
}

process.exitCode = await run()
