/**
 * `%j` and `%J`: one message as the JSON object that mosquitto_sub 2.0 prints, byte for byte, its tabs under `--pretty`
 * included. Programs in the field parse these lines.
 *
 * A payload under `%J` is not parsed and printed again but re-spaced token by token: the order of its keys, repeated
 * keys and the spelling of numbers follow cJSON, where JavaScript's own objects would reorder and round differently.
 */
import { bytesText, payloadText, type ReceivedMessage } from './received-message.js'
import { strftime } from './strftime.js'

/** @returns undefined when the payload was to be JSON (`%J`) and is not. */
export function messageJson(message: ReceivedMessage, payloadIsJson: boolean, pretty: boolean): string | undefined {
  const payload = payloadIsJson ? jsonPayload(message.payload) : `"${escaped(payloadText(message.payload))}"`
  if (payload === undefined) return undefined
  const fields = [
    field('tst', `"${timestamp(message.receivedAt)}"`),
    field('topic', `"${escaped(bytesText(message.topicName))}"`),
    field('qos', String(message.qos)),
    field('retain', message.retain ? '1' : '0'),
    field('payloadlen', String(message.payload.length)),
    ...(message.qos > 0 ? [field('mid', String(message.packetId))] : []),
    ...propertiesField(message),
    field('payload', payload),
  ]
  const line = `{${fields.join(',')}}`
  return pretty ? prettyJson(line) : line
}

/** mosquitto 2.0 writes both a `Z` and the local offset; whoever parses it has got used to that. */
function timestamp(time: Date): string {
  const part = (letter: string) => strftime(letter, time)
  return `${part('F')}T${part('T')}.${part('N').slice(0, 6)}Z${part('z')}`
}

function propertiesField({ properties, subscriptionIdentifiers }: ReceivedMessage): string[] {
  const fields: string[] = []
  const number = (name: string, value: number | undefined) => {
    if (value !== undefined) fields.push(field(name, String(value)))
  }
  const text = (name: string, value: string | undefined) => {
    if (value !== undefined) fields.push(field(name, `"${escaped(value)}"`))
  }
  const pairs = (properties.userProperties ?? []).map(([name, value]) =>
    field(escaped(bytesText(name)), `"${escaped(bytesText(value))}"`),
  )
  if (pairs.length > 0) fields.push(field('user-properties', `{${pairs.join(',')}}`))
  text('content-type', properties.contentType === undefined ? undefined : bytesText(properties.contentType))
  text('response-topic', properties.responseTopic === undefined ? undefined : bytesText(properties.responseTopic))
  text(
    'correlation-data',
    properties.correlationData === undefined ? undefined : payloadText(properties.correlationData),
  )
  number('payload-format-indicator', properties.payloadFormatIndicator)
  number('message-expiry-interval', properties.messageExpiryIntervalSec)
  number('topic-alias', properties.topicAlias)
  for (const identifier of subscriptionIdentifiers) number('subscription-identifier', identifier)
  return fields.length === 0 ? [] : [field('properties', `{${fields.join(',')}}`)]
}

function field(name: string, value: string): string {
  return `"${name}":${value}`
}

const SHORT_ESCAPES: { readonly [character: string]: string } = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}

function escaped(bytes: string): string {
  return bytes.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must be escaped
    /[\u0000-\u001f"\\]/g,
    (character) => SHORT_ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[{}[\],:]/g

function jsonPayload(payload: Uint8Array): string | undefined {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(payload)
    JSON.parse(text)
  } catch {
    return undefined
  }
  return bytesText((text.match(TOKEN) ?? []).map(compactToken).join(''))
}

function compactToken(token: string): string {
  if (token.startsWith('"')) return JSON.stringify(JSON.parse(token))
  return /^-?\d/.test(token) ? cjsonNumber(Number(token)) : token
}

/** As cJSON prints a double: 15 digits when they are enough, otherwise 17, in the shape of printf's %g. */
export function cjsonNumber(value: number): string {
  if (!Number.isFinite(value)) return 'null'
  const short = printfG(value, 15)
  return Number(short) === value ? short : printfG(value, 17)
}

function printfG(value: number, precision: number): string {
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  const [mantissa, exponentText] = value.toExponential(precision - 1).split('e') as [string, string]
  const exponent = Number(exponentText)
  if (exponent >= -4 && exponent < precision) return withoutTrailingZeros(value.toFixed(precision - 1 - exponent))
  const sign = exponent < 0 ? '-' : '+'
  return `${withoutTrailingZeros(mantissa)}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`
}

function withoutTrailingZeros(number: string): string {
  return number.includes('.') ? number.replace(/\.?0+$/, '') : number
}

/** cJSON's layout: objects over several lines with tabs, lists on one line; a list counts as a level of its own. */
function prettyJson(line: string): string {
  let depth = 0
  let out = ''
  const objects: boolean[] = []
  for (const token of line.match(TOKEN) ?? []) {
    if (token === '{' || token === '[') {
      depth += 1
      objects.push(token === '{')
      out += token === '{' ? '{\n' : '['
      continue
    }
    const inObject = objects.at(-1) === true
    if (token === '}' || token === ']') {
      depth -= 1
      objects.pop()
      if (token === '}') out += `${out.endsWith('{\n') ? '' : '\n'}${'\t'.repeat(depth)}`
      out += token
    } else if (token === ',') out += inObject ? ',\n' : ', '
    else if (token === ':') out += ':\t'
    else out += inObject && out.endsWith('\n') ? '\t'.repeat(depth) + token : token
  }
  return out
}
