/** A payload names its message in its first word; the rest is there for its length. */
export function payloadOf(key: string, byteLength: number): Uint8Array {
  if (key === '') return new Uint8Array(0)
  const payload = Buffer.alloc(Math.max(key.length + 1, byteLength), 0x20)
  payload.write(key, 0, 'latin1')
  return payload
}

export function keyOf(payload: Uint8Array): string {
  const end = payload.indexOf(0x20)
  return Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString(
    'latin1',
    0,
    end < 0 ? payload.length : end,
  )
}
