/** CPU time, memory and write calls of another process, from /proc. */
import { readdirSync, readFileSync } from 'node:fs'
import type { Usage } from './scenario.js'

/** Of the threads that live; brokers start theirs once. */
function cpuNanoseconds(pid: number): number {
  let total = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      total += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0])
    } catch {
      // It ended while we read the others.
    }
  }
  return total
}

function field(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
}

export function cpuSecOf(pid: number): number {
  return cpuNanoseconds(pid) / 1e9
}

export function writesOf(pid: number): number {
  return field(readFileSync(`/proc/${pid}/io`, 'latin1'), 'syscw')
}

/** Of all cores and processes, and what the machine's own host took away. Counted in hundredths of a second. */
export function machineBusySec(): number {
  const ticks = readFileSync('/proc/stat', 'latin1').split('\n', 1)[0]?.trim().split(/\s+/).slice(1).map(Number) ?? []
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, steal = 0] = ticks
  return (user + nice + system + irq + softIrq + steal) / 100
}

export function usageOf(pid: number): Usage {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  return {
    cpuSec: cpuSecOf(pid),
    rssBytes: field(status, 'VmRSS') * 1_024,
    anonBytes: field(status, 'RssAnon') * 1_024,
    writes: writesOf(pid),
  }
}
