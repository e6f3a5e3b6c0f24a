/**
 * `tallymq passwd`: the hash of a password, as `access.users[].passwordHash` wants it (scrypt, PHC string); with
 * `--scram` the keys that `access.users[].scramSha256` wants (RFC 7677).
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes, scryptSync } from 'node:crypto'
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
/** The client has to compute them at every connect: some ten milliseconds on a PC, a second on a small device. */
const SCRAM_ITERATIONS = 15_000
/** What SASLprep leaves out, and what it makes a space [RFC 3454 B.1, C.1.2]. */
const MAPPED_TO_NOTHING = /[\u00ad\u1806\u200b-\u200d\u2060\ufeff]|\u034f|[\u180b-\u180d]|[\ufe00-\ufe0f]/g
const OTHER_SPACES = /[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g

export async function passwd(args: readonly string[], console: Console): Promise<ExitCode> {
  const description =
    'Print the hash of a password, for access.users in the configuration. ' +
    'The password is TALLYMQ_PASSWORD from the environment, or the first line of stdin; at a terminal it is asked for.'
  const command = newCommand('passwd', description, console).option(
    '--scram',
    'print SCRAM-SHA-256 keys, for access.users[].scramSha256: such a client never sends its password',
  )
  const flags = parseFlags<{ scram?: true }>(command, args)
  if (flags === undefined) return ExitCode.OK
  const password = console.environment.TALLYMQ_PASSWORD ?? (await typed(console)) ?? (await firstLine(console))
  if (password === '')
    throw new CommandError(ExitCode.USAGE, 'no password: write one to stdin, or set TALLYMQ_PASSWORD')
  const write = flags.scram === true ? scramKeys : passwordHash
  console.write(`${write(password, randomBytes(SALT_BYTES))}\n`)
  return ExitCode.OK
}

export function passwordHash(password: string, salt: Uint8Array): string {
  const cost = { N: 2 ** COST_LOG2, r: BLOCK_SIZE, p: PARALLELIZATION, maxmem: 64 * 1_048_576 }
  const hash = scryptSync(password, salt, HASH_BYTES, cost)
  const parameters = `ln=${COST_LOG2},r=${BLOCK_SIZE},p=${PARALLELIZATION}`
  return `$scrypt$${parameters}$${withoutPadding(salt)}$${withoutPadding(hash)}`
}

export function scramKeys(password: string, salt: Uint8Array): string {
  const prepared = saslPrepared(password)
  const salted = pbkdf2Sync(prepared, salt, SCRAM_ITERATIONS, HASH_BYTES, 'sha256')
  const hmac = (text: string) => createHmac('sha256', salted).update(text).digest()
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest()
  const parts = [salt, storedKey, hmac('Server Key')].map(withoutPadding)
  return `$scram-sha-256$i=${SCRAM_ITERATIONS}$${parts.join('$')}`
}

/** Clients do the same to what is typed in [RFC 4013]; its rules about right-to-left text are left to them. */
function saslPrepared(password: string): string {
  const prepared = password.replace(OTHER_SPACES, ' ').replace(MAPPED_TO_NOTHING, '').normalize('NFKC')
  if (/\p{Cc}/u.test(prepared) || prepared === '') {
    throw new CommandError(ExitCode.USAGE, 'a password for SCRAM has no control characters, and is not empty')
  }
  return prepared
}

function withoutPadding(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '')
}

/** Twice, because what is not shown is easily mistyped. */
async function typed({ askHidden }: Console): Promise<string | undefined> {
  if (askHidden === null) return undefined
  const password = await askHidden('Password: ')
  if (password !== '' && (await askHidden('Again: ')) !== password) {
    throw new CommandError(ExitCode.USAGE, 'these were two different ones')
  }
  return password
}

async function firstLine(console: Console): Promise<string> {
  for await (const line of lines(console.input)) return Buffer.from(line).toString('utf8').replace(/\r$/, '')
  return ''
}
