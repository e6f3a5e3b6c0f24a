/**
 * `tallymq pub`: mosquitto_pub's flags on the SDK. Ends when the last acknowledgement of every message is in; a
 * refused message makes the exit code 5, whatever the others did.
 */
import type { Client, Connect } from '../client/api.js'
import { addClientFlags, type ClientFlags, clientTarget, seconds, wholeNumber } from './client-flags.js'
import { withClient } from './client-session.js'
import { newCommand, parseFlags } from './command-line.js'
import type { Console } from './console.js'
import { CommandError, ExitCode } from './exit-codes.js'
import { expandOptionsFiles } from './options-file.js'
import { checkPayloadFlags, type PayloadFlags, payloads } from './payloads.js'
import { type CommandProperties, takeProperties } from './properties.js'

interface PubFlags extends ClientFlags, PayloadFlags {
  readonly topic?: string
  readonly retain?: true
  /** `-M`; 0: as many as the client takes. */
  readonly maxInflight: number
}

const UNFINISHED_MAX = 1_000

export async function pub(args: readonly string[], console: Console, connect: Connect): Promise<ExitCode> {
  const { rest, properties } = takeProperties(expandOptionsFiles(args))
  const command = addClientFlags(newCommand('pub', 'Publish messages, with the flags of mosquitto_pub.', console))
    .option('-t, --topic <topic>', 'topic name to publish to')
    .option('-r, --retain', 'retain the message')
    .option('-m, --message <text>', 'payload')
    .option('-f, --file <file>', 'payload: the contents of a file')
    .option('-s, --stdin-file', 'payload: all of stdin')
    .option('-l, --stdin-line', 'one message for each line of stdin')
    .option('-n, --null-message', 'empty payload; with -r it clears a retained message')
    .option('--repeat <times>', 'publish -m, -f, -s or -n several times', wholeNumber(1, 1_000_000_000), 1)
    .option('--repeat-delay <seconds>', 'pause between repetitions', seconds, 0)
    .option('-M, --max-inflight <count>', 'QoS 1 and 2 messages on their way at one time', wholeNumber(0, 65_535), 0)
    .option('-D, --property <command> <name> <value>', 'MQTT 5 property of connect, publish, will or disconnect')
  const flags = parseFlags<PubFlags>(command, rest)
  if (flags === undefined) return ExitCode.OK
  checkPayloadFlags(flags)
  const password = console.environment.TALLYMQ_PASSWORD
  const target = clientTarget(flags, properties, { processId: console.processId, password })
  const topicName = flags.topic ?? target.topic
  if (topicName === undefined) throw new CommandError(ExitCode.USAGE, 'no topic: give one with -t')
  const options = { ...target.connect, reconnect: false as const }
  const session = {
    debug: flags.debug === true,
    quiet: flags.quiet === true,
    closing: properties.disconnect,
    ended: console.interrupted,
  }
  return withClient(connect, options, console, session, (client) =>
    publishAll(client, topicName, flags, properties, console),
  )
}

async function publishAll(
  client: Client,
  topicName: string,
  flags: PubFlags,
  properties: CommandProperties,
  console: Console,
): Promise<ExitCode> {
  const options = { qos: flags.qos, retain: flags.retain === true, properties: properties.publish }
  const unfinished = new Set<Promise<void>>()
  const unfinishedMax = Math.min(flags.maxInflight || UNFINISHED_MAX, UNFINISHED_MAX)
  let published = 0
  let failure: unknown
  for await (const payload of payloads(flags, console)) {
    if (console.interrupted.aborted || failure !== undefined) break
    const sent = client.publish(topicName, payload, options).then(
      (result) => {
        published += 1
        if (flags.debug)
          console.log(`Published ${payload.length} bytes at QoS ${result.qos}, reason code ${result.reasonCode}`)
      },
      (error) => {
        failure ??= error
      },
    )
    unfinished.add(sent)
    sent.then(() => unfinished.delete(sent))
    if (unfinished.size >= unfinishedMax) await Promise.race(unfinished)
  }
  await Promise.all(unfinished)
  if (flags.json) console.write(`${JSON.stringify({ published, topic: topicName, qos: flags.qos })}\n`)
  if (failure !== undefined) throw failure
  return ExitCode.OK
}
