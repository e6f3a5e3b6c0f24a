/**
 * `tallymq demo`: what the broker is for, on this machine, in under a minute. Many devices publish, a biller and a
 * dashboard listen, and the broker is killed with SIGKILL in between. At the end the consumers' books are compared with
 * what was acknowledged to the devices. The exit code is 0 only if nothing is lost and nothing billed twice.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '../client/index.js'
import { wholeNumber } from './client-flags.js'
import { newCommand, parseFlags } from './command-line.js'
import { type Console, fired } from './console.js'
import type { Balance } from './demo/books.js'
import { BrokerProcess } from './demo/broker-process.js'
import { Consumers } from './demo/consumers.js'
import { Fleet } from './demo/fleet.js'
import { CommandError, ExitCode } from './exit-codes.js'

interface DemoFlags {
  readonly devices: number
  readonly messages: number
  readonly kills: number
  readonly json?: true
}

interface Stage {
  readonly flags: DemoFlags
  readonly console: Console
  readonly broker: BrokerProcess
  readonly fleet: Fleet
  readonly consumers: Consumers
  readonly total: number
  kills: number
}

export interface DemoResult {
  readonly ok: boolean
  readonly seconds: number
  readonly devices: number
  readonly kills: number
  /** QoS 2 to a persistent session at QoS 2: exactly once. */
  readonly billing: Balance
  /** QoS 1 to a persistent session at QoS 1: at least once. */
  readonly readings: Balance
  /** The same usage seen at QoS 0: at most once, what passes while the broker is down is missed. */
  readonly dashboard: Balance
}

const POLL_MS = 20
/** Nothing new for so long: what is still missing will not come. */
const QUIET_MS = 10_000

export async function demo(args: readonly string[], console: Console): Promise<ExitCode> {
  const command = newCommand('demo', 'Kill a broker under load and count what was lost or came twice.', console)
    .option('--devices <count>', 'simulated devices', wholeNumber(1, 5_000), 200)
    .option('--messages <count>', 'messages of all devices together', wholeNumber(2, 10_000_000), 20_000)
    .option('--kills <count>', 'how often the broker is killed', wholeNumber(0, 100), 3)
    .option('--json', 'print the result as one JSON object')
  const flags = parseFlags<DemoFlags>(command, args)
  if (flags === undefined) return ExitCode.OK
  const directory = await mkdtemp(join(tmpdir(), 'tallymq-demo-'))
  const broker = new BrokerProcess(directory)
  try {
    const result = await runDemo(flags, console, broker)
    console.write(flags.json ? `${JSON.stringify(result)}\n` : report(result))
    return result.ok ? ExitCode.OK : ExitCode.FAILED
  } finally {
    await broker.stop()
    await rm(directory, { recursive: true, force: true })
  }
}

async function runDemo(flags: DemoFlags, console: Console, broker: BrokerProcess): Promise<DemoResult> {
  const startedMs = console.now().getTime()
  const messagesPerDevice = Math.max(2, Math.round(flags.messages / flags.devices / 2) * 2)
  await broker.start()
  const brokerEnded = new Promise<never>((_resolve, reject) => {
    broker.onUnexpectedEnd = (how) => reject(new CommandError(ExitCode.FAILED, `the broker ended by itself: ${how}`))
  })
  const fleet = new Fleet({ url: broker.url, devices: flags.devices, messagesPerDevice })
  const consumers = new Consumers(flags.devices)
  const total = flags.devices * messagesPerDevice
  const stage: Stage = { flags, console, broker, fleet, consumers, total, kills: 0 }
  const interrupted = fired(console.interrupted).then(() => {
    throw new CommandError(ExitCode.FAILED, 'interrupted')
  })
  await Promise.race([play(stage), interrupted, brokerEnded])
  const seconds = (console.now().getTime() - startedMs) / 1_000
  return balance(stage, seconds)
}

async function play(stage: Stage): Promise<void> {
  const { console, broker, fleet, consumers } = stage
  const onError = (message: string) => console.log(`tallymq: ${message}`)
  await consumers.connect(connect, broker.url, onError)
  await fleet.connect(connect, onError)
  let isPublishing = true
  const publishing = fleet.run().finally(() => {
    isPublishing = false
  })
  const watching = watch(stage, () => isPublishing)
  await Promise.all([publishing, watching])
  await settle(stage)
  await Promise.all([fleet.close(), consumers.close()])
}

/** Shows how far it is, and kills the broker each time another share of the messages is through. */
async function watch(stage: Stage, isPublishing: () => boolean): Promise<void> {
  const { flags, console, broker, fleet, total } = stage
  const show = progress(stage)
  while (isPublishing() && !console.interrupted.aborted) {
    show('publishing')
    if (stage.kills < flags.kills && fleet.acknowledged >= (total * (stage.kills + 1)) / (flags.kills + 1)) {
      stage.kills += 1
      await broker.kill()
      show(`killed the broker with SIGKILL (${stage.kills} of ${flags.kills}), starting it again`, true)
      await broker.start()
    }
    await console.after(POLL_MS, console.interrupted)
  }
}

/** Waits for deliveries until the books hold everything, or nothing has come for a while. */
async function settle(stage: Stage): Promise<void> {
  const { console, consumers, total } = stage
  const show = progress(stage)
  const seen = () => consumers.billing.delivered + consumers.dashboardReadings.delivered
  let quietMs = 0
  while (seen() < total && quietMs < QUIET_MS && !console.interrupted.aborted) {
    const before = seen()
    show('waiting for the last deliveries')
    await console.after(POLL_MS, console.interrupted)
    quietMs = seen() === before ? quietMs + POLL_MS : 0
  }
  show('done', true)
}

/** On a terminal one line that is redrawn, elsewhere a line now and then. */
function progress(stage: Stage): (what: string, isEvent?: boolean) => void {
  const { console, fleet, consumers, total } = stage
  const { errorIsTerminal } = console
  let shownMs = 0
  return (what, isEvent = false) => {
    const nowMs = console.now().getTime()
    if (!isEvent && nowMs - shownMs < (errorIsTerminal ? 100 : 2_000)) return
    shownMs = nowMs
    const counts = `${fleet.acknowledged} of ${total} acknowledged, ${consumers.billing.delivered} billed`
    const line = `${counts}: ${what}`
    if (errorIsTerminal && !isEvent) console.status(line)
    else console.log(line)
  }
}

function balance(stage: Stage, seconds: number): DemoResult {
  const { flags, fleet, consumers } = stage
  const billing = consumers.billing.balance(fleet.acknowledgedUsages)
  const readings = consumers.dashboardReadings.balance(fleet.acknowledgedReadings)
  const dashboard = consumers.dashboardUsages.balance(fleet.acknowledgedUsages)
  const ok = billing.lost === 0 && billing.duplicated === 0 && billing.outOfOrder === 0 && readings.lost === 0
  return { ok, seconds, devices: flags.devices, kills: stage.kills, billing, readings, dashboard }
}

function report(result: DemoResult): string {
  const row = (name: string, { published, delivered, lost, duplicated, outOfOrder }: Balance) =>
    name.padEnd(34) +
    [published, delivered, lost, duplicated, outOfOrder].map((count) => String(count).padStart(13)).join('')
  const head = ['published', 'delivered', 'lost', 'duplicated', 'out of order']
    .map((word) => word.padStart(13))
    .join('')
  return `${[
    `${result.devices} devices, ${result.kills} kills with SIGKILL, ${result.seconds.toFixed(1)} s`,
    ' '.repeat(34) + head,
    row('billing, QoS 2 (exactly once)', result.billing),
    row('readings, QoS 1 (at least once)', result.readings),
    row('dashboard, QoS 0 (at most once)', result.dashboard),
    result.ok
      ? 'Nothing lost, nothing billed twice.'
      : 'THIS IS WRONG: something was lost, billed twice or out of order.',
  ].join('\n')}\n`
}
