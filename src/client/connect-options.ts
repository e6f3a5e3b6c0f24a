/**
 * Options as the caller gives them → settings as the rest of the SDK wants them: complete, checked, one meaning
 * each.
 */
import { utf8Encode } from '../base/utf8.js'
import type { Codec } from '../protocol/codec.js'
import { nativeCodec } from '../protocol/msgpack/codec.js'
import {
  type ConnectPacket,
  type ConnectProperties,
  type DeliveryCursor,
  PACKET_ID_MAX,
  PacketType,
} from '../protocol/packets.js'
import type { ClientState, ConnectOptions, OutboxStore, WillOptions } from './api.js'
import { systemRandom, systemTimers } from './clock.js'
import type { ConnectionSettings } from './connection.js'
import type { ReconnectPolicy } from './reconnect.js'
import { TallyError } from './tally-error.js'
import type { OpenTransport } from './transport.js'

/** Which sockets there are; undefined: not here. */
export interface Platform {
  readonly webSocket: (timers: ConnectionSettings['timers']) => OpenTransport
  readonly tcp: OpenTransport | undefined
}

export interface ClientSettings extends ConnectionSettings {
  /** With the `cleanStart` of the first connect, and an empty client id where the broker is to assign one. */
  readonly connect: ConnectPacket
  /** null: none, the first end is the last. */
  readonly reconnect: ReconnectPolicy | null
  readonly random: () => number
  readonly outbox: OutboxStore | null
  readonly isManualAck: boolean
  readonly receiveMaximum: number
  readonly publishQueueMessagesMax: number
  readonly unclaimedHoldMs: number
  /** undefined: the application keeps no cursor. */
  readonly deliveryCursor: DeliveryCursor | null | undefined
  /** Nobody asked for the session to outlive the client. */
  readonly endsSessionOnClose: boolean
  readonly onState: ((state: ClientState) => void) | undefined
}

const PUBLISH_QUEUE_MESSAGES_MAX = 65_000

export async function resolveOptions(options: ConnectOptions, platform: Platform): Promise<ClientSettings> {
  const timers = options.timers ?? systemTimers
  const { url, protocol, isTcp } = resolveUrl(options)
  const protocolLevel = protocol === 'mqtt' ? (options.protocolLevel ?? 5) : 5
  const receiveMaximum = within('receiveMaximum', options.receiveMaximum ?? 4_096, 1, PACKET_ID_MAX)
  const maximumPacketSize = within('maximumPacketSize', options.maximumPacketSize ?? 16_777_216, 1, 0xffff_ffff)
  const isLevel5 = protocolLevel === 5
  const openTransport = options.openTransport ?? (isTcp ? platform.tcp : platform.webSocket(timers))
  if (openTransport === undefined) {
    throw invalid('mqtt:// and mqtts:// need Node; in a browser use ws:// or wss:// with protocol "mqtt"')
  }
  const connect = connectPacket(options, url, protocolLevel, { receiveMaximum, maximumPacketSize })
  return {
    target: {
      url: url.href,
      subprotocol: protocol === 'mqtt' ? 'mqtt' : 'tally.v1',
      ...(options.headers === undefined ? {} : { headers: options.headers }),
      ...(options.tls === undefined ? {} : { tls: options.tls }),
      ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
    },
    openTransport,
    codec: await loadCodec(protocol),
    timers,
    maximumPacketSize,
    connectTimeoutMs: within('connectTimeoutMs', options.connectTimeoutMs ?? 10_000, 1, 2 ** 31 - 1),
    outputBufferBytesMax: within('outputBufferBytesMax', options.outputBufferBytesMax ?? 1_048_576, 0, 2 ** 40),
    connect,
    reconnect: reconnectPolicy(options.reconnect),
    random: options.random ?? systemRandom,
    outbox: options.outbox ?? null,
    isManualAck: options.manualAck ?? false,
    receiveMaximum: isLevel5 ? receiveMaximum : PACKET_ID_MAX,
    publishQueueMessagesMax: within(
      'publishQueueMessagesMax',
      options.publishQueueMessagesMax ?? 10_000,
      1,
      PUBLISH_QUEUE_MESSAGES_MAX,
    ),
    unclaimedHoldMs: within('unclaimedHoldMs', options.unclaimedHoldMs ?? 10_000, 0, 2 ** 31 - 1),
    deliveryCursor: checkedCursor(options, connect, protocol),
    endsSessionOnClose: isLevel5 && options.clientId === undefined && options.sessionExpiryIntervalSec === undefined,
    onState: options.onState,
  }
}

function checkedCursor(
  { deliveryCursor }: ConnectOptions,
  { clientId, cleanStart }: ConnectPacket,
  protocol: Codec['name'],
): DeliveryCursor | null | undefined {
  if (deliveryCursor === undefined) return undefined
  if (protocol !== 'tally.v1') throw invalid('deliveryCursor needs tally.v1: MQTT numbers no deliveries')
  if (clientId === '' || cleanStart) throw invalid('deliveryCursor needs a session: a clientId, and no cleanStart')
  if (deliveryCursor === null) return null
  within('deliveryCursor.sessionNumber', deliveryCursor.sessionNumber, 1, Number.MAX_SAFE_INTEGER)
  within('deliveryCursor.deliverySequence', deliveryCursor.deliverySequence, 0, Number.MAX_SAFE_INTEGER)
  return deliveryCursor
}

/** MQTT is loaded when it is asked for: a page that speaks the native protocol does not pay for it. */
async function loadCodec(protocol: Codec['name']): Promise<Codec> {
  return protocol === 'mqtt' ? (await import('../protocol/mqtt/codec.js')).mqttCodec : nativeCodec
}

function resolveUrl(options: ConnectOptions): { url: URL; protocol: 'tally.v1' | 'mqtt'; isTcp: boolean } {
  if (!URL.canParse(options.url)) throw invalid('url is not a URL; it looks like ws://host:port or mqtt://host:port')
  const url = new URL(options.url)
  const isTcp = url.protocol === 'mqtt:' || url.protocol === 'mqtts:'
  if (!isTcp && url.protocol !== 'ws:' && url.protocol !== 'wss:') {
    throw invalid(`url begins with ws://, wss://, mqtt:// or mqtts://, not with ${url.protocol}//`)
  }
  const asked = options.protocol ?? url.searchParams.get('protocol') ?? (isTcp ? 'mqtt' : 'tally.v1')
  if (asked !== 'mqtt' && asked !== 'tally.v1') throw invalid('protocol is "tally.v1" or "mqtt"')
  if (isTcp && asked === 'tally.v1') throw invalid('tally.v1 runs over WebSocket: use a ws:// or wss:// url')
  url.searchParams.delete('protocol')
  if (!isTcp && url.pathname === '/') url.pathname = asked === 'mqtt' ? '/mqtt' : '/tally'
  return { url, protocol: asked, isTcp }
}

/** Takes user name and password out of the url, so that they are in no message and no log. */
function connectPacket(
  options: ConnectOptions,
  url: URL,
  protocolLevel: ConnectPacket['protocolLevel'],
  limits: { receiveMaximum: number; maximumPacketSize: number },
): ConnectPacket {
  const username = options.username ?? (url.username === '' ? undefined : decodeURIComponent(url.username))
  const password = options.password ?? (url.password === '' ? undefined : decodeURIComponent(url.password))
  url.username = ''
  url.password = ''
  const { clientId = '', cleanStart = clientId === '', will } = options
  const packet: ConnectPacket = {
    type: PacketType.CONNECT,
    protocolLevel,
    clientId,
    cleanStart,
    keepAliveSec: within('keepAliveSec', options.keepAliveSec ?? 60, 0, 65_535),
    properties: protocolLevel === 5 ? connectProperties(options, limits) : {},
  }
  if (clientId === '' && !cleanStart) throw invalid('cleanStart: false needs a clientId: a session is found by it')
  if (username !== undefined) packet.username = username
  if (password !== undefined) packet.password = bytesOf(password)
  if (will !== undefined) packet.will = willMessage(will)
  return packet
}

function connectProperties(
  options: ConnectOptions,
  limits: { receiveMaximum: number; maximumPacketSize: number },
): ConnectProperties {
  const { clientId, userProperties, sessionExpiryIntervalSec = clientId === undefined ? 60 : 3_600 } = options
  const properties: ConnectProperties = {
    ...options.properties,
    ...limits,
    sessionExpiryIntervalSec: within('sessionExpiryIntervalSec', sessionExpiryIntervalSec, 0, 0xffff_ffff),
  }
  if (userProperties !== undefined) properties.userProperties = userProperties
  return properties
}

function willMessage(will: WillOptions): NonNullable<ConnectPacket['will']> {
  const { topicName, payload = '', qos = 0, retain = false, properties = {} } = will
  return { topicName, payload: bytesOf(payload), qos, retain, properties }
}

function reconnectPolicy(options: ConnectOptions['reconnect']): ReconnectPolicy | null {
  if (options === false) return null
  const { minDelayMs = 250, maxDelayMs = 30_000, attemptsMax = Number.POSITIVE_INFINITY } = options ?? {}
  within('reconnect.minDelayMs', minDelayMs, 0, maxDelayMs)
  return { minDelayMs, maxDelayMs, attemptsMax }
}

export function bytesOf(payload: Uint8Array | string): Uint8Array {
  return typeof payload === 'string' ? utf8Encode(payload) : payload
}

export function invalid(what: string): TallyError {
  return new TallyError('INVALID_ARGUMENT', what)
}

/** @throws TallyError INVALID_ARGUMENT that names the option and its bounds. */
export function within(name: string, value: number, min: number, max: number): number {
  if (value >= min && value <= max) return value
  throw invalid(`${name} is ${value}; it must be from ${min} to ${max}`)
}
