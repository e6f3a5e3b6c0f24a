/**
 * `tallymq sub`: mosquitto_sub's flags on the SDK. A message is acknowledged when it has been printed: what `-C` leaves
 * unprinted, a persistent session keeps. Leaving does not unsubscribe, so that `-c` finds its session as it was.
 */
import { InvalidArgumentError } from 'commander'
import type { Client, Connect, Message, SubscribeOptions } from '../client/api.js'
import { topicMatches } from '../client/topic-match.js'
import { addClientFlags, type ClientFlags, clientTarget, collect, seconds, wholeNumber } from './client-flags.js'
import { clientFailure, withClient } from './client-session.js'
import { newCommand, parseFlags } from './command-line.js'
import { type Console, fired } from './console.js'
import { CommandError, ExitCode } from './exit-codes.js'
import { expandOptionsFiles } from './options-file.js'
import { compileFormat, FormatError, plainFormat } from './output-format.js'
import { type CommandProperties, takeProperties } from './properties.js'
import { bytesText, type ReceivedMessage } from './received-message.js'

interface SubFlags extends ClientFlags {
  readonly topic?: readonly string[]
  readonly filterOut?: readonly string[]
  readonly unsubscribe?: readonly string[]
  /** `-C`. */
  readonly count?: number
  /** `-W`, in milliseconds. */
  readonly timeout?: number
  readonly exitAfterSuback?: true
  /** False under `-N`. */
  readonly endOfLine: boolean
  readonly verbose?: true
  readonly format?: string
  readonly pretty?: true
  readonly retainedOnly?: true
  readonly removeRetained?: true
  /** Percent. */
  readonly randomFilter: number
  /** False under `-R`. */
  readonly retained: boolean
  readonly retainAsPublished?: true
  readonly retainHandling?: 'always' | 'new' | 'never'
}

type Print = (message: ReceivedMessage) => string | undefined

/** Beyond this a slow reader of stdout loses QoS 0 messages, and QoS 1 and 2 are not acknowledged any further. */
const PENDING_OUTPUT_BYTES_MAX = 16 * 1_048_576

export async function sub(args: readonly string[], console: Console, connect: Connect): Promise<ExitCode> {
  const { rest, properties } = takeProperties(expandOptionsFiles(args))
  const flags = parseFlags<SubFlags>(subCommand(console), rest)
  if (flags === undefined) return ExitCode.OK
  const password = console.environment.TALLYMQ_PASSWORD
  const target = clientTarget(flags, properties, { processId: console.processId, password })
  const topicFilters = flags.topic ?? (target.topic === undefined ? [] : [target.topic])
  if (topicFilters.length === 0 && flags.unsubscribe === undefined) {
    throw new CommandError(ExitCode.USAGE, 'no topic: give at least one with -t')
  }
  const print = printer(flags, console)
  const options = { ...target.connect, manualAck: true }
  const deadline = startDeadline(flags.timeout, console)
  const ended = AbortSignal.any([console.interrupted, console.outputClosed, deadline.reached])
  const session = { debug: flags.debug === true, quiet: flags.quiet === true, closing: properties.disconnect, ended }
  const exitCode = await withClient(connect, options, console, session, (client) =>
    receive(client, topicFilters, flags, properties, print, console, ended),
  )
  deadline.cancel()
  if (!deadline.reached.aborted) return exitCode
  if (!flags.quiet) console.log('Timed out')
  return ExitCode.TIMED_OUT
}

function startDeadline(delayMs: number | undefined, console: Console): { reached: AbortSignal; cancel(): void } {
  const reached = new AbortController()
  const cancelled = new AbortController()
  if (delayMs !== undefined) {
    void console.after(delayMs, cancelled.signal).then(() => {
      if (!cancelled.signal.aborted) reached.abort()
    })
  }
  return { reached: reached.signal, cancel: () => cancelled.abort() }
}

function subCommand(console: Console) {
  return addClientFlags(newCommand('sub', 'Print the messages of topics, with the flags of mosquitto_sub.', console))
    .option('-t, --topic <filter>', 'topic filter to subscribe to; may be repeated', collect)
    .option('-T, --filter-out <filter>', 'leave out messages that match; may be repeated', collect)
    .option('-U, --unsubscribe <filter>', 'unsubscribe first; may be repeated', collect)
    .option('-C, --count <count>', 'exit after so many messages', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('-W, --timeout <seconds>', 'exit after this time, with code 27', seconds)
    .option('-E, --exit-after-suback', 'exit when the subscriptions are made')
    .option('-N, --no-end-of-line', 'no end of line after a message')
    .option('-v, --verbose', 'print the topic before the payload')
    .option('-F, --format <format>', 'output format: %t %p %q %r %l %m %x %X %I %j %J … @Y-@m-@d \\n')
    .option('--pretty', 'JSON (%j, %J) over several lines')
    .option('--retained-only', 'retained messages only; exit at the first other one')
    .option('--remove-retained', 'clear the retained messages that arrive')
    .option('--random-filter <percent>', 'print so many of a hundred messages, by chance', percent, 100)
    .option('-R, --no-retained', 'leave out retained messages')
    .option('--retain-as-published', 'keep the retain flag as it was published')
    .option('--retain-handling <when>', 'retained messages: always, new or never', retainHandling)
    .option('-D, --property <command> <name> <value>', 'MQTT 5 property of connect, subscribe, unsubscribe, will …')
}

function percent(text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (value > 0 && value <= 100) return value
  throw new InvalidArgumentError('It must be a number above 0 and up to 100.')
}

function retainHandling(text: string): 'always' | 'new' | 'never' {
  if (text === 'always' || text === 'new' || text === 'never') return text
  throw new CommandError(ExitCode.USAGE, `--retain-handling ${text}: must be always, new or never`)
}

function printer(flags: SubFlags, console: Console): Print {
  const format = flags.format ?? (flags.json ? '%j' : undefined)
  if (format === undefined) return plainFormat(flags.verbose === true)
  const complain = (problem: string) => (flags.quiet ? undefined : console.log(`Error: ${problem}`))
  try {
    return compileFormat(format, { pretty: flags.pretty === true, complain })
  } catch (error) {
    throw error instanceof FormatError ? new CommandError(ExitCode.USAGE, `-F: ${error.message}`) : error
  }
}

async function receive(
  client: Client,
  topicFilters: readonly string[],
  flags: SubFlags,
  properties: CommandProperties,
  print: Print,
  console: Console,
  ended: AbortSignal,
): Promise<ExitCode> {
  const failed = clientFailure(client)
  const finished = new Promise<ExitCode>((resolve) => {
    client.on(
      'message',
      messageListener(client, flags, print, console, () => resolve(ExitCode.OK)),
    )
  })
  if (flags.unsubscribe !== undefined) await client.unsubscribe(flags.unsubscribe)
  if (topicFilters.length > 0) {
    const subscription = await client.subscribe(topicFilters, subscribeOptions(flags, properties))
    subscription.reasonCodes.forEach((reasonCode, index) => {
      const what = `Subscription to ${topicFilters[index]}`
      if (reasonCode >= 0x80) console.log(`${what} refused, reason code 0x${reasonCode.toString(16)}`)
      else if (flags.debug) console.log(`${what} granted at QoS ${reasonCode}`)
    })
  }
  if (flags.exitAfterSuback) return ExitCode.OK
  return Promise.race([finished, failed, fired(ended).then(() => ExitCode.OK)])
}

function subscribeOptions(flags: SubFlags, properties: CommandProperties): SubscribeOptions {
  return {
    ...properties.subscribe,
    qos: flags.qos,
    retainAsPublished: flags.retainAsPublished === true,
    retainHandling: ({ always: 0, new: 1, never: 2 } as const)[flags.retainHandling ?? 'always'],
    // Messages are printed where all of them arrive, those of a resumed session included.
    onMessage: () => {},
  }
}

function messageListener(
  client: Client,
  flags: SubFlags,
  print: Print,
  console: Console,
  finish: () => void,
): (message: Message) => void | Promise<void> {
  let printed = 0
  let leftOut = 0
  let finished = false
  const end = flags.endOfLine ? '\n' : ''
  return (message) => {
    if (finished) return
    if (flags.retainedOnly && !message.retain) {
      finished = true
      finish()
      return
    }
    if (isLeftOut(message, flags)) return message.acknowledge()
    if (message.qos === 0 && console.pendingBytes > PENDING_OUTPUT_BYTES_MAX) {
      if (leftOut === 0) console.log('stdout is read too slowly: QoS 0 messages are left out')
      leftOut += 1
      return
    }
    if (flags.removeRetained && message.retain) void client.publish(message.topicName, '', { qos: 1, retain: true })
    // One that is left out by chance counts all the same, as with mosquitto_sub.
    const isChosen = flags.randomFilter >= 100 || console.random() * 100 < flags.randomFilter
    const line = isChosen ? print(received(message, console.now())) : undefined
    if (line !== undefined) console.write(line + bytesText(end))
    printed += 1
    if (printed === flags.count) {
      finished = true
      message.acknowledge()
      finish()
      return
    }
    if (console.pendingBytes < PENDING_OUTPUT_BYTES_MAX) return message.acknowledge()
    return console.drained().then(() => message.acknowledge())
  }
}

function isLeftOut(message: Message, flags: SubFlags): boolean {
  if (message.retain && !flags.retained) return true
  return (flags.filterOut ?? []).some((filter) => topicMatches(filter, message.topicName))
}

function received(message: Message, receivedAt: Date): ReceivedMessage {
  const { topicName, payload, qos, retain, properties, subscriptionIdentifiers } = message
  const packetId = (message as { packetId?: number }).packetId ?? 0
  return { topicName, payload, qos, retain, properties, subscriptionIdentifiers, packetId, receivedAt }
}
