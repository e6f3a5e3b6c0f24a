/**
 * Our packets as mqtt-packet's and back, for the differential tests.
 */
import type { Packet as TheirPacket } from 'mqtt-packet'
import { type Packet, PacketType, type ProtocolLevel, type UserProperty } from '../../../../src/protocol/packets.js'

type Fields = Record<string, unknown>

const COMMANDS = Object.entries(PacketType).map(([name, type]) => [name.toLowerCase(), type] as const)
const NAMES: Record<string, string> = {
  sessionExpiryIntervalSec: 'sessionExpiryInterval',
  messageExpiryIntervalSec: 'messageExpiryInterval',
  willDelayIntervalSec: 'willDelayInterval',
  serverKeepAliveSec: 'serverKeepAlive',
  subscriptionIdentifiers: 'subscriptionIdentifier',
}
const FLAGS = [
  'payloadFormatIndicator',
  'requestResponseInformation',
  'requestProblemInformation',
  'retainAvailable',
  'wildcardSubscriptionAvailable',
  'subscriptionIdentifiersAvailable',
  'sharedSubscriptionAvailable',
]
const RETURN_CODES = [0, 0x84, 0x85, 0x88, 0x86, 0x87]

function commandOf(packet: Packet): string {
  return COMMANDS.find(([, type]) => type === packet.type)?.[0] ?? ''
}

function buffer(value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value) : value
}

function propertiesToTheirs(properties: object | null): Fields | undefined {
  if (properties === null || Object.keys(properties).length === 0) return undefined
  const theirs: Fields = {}
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'userProperties') theirs[name] = groupPairs(value as UserProperty[])
    else theirs[NAMES[name] ?? name] = FLAGS.includes(name) ? value === 1 : buffer(value)
  }
  return theirs
}

function groupPairs(pairs: readonly UserProperty[]): Fields {
  const grouped = Object.create(null) as Record<string, string[]>
  for (const [name, value] of pairs) {
    grouped[name] ??= []
    grouped[name]?.push(value)
  }
  return grouped
}

export function toTheirs(packet: Packet, level: ProtocolLevel): TheirPacket {
  const properties = 'properties' in packet ? propertiesToTheirs(packet.properties) : undefined
  const theirs: Fields = { cmd: commandOf(packet) }
  if (level === 5 && properties !== undefined) theirs.properties = properties
  if ('packetId' in packet) theirs.messageId = packet.packetId
  if ('reasonCode' in packet) {
    if (level === 5) theirs.reasonCode = packet.reasonCode
    else theirs.returnCode = RETURN_CODES.indexOf(packet.reasonCode)
  }
  if ('reasonCodes' in packet) theirs.granted = [...packet.reasonCodes]
  return Object.assign(theirs, otherFields(packet)) as unknown as TheirPacket
}

function otherFields(packet: Packet): Fields {
  switch (packet.type) {
    case PacketType.CONNECT: {
      const { will } = packet
      const theirWill = will && { ...will, topic: will.topicName, payload: buffer(will.payload) }
      return {
        protocolId: packet.protocolLevel === 3 ? 'MQIsdp' : 'MQTT',
        protocolVersion: packet.protocolLevel,
        clientId: packet.clientId,
        clean: packet.cleanStart,
        keepalive: packet.keepAliveSec,
        ...(theirWill && { will: { ...theirWill, properties: propertiesToTheirs(will.properties) } }),
        ...(packet.username !== undefined && { username: packet.username }),
        ...(packet.password !== undefined && { password: buffer(packet.password) }),
      }
    }
    case PacketType.CONNACK:
      return { sessionPresent: packet.sessionPresent }
    case PacketType.PUBLISH: {
      const { topicName, payload, qos, retain, dup } = packet
      return { topic: topicName, payload: buffer(payload), qos, retain, dup }
    }
    case PacketType.SUBSCRIBE:
      return {
        subscriptions: packet.subscriptions.map((subscription) => ({
          topic: subscription.topicFilter,
          qos: subscription.qos,
          nl: subscription.noLocal,
          rap: subscription.retainAsPublished,
          rh: subscription.retainHandling,
        })),
      }
    case PacketType.UNSUBSCRIBE:
      return { unsubscriptions: [...packet.topicFilters] }
    default:
      return {}
  }
}

function propertiesFromTheirs(theirs: unknown, type: PacketType): Fields | undefined {
  if (theirs === undefined) return undefined
  const properties: Fields = {}
  for (const [theirName, value] of Object.entries(theirs as Fields)) {
    const name = ourName(theirName, type)
    if (name === 'userProperties') properties[name] = pairsOf(value as Fields)
    else if (name === 'subscriptionIdentifiers') properties[name] = [value].flat()
    else properties[name] = typeof value === 'boolean' ? Number(value) : value
  }
  return properties
}

function ourName(theirName: string, type: PacketType): string {
  if (theirName === 'subscriptionIdentifier' && type === PacketType.SUBSCRIBE) return theirName
  return Object.keys(NAMES).find((name) => NAMES[name] === theirName) ?? theirName
}

function pairsOf(grouped: Fields): [string, string][] {
  return Object.entries(grouped).flatMap(([name, values]) =>
    [values].flat().map((value): [string, string] => [name, value as string]),
  )
}

export function fromTheirs(packet: TheirPacket, level: ProtocolLevel): Packet {
  const theirs = packet as unknown as Fields
  const type = COMMANDS.find(([command]) => command === theirs.cmd)?.[1] as PacketType
  const properties = propertiesFromTheirs(theirs.properties, type)
  const withId = { type, packetId: theirs.messageId }
  switch (type) {
    case PacketType.CONNECT: {
      const will = theirs.will as Fields | undefined
      return {
        type,
        protocolLevel: theirs.protocolVersion,
        clientId: theirs.clientId,
        cleanStart: theirs.clean,
        keepAliveSec: theirs.keepalive,
        properties: properties ?? {},
        username: theirs.username,
        password: theirs.password,
        will: will && {
          topicName: will.topic,
          payload: will.payload,
          qos: will.qos,
          retain: will.retain,
          properties: propertiesFromTheirs(will.properties, type) ?? {},
        },
      } as Packet
    }
    case PacketType.CONNACK: {
      const reasonCode = level === 5 ? theirs.reasonCode : RETURN_CODES[theirs.returnCode as number]
      return { type, sessionPresent: theirs.sessionPresent, reasonCode, properties: properties ?? {} } as Packet
    }
    case PacketType.PUBLISH: {
      const { topic, payload, qos, retain, dup, messageId } = theirs
      const publish = { type, topicName: topic, payload, qos, retain, dup, properties: properties ?? null }
      return { ...publish, packetId: messageId ?? 0 } as Packet
    }
    case PacketType.SUBSCRIBE: {
      const subscriptions = (theirs.subscriptions as Fields[]).map(({ topic, qos, nl, rap, rh }) => ({
        topicFilter: topic,
        qos,
        noLocal: nl ?? false,
        retainAsPublished: rap ?? false,
        retainHandling: rh ?? 0,
      }))
      return { ...withId, subscriptions, properties: properties ?? {} } as Packet
    }
    case PacketType.UNSUBSCRIBE:
      return { ...withId, topicFilters: theirs.unsubscriptions, properties: properties ?? {} } as Packet
    case PacketType.SUBACK:
    case PacketType.UNSUBACK:
      return { ...withId, reasonCodes: theirs.granted ?? [], properties: properties ?? null } as Packet
    case PacketType.PINGREQ:
    case PacketType.PINGRESP:
      return { type }
    case PacketType.DISCONNECT:
    case PacketType.AUTH:
      return { type, reasonCode: theirs.reasonCode ?? 0, properties: properties ?? null } as Packet
    default:
      return { ...withId, reasonCode: theirs.reasonCode ?? 0, properties: properties ?? null } as Packet
  }
}
