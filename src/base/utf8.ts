/**
 * UTF-8 both ways, fast on Node (Buffer's native methods) and correct in a browser (TextEncoder). Strict: what is not
 * well-formed UTF-8 decodes to undefined, because a topic that was silently repaired is another topic.
 */
interface NodeBufferStatic {
  byteLength(text: string): number
  readonly prototype: { latin1Slice?(this: Uint8Array, start: number, end: number): string }
}

const nodeBuffer = (globalThis as unknown as { Buffer?: NodeBufferStatic }).Buffer
/**
 * Takes any Uint8Array. Adding up characters makes a rope of what has 13 or more of them, which costs three times as
 * much by the time it has been looked up in a Map, and its pieces stay in memory.
 */
const latin1Slice = nodeBuffer?.prototype.latin1Slice
const encoder = new TextEncoder()
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function utf8Encode(text: string): Uint8Array {
  const { length } = text
  if (length > 48) return encoder.encode(text)
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index += 1) {
    const unit = text.charCodeAt(index)
    if (unit > 0x7f) return encoder.encode(text)
    bytes[index] = unit
  }
  return bytes
}

export function utf8ByteLength(text: string): number {
  if (nodeBuffer !== undefined) return nodeBuffer.byteLength(text)
  return encoder.encode(text).length
}

/** @returns bytes written; `target` must have room for them. */
export function utf8Write(text: string, target: Uint8Array, offset: number): number {
  const length = text.length
  if (length <= 48) {
    let index = 0
    for (; index < length; index += 1) {
      const unit = text.charCodeAt(index)
      if (unit > 0x7f) break
      target[offset + index] = unit
    }
    if (index === length) return length
  }
  return encoder.encodeInto(text, target.subarray(offset)).written
}

/** @returns undefined when `bytes[start, end)` is not well-formed UTF-8. U+0000 is not looked for here. */
export function utf8Decode(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (latin1Slice !== undefined) {
    if (isAscii(bytes, start, end)) return latin1Slice.call(bytes, start, end)
  } else if (end - start <= 24) {
    const text = asciiDecode(bytes, start, end)
    if (text !== undefined) return text
  }
  try {
    return strictDecoder.decode(bytes.subarray(start, end))
  } catch {
    return undefined
  }
}

function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  for (let index = start; index < end; index += 1) if ((bytes[index] as number) > 0x7f) return false
  return true
}

function asciiDecode(bytes: Uint8Array, start: number, end: number): string | undefined {
  let text = ''
  for (let index = start; index < end; index += 1) {
    const unit = bytes[index] as number
    if (unit > 0x7f) return undefined
    text += String.fromCharCode(unit)
  }
  return text
}
