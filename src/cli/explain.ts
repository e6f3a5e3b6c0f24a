/** `tallymq explain`: what a data directory knows about one message. Nothing is written there. */
import {
  type CopyExplanation,
  explainMessageIn,
  hourStart,
  type MessageExplanation,
  type MessageEvent,
} from '../index.js'
import { wholeNumber } from './client-flags.js'
import { newCommand, parseFlags } from './command-line.js'
import type { Console } from './console.js'
import { ExitCode } from './exit-codes.js'
import { directoryOf, lookAt } from './ledger.js'
import { bytesText, printable } from './received-message.js'

interface ExplainFlags {
  readonly data?: string
  readonly json?: true
}

const DESCRIPTION = `what has become of a message, from a data directory whose broker does not run
The message id is the one that native clients and the log name.`

export async function explain(args: readonly string[], console: Console): Promise<ExitCode> {
  const command = newCommand('explain', DESCRIPTION, console)
    .argument('<messageId>', 'number of the message', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--data <directory>', 'the data directory, or a copy of one')
    .option('--json', 'a JSON document instead of text')
  const flags = parseFlags<ExplainFlags>(command, args)
  if (flags === undefined) return ExitCode.OK
  const data = directoryOf(flags)
  const [messageId] = command.processedArgs as [number]
  const explanation = await lookAt(() => explainMessageIn(data, messageId))
  console.write(bytesText(flags.json === true ? `${JSON.stringify(explanation)}\n` : textOf(explanation)))
  return explanation.state === 'unknown' ? ExitCode.FAILED : ExitCode.OK
}

function textOf(explanation: MessageExplanation): string {
  const { messageId, content, accepted, copies } = explanation
  const lines = [`message ${messageId}: ${stateOf(explanation)}`]
  if (content !== null) {
    const { topicName, payloadBytes, qos, expiresAtMs } = content
    lines.push(`  topic      ${printable(topicName)}, QoS ${qos}, ${payloadBytes} bytes`)
    if (expiresAtMs !== 0) lines.push(`  expires    ${timeOf(expiresAtMs)}`)
  }
  if (accepted !== null) {
    const { clientId, topicClass, atMs, record, durableAtMs } = accepted
    const from = clientId === null ? 'nobody is named' : clientId === '' ? 'the broker itself' : printable(clientId)
    lines.push(`  from       ${from}${topicClass === null ? '' : `, topic class ${printable(topicClass)}`}`)
    lines.push(`  accepted   ${timeOf(atMs)}, journal record ${record}`)
    const durable = durableAtMs === null ? 'yes; when is in a record that is not there' : timeOf(durableAtMs)
    lines.push(`  durable    ${durable}`)
  }
  if (explanation.hour !== null && accepted === null) lines.push(`  accepted   ${hourText(explanation.hour)}`)
  for (const copy of copies) lines.push(...copyLines(copy))
  return `${lines.join('\n')}\n`
}

function stateOf({ state, nextMessageId, hour, copies }: MessageExplanation): string {
  switch (state) {
    case 'waiting': {
      const owed = copies.filter(({ now }) => now !== null).length
      return `${owed === 1 ? 'one copy is' : `${owed} copies are`} not done`
    }
    case 'ended':
      return 'no copy is owed any more'
    case 'unknown':
      return `no message has had this number yet; the next one gets ${nextMessageId}`
    case 'past':
      if (hour === null) return 'nothing is stored about it, and the ledger did not count when it came'
      return 'every copy has ended, and the journal has moved on; what became of copies in that hour: `ledger show`'
  }
}

function copyLines({ session, clientId, now, events }: CopyExplanation): string[] {
  const name = `  to ${clientId === null ? 'a client that has gone' : printable(clientId)} (session ${session})`
  const lines = [now === null ? `${name}: not owed any more` : `${name}: ${nowText(now)}`]
  for (const event of events) lines.push(`      record ${event.record}: ${eventText(event)}`)
  return lines
}

function nowText(now: NonNullable<CopyExplanation['now']>): string {
  if (now.state === 'queued') return `queued, place ${now.position} of ${now.waiting}`
  const place = `packet id ${now.packetId}, delivery sequence ${now.deliverySequence}`
  if (now.state === 'sent') return `in flight, ${place}; no acknowledgement came`
  return `delivered, ${place}: PUBREC came, PUBCOMP has not`
}

function eventText({ what, packetId, reason }: MessageEvent): string {
  const id = packetId === 0 ? '' : `, packet id ${packetId}`
  switch (what) {
    case 'queued':
      return 'queued'
    case 'sent':
      return `sent${id}`
    case 'acknowledged':
      return `acknowledged${id}: delivered`
    case 'released':
      return `PUBREC came${id}: delivered`
    case 'completed':
      return `PUBCOMP came${id}`
    case 'dropped':
      return `dropped${id}: ${reason}`
    case 'moved':
      return `moved to another member of the share group${id}`
    case 'abandoned':
      return 'given up: the session ended with the copy in flight'
  }
}

function hourText({ hour, isClosed }: NonNullable<MessageExplanation['hour']>): string {
  return `in the hour from ${hourStart(hour)}${isClosed ? ', which is closed' : ''}`
}

function timeOf(atMs: number): string {
  return new Date(atMs).toISOString()
}
