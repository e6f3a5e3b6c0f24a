/** `tallymq config`: check a file before a broker runs with it, see the options in force, the schema or the table. */
import { publishedSchema } from '../config/json-schema.js'
import { loadOptions } from '../config/load.js'
import { type Options, OptionsError } from '../config/options.js'
import { optionsTable } from '../config/options-table-text.js'
import { newCommand, parseFlags } from './command-line.js'
import type { Console } from './console.js'
import { CommandError, ExitCode } from './exit-codes.js'
import { bytesText } from './received-message.js'

const DESCRIPTION = `check [file]   is this configuration (file and environment) right? Every problem is named
print [file]   the options in force, as JSON, without password hashes
schema         the JSON schema of the file
table          every option, as a Markdown table`

export async function config(args: readonly string[], console: Console): Promise<ExitCode> {
  const command = newCommand('config', DESCRIPTION, console).argument('<what>').argument('[file]')
  if (parseFlags(command, args) === undefined) return ExitCode.OK
  const [what, file] = command.args as [string, string | undefined]
  if (what === 'schema') console.write(bytesText(publishedSchema()))
  else if (what === 'table') console.write(bytesText(optionsTable()))
  else if (what === 'check') {
    effectiveOptions(file, console)
    console.log('This configuration is right.')
  } else if (what === 'print') console.write(bytesText(printable(effectiveOptions(file, console))))
  else throw new CommandError(ExitCode.USAGE, `'${what}' is none of check, print, schema, table`)
  return ExitCode.OK
}

function effectiveOptions(file: string | undefined, console: Console): Options {
  try {
    return loadOptions({ file, environment: console.environment })
  } catch (error) {
    throw error instanceof OptionsError ? new CommandError(ExitCode.USAGE, error.message) : error
  }
}

function printable(options: Options): string {
  const hideSecrets = (name: string, value: unknown) => (name === 'passwordHash' ? '(not shown)' : value)
  return `${JSON.stringify(options, hideSecrets, 2)}\n`
}
