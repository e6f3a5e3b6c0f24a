/**
 * `-D command property value`: MQTT 5 properties by mosquitto's names. Three values after one flag (four for a
 * user-property) is more than an option parser takes, so they are taken out of the arguments before it runs.
 */
import type { ConnectOptions, PublishProperties, UserProperties, WillProperties } from '../client/api.js'
import { CommandError, ExitCode } from './exit-codes.js'

export interface CommandProperties {
  readonly connect: NonNullable<ConnectOptions['properties']>
  readonly publish: PublishProperties
  readonly will: WillProperties
  readonly subscribe: { subscriptionIdentifier?: number; userProperties?: UserProperties }
  readonly unsubscribe: { userProperties?: UserProperties }
  readonly disconnect: { sessionExpiryIntervalSec?: number; userProperties?: UserProperties }
}

type Kind = 'text' | 'bytes' | { readonly min: number; readonly max: number }
const BYTE = { min: 0, max: 1 }
const TWO_BYTES = { min: 1, max: 65_535 }
const FOUR_BYTES = { min: 0, max: 0xffff_ffff }

const CONTENT: { readonly [name: string]: readonly [string, Kind] } = {
  'content-type': ['contentType', 'text'],
  'correlation-data': ['correlationData', 'bytes'],
  'message-expiry-interval': ['messageExpiryIntervalSec', FOUR_BYTES],
  'payload-format-indicator': ['payloadFormatIndicator', BYTE],
  'response-topic': ['responseTopic', 'text'],
}

const PROPERTIES: { readonly [command: string]: { readonly [name: string]: readonly [string, Kind] } } = {
  connect: {
    'authentication-data': ['authenticationData', 'bytes'],
    'authentication-method': ['authenticationMethod', 'text'],
    'maximum-packet-size': ['maximumPacketSize', { min: 1, max: 0xffff_ffff }],
    'receive-maximum': ['receiveMaximum', TWO_BYTES],
    'request-problem-information': ['requestProblemInformation', BYTE],
    'request-response-information': ['requestResponseInformation', BYTE],
    'session-expiry-interval': ['sessionExpiryIntervalSec', FOUR_BYTES],
    'topic-alias-maximum': ['topicAliasMaximum', { min: 0, max: 65_535 }],
  },
  publish: { ...CONTENT, 'topic-alias': ['topicAlias', TWO_BYTES] },
  will: { ...CONTENT, 'will-delay-interval': ['willDelayIntervalSec', FOUR_BYTES] },
  subscribe: { 'subscription-identifier': ['subscriptionIdentifier', { min: 1, max: 268_435_455 }] },
  unsubscribe: {},
  disconnect: { 'session-expiry-interval': ['sessionExpiryIntervalSec', FOUR_BYTES] },
}

/** Takes every `-D` out. @throws CommandError naming what is known. */
export function takeProperties(args: readonly string[]): { rest: string[]; properties: CommandProperties } {
  const found: { [command: string]: { [name: string]: unknown } } = {}
  for (const command of Object.keys(PROPERTIES)) found[command] = {}
  const rest: string[] = []
  let index = 0
  while (index < args.length) {
    const argument = args[index] as string
    if (argument === '--') {
      rest.push(...args.slice(index))
      break
    }
    if (argument === '-D' || argument === '--property') index += 1 + takeOne(args.slice(index + 1), found)
    else {
      rest.push(argument)
      index += 1
      // The value of another flag may well be the text "-D".
      if (takesValue(argument) && index < args.length) rest.push(args[index++] as string)
    }
  }
  return { rest, properties: found as unknown as CommandProperties }
}

/** @returns how many arguments it was. */
function takeOne(args: readonly string[], found: { [command: string]: { [name: string]: unknown } }): number {
  const [command = '', name = '', value] = args
  const known = Object.hasOwn(PROPERTIES, command) ? PROPERTIES[command] : undefined
  if (known === undefined) throw usage(`-D ${command}: is none of ${Object.keys(PROPERTIES).join(', ')}`)
  const target = found[command] as { [name: string]: unknown }
  if (name === 'user-property') {
    const [, , key, text] = args
    if (key === undefined || text === undefined) throw usage(`-D ${command} user-property: needs a name and a value`)
    target.userProperties = [...((target.userProperties as UserProperties | undefined) ?? []), [key, text]]
    return 4
  }
  const property = Object.hasOwn(known, name) ? known[name] : undefined
  if (property === undefined) {
    throw usage(`-D ${command} ${name}: is none of ${[...Object.keys(known), 'user-property'].join(', ')}`)
  }
  if (value === undefined) throw usage(`-D ${command} ${name}: needs a value`)
  target[property[0]] = propertyValue(`-D ${command} ${name}`, value, property[1])
  return 3
}

function propertyValue(what: string, text: string, kind: Kind): unknown {
  if (kind === 'text') return text
  if (kind === 'bytes') return new TextEncoder().encode(text)
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= kind.min && value <= kind.max) return value
  throw usage(`${what}: '${text}' is no whole number from ${kind.min} to ${kind.max}`)
}

/** Flags whose value may look like another flag. */
const SHORT_WITH_VALUE = /^-[mtTUuPiIFfhpLqkxCWVAM]$/
const LONG_WITH_VALUE = /^--(message|topic|filter-out|username|pw|id|id-prefix|will-topic|will-payload|format)$/

export function takesValue(argument: string): boolean {
  return SHORT_WITH_VALUE.test(argument) || LONG_WITH_VALUE.test(argument)
}

function usage(message: string): CommandError {
  return new CommandError(ExitCode.USAGE, message)
}
