/** `tallymq ledger`: what the books of a data directory say, without its broker. Nothing is written there. */
import { StoreError, verifyDirectory } from '../index.js'
import { newCommand, parseFlags } from './command-line.js'
import type { Console } from './console.js'
import { CommandError, ExitCode } from './exit-codes.js'
import { verdictText } from './ledger-verdict.js'
import { bytesText } from './received-message.js'

interface LedgerFlags {
  readonly data?: string
  readonly json?: true
}

const DESCRIPTION = `look at a data directory whose broker does not run; nothing is written to it
verify   does everything in it agree: pages, rows, recovery, books? Every problem is named; exit code 0 or 1`

export async function ledger(args: readonly string[], console: Console): Promise<ExitCode> {
  const command = newCommand('ledger', DESCRIPTION, console)
    .argument('<what>')
    .option('--data <directory>', 'the data directory, or a copy of one')
    .option('--json', 'one JSON document instead of text')
  const flags = parseFlags<LedgerFlags>(command, args)
  if (flags === undefined) return ExitCode.OK
  const [what] = command.args as [string]
  if (flags.data === undefined) throw new CommandError(ExitCode.USAGE, '--data names the directory to look at')
  if (what === 'verify') return verify(flags.data, flags.json === true, console)
  throw new CommandError(ExitCode.USAGE, `'${what}' is not verify`)
}

async function verify(directory: string, isJson: boolean, console: Console): Promise<ExitCode> {
  const report = await lookAt(() => verifyDirectory(directory))
  const isWhole = report.problems.length === 0
  console.write(bytesText(isJson ? `${JSON.stringify({ isWhole, ...report })}\n` : verdictText(report)))
  return isWhole ? ExitCode.OK : ExitCode.FAILED
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
