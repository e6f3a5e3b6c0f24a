/** `tallymq ledger`: what the books of a data directory say, without its broker. Nothing is written there. */
import {
  LEDGER_COLUMNS,
  type LedgerFilter,
  type LedgerRow,
  ledgerCells,
  ledgerRowsIn,
  StoreError,
  verifyDirectory,
} from '../index.js'
import { newCommand, parseFlags } from './command-line.js'
import type { Console } from './console.js'
import { CommandError, ExitCode } from './exit-codes.js'
import { AccountSums } from './ledger-sums.js'
import { verdictText } from './ledger-verdict.js'
import { bytesText } from './received-message.js'

interface LedgerFlags {
  readonly data?: string
  readonly json?: true
  readonly from?: number
  readonly to?: number
  readonly client?: string
  readonly topicClass?: string
}

const DESCRIPTION = `look at a data directory whose broker does not run; nothing is written to it
verify   does everything in it agree: pages, rows, recovery, books? Every problem is named; exit code 0 or 1
show     what each client has published and been given, by topic class, summed over the hours
export   one line for each account and hour, as CSV with a header, or as JSON lines`

export async function ledger(args: readonly string[], console: Console): Promise<ExitCode> {
  const command = newCommand('ledger', DESCRIPTION, console)
    .argument('<what>')
    .option('--data <directory>', 'the data directory, or a copy of one')
    .option('--json', 'JSON instead of text; with export, a document in each line')
    .option('--from <time>', 'from this hour on, such as 2026-11-20T13 or 2026-11-20 (UTC)', hourOf)
    .option('--to <time>', 'up to this hour, which is not included', hourOf)
    .option('--client <id>', 'only this client; empty: the broker itself')
    .option('--topic-class <class>', 'only this topic class')
  const flags = parseFlags<LedgerFlags>(command, args)
  if (flags === undefined) return ExitCode.OK
  const [what] = command.args as [string]
  const data = directoryOf(flags)
  if (what === 'verify') return lookAt(() => verify(data, flags.json === true, console))
  if (what === 'show') return lookAt(() => show(data, flags, console))
  if (what === 'export') return lookAt(() => exportRows(data, flags, console))
  throw new CommandError(ExitCode.USAGE, `'${what}' is none of verify, show, export`)
}

async function verify(directory: string, isJson: boolean, console: Console): Promise<ExitCode> {
  const report = await verifyDirectory(directory)
  const isWhole = report.problems.length === 0
  console.write(bytesText(isJson ? `${JSON.stringify({ isWhole, ...report })}\n` : verdictText(report)))
  return isWhole ? ExitCode.OK : ExitCode.FAILED
}

async function show(directory: string, flags: LedgerFlags, console: Console): Promise<ExitCode> {
  const sums = new AccountSums()
  for await (const row of ledgerRowsIn(directory, filterOf(flags))) sums.add(row)
  console.write(bytesText(flags.json === true ? `${JSON.stringify(sums.toJson())}\n` : sums.toText()))
  return ExitCode.OK
}

async function exportRows(directory: string, flags: LedgerFlags, console: Console): Promise<ExitCode> {
  const line = flags.json === true ? jsonLine : csvLine
  if (flags.json !== true) console.write(`${LEDGER_COLUMNS.join()}\n`)
  for await (const row of ledgerRowsIn(directory, filterOf(flags))) {
    console.write(bytesText(line(row)))
    await console.drained()
    if (console.outputClosed.aborted) break
  }
  return ExitCode.OK
}

function jsonLine(row: LedgerRow): string {
  const cells = ledgerCells(row)
  return `${JSON.stringify(Object.fromEntries(LEDGER_COLUMNS.map((name, index) => [name, cells[index]])))}\n`
}

/** RFC 4180, but for the line ends. */
function csvLine(row: LedgerRow): string {
  return `${ledgerCells(row).map(csvCell).join()}\n`
}

function csvCell(cell: string | number | boolean): string {
  const text = String(cell)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function filterOf({ from, to, client, topicClass }: LedgerFlags): LedgerFilter {
  return {
    ...(from !== undefined && { fromHour: from }),
    ...(to !== undefined && { untilHour: to }),
    ...(client !== undefined && { clientId: client }),
    ...(topicClass !== undefined && { topicClass }),
  }
}

/** The hour that a time lies in, counted from 1970. A time without a zone is UTC, as hours are everywhere here. */
function hourOf(text: string): number {
  const parts = /^(\d{4}-\d\d-\d\d)(?:T(\d\d)(?::(\d\d)(?::\d\d(?:\.\d+)?)?)?)?(Z|[+-]\d\d:\d\d)?$/.exec(text)
  const [, day, hour = '00', minute = '00', zone = 'Z'] = parts ?? []
  const atMs = Date.parse(`${day}T${hour}:${minute}:00${zone}`)
  if (Number.isFinite(atMs)) return Math.floor(atMs / 3_600_000)
  throw new CommandError(ExitCode.USAGE, `'${text}' is no time: write 2026-11-20T13 or 2026-11-20`)
}

export function directoryOf({ data }: { readonly data?: string }): string {
  if (data !== undefined) return data
  throw new CommandError(ExitCode.USAGE, '--data names the directory to look at')
}

/** What prevents a look at all is not what a look finds. */
export async function lookAt<Result>(look: () => Promise<Result>): Promise<Result> {
  try {
    return await look()
  } catch (error) {
    if (!(error instanceof StoreError) || error.code === 'STORE_CORRUPT') throw error
    throw new CommandError(ExitCode.NOTHING_TO_READ, error.message)
  }
}
