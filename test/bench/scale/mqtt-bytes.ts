/** MQTT 3.1.1 packets as bytes, built once and sent often. */
export function connect(clientId: string, isDurable: boolean, keepAliveSec = 0): Buffer {
  const head = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, isDurable ? 0 : 2, keepAliveSec >> 8, keepAliveSec & 255])
  return packet(0x10, head, text(clientId))
}

export function subscribe(filters: readonly string[], qos: number, packetId = 1): Buffer {
  const parts: Buffer[] = [Buffer.from([packetId >> 8, packetId & 255])]
  for (const filter of filters) parts.push(text(filter), Buffer.from([qos]))
  return packet(0x82, ...parts)
}

/** @param packetId of no meaning at QoS 0. */
export function publish(topic: string, payload: Buffer, qos = 0, packetId = 1, retain = false): Buffer {
  const id = qos === 0 ? [] : [Buffer.from([packetId >> 8, packetId & 255])]
  return packet(0x30 | (qos << 1) | (retain ? 1 : 0), text(topic), ...id, payload)
}

export function puback(packetId: number): Buffer {
  return Buffer.from([0x40, 2, packetId >> 8, packetId & 255])
}

export const DISCONNECT = Buffer.from([0xe0, 0])
export const PINGREQ = Buffer.from([0xc0, 0])

export const TYPE = { CONNACK: 2, PUBLISH: 3, PUBACK: 4, SUBACK: 9, PINGRESP: 13 } as const

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

function packet(first: number, ...parts: Buffer[]): Buffer {
  let rest = 0
  for (const part of parts) rest += part.length
  const head = [first]
  do {
    head.push((rest & 127) | (rest > 127 ? 128 : 0))
    rest >>= 7
  } while (rest > 0)
  return Buffer.concat([Buffer.from(head), ...parts])
}

/** Where the payload of a PUBLISH begins. */
export function payloadAt(data: Buffer, start: number): number {
  const body = bodyAt(data, start)
  const afterTopic = body + 2 + data.readUInt16BE(body)
  return ((data[start] as number) & 6) === 0 ? afterTopic : afterTopic + 2
}

/** Of a PUBLISH at QoS 1 or 2. */
export function packetIdOf(data: Buffer, start: number): number {
  const body = bodyAt(data, start)
  return data.readUInt16BE(body + 2 + data.readUInt16BE(body))
}

export function isPublish(data: Buffer, start: number): boolean {
  return (data[start] as number) >> 4 === TYPE.PUBLISH
}

function bodyAt(data: Buffer, start: number): number {
  let at = start + 1
  while ((data[at] as number) >= 128) at += 1
  return at + 1
}
