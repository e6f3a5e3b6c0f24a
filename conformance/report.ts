/**
 * From results of cases to results of statements. Over one transport, a statement has failed when one of its cases has,
 * passed when one has passed and none has failed, and is vacuous when none of its cases found anything to test.
 * Over several it has failed when it fails over one of them, and has passed when it passes over each.
 */
import { ALL_CASES, type CaseResult, type Outcome, statementsOf } from './runner.js'
import { STATEMENTS, type Statement, versionName } from './statements.js'
import type { Version } from './wire/bytes.js'

interface StatementResult {
  readonly statement: Statement
  readonly outcome: Outcome | 'untested'
  readonly results: readonly CaseResult[]
}

interface Finding {
  readonly id: string
  readonly requires: string
  readonly cases: readonly string[]
}

export interface VersionSummary {
  readonly statements: number
  readonly wire: number
  readonly tested: number
  readonly passed: number
  readonly failed: readonly Finding[]
  readonly vacuous: readonly Finding[]
  /** What SHOULD be otherwise. */
  readonly remarks: readonly string[]
}

export interface VersionReport extends VersionSummary {
  /** The same for each alone, where there are several: `mqtt` is TCP, `mqtts` TLS, `ws` and `wss` WebSocket. */
  readonly transports?: Readonly<Record<string, VersionSummary>>
}

const transportOf = ({ url }: CaseResult): string => url.protocol.replace(':', '')
const transportsOf = (all: readonly CaseResult[]): string[] => [...new Set(all.map(transportOf))].sort()

/** Wire statements without a case, and cases that name a statement that is none: both are mistakes of the suite. */
export function tableProblems(): string[] {
  const problems: string[] = []
  for (const version of [5, 4] as const) {
    const known = new Map(STATEMENTS[version].map((statement) => [statement.id, statement]))
    const covered = new Set<string>()
    for (const each of ALL_CASES) {
      for (const id of statementsOf(each, version)) {
        covered.add(id)
        if (known.get(id)?.testable !== 'wire') {
          problems.push(`${each.id} names ${id}, which is no wire statement of ${versionName(version)}`)
        }
      }
    }
    for (const { id, testable } of known.values()) {
      if (testable === 'wire' && !covered.has(id)) problems.push(`${versionName(version)} ${id} has no case`)
    }
  }
  return problems
}

function judge(version: Version, all: readonly CaseResult[]): StatementResult[] {
  const byStatement = new Map<string, CaseResult[]>()
  for (const result of all) {
    if (result.version !== version) continue
    for (const id of statementsOf(result.case, version)) {
      byStatement.set(id, [...(byStatement.get(id) ?? []), result])
    }
  }
  return STATEMENTS[version].map((statement) => {
    const results = byStatement.get(statement.id) ?? []
    const each = transportsOf(results).map((name) => outcomeOf(results.filter((one) => transportOf(one) === name)))
    const worst = (['failed', 'vacuous', 'passed'] as const).find((outcome) => each.includes(outcome))
    return { statement, outcome: worst ?? 'untested', results }
  })
}

/** Of the results over one transport. */
function outcomeOf(results: readonly CaseResult[]): Outcome {
  const has = (outcome: Outcome) => results.some((result) => result.outcome === outcome)
  return has('failed') ? 'failed' : has('passed') ? 'passed' : 'vacuous'
}

export function summary(version: Version, all: readonly CaseResult[]): VersionSummary {
  const judged = judge(version, all)
  const of = (outcome: string) => judged.filter((each) => each.outcome === outcome)
  const findings = (outcome: Outcome): Finding[] =>
    of(outcome).map(({ statement, results }) => ({
      id: statement.id,
      requires: statement.requires,
      cases: results
        .filter((result) => result.outcome === outcome)
        .map((result) => `${result.case.id} (${transportOf(result)}): ${result.reason}`),
    }))
  return {
    statements: judged.length,
    wire: judged.filter(({ statement }) => statement.testable === 'wire').length,
    tested: of('passed').length + of('failed').length,
    passed: of('passed').length,
    failed: findings('failed'),
    vacuous: findings('vacuous'),
    remarks: all
      .filter((result) => result.version === version)
      .flatMap((result) => result.remarks.map((remark) => `${result.case.id} (${transportOf(result)}): ${remark}`)),
  }
}

export function summaries(versions: readonly Version[], all: readonly CaseResult[]): Record<string, VersionReport> {
  return Object.fromEntries(versions.map((version) => [versionName(version), report(version, all)]))
}

function report(version: Version, all: readonly CaseResult[]): VersionReport {
  const byTransport = perTransport(version, all)
  return byTransport.length < 2
    ? summary(version, all)
    : { ...summary(version, all), transports: Object.fromEntries(byTransport) }
}

function perTransport(version: Version, all: readonly CaseResult[]): [string, VersionSummary][] {
  return transportsOf(all).map((name) => [
    name,
    summary(
      version,
      all.filter((result) => transportOf(result) === name),
    ),
  ])
}

/** For people: what failed, what had nothing to test, and a line of counts. */
export function text(versions: readonly Version[], all: readonly CaseResult[]): string {
  const lines: string[] = []
  for (const version of versions) {
    const total = summary(version, all)
    const { failed, vacuous, remarks } = total
    const name = `MQTT ${versionName(version)}`
    for (const { id, requires, cases } of failed) lines.push(`FAILED  ${name} ${id}: ${requires}`, ...cases.map(indent))
    for (const { id, cases } of vacuous) lines.push(`vacuous ${name} ${id}`, ...cases.map(indent))
    for (const remark of remarks) lines.push(`remark  ${name} ${remark}`)
    const byTransport = perTransport(version, all)
    if (byTransport.length > 1)
      lines.push(...byTransport.map(([over, each]) => `${name} over ${over}: ${counts(each)}`))
    lines.push(`${name}: ${counts(total)}`)
  }
  return lines.join('\n')
}

function counts({ statements, wire, tested, passed, failed, vacuous }: VersionSummary): string {
  const outcome = `${passed} passed, ${failed.length} failed; ${vacuous.length} vacuous`
  return `${statements} statements, ${wire} on the wire, ${tested} tested: ${outcome}`
}

const indent = (line: string) => `        ${line}`
const MARKS = { passed: 'passed', failed: '**failed**', vacuous: 'vacuous', untested: '' } as const

/** The table that is checked in as `statements.md`. */
export function statementsPage(versions: readonly Version[], all: readonly CaseResult[]): string {
  const transports = transportsOf(all).join(' and ')
  const lines = [
    '# Conformance: every normative statement, its cases, and how they ended',
    '',
    `Generated by \`npm run conformance -- … --statements conformance/statements.md\`; last run over ${transports}.`,
    'The sentences are ours, the numbers those of the standards; a number means something else in the other version.',
    'Vacuous: the broker, as configured for the run, gives nothing to test. Cases are in `conformance/cases/`;',
    '`every-packet` cases look at each packet of the whole run (`conformance/audit.ts`).',
  ]
  for (const version of versions) {
    const judged = judge(version, all)
    const { statements, wire, passed, failed, vacuous } = summary(version, all)
    lines.push('', `## MQTT ${versionName(version)}`, '')
    lines.push(`${statements} statements, ${wire} of them can be seen on the wire: ${passed} passed,`)
    lines.push(`${failed.length} failed, ${vacuous.length} vacuous.`, '')
    lines.push('| Statement | Requires | Cases | Result |', '| --- | --- | --- | --- |')
    for (const { statement, outcome, results } of judged) {
      const { id, level, requires, testable } = statement
      const cases = [...new Set(results.map((result) => result.case.id))].join(' ')
      const wireResult = [MARKS[outcome], ...new Set(results.filter(isVacuousIn(outcome)).map((each) => each.reason))]
      const result = testable === 'wire' ? wireResult.join(': ') : `not on the wire: ${statement.reason}`
      lines.push(`| ${id} (${level}) | ${cell(requires)} | ${cases} | ${cell(result)} |`)
    }
  }
  lines.push('', '## Cases', '', '| Case | What is to be seen |', '| --- | --- |')
  for (const { id, title } of ALL_CASES) lines.push(`| ${id} | ${cell(title)} |`)
  return `${lines.join('\n')}\n`
}

const isVacuousIn = (outcome: string) => (result: CaseResult) => outcome === 'vacuous' && result.outcome === outcome
const cell = (words: string) => words.replaceAll('|', '\\|').replaceAll('\n', ' ')
