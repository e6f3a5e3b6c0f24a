/** Many seeds as one figure: what `--json` prints, and what the record of long runs keeps. */
import type { WorldResult } from './world.js'

export interface SimReport {
  readonly commit: string
  readonly seeds: number
  readonly firstSeed: number
  readonly virtualHours: number
  readonly realSeconds: number
  readonly virtualHoursPerRealSecond: number
  readonly seedsPerSecond: number
  readonly crashes: number
  readonly restarts: number
  readonly commits: number
  readonly failedCommits: number
  readonly messages: number
  readonly deliveries: number
  readonly violations: readonly { seed: number; checker: string; sentence: string }[]
}

/** Sums of whole worlds; the order in which they were run leaves no trace in it. */
export class Totals {
  readonly violations: { seed: number; checker: string; sentence: string }[] = []
  seeds = 0
  virtualMs = 0
  crashes = 0
  restarts = 0
  commits = 0
  failedCommits = 0
  messages = 0
  deliveries = 0

  add(result: Omit<WorldResult, 'lines'>): void {
    this.seeds += 1
    this.virtualMs += result.virtualMs
    this.crashes += result.crashes
    this.restarts += result.restarts
    this.commits += result.commits
    this.failedCommits += result.failedCommits
    this.messages += result.messages
    this.deliveries += result.deliveries
    for (const { checker, sentence } of result.violations) {
      this.violations.push({ seed: result.seed, checker, sentence })
    }
  }

  report(commit: string, firstSeed: number, realSeconds: number): SimReport {
    const virtualHours = rounded(this.virtualMs / 3_600_000, 2)
    const { seeds, crashes, restarts, commits, failedCommits, messages, deliveries } = this
    return {
      commit,
      seeds,
      firstSeed,
      virtualHours,
      realSeconds: rounded(realSeconds, 1),
      virtualHoursPerRealSecond: rounded(virtualHours / realSeconds, 2),
      seedsPerSecond: rounded(seeds / realSeconds, 1),
      crashes,
      restarts,
      commits,
      failedCommits,
      messages,
      deliveries,
      violations: [...this.violations].sort((a, b) => a.seed - b.seed),
    }
  }
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}

/** One line of the table in RESULTS.md. */
export function recordLine(report: SimReport, day: string): string {
  const cells = [
    day,
    `\`${report.commit}\``,
    `${report.firstSeed}..${report.firstSeed + report.seeds - 1}`,
    report.seeds,
    report.virtualHours,
    report.realSeconds,
    report.virtualHoursPerRealSecond,
    report.crashes,
    report.commits,
    report.messages,
    report.deliveries,
    report.violations.length,
  ]
  return `| ${cells.join(' | ')} |`
}
