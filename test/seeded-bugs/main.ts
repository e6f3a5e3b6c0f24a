/**
 * `npm run seeded-bugs`: does the battery see what is wrong? Each bug of `bugs.json` is planted in a build of the
 * broker and has to be caught; the same battery must find nothing in the broker as it is. Exit code 0: all were caught;
 * 1: one was not, or the list no longer fits the source; 64: wrong arguments.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Battery, type Effort, PARTS, type Part } from './battery.js'
import { faultySource, type SeededBug } from './plant.js'

const USAGE = `Usage: npm run seeded-bugs -- [options] [text ...]

  text            only bugs whose name or file contains one of these
  --parts <list>  only these parts, by commas: crash-fuzz, simulation, crash-images, rules
  --every-part    run every part for each bug, not only until one catches it
  --pick <n>      only so many bugs, chosen by --seed
  --seed <n>      default 1
  --json          one object: {bugs: [{name, rule, file, caughtBy: [{part, sentence}]}], survived: […], seconds}
`

const ROOT = process.cwd()
const LIST = `${ROOT}/test/seeded-bugs/bugs.json`
const EFFORT: Effort = { fuzzSeeds: 120, simulationSeeds: 150, imagePoints: 400 }

interface Judgement {
  readonly name: string
  readonly rule: string
  readonly file: string
  readonly caughtBy: readonly { readonly part: Part; readonly sentence: string }[]
}

function read() {
  const flag = { type: 'boolean', default: false } as const
  const text = (value: string) => ({ type: 'string', default: value }) as const
  try {
    const options = {
      parts: text(PARTS.join()),
      'every-part': flag,
      pick: text('0'),
      seed: text('1'),
      json: flag,
      help: flag,
    }
    const { values, positionals } = parseArgs({ allowPositionals: true, options })
    const isSound = [values.pick, values.seed].every((value) => /^\d{1,9}$/.test(value))
    const parts = PARTS.filter((part) => values.parts.split(',').includes(part))
    const areKnown = parts.length === values.parts.split(',').length
    return values.help || !isSound || !areKnown ? null : { ...values, parts, texts: positionals }
  } catch {
    return null
  }
}

/** The same ones for the same seed; spread over the list. */
function picked(bugs: readonly SeededBug[], count: number, seed: number): readonly SeededBug[] {
  if (count === 0 || count >= bugs.length) return bugs
  const step = bugs.length / count
  return Array.from({ length: count }, (_, index) => bugs[Math.floor(index * step + seed) % bugs.length] as SeededBug)
}

async function judge(
  battery: Battery,
  bug: SeededBug | null,
  parts: readonly Part[],
  everyPart: boolean,
): Promise<Judgement['caughtBy']> {
  const caughtBy: { part: Part; sentence: string }[] = []
  for (const part of parts) {
    const sentence = await battery.run(part, bug)
    if (sentence !== null) caughtBy.push({ part, sentence })
    if (caughtBy.length > 0 && !everyPart) break
  }
  return caughtBy
}

function report(judgements: readonly Judgement[]): void {
  process.stdout.write('\n| bug | rule | caught by |\n| --- | --- | --- |\n')
  for (const { name, rule, caughtBy } of judgements) {
    const parts = caughtBy.map(({ part }) => part).join(', ')
    process.stdout.write(`| ${name} | ${rule} | ${parts === '' ? '**nothing**' : parts} |\n`)
  }
}

async function run(): Promise<number> {
  const asked = read()
  if (asked === null) {
    process.stderr.write(USAGE)
    return 64
  }
  const all = JSON.parse(readFileSync(LIST, 'utf8')) as SeededBug[]
  for (const bug of all) faultySource(ROOT, bug)
  const { texts } = asked
  const wanted = all.filter(
    ({ name, file }) => texts.length === 0 || texts.some((each) => `${name} ${file}`.includes(each)),
  )
  const bugs = picked(wanted, Number(asked.pick), Number(asked.seed))
  mkdirSync(`${ROOT}/dist`, { recursive: true })
  const directory = mkdtempSync(`${ROOT}/dist/seeded-bugs-`)
  const begunAtMs = performance.now()
  const judgements: Judgement[] = []
  try {
    const healthy = await judge(new Battery(ROOT, `${directory}/healthy`, EFFORT), null, asked.parts, true)
    for (const { part, sentence } of healthy) process.stderr.write(`without a bug, ${part} finds: ${sentence}\n`)
    if (healthy.length > 0) return 1
    for (const [index, bug] of bugs.entries()) {
      const battery = new Battery(ROOT, `${directory}/${index}`, EFFORT)
      const caughtBy = await judge(battery, bug, asked.parts, asked['every-part'])
      const { name, rule, file } = bug
      judgements.push({ name, rule, file, caughtBy })
      const how = caughtBy.map(({ part, sentence }) => `${part}: ${sentence}`).join(' · ')
      process.stderr.write(`${index + 1}/${bugs.length} ${name}: ${how === '' ? 'NOT CAUGHT' : how}\n`)
      rmSync(`${directory}/${index}`, { recursive: true, force: true })
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  const survived = judgements.filter(({ caughtBy }) => caughtBy.length === 0).map(({ name }) => name)
  const seconds = Math.round((performance.now() - begunAtMs) / 1_000)
  if (asked.json) process.stdout.write(`${JSON.stringify({ bugs: judgements, survived, seconds })}\n`)
  else report(judgements)
  process.stderr.write(`${judgements.length - survived.length} of ${judgements.length} caught in ${seconds} s\n`)
  return survived.length === 0 ? 0 : 1
}

process.exitCode = await run()
