/**
 * `npm run conformance -- --url mqtt://127.0.0.1:1883`: reads the arguments, runs the cases, prints the report. Without
 * a URL our own broker is built, started and tested with everything it has, over TCP and WebSocket.
 * Exit code 0: nothing failed; 1: something did; 64: wrong arguments.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Options } from './context.js'
import { ownOptions, withOwnBrokers } from './own-broker.js'
import { statementsPage, summaries, tableProblems, text } from './report.js'
import { type CaseResult, runAll } from './runner.js'
import type { Version } from './wire/bytes.js'
import { openStream } from './wire/stream.js'

const USAGE = `Usage: npm run conformance -- [--url <url>] [options]

  --url <url>             mqtt://host:port, mqtts://, ws://host:port/mqtt or wss://; several: each is tested.
                          None: our own broker, over TCP and WebSocket, started with all that is needed
  --version <5|311>       one version only; default: both
  --json                  one object: per version {statements, wire, tested, passed, failed, vacuous}, and where
                          URLs of several transports were given, the same for each in {transports: {mqtt, ws}}
  --strict                what SHOULD be otherwise fails the run too (exit code 1)
  --statements <file>     writes the table of statements and results
  --long                  also the cases that send very much
  --only <text>           only cases whose number contains this text; several: with commas between them
  --deadline <ms>         how long an answer may take; default 10000

What a listener with default settings does not show (cases without it are vacuous):
  --user, --password      credentials for every CONNECT
  --denied-topic <topic>  the user may neither publish nor subscribe to it
  --restricted-url <url>  where credentials and denied topic are in force, if not at the first URL; of several
                          the one of the transport under test is taken
  --limited-url <url>     a listener with limits (maximum QoS, no retained messages, no topic aliases, small
                          receive maximum or packet size); several are possible
  --auth-method <name>    enhanced authentication to test with the credentials, for instance SCRAM-SHA-256
  --auth-url <url>        where that method is enabled, if not at the first URL; several are possible
`

function read(): (Options & { json: boolean; strict: boolean; statements?: string }) | null {
  const text = { type: 'string' } as const
  const many = { type: 'string', multiple: true } as const
  const flag = { type: 'boolean' } as const
  const { values } = parseArgs({
    options: {
      url: many,
      version: text,
      json: flag,
      strict: flag,
      statements: text,
      only: text,
      long: flag,
      deadline: text,
      user: text,
      password: text,
      'denied-topic': text,
      'restricted-url': many,
      'limited-url': many,
      'auth-method': text,
      'auth-url': many,
      help: flag,
    },
  })
  const { version } = values
  if (values.help === true || ![undefined, '5', '5.0', '311', '3.1.1'].includes(version)) return null
  const versions: Version[] = version === undefined ? [5, 4] : version.startsWith('5') ? [5] : [4]
  const { user, password, only, statements } = values
  const urls = (texts: readonly string[] = []) => texts.map((url) => new URL(url))
  return {
    urls: urls(values.url),
    versions,
    limitedUrls: urls(values['limited-url']),
    restrictedUrls: urls(values['restricted-url']),
    authUrls: urls(values['auth-url']),
    deadlineMs: Number(values.deadline ?? 10_000),
    long: values.long ?? false,
    json: values.json ?? false,
    strict: values.strict ?? false,
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password }),
    ...(only === undefined ? {} : { only }),
    ...(statements === undefined ? {} : { statements }),
    ...(values['denied-topic'] === undefined ? {} : { deniedTopic: values['denied-topic'] }),
    ...(values['auth-method'] === undefined ? {} : { authMethod: values['auth-method'] }),
  }
}

async function main(): Promise<number> {
  let options: ReturnType<typeof read>
  try {
    options = read()
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n`)
    options = null
  }
  if (options === null) {
    process.stderr.write(USAGE)
    return 64
  }
  const problems = tableProblems()
  if (problems.length > 0) process.stderr.write(`${problems.join('\n')}\n`)
  const unreachable = await firstUnreachable(options.urls)
  if (unreachable !== null) {
    process.stderr.write(`${unreachable}\n`)
    return 1
  }
  const { urls, versions } = options
  const results = await (urls.length > 0 ? runAll(options) : runOnOwnBroker(options))
  const found = summaries(versions, results)
  process.stdout.write(`${options.json ? JSON.stringify(found) : text(versions, results)}\n`)
  if (options.statements !== undefined) writeFileSync(options.statements, statementsPage(versions, results))
  const isFailed = Object.values(found).some(({ failed }) => failed.length > 0)
  const isRemarked = options.strict && results.some(({ remarks }) => remarks.length > 0)
  return isFailed || isRemarked || problems.length > 0 ? 1 : 0
}

function runOnOwnBroker(options: Options): Promise<CaseResult[]> {
  return withOwnBrokers(process.cwd(), (running) => runAll({ ...options, ...ownOptions(running, ['mqtt', 'ws']) }))
}

/** Instead of hundreds of failures that all say the same. */
async function firstUnreachable(urls: readonly URL[]): Promise<string | null> {
  for (const url of urls) {
    try {
      const stream = await openStream(url, { bytes: () => {}, closed: () => {} })
      stream.cut()
    } catch (error) {
      return `no connection to ${url.href}: ${(error as Error).message}`
    }
  }
  return null
}

process.exitCode = await main()
