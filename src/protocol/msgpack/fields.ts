/**
 * What the decoders of whole packets ask of one field: its type, its range, how many there are. The sentences name the
 * field, because the sender has to find it. Which fields a packet has is the business of its own decoder.
 */
import { malformed } from './wire.js'

export type Fields = readonly unknown[]

export function checkArity(fields: Fields, min: number, max: number, what: string): void {
  if (fields.length >= min && fields.length <= max) return
  throw malformed(`${what} has ${min === max ? min : `${min} to ${max}`} elements, not ${fields.length}`)
}

export function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null
}

export function array(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed(`${what} is an array`)
  return value
}

export function integer(value: unknown, max: number, what: string): number {
  if (typeof value !== 'number') throw malformed(`${what} is an integer`)
  if (value > max) throw malformed(`${what} is at most ${max}`)
  return value
}

export function count(value: unknown, what: string): number {
  return integer(value, Number.MAX_SAFE_INTEGER, what)
}

export function text(value: unknown, what: string): string {
  if (typeof value !== 'string') throw malformed(`${what} is a str`)
  return value
}

export function binary(value: unknown, what: string): Uint8Array {
  if (!(value instanceof Uint8Array)) throw malformed(`${what} is a bin`)
  return value
}
