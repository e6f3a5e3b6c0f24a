/**
 * `tallymq torture`: kills a broker under load, again and again, on the disk that is asked about, and says whether
 * every acknowledged message was delivered, once and in order. The control: the same kills and the same books for
 * another broker.
 */
import { execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageVersion } from '../config/package-version.js'
import { type BrokerRecipe, commandRecipe, mosquittoRecipe, tallymqRecipe } from '../torture/broker-process.js'
import { type TortureResult, torture as runTorture } from '../torture/torture.js'
import { wholeNumber } from './client-flags.js'
import { newCommand, parseFlags } from './command-line.js'
import type { Console } from './console.js'
import { ExitCode } from './exit-codes.js'

interface TortureFlags {
  readonly kills: number
  readonly minutes: number
  readonly data?: string
  readonly broker: string
  readonly seed?: number
  readonly diskFull: boolean
  readonly keep?: true
  readonly json?: true
}

const SEED = wholeNumber(0, 0xffff_ffff)

const HELP = `
Publishers and consumers run in processes of their own and keep books: what was sent, acknowledged, delivered. They
reach the broker through a network that cuts, delays and half-opens connections. The broker is killed (SIGKILL) while
publishes are under way, stopped (SIGSTOP), ended (SIGTERM), and put on a disk that is full. At the end the books are
compared.

--broker mosquitto, or --broker 'command with {port} and {data}', does the same to another MQTT broker.

Exit code 1: something was lost, duplicated, out of order or against the protocol; the books are kept then.
`

export async function torture(args: readonly string[], console: Console): Promise<ExitCode> {
  const command = newCommand('torture', 'Kill a broker under load, again and again, and check what is left.', console)
    .option('--kills <count>', 'kills with publishes under way', wholeNumber(1, 1_000_000), 100)
    .option('--minutes <minutes>', 'no new kill after so long', wholeNumber(1, 100_000), 60)
    .option('--data <directory>', 'on the disk to be tested; default: the temporary directory')
    .option('--broker <broker>', "tallymq, mosquitto, or a command with '{port}' and '{data}'", 'tallymq')
    .option('--seed <number>', 'repeats the choices of a run; where in its work a kill meets the broker is none', SEED)
    .option('--no-disk-full', 'leave the full disk out')
    .option('--keep', 'keep data and books also when all is well')
    .option('--json', 'print the result as one JSON object')
    .addHelpText('after', HELP)
  const flags = parseFlags<TortureFlags>(command, args)
  if (flags === undefined) return ExitCode.OK
  const seed = flags.seed ?? randomInt(1_000_000)
  const recipe = recipeOf(flags.broker)
  const parent = flags.data ?? tmpdir()
  mkdirSync(parent, { recursive: true })
  const directory = mkdtempSync(join(parent, 'tallymq-torture-'))
  console.log(`${recipe.name}: ${flags.kills} kills, seed ${seed}, in ${directory}`)
  const { environment, interrupted } = console
  const { kills, minutes, diskFull } = flags
  const say = (line: string) => console.log(line)
  const options = { recipe, kills, minutes, seed, diskFull, directory, environment, interrupted, say }
  const result = await runTorture(options)
  const isKept = !result.ok || flags.keep === true
  if (!isKept) rmSync(directory, { recursive: true })
  const { sentences, ...figures } = result
  const about = { broker: recipe.name, configuration: recipe.configuration, version: packageVersion() }
  const report = { ...figures, seed, commit: commit(), ...about, problems: sentences, kept: isKept ? directory : null }
  console.write(flags.json ? `${JSON.stringify(report)}\n` : latin1(summary(result, recipe, flags.kills, directory)))
  return result.ok ? ExitCode.OK : ExitCode.FAILED
}

function recipeOf(broker: string): BrokerRecipe {
  if (broker === 'tallymq') return tallymqRecipe
  return broker === 'mosquitto' ? mosquittoRecipe() : commandRecipe(broker)
}

/** Of the sources this was built from, if they are here. */
function commit(): string | null {
  try {
    const cwd = new URL('.', import.meta.url).pathname
    return execFileSync('git', ['rev-parse', 'HEAD'], { cwd, stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim()
  } catch {
    return null
  }
}

function lostBy({ lostBy }: TortureResult): string {
  const parts = Object.entries(lostBy).map(([name, lost]) => `${name} ${lost}`)
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`
}

function latin1(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

function summary(result: TortureResult, recipe: BrokerRecipe, killsAsked: number, directory: string): string {
  const { kills, stops, restarts, diskFull, cuts, halfOpened, ledgerVerified, sentences } = result
  const row = (name: string, value: string | number) => `  ${name.padEnd(30)}${value}`
  const lines = [
    `${recipe.name} (${recipe.configuration})`,
    row('killed under load', `${kills}${kills < killsAsked ? ` of ${killsAsked}: the time was up` : ''}`),
    row('publishes under way at kills', result.unacknowledgedAtKills),
    row('stopped, ended, disk full', `${stops}, ${restarts}, ${diskFull} (by ${result.diskFullBy})`),
    row('connections cut, half open', `${cuts}, ${halfOpened}`),
    row('clients killed', result.clientKills),
    row('published, acknowledged', `${result.published}, ${result.acknowledged}`),
    row('delivered', `${result.delivered}, and ${result.repeated} again at QoS 1`),
    row('lost', `${result.lost}${lostBy(result)}`),
    row('duplicated at QoS 2', result.duplicated),
    row('out of order', result.outOfOrder),
    row('sessions lost', result.sessionsLost),
    ...(result.startsRefused === 0 ? [] : [row('did not start again', `${result.startsRefused} times`)]),
    ...(recipe.isOurs ? [row('ledger verified', `${ledgerVerified} times, ${result.ledgerProblems} problems`)] : []),
    ...sentences.map((sentence) => `  ! ${sentence}`),
    result.ok
      ? `Your disk kept every acknowledged message through ${kills} kills; each came once, and in order.`
      : `THIS IS WRONG: not every acknowledged message was kept, or came once and in order. Books: ${directory}/books`,
  ]
  return `${lines.join('\n')}\n`
}
