/**
 * The flags `pub` and `sub` share, as mosquitto's clients have them, and what they mean for the SDK's `connect`.
 * Without --url and -h the broker is mqtt://127.0.0.1:1883; `--url ws://host:port` speaks the native protocol.
 */
import { type Command, InvalidArgumentError } from 'commander'
import type { ConnectOptions, QoS } from '../client/api.js'
import { CommandError, ExitCode } from './exit-codes.js'
import type { CommandProperties } from './properties.js'
import { addTlsFlags, impliesTls, type TlsFlags, tls } from './tls-flags.js'

export interface ClientFlags extends TlsFlags {
  readonly host?: string
  readonly port?: number
  readonly url?: string
  readonly username?: string
  readonly pw?: string
  readonly id?: string
  readonly idPrefix?: string
  readonly keepalive: number
  readonly disableCleanSession?: true
  readonly sessionExpiryInterval?: number
  readonly protocolVersion: 3 | 4 | 5
  readonly qos: QoS
  readonly debug?: true
  readonly quiet?: true
  readonly json?: true
  readonly willTopic?: string
  readonly willPayload?: string
  readonly willQos: QoS
  readonly willRetain?: true
  readonly bindAddress?: string
}

export function addClientFlags(command: Command): Command {
  const common = command
    .helpOption('--help', 'display this message')
    .option('-h, --host <host>', 'broker to connect to over MQTT (default: 127.0.0.1)')
    .option('-p, --port <port>', 'its port (default: 1883, with certificates 8883)', wholeNumber(1, 65_535))
    .option(
      '-L, --url <url>',
      'ws://host:port (native), ws://host:port/mqtt, or mqtt://[user[:password]@]host[:port][/topic]',
    )
    .option('-u, --username <name>', 'who we are')
    .option('-P, --pw <password>', 'password; better in the environment as TALLYMQ_PASSWORD, where ps does not show it')
    .option('-i, --id <clientId>', 'client id (default: the broker assigns one)')
    .option('-I, --id-prefix <prefix>', 'client id: this followed by the process id')
    .option('-k, --keepalive <seconds>', 'Keep Alive', wholeNumber(0, 65_535), 60)
    .option('-c, --disable-clean-session', 'go on with the session of this client id, and keep it')
    .option('-x, --session-expiry-interval <seconds>', 'how long the session is kept; -1 or ∞: for ever', expiry)
    .option('-V, --protocol-version <version>', 'mqttv5, mqttv311, mqttv31, 5, 311 or 31', protocolVersion, 5)
    .option('-q, --qos <qos>', 'quality of service', qos, 0)
    .option('-d, --debug', 'say on stderr what happens')
    .option('--quiet', 'say nothing on stderr')
    .option('--json', 'one JSON object per line on stdout')
    .option('--will-topic <topic>', 'topic of the Will')
    .option('--will-payload <text>', 'payload of the Will')
    .option('--will-qos <qos>', 'quality of service of the Will', qos, 0)
    .option('--will-retain', 'retain the Will')
    .option('-A, --bind-address <address>', 'address of this machine to connect from')
    .option('--nodelay', 'no waiting for fuller packets; always so')
    .option('-o, --options-file <file>', 'further flags: in each line one, and its value')
  return addTlsFlags(common)
}

export interface ClientTarget {
  readonly connect: ConnectOptions
  /** From the path of an mqtt:// URL. */
  readonly topic: string | undefined
}

/** @throws CommandError when flags contradict each other. */
export function clientTarget(
  flags: ClientFlags,
  properties: CommandProperties,
  context: { readonly processId: number; readonly password: string | undefined },
): ClientTarget {
  const { url, topic, username, password } = address(flags)
  if (flags.id !== undefined && flags.idPrefix !== undefined) throw usage('-i and -I: use one of them')
  const clientId = flags.id ?? (flags.idPrefix === undefined ? undefined : flags.idPrefix + context.processId)
  if (flags.disableCleanSession && !clientId) throw usage('-c: a session needs a client id; add -i')
  if (flags.willTopic === undefined && (flags.willPayload !== undefined || flags.willRetain)) {
    throw usage('--will-payload and --will-retain: need --will-topic')
  }
  const user = flags.username ?? username
  const secret = flags.pw ?? password ?? context.password
  // The native protocol lives at /tally; /mqtt is where brokers speak MQTT over WebSocket.
  const isMqtt = url.startsWith('mqtt') || new URL(url).pathname === '/mqtt'
  const connect: ConnectOptions = {
    url,
    cleanStart: flags.disableCleanSession !== true,
    sessionExpiryIntervalSec: flags.sessionExpiryInterval ?? (flags.disableCleanSession ? 0xffff_ffff : 0),
    keepAliveSec: flags.keepalive,
    // What the SDK has an option for goes there; the rest as it is.
    ...properties.connect,
    properties: properties.connect,
    ...(isMqtt ? { protocol: 'mqtt', protocolLevel: flags.protocolVersion } : {}),
    ...(clientId === undefined ? {} : { clientId }),
    ...(user === undefined ? {} : { username: user }),
    ...(secret === undefined ? {} : { password: secret }),
    ...will(flags, properties),
    ...tls(flags, url),
    ...(flags.bindAddress === undefined ? {} : { localAddress: flags.bindAddress }),
  }
  return { connect, topic }
}

function will(flags: ClientFlags, properties: CommandProperties): Pick<ConnectOptions, 'will'> {
  if (flags.willTopic === undefined) return {}
  return {
    will: {
      topicName: flags.willTopic,
      payload: flags.willPayload ?? '',
      qos: flags.willQos,
      retain: flags.willRetain === true,
      properties: properties.will,
    },
  }
}

interface Address {
  readonly url: string
  readonly topic?: string | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
}

function address(flags: ClientFlags): Address {
  if (flags.url === undefined) {
    const host = flags.host ?? '127.0.0.1'
    const [scheme, port] = impliesTls(flags) ? ['mqtts', 8_883] : ['mqtt', 1_883]
    const name = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
    return { url: `${scheme}://${name}:${flags.port ?? port}` }
  }
  if (flags.host !== undefined || flags.port !== undefined) throw usage('--url says host and port; leave -h and -p out')
  const url = URL.canParse(flags.url) ? new URL(flags.url) : undefined
  if (url === undefined || !/^(ws|wss|mqtt|mqtts):$/.test(url.protocol) || url.hostname === '') {
    throw usage(`--url ${withoutPassword(flags.url)}: must look like ws://host:port or mqtt://host:port`)
  }
  const username = url.username === '' ? undefined : decodeURIComponent(url.username)
  const password = url.password === '' ? undefined : decodeURIComponent(url.password)
  url.username = ''
  url.password = ''
  if (url.protocol.startsWith('ws')) return { url: url.href, username, password }
  const topic = url.pathname.length > 1 ? decodeURIComponent(url.pathname.slice(1)) : undefined
  return { url: `${url.protocol}//${url.host}`, topic, username, password }
}

function withoutPassword(url: string): string {
  return url.replace(/:[^:@/]*@/, ':…@')
}

/** For commander: a whole number in bounds. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`)
  }
}

/** Seconds with a fraction, as milliseconds. */
export function seconds(text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1_000 : Number.NaN
  if (Number.isFinite(value)) return value
  throw new InvalidArgumentError('It must be a number of seconds, such as 2 or 0.5.')
}

/** For commander: an option that may be given several times. */
export function collect(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text]
}

function qos(text: string): QoS {
  if (text === '0' || text === '1' || text === '2') return Number(text) as QoS
  throw new InvalidArgumentError('It must be 0, 1 or 2.')
}

const PROTOCOL_LEVELS: { readonly [name: string]: 3 | 4 | 5 } = {
  mqttv5: 5,
  mqttv311: 4,
  mqttv31: 3,
  '5': 5,
  '311': 4,
  '31': 3,
}

function expiry(text: string): number {
  if (text === '-1' || text === '∞') return 0xffff_ffff
  return wholeNumber(0, 0xffff_ffff)(text)
}

function protocolVersion(text: string): 3 | 4 | 5 {
  const level = Object.hasOwn(PROTOCOL_LEVELS, text) ? PROTOCOL_LEVELS[text] : undefined
  if (level === undefined)
    throw new InvalidArgumentError(`It must be one of ${Object.keys(PROTOCOL_LEVELS).join(', ')}.`)
  return level
}

function usage(message: string): CommandError {
  return new CommandError(ExitCode.USAGE, message)
}
