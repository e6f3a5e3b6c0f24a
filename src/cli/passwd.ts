/** `tallymq passwd`: the hash of a password, as `access.users[].passwordHash` wants it (scrypt, PHC string). */
import { randomBytes, scryptSync } from 'node:crypto'
import { newCommand, parseFlags } from './command-line.js'
import type { Console } from './console.js'
import { CommandError, ExitCode } from './exit-codes.js'
import { lines } from './payloads.js'

/** About 50 ms and 32 MiB on a small machine: dear enough to guess, cheap enough to check at CONNECT. */
const COST_LOG2 = 15
const BLOCK_SIZE = 8
const PARALLELIZATION = 1
const SALT_BYTES = 16
const HASH_BYTES = 32

export async function passwd(args: readonly string[], console: Console): Promise<ExitCode> {
  const description =
    'Print the hash of a password, for access.users in the configuration. ' +
    'The password is TALLYMQ_PASSWORD from the environment, or the first line of stdin.'
  if (parseFlags(newCommand('passwd', description, console), args) === undefined) return ExitCode.OK
  const password = console.environment.TALLYMQ_PASSWORD ?? (await firstLine(console))
  if (password === '')
    throw new CommandError(ExitCode.USAGE, 'no password: write one to stdin, or set TALLYMQ_PASSWORD')
  console.write(`${passwordHash(password, randomBytes(SALT_BYTES))}\n`)
  return ExitCode.OK
}

export function passwordHash(password: string, salt: Uint8Array): string {
  const cost = { N: 2 ** COST_LOG2, r: BLOCK_SIZE, p: PARALLELIZATION, maxmem: 64 * 1_048_576 }
  const hash = scryptSync(password, salt, HASH_BYTES, cost)
  const parameters = `ln=${COST_LOG2},r=${BLOCK_SIZE},p=${PARALLELIZATION}`
  return `$scrypt$${parameters}$${withoutPadding(salt)}$${withoutPadding(hash)}`
}

function withoutPadding(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '')
}

async function firstLine(console: Console): Promise<string> {
  for await (const line of lines(console.input)) return Buffer.from(line).toString('utf8').replace(/\r$/, '')
  return ''
}
