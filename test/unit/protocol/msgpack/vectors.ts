/**
 * Reads `conformance/vectors/*.json`: hex beside the packets it stands for, in the words of `src/protocol/packets.ts`,
 * with binaries as `{ "hex": … }`. A new file in that directory is picked up by itself.
 */
import { readdirSync, readFileSync } from 'node:fs'
import type { CodecLimits } from '../../../../src/protocol/codec.js'
import type { Packet } from '../../../../src/protocol/packets.js'

export interface ValidVector {
  readonly name: string
  readonly direction: 'client-to-server' | 'server-to-client' | 'both'
  readonly hex: string
  /** The bytes are allowed, but an encoder of ours would write them shorter. */
  readonly decodeOnly?: boolean
  /** Several of the packets share one. */
  readonly hasRuns?: boolean
  readonly packets: readonly unknown[]
}
export interface InvalidVector {
  readonly name: string
  readonly hex: string
  readonly reasonCode: number
  readonly why: string
  /** Good packets in front of the bad one; absent: none. */
  readonly packetsBefore?: number
  /** Limits that differ from `VECTOR_LIMITS`. */
  readonly limits?: Partial<CodecLimits>
  /** false: CONNECT has not been accepted yet. */
  readonly connectAccepted?: boolean
}
export interface VectorFile {
  readonly file: string
  readonly protocol: string
  readonly valid: readonly ValidVector[]
  readonly invalid: readonly InvalidVector[]
}

export const VECTOR_LIMITS: CodecLimits = {
  maximumPacketSize: 65_536,
  userPropertiesMax: 64,
  connectPacketSizeMax: 65_536,
}

const DIRECTORY = new URL('../../../../conformance/vectors/', import.meta.url)

export function loadVectors(protocol: string): VectorFile[] {
  return readdirSync(DIRECTORY)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => ({ file, ...JSON.parse(readFileSync(new URL(file, DIRECTORY), 'utf8'), joinEncoded) }) as VectorFile)
    .filter((vectors) => vectors.protocol === protocol)
}

/** The vectors have the bytes of PRODUCE's messages one by one; a packet of ours has them in one piece. */
function joinEncoded(_key: string, value: unknown): unknown {
  const { encoded } = (value ?? {}) as { encoded?: { hex: string }[] }
  if (encoded === undefined) return value
  let end = 0
  const ends = encoded.map(({ hex }) => {
    end += hex.length / 2
    return end
  })
  return { ...(value as object), encoded: { hex: encoded.map(({ hex }) => hex).join('') }, ends }
}

/** `{ "hex": "00ff" }` to bytes, at any depth. */
export function fromJson(value: unknown): Packet {
  return revive(value) as Packet
}

function revive(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revive)
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value)
  const [first] = entries
  if (entries.length === 1 && first?.[0] === 'hex') return bytesOf(first[1] as string)
  return Object.fromEntries(entries.map(([key, item]) => [key, revive(item)]))
}

export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'))
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** Views become plain arrays of the same bytes, so that packets can be compared whatever chunk they came in. */
export function withoutViews(value: unknown): unknown {
  if (value instanceof Uint8Array) return Uint8Array.from(value)
  if (Array.isArray(value)) return value.map(withoutViews)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutViews(item)]))
}
