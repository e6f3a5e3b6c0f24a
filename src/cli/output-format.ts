/**
 * `sub -F`: mosquitto_sub's output formats. A format is compiled once into pieces; printing a message joins what the
 * pieces say. `%` is about the message, `@` about the time (strftime), `\` writes a character.
 * Flags (`-`, `0`), width and `.precision` work where mosquitto_sub 2.0 lets them and are ignored elsewhere.
 */
import { messageJson } from './message-json.js'
import { bytesText, payloadText, type ReceivedMessage } from './received-message.js'
import { strftime } from './strftime.js'

/** @returns what to print, as a string of bytes, without the end of line. */
export type OutputFormat = (message: ReceivedMessage) => string

export interface FormatSettings {
  readonly pretty: boolean
  /** Told what could not be printed. */
  readonly complain: (problem: string) => void
}

export class FormatError extends Error {
  override readonly name = 'FormatError'
}

interface Layout {
  readonly left: boolean
  readonly zero: boolean
  readonly width: number
  /** -1: none. */
  readonly precision: number
}

type Piece = (message: ReceivedMessage, layout: Layout, settings: FormatSettings) => string

const text =
  (read: (message: ReceivedMessage) => string | undefined): Piece =>
  (message, layout) => {
    const value = bytesText(read(message) ?? '')
    return padded(layout.precision < 0 ? value : value.slice(0, layout.precision), { ...layout, zero: false })
  }
const number =
  (read: (message: ReceivedMessage) => number | undefined): Piece =>
  (message, layout) => {
    const value = read(message)
    return value === undefined ? ' '.repeat(layout.width) : padded(String(value), layout)
  }
/** For a payload the width is also the most that is printed. */
const payload =
  (show: (bytes: Uint8Array) => string, charactersPerByte: 1 | 2): Piece =>
  (message, layout) => {
    if (layout.width === 0) return show(message.payload)
    return padded(show(message.payload.subarray(0, Math.floor(layout.width / charactersPerByte))), layout)
  }
const json =
  (payloadIsJson: boolean): Piece =>
  (message, _layout, settings) => {
    const line = messageJson(message, payloadIsJson, settings.pretty)
    if (line === undefined) settings.complain(`Message payload is not valid JSON on topic ${message.topicName}.`)
    return line ?? ''
  }

const PIECES: { readonly [letter: string]: Piece } = {
  '%': () => '%',
  A: number((message) => message.properties.topicAlias),
  C: text((message) => message.properties.contentType),
  D: (message) => payloadText(message.properties.correlationData ?? new Uint8Array()),
  E: number((message) => message.properties.messageExpiryIntervalSec),
  F: number((message) => message.properties.payloadFormatIndicator),
  I: text(
    (message) =>
      `${strftime('F', message.receivedAt)}T${strftime('T', message.receivedAt)}${strftime('z', message.receivedAt)}`,
  ),
  j: json(false),
  J: json(true),
  l: number((message) => message.payload.length),
  m: number((message) => message.packetId),
  p: payload(payloadText, 1),
  P: (message) =>
    bytesText((message.properties.userProperties ?? []).map(([name, value]) => `${name}:${value}`).join(' ')),
  q: (message) => String(message.qos),
  r: (message) => (message.retain ? '1' : '0'),
  R: text((message) => message.properties.responseTopic),
  S: number((message) => message.subscriptionIdentifiers[0]),
  t: text((message) => message.topicName),
  U: (message) => `${strftime('s', message.receivedAt)}.${strftime('N', message.receivedAt)}`,
  x: payload((bytes) => Buffer.from(bytes).toString('hex'), 2),
  X: payload((bytes) => Buffer.from(bytes).toString('hex').toUpperCase(), 2),
}

const ESCAPES: { readonly [letter: string]: string } = {
  '\\': '\\',
  '0': '\0',
  a: '\x07',
  e: '\x1b',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
}

const FIELD = /^%(-?)(0?)(\d*)(?:\.(\d+))?(.)?/su
const FIELD_WIDTH_MAX = 10_000

/** @throws FormatError naming the part that is wrong. */
export function compileFormat(format: string, settings: FormatSettings): OutputFormat {
  const pieces: ((message: ReceivedMessage) => string)[] = []
  let index = 0
  while (index < format.length) {
    const start = format[index] as string
    if (start === '%') {
      const [whole, left, zero, width, precision, letter] = FIELD.exec(format.slice(index)) as RegExpExecArray
      pieces.push(fieldPiece({ left, zero, width, precision, letter }, settings))
      index += whole.length
    } else if (start === '@' || start === '\\') {
      const letter = format[index + 1]
      if (letter === undefined) throw new FormatError(`${start} at the end of the format stands for nothing`)
      pieces.push(start === '@' ? timePiece(letter) : escapePiece(letter))
      index += 2
    } else {
      const rest = format.slice(index).search(/[%@\\]/)
      const literal = bytesText(rest < 0 ? format.slice(index) : format.slice(index, index + rest))
      pieces.push(() => literal)
      index = rest < 0 ? format.length : index + rest
    }
  }
  return (message) => {
    let out = ''
    for (const piece of pieces) out += piece(message)
    return out
  }
}

/** `-v`: topic and payload, `(null)` for an empty one. Without it: the payload, nothing for an empty one. */
export function plainFormat(verbose: boolean): (message: ReceivedMessage) => string | undefined {
  return (message) => {
    const body = payloadText(message.payload)
    if (!verbose) return message.payload.length === 0 ? undefined : body
    return `${bytesText(message.topicName)} ${message.payload.length === 0 ? '(null)' : body}`
  }
}

type FieldText = Record<'left' | 'zero' | 'width' | 'precision' | 'letter', string | undefined>

function fieldPiece(field: FieldText, settings: FormatSettings): (message: ReceivedMessage) => string {
  const { letter } = field
  if (letter === undefined) throw new FormatError('% at the end of the format stands for nothing; write %% for a %')
  const piece = Object.hasOwn(PIECES, letter) ? PIECES[letter] : undefined
  if (piece === undefined) {
    throw new FormatError(
      `%${letter} is no format; known: ${Object.keys(PIECES)
        .map((known) => `%${known}`)
        .join(' ')}`,
    )
  }
  const layout = {
    left: field.left === '-',
    zero: field.zero === '0',
    width: Number(field.width ?? 0),
    precision: field.precision === undefined ? -1 : Number(field.precision),
  }
  if (layout.width > FIELD_WIDTH_MAX) throw new FormatError(`a field is at most ${FIELD_WIDTH_MAX} wide`)
  return (message) => piece(message, layout, settings)
}

function timePiece(letter: string): (message: ReceivedMessage) => string {
  return letter === '@' ? () => '@' : (message) => strftime(letter, message.receivedAt)
}

function escapePiece(letter: string): () => string {
  const character = Object.hasOwn(ESCAPES, letter) ? (ESCAPES[letter] as string) : undefined
  if (character === undefined)
    throw new FormatError(`\\${letter} is no escape; known: \\\\ \\0 \\a \\e \\n \\r \\t \\v`)
  return () => character
}

function padded(value: string, layout: Layout): string {
  if (layout.left) return value.padEnd(layout.width)
  return value.padStart(layout.width, layout.zero ? '0' : ' ')
}
