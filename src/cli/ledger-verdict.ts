/** What `ledger verify` prints for people: the figures when all is well, else every problem and what it means. */
import { type DirectoryReport, PROBLEM_KINDS, type Problem, type ProblemKind } from '../index.js'

export function verdictText(report: DirectoryReport): string {
  const lines = report.problems.length === 0 ? [`${report.directory} is whole.`] : problemLines(report)
  return `${[...lines, ...figures(report)].join('\n')}\n`
}

function problemLines(report: DirectoryReport): string[] {
  const { problems, problemsLeftOut, directory } = report
  const count = problems.length + problemsLeftOut
  const lines = [`${directory} is not whole: ${count === 1 ? 'one problem' : `${count} problems`}.`, '']
  for (const problem of problems) lines.push(`${problem.kind}  ${placeOf(problem)}`, `  ${problem.sentence}`)
  if (problemsLeftOut > 0) lines.push(`… and ${problemsLeftOut} more`)
  lines.push('')
  for (const kind of new Set(problems.map((problem) => problem.kind))) lines.push(meaningOf(kind))
  return lines
}

function placeOf({ table, key, record, page }: Problem): string {
  const parts: string[] = []
  if (table !== null) parts.push(`table ${table}`)
  if (record !== null) parts.push(`journal record ${record}`)
  if (page !== null) parts.push(`page ${page}`)
  if (key !== null) parts.push(`row 0x${key}`)
  return parts.length === 0 ? 'the whole directory' : parts.join(', ')
}

function meaningOf(kind: ProblemKind): string {
  return `${kind}: ${PROBLEM_KINDS[kind]}.\n`
}

function figures(report: DirectoryReport): string[] {
  const { rows, pages, state, oldestRecord, newestRecord, incarnation, isCopy } = report
  const journal = newestRecord === 0 ? 'empty' : `records ${oldestRecord} to ${newestRecord}`
  const counts = Object.entries(rows).map(([table, count]) => `${table} ${count}`)
  const lines = [
    `  incarnation  ${incarnation}${isCopy ? ', and a new one when a broker starts on this copy' : ''}`,
    `  journal      ${journal}`,
  ]
  if (counts.length > 0) lines.push(`  rows         ${counts.join(' · ')}`)
  if (pages.all > 0) lines.push(`  pages        ${pages.all}: ${pages.used} used, ${pages.free} free`)
  if (state === null) return lines
  const { sessions, copies, messages, retained, producers } = state
  lines.push(`  a broker     would start with ${sessions} sessions, ${copies} copies of ${messages} messages waiting, `)
  lines[lines.length - 1] += `${retained} retained, ${producers} producers`
  return lines
}
