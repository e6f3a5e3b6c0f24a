/**
 * Runs every case on every URL and version, several at a time, and says how each ended. A case number is its chapter
 * and place: `connect-07`. Knows nothing about what a case does.
 */
import { randomBytes } from 'node:crypto'
import { Audit, PASSIVE_RULES } from './audit.js'
import { CHAPTERS } from './cases/index.js'
import { type Case, Context, type Options } from './context.js'
import { CaseFailure, Vacuous } from './outcome.js'
import type { Version } from './wire/bytes.js'

export type Outcome = 'passed' | 'failed' | 'vacuous'

export interface NumberedCase {
  readonly id: string
  readonly title: string
  readonly v5?: string
  readonly v311?: string
}

export interface CaseResult {
  readonly case: NumberedCase
  readonly version: Version
  readonly url: URL
  readonly outcome: Outcome
  /** Why it failed, or why there was nothing to test. */
  readonly reason: string
  readonly remarks: readonly string[]
  readonly ms: number
}

const AT_ONCE = 32
const CASE_MS_MAX = 45_000
const LONG_CASE_MS_MAX = 600_000
const number = (index: number) => String(index + 1).padStart(2, '0')

const ACTIVE: readonly (NumberedCase & Case)[] = Object.entries(CHAPTERS).flatMap(([chapter, cases]) =>
  cases.map((each, index) => ({ ...each, id: `${chapter}-${number(index)}` })),
)
const PASSIVE: readonly NumberedCase[] = PASSIVE_RULES.map((rule, index) => ({
  ...rule,
  id: `every-packet-${number(index)}`,
}))

export const ALL_CASES: readonly NumberedCase[] = [...ACTIVE, ...PASSIVE]

/** The ids of the statements a case is about. */
export function statementsOf(each: NumberedCase, version: Version): string[] {
  const list = version === 5 ? each.v5 : each.v311
  return list === undefined ? [] : list.split(' ').map((id) => `MQTT-${id}`)
}

export async function runAll(options: Options): Promise<CaseResult[]> {
  const run = randomBytes(4).toString('hex')
  const jobs: { isSlow: boolean; start: () => Promise<CaseResult> }[] = []
  const audits: { audit: Audit; url: URL; version: Version }[] = []
  let count = 0
  for (const url of options.urls) {
    for (const version of options.versions) {
      const audit = new Audit()
      audits.push({ audit, url, version })
      for (const each of ACTIVE) {
        if ((version === 5 ? each.v5 : each.v311) === undefined) continue
        if (each.isLong === true && !options.long) continue
        if (options.only !== undefined && !options.only.split(',').some((text) => each.id.includes(text))) continue
        count += 1
        const unique = `${run}${count.toString(36).padStart(3, '0')}`
        const context = new Context(options, url, version, audit, each.id, unique)
        jobs.push({ isSlow: each.isSlow === true, start: () => runCase(each, context) })
      }
    }
  }
  // Who waits longest starts first.
  jobs.sort((a, b) => Number(b.isSlow) - Number(a.isSlow))
  const results: CaseResult[] = []
  const worker = async () => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) results.push(await job.start())
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  for (const { audit, url, version } of audits) results.push(...passiveResults(audit, url, version))
  // In the order of the cases, not of their ends.
  const place = new Map(ALL_CASES.map((each, index) => [each.id, index]))
  const rank = (result: CaseResult) => place.get(result.case.id) ?? 0
  const urlRank = (result: CaseResult) => options.urls.indexOf(result.url)
  return results.sort((a, b) => rank(a) - rank(b) || b.version - a.version || urlRank(a) - urlRank(b))
}

async function runCase(each: NumberedCase & Case, context: Context): Promise<CaseResult> {
  const { url, version } = context
  const since = performance.now()
  let outcome: Outcome = 'passed'
  let reason = ''
  let timer: NodeJS.Timeout | undefined
  try {
    const late = new Promise((_, reject) => {
      const limit = each.isLong === true ? LONG_CASE_MS_MAX : CASE_MS_MAX
      timer = setTimeout(() => reject(new CaseFailure(`not done after ${limit} ms`)), limit)
    })
    await Promise.race([each.run(context), late])
  } catch (error) {
    outcome = error instanceof Vacuous ? 'vacuous' : 'failed'
    reason = (error as Error).message
  } finally {
    clearTimeout(timer)
  }
  const ms = Math.round(performance.now() - since)
  await context.end()
  return { case: each, version, url, outcome, reason, remarks: context.remarks, ms }
}

function passiveResults(audit: Audit, url: URL, version: Version): CaseResult[] {
  return PASSIVE.flatMap((each, index) => {
    if ((version === 5 ? each.v5 : each.v311) === undefined) return []
    const violations = audit.violations[index] as string[]
    const isSeen = (audit.observed[index] as number) > 0
    const outcome = violations.length > 0 ? 'failed' : isSeen ? 'passed' : 'vacuous'
    const reason = outcome === 'vacuous' ? 'no such packet came' : violations.slice(0, 3).join(' | ')
    return [{ case: each, version, url, outcome, reason, remarks: [], ms: 0 }]
  })
}
