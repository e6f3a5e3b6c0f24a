/**
 * `npm run conformance:mutants`: does the suite see what is wrong? Each fault of `mutants/faults.json` is planted in a
 * copy of our broker and has to be caught by one of the cases that are named for it, in each of its versions.
 * Exit code 0: all were; 1: one was not, or the list no longer fits source and suite; 64: wrong arguments.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { type Judgement, judge, judgeOriginal, listProblems } from './mutants/judge.js'
import { type Fault, Workshop } from './mutants/workshop.js'

const USAGE = `Usage: npm run conformance:mutants -- [options] [text ...]

  text            only faults whose name or file contains one of these
  --jobs <n>      how many brokers with a fault at a time; default 3
  --json          one object: {faults: [{name, file, version, verdict, seen, missed, ms}], wrong: […], ms}
`

const ROOT = process.cwd()
const LIST = `${ROOT}/conformance/mutants/faults.json`

function read(): { texts: string[]; jobs: number; json: boolean } | null {
  const flag = { type: 'boolean', default: false } as const
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { jobs: { type: 'string', default: '3' }, json: flag, help: flag },
    })
    const jobs = Number(values.jobs)
    return values.help || !(jobs >= 1) ? null : { texts: positionals, jobs, json: values.json }
  } catch {
    return null
  }
}

/** @returns in the order of the list. */
async function judgeAll(workshop: Workshop, home: string, faults: readonly Fault[], jobs: number) {
  const judgements = new Map<Fault, Judgement>()
  const left = [...faults]
  const worker = async () => {
    for (let fault = left.shift(); fault !== undefined; fault = left.shift()) {
      judgements.set(fault, await judge(workshop, home, fault))
    }
  }
  await Promise.all(Array.from({ length: jobs }, worker))
  return faults.map((fault) => judgements.get(fault) as Judgement)
}

function lines({ name, file, version, verdict, seen, missed, ms }: Judgement): string {
  const rows = [`${verdict.padEnd(8)} ${name} (${file}, ${version}, ${(ms / 1_000).toFixed(1)} s)`]
  for (const text of seen) rows.push(`         ${text}`)
  if (missed.length > 0) rows.push(`         passed: ${missed.join(', ')}`)
  return `${rows.join('\n')}\n`
}

async function main(): Promise<number> {
  const options = read()
  if (options === null) {
    process.stderr.write(USAGE)
    return 64
  }
  const { texts } = options
  const all = JSON.parse(readFileSync(LIST, 'utf8')) as Fault[]
  const faults = all.filter(
    ({ name, file }) => texts.length === 0 || texts.some((text) => `${name} ${file}`.includes(text)),
  )
  const problems = listProblems(ROOT, all)
  if (faults.length === 0) problems.push(`no fault has ${texts.join(' or ')} in its name`)
  if (problems.length > 0) {
    process.stderr.write(`${problems.join('\n')}\n`)
    return 1
  }
  const since = performance.now()
  const directory = mkdtempSync(`${tmpdir()}/tallymq-mutants-`)
  try {
    const workshop = new Workshop(ROOT, directory)
    const home = await workshop.build()
    const wrong = await judgeOriginal(workshop, home, faults)
    const found = wrong.length > 0 ? [] : await judgeAll(workshop, home, faults, options.jobs)
    const ms = Math.round(performance.now() - since)
    const caught = found.filter(({ verdict }) => verdict === 'caught').length
    const total = `\n${caught} of ${faults.length} faults caught, ${Math.round(ms / 1_000)} s\n`
    const table = [...wrong.map((text) => `without a fault: ${text}\n`), ...found.map(lines), total]
    process.stdout.write(options.json ? `${JSON.stringify({ faults: found, wrong, ms })}\n` : table.join(''))
    return caught === faults.length ? 0 : 1
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

process.exitCode = await main()
