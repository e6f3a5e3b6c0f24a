#!/usr/bin/env node
/** The `tallymq` program: finds the command, runs it, exits with its code. Commands are loaded when they are called. */
import { newCommand, parseFlags } from './command-line.js'
import { type Console, processConsole, runCommand } from './console.js'
import { CommandError, ExitCode } from './exit-codes.js'
import { packageVersion } from '../config/package-version.js'

type Run = (args: readonly string[], console: Console) => Promise<ExitCode>

const COMMANDS: { readonly [name: string]: { readonly sentence: string; readonly load: () => Promise<Run> } } = {
  broker: {
    sentence: 'run the broker',
    load: async () => (await import('./broker.js')).broker,
  },
  pub: {
    sentence: 'publish messages, with the flags of mosquitto_pub',
    load: async () => {
      const [{ pub }, { connect }] = await Promise.all([import('./pub.js'), import('../client/index.js')])
      return (args, console) => pub(args, console, connect)
    },
  },
  sub: {
    sentence: 'print the messages of topics, with the flags of mosquitto_sub',
    load: async () => {
      const [{ sub }, { connect }] = await Promise.all([import('./sub.js'), import('../client/index.js')])
      return (args, console) => sub(args, console, connect)
    },
  },
  demo: {
    sentence: 'kill a broker under load and count what was lost',
    load: async () => (await import('./demo.js')).demo,
  },
  torture: {
    sentence: 'kill a broker under load for as long as you like, on your disk, and check its books',
    load: async () => (await import('./torture.js')).torture,
  },
  ledger: {
    sentence: 'check the books in a data directory, show or export them',
    load: async () => (await import('./ledger.js')).ledger,
  },
  explain: {
    sentence: 'what has become of one message, from a data directory',
    load: async () => (await import('./explain.js')).explain,
  },
  passwd: {
    sentence: 'print the hash of a password, for access.users',
    load: async () => (await import('./passwd.js')).passwd,
  },
  config: {
    sentence: 'check a configuration file, print options or their JSON schema',
    load: async () => (await import('./config.js')).config,
  },
}

async function run(args: readonly string[], console: Console): Promise<ExitCode> {
  const [name = '--help', ...rest] = args
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command !== undefined) return (await command.load())(rest, console)
  if (!name.startsWith('-')) {
    throw new CommandError(ExitCode.USAGE, `'${name}' is no command; known: ${Object.keys(COMMANDS).join(', ')}`)
  }
  const program = newCommand('', 'A pub/sub broker that counts every message exactly once.', console).name('tallymq')
  program.version(packageVersion(), '--version', 'print the version').usage('<command> [options]')
  for (const [commandName, { sentence }] of Object.entries(COMMANDS)) program.command(commandName).description(sentence)
  program.helpCommand(false)
  parseFlags(program, [name])
  return ExitCode.OK
}

const console = processConsole()
const exitCode = await runCommand(console, () => run(process.argv.slice(2), console))
// Whatever a library left open must not keep a finished command alive; what is written goes out first.
await console.drained()
process.stdout.write('', () => process.exit(exitCode))
