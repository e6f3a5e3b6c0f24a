/**
 * The generator as a process: takes a LoadTask as its only argument, prints a LoadAnswer. It reads the broker's CPU,
 * too, so that all counters are taken at the same two moments.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { Histogram } from '../histogram.js'
import type { LoadAnswer, LoadTask } from '../load.js'
import { cpuSecOf, machineBusySec, usageOf, writesOf } from '../process-usage.js'
import { LoadRun } from './load-run.js'

const LOOK_MS = 50
/** No delivery and no acknowledgement for so long: something is lost. */
const STALLED_MS = 3_000

interface Reading {
  readonly atNs: bigint
  readonly received: number
  readonly published: number
  readonly frames: number
  readonly brokerCpuSec: number
  readonly brokerWrites: number
  readonly ownCpuSec: number
  readonly busySec: number
}

function read(run: LoadRun, { brokerPid }: LoadTask): Reading {
  return {
    atNs: process.hrtime.bigint(),
    received: run.received,
    published: run.published,
    frames: run.frames,
    brokerCpuSec: cpuSecOf(brokerPid),
    brokerWrites: writesOf(brokerPid),
    ownCpuSec: cpuSecOf(process.pid),
    busySec: machineBusySec(),
  }
}

/** @returns false when nothing moves any more, or the broker has hung up. */
async function watch(run: LoadRun, seconds: number, isDone: () => boolean = () => false): Promise<boolean> {
  const until = Date.now() + seconds * 1_000
  let seen = -1
  let movedAt = Date.now()
  while (Date.now() < until && !isDone()) {
    if (run.broken !== null) return false
    const progress = run.received + run.acknowledged
    if (progress !== seen) movedAt = Date.now()
    else if (Date.now() - movedAt > STALLED_MS) return false
    seen = progress
    await wait(Math.min(LOOK_MS, Math.max(0, until - Date.now())))
  }
  return true
}

function flawsOf(run: LoadRun, isAlive: boolean): string[] {
  const sum = (of: (one: LoadRun['subscribers'][number]) => number) =>
    run.subscribers.reduce((all, one) => all + of(one), 0)
  const counts = {
    missing: sum(({ check }) => check.missing((publisher) => run.publishers[publisher]?.sent ?? 0)),
    duplicated: sum(({ check }) => check.duplicated),
    'out of order': sum(({ check }) => check.outOfOrder),
    'from a stranger': sum(({ check }) => check.astray),
  }
  const told = Object.entries(counts).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what}`]))
  if (run.broken !== null) told.push(run.broken)
  else if (!isAlive) told.push(`nothing moved for ${STALLED_MS} ms`)
  return told
}

function latencyValues(prefix: string, histogram: Histogram | null): Record<string, number> {
  if (histogram === null || histogram.count === 0) return {}
  const ms = (share: number) => histogram.percentileMicros(share) / 1_000
  const name = (text: string) => (prefix === '' ? text : `${prefix}${text[0]?.toUpperCase()}${text.slice(1)}`)
  return {
    [name('p50Ms')]: ms(0.5),
    [name('p99Ms')]: ms(0.99),
    [name('p999Ms')]: ms(0.999),
    [name('maxMs')]: histogram.maxMicros / 1_000,
  }
}

function isLate(latency: Histogram, lateness: Histogram): boolean {
  if (latency.count === 0 || lateness.count === 0) return false
  return lateness.percentileMicros(0.99) * 2 >= latency.percentileMicros(0.99)
}

function answer(run: LoadRun, task: LoadTask, from: Reading, to: Reading, flaws: string[]): LoadAnswer {
  const seconds = Number(to.atNs - from.atNs) / 1e9
  const deliveries = to.received - from.received
  const brokerCpu = (to.brokerCpuSec - from.brokerCpuSec) / seconds
  const generatorCpu = (to.ownCpuSec - from.ownCpuSec) / seconds
  const per = (name: string, count: number) => (count === 0 ? {} : { [name]: deliveries / count })
  const all = {
    ...latencyValues('', run.latency),
    ...latencyValues('ack', run.ackLatency),
    ...(run.lateness.count === 0 ? {} : { sentLateP99Ms: run.lateness.percentileMicros(0.99) / 1_000 }),
    deliveriesPerSec: deliveries / seconds,
    publishesPerSec: (to.published - from.published) / seconds,
    brokerMicrosPerDelivery: (brokerCpu * seconds * 1e6) / deliveries,
    brokerCpu,
    generatorCpu,
    othersCpu: Math.max(0, (to.busySec - from.busySec) / seconds - brokerCpu - generatorCpu),
    ...per('deliveriesPerWrite', to.brokerWrites - from.brokerWrites),
    ...per('deliveriesPerFrame', to.frames - from.frames),
    rssMiB: usageOf(task.brokerPid).rssBytes / 1_048_576,
  }
  // Where nothing came, or in no time, there is no figure.
  const values = Object.fromEntries(Object.entries(all).filter(([, value]) => Number.isFinite(value)))
  const isGeneratorBound = run.latency === null ? generatorCpu >= brokerCpu : isLate(run.latency, run.lateness)
  return { values, flaws, isGeneratorBound, ...(run.latency === null ? {} : { curve: run.latency.curve() }) }
}

async function main(): Promise<LoadAnswer> {
  const task = JSON.parse(process.argv[2] ?? '') as LoadTask
  const run = new LoadRun(task)
  await run.open()
  run.start()
  let isAlive = await watch(run, task.warmupSec)
  const from = read(run, task)
  run.record()
  isAlive = isAlive && (await watch(run, task.seconds))
  const to = read(run, task)
  run.stop()
  isAlive = isAlive && (await watch(run, 30, () => run.isDrained))
  // What comes twice comes late.
  await wait(LOOK_MS)
  return answer(run, task, from, to, flawsOf(run, isAlive))
}

process.stdout.write(`${JSON.stringify(await main())}\n`, () => process.exit(0))
