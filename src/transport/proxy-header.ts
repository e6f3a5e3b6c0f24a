/**
 * The PROXY protocol header, version 1 (a line of text) and 2 (binary): what a load balancer says about the client
 * before the client's own bytes. Pure: bytes so far in; wait, refuse, or the client's address and where its bytes begin
 * out. Wrong bytes are refused at the first one that cannot be right. What extensions (TLVs) say is skipped.
 */
import { isIPv4, isIPv6 } from 'node:net'

export type ProxyHeader =
  | { readonly state: 'incomplete' }
  | { readonly state: 'invalid'; readonly detail: string }
  | {
      readonly state: 'complete'
      /** Bytes of the header: what follows is the client's. */
      readonly length: number
      /** `address:port`, or null: the balancer speaks for itself (LOCAL) or does not know (UNKNOWN). */
      readonly source: string | null
    }

/** "PROXY", two IPv6 addresses in full, two ports, CRLF: the longest line the specification knows. */
const LINE_BYTES_MAX = 107
const BINARY_HEAD_BYTES = 16
/** The length field could say 65535; real headers with TLS details stay far below this. */
const BINARY_BODY_BYTES_MAX = 4_096
const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a)
const LINE_START = Uint8Array.of(0x50, 0x52, 0x4f, 0x58, 0x59, 0x20)

/** No header is longer: a reader that has as many bytes knows the answer. */
export const PROXY_HEADER_BYTES_MAX = BINARY_HEAD_BYTES + BINARY_BODY_BYTES_MAX

const INCOMPLETE: ProxyHeader = { state: 'incomplete' }
/** Address family and transport → bytes of addresses. Datagram kinds carry the same addresses as stream kinds. */
const ADDRESS_BYTES: Readonly<Record<number, number>> = {
  0: 0,
  17: 12,
  18: 12,
  33: 36,
  34: 36,
  49: 216,
  50: 216,
}

/** @param bytes everything that has come so far. */
export function parseProxyHeader(bytes: Uint8Array): ProxyHeader {
  if (bytes.length === 0) return INCOMPLETE
  if (startsAlike(bytes, SIGNATURE)) return parseBinary(bytes)
  if (startsAlike(bytes, LINE_START)) return parseLine(bytes)
  return invalid('it begins with neither version 1 nor version 2 of the PROXY protocol')
}

function invalid(detail: string): ProxyHeader {
  return { state: 'invalid', detail }
}

function startsAlike(bytes: Uint8Array, pattern: Uint8Array): boolean {
  const length = Math.min(bytes.length, pattern.length)
  for (let index = 0; index < length; index += 1) if (bytes[index] !== pattern[index]) return false
  return true
}

function parseLine(bytes: Uint8Array): ProxyHeader {
  const end = bytes.indexOf(0x0a)
  const length = end + 1
  if (end < 0 ? bytes.length >= LINE_BYTES_MAX : length > LINE_BYTES_MAX) {
    return invalid(`the line is longer than ${LINE_BYTES_MAX} bytes`)
  }
  if (end < 0) return INCOMPLETE
  if (bytes[end - 1] !== 0x0d) return invalid('the line does not end with CR LF')
  const words = String.fromCharCode(...bytes.subarray(LINE_START.length, end - 1)).split(' ')
  const [family, source, destination, sourcePort, destinationPort] = words
  // Whatever follows UNKNOWN is to be ignored.
  if (family === 'UNKNOWN') return { state: 'complete', length, source: null }
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : null
  if (isAddress === null) return invalid('the family is none of TCP4, TCP6, UNKNOWN')
  if (words.length !== 5 || source === undefined || !isAddress(source) || !isAddress(destination ?? '')) {
    return invalid('an address does not fit its family')
  }
  if (!isPort(sourcePort) || !isPort(destinationPort)) return invalid('a port is not a number from 0 to 65535')
  return { state: 'complete', length, source: addressText(source, Number(sourcePort)) }
}

function isPort(text: string | undefined): boolean {
  return text !== undefined && /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535
}

function parseBinary(bytes: Uint8Array): ProxyHeader {
  const versionAndCommand = bytes[12]
  if (versionAndCommand === undefined) return INCOMPLETE
  if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21) {
    return invalid('the version is not 2, or the command is neither LOCAL nor PROXY')
  }
  const isLocal = versionAndCommand === 0x20
  const family = bytes[13]
  if (family === undefined) return INCOMPLETE
  const addressBytes = ADDRESS_BYTES[family]
  if (addressBytes === undefined && !isLocal) return invalid('the address family or transport is unknown')
  if (bytes.length < BINARY_HEAD_BYTES) return INCOMPLETE
  const bodyBytes = ((bytes[14] as number) << 8) | (bytes[15] as number)
  if (bodyBytes > BINARY_BODY_BYTES_MAX) return invalid(`the header is longer than ${PROXY_HEADER_BYTES_MAX} bytes`)
  if (!isLocal && bodyBytes < (addressBytes as number)) return invalid('the addresses do not fit the length')
  const length = BINARY_HEAD_BYTES + bodyBytes
  if (bytes.length < length) return INCOMPLETE
  const body = bytes.subarray(BINARY_HEAD_BYTES, length)
  return { state: 'complete', length, source: isLocal ? null : sourceOf(family, body) }
}

/** Source address, destination address, source port, destination port. */
function sourceOf(family: number, body: Uint8Array): string | null {
  switch (family >>> 4) {
    case 1:
      return addressText(body.subarray(0, 4).join('.'), portAt(body, 8))
    case 2: {
      const groups = Array.from({ length: 8 }, (_, index) => portAt(body, index * 2).toString(16))
      return addressText(shortened(groups.join(':')), portAt(body, 32))
    }
    case 3:
      return 'unix'
    default:
      return null
  }
}

function portAt(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] as number) << 8) | (bytes[offset + 1] as number)
}

/** The way everybody writes an IPv6 address (RFC 5952). */
function shortened(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1)
}

function addressText(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
