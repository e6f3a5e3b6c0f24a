/**
 * Bytes from the broker into packets, strictly: whatever the standard forbids in the form of a packet becomes a line in
 * `problems`, named by what it is about. Written from the standard for this suite and used by nothing else.
 */
import { PROPERTY_TYPE, type PropertyValue, type Version } from './bytes.js'

export const TYPE = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
} as const
export type PacketType = (typeof TYPE)[keyof typeof TYPE]
const NAMES = [
  '0 CONNECT CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK PINGREQ PINGRESP',
  'DISCONNECT AUTH',
]
  .join(' ')
  .split(' ')
export const typeName = (type: number): string => NAMES[type] as string

export type ProblemKind = 'form' | 'varint' | 'flags' | 'text'
export interface Problem {
  readonly kind: ProblemKind
  readonly text: string
}

export interface Packet {
  readonly type: number
  readonly flags: number
  /** The whole packet. */
  readonly bytes: Buffer
  id: number
  code: number
  codes: number[]
  properties: [number, PropertyValue][]
  /** Connect Acknowledge Flags. */
  ackFlags: number
  topic: string
  payload: Buffer
  readonly problems: Problem[]
}

export const qosOf = (packet: Packet): number => (packet.flags >> 1) & 3
export const isDup = (packet: Packet): boolean => (packet.flags & 8) !== 0
export const isRetain = (packet: Packet): boolean => (packet.flags & 1) !== 0
export const propertyOf = (packet: Packet, id: number): PropertyValue | undefined =>
  packet.properties.find(([each]) => each === id)?.[1]
export const propertiesOf = (packet: Packet, id: number): PropertyValue[] =>
  packet.properties.filter(([each]) => each === id).map(([, value]) => value)

export function describe(packet: Packet): string {
  const digits = packet.bytes.subarray(0, 40).toString('hex')
  return `${typeName(packet.type)} ${digits}${packet.bytes.length > 40 ? '…' : ''}`
}

/** The packet at the start of the buffer, or null until it is complete. */
export function decode(version: Version, buffer: Buffer): Packet | null {
  let length = 0
  let at = 1
  for (let shift = 1; ; shift *= 128) {
    const digit = buffer[at]
    if (digit === undefined) return null
    length += (digit & 127) * shift
    at += 1
    if ((digit & 128) === 0) break
    if (at > 4) throw new Error('a Remaining Length of more than four bytes')
  }
  if (buffer.length < at + length) return null
  const first = buffer[0] as number
  const packet: Packet = {
    type: first >> 4,
    flags: first & 15,
    bytes: buffer.subarray(0, at + length),
    id: 0,
    code: 0,
    codes: [],
    properties: [],
    ackFlags: 0,
    topic: '',
    payload: Buffer.alloc(0),
    problems: [],
  }
  if (at > 2 && buffer[at - 1] === 0) packet.problems.push({ kind: 'varint', text: 'Remaining Length is overlong' })
  const wanted = packet.type === TYPE.pubrel ? 2 : 0
  if (packet.type !== TYPE.publish && packet.flags !== wanted) {
    packet.problems.push({ kind: 'flags', text: `flags ${packet.flags} on ${typeName(packet.type)}` })
  }
  try {
    new Body(version, packet, at).read()
  } catch (error) {
    packet.problems.push({ kind: 'form', text: (error as Error).message })
  }
  return packet
}

class Body {
  readonly #version: Version
  readonly #packet: Packet
  #at: number

  constructor(version: Version, packet: Packet, at: number) {
    this.#version = version
    this.#packet = packet
    this.#at = at
  }

  read(): void {
    const packet = this.#packet
    switch (packet.type) {
      case TYPE.connack:
        packet.ackFlags = this.#byte()
        packet.code = this.#byte()
        this.#properties()
        break
      case TYPE.publish:
        packet.topic = this.#text()
        if (qosOf(packet) > 0) packet.id = this.#u16()
        this.#properties()
        packet.payload = this.#rest()
        break
      case TYPE.puback:
      case TYPE.pubrec:
      case TYPE.pubrel:
      case TYPE.pubcomp:
        packet.id = this.#u16()
        this.#optionalCode()
        break
      case TYPE.suback:
        packet.id = this.#u16()
        this.#properties()
        packet.codes = [...this.#rest()]
        break
      case TYPE.unsuback:
        packet.id = this.#u16()
        this.#properties()
        if (this.#version === 5) packet.codes = [...this.#rest()]
        break
      case TYPE.pingresp:
        break
      case TYPE.disconnect:
      case TYPE.auth:
        if (this.#version === 4) throw new Error(`${typeName(packet.type)} in 3.1.1`)
        this.#optionalCode()
        break
      default:
        throw new Error(`${typeName(packet.type)} from a server`)
    }
    if (this.#at !== packet.bytes.length) throw new Error('bytes behind the last field')
  }

  #optionalCode(): void {
    if (this.#version === 4 || this.#at === this.#packet.bytes.length) return
    this.#packet.code = this.#byte()
    if (this.#at < this.#packet.bytes.length) this.#properties()
  }

  #properties(): void {
    if (this.#version === 4) return
    const length = this.#varint()
    const end = this.#at + length
    const seen = new Set<number>()
    while (this.#at < end) {
      const id = this.#byte()
      if (seen.has(id) && id !== 0x26 && id !== 0x0b) throw new Error(`property ${id} twice`)
      seen.add(id)
      this.#packet.properties.push([id, this.#value(id)])
    }
    if (this.#at !== end) throw new Error('the Property Length is wrong')
  }

  #value(id: number): PropertyValue {
    switch (PROPERTY_TYPE[id]) {
      case 'byte':
        return this.#byte()
      case 'u16':
        return this.#u16()
      case 'u32':
        return this.#u16() * 65_536 + this.#u16()
      case 'varint':
        return this.#varint()
      case 'utf8':
        return this.#text()
      case 'binary':
        return this.#take(this.#u16())
      case 'pair':
        return [this.#text(), this.#text()]
      default:
        throw new Error(`there is no property ${id}`)
    }
  }

  #text(): string {
    const raw = this.#take(this.#u16())
    const text = raw.toString('utf8')
    if (!Buffer.from(text).equals(raw)) this.#packet.problems.push({ kind: 'text', text: 'ill-formed UTF-8' })
    if (text.includes('\0')) this.#packet.problems.push({ kind: 'text', text: 'U+0000 in a string' })
    return text
  }

  #varint(): number {
    let value = 0
    for (let shift = 1, count = 1; ; shift *= 128, count += 1) {
      const digit = this.#byte()
      value += (digit & 127) * shift
      if ((digit & 128) === 0) {
        if (digit === 0 && count > 1) this.#packet.problems.push({ kind: 'varint', text: 'an overlong integer' })
        return value
      }
      if (count === 4) throw new Error('a variable integer of more than four bytes')
    }
  }

  #byte(): number {
    return this.#take(1)[0] as number
  }
  #u16(): number {
    return this.#take(2).readUInt16BE()
  }
  #rest(): Buffer {
    return this.#take(this.#packet.bytes.length - this.#at)
  }
  #take(length: number): Buffer {
    const end = this.#at + length
    if (end > this.#packet.bytes.length) throw new Error('the packet ends within a field')
    const part = this.#packet.bytes.subarray(this.#at, end)
    this.#at = end
    return part
  }
}
