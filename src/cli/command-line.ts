/** Commander as every command uses it: errors become exit code 64 and a sentence; help goes to stdout, no error. */
import { Command, CommanderError } from 'commander'
import type { Console } from './console.js'
import { CommandError, EXIT_CODES_HELP, ExitCode } from './exit-codes.js'

export function newCommand(name: string, description: string, console: Console): Command {
  return new Command(`tallymq ${name}`)
    .description(description)
    .helpOption('--help', 'display this message')
    .addHelpText('after', EXIT_CODES_HELP)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => console.write(Buffer.from(text, 'utf8').toString('latin1')),
      // The error is thrown as well, and said once by whoever runs the command.
      writeErr: () => {},
    })
}

/** @returns undefined when help was asked for and shown. */
export function parseFlags<Flags>(command: Command, args: readonly string[]): Flags | undefined {
  try {
    command.parse(args, { from: 'user' })
    return command.opts<Flags & Record<string, unknown>>()
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return undefined
    const message = error.message.replace(/^error: /, '')
    throw new CommandError(ExitCode.USAGE, `${message}\nSee \`${command.name()} --help\`.`)
  }
}
