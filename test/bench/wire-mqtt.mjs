/** MQTT 3.1.1 for the load generator, over WebSocket: enough to load a peer and count what it delivers. */
export const mqtt = {
  path: '/mqtt',
  subprotocol: 'mqtt',
  connect(clientId, isDurable) {
    const body = Buffer.concat([
      Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, isDurable ? 0 : 2, 0, 0]),
      text(clientId),
    ])
    return packet(0x10, body)
  },
  subscribe: (filter, qos) => packet(0x82, Buffer.concat([Buffer.from([0, 1]), text(filter), Buffer.from([qos])])),
  template(topic, qos, size) {
    const id = qos === 0 ? Buffer.alloc(0) : Buffer.alloc(2)
    const bytes = packet(0x30 | (qos << 1), Buffer.concat([text(topic), id, Buffer.alloc(size)]))
    const payloadAt = bytes.length - size
    return { bytes, packetIdAt: qos === 0 ? -1 : payloadAt - 2, payloadAt }
  },
  ack(type, first, last) {
    const parts = []
    for (let id = first; ; id = id === 65_535 ? 1 : id + 1) {
      parts.push((type << 4) | (type === 6 ? 2 : 0), 2, id >> 8, id & 255)
      if (id === last) break
    }
    return Buffer.from(parts)
  },
  /** Frames hold whole packets with every peer measured here; a rest would be an error. */
  parse(data, start, end, sink) {
    let at = start
    while (at < end) {
      const type = data[at] >> 4
      const flags = data[at] & 15
      let length = 0
      let shift = 0
      at += 1
      for (;;) {
        const byte = data[at]
        at += 1
        length |= (byte & 127) << shift
        shift += 7
        if (byte < 128) break
      }
      const body = at
      at += length
      if (type === 3) {
        const qos = (flags >> 1) & 3
        const afterTopic = body + 2 + data.readUInt16BE(body)
        sink.onPublish(
          data,
          qos === 0 ? afterTopic : afterTopic + 2,
          qos,
          qos === 0 ? 0 : data.readUInt16BE(afterTopic),
        )
      } else if (type >= 4 && type <= 7) {
        const id = data.readUInt16BE(body)
        sink.onAck(type, id, id)
      } else sink.onOther(type)
    }
  },
  /** Peers may split packets over frames: reassemble first. @returns bytes that do not hold a whole packet yet. */
  wholeEnd(data, start, end) {
    let at = start
    for (;;) {
      let cursor = at + 1
      let length = 0
      let shift = 0
      for (;;) {
        if (cursor >= end) return at
        const byte = data[cursor]
        cursor += 1
        length |= (byte & 127) << shift
        shift += 7
        if (byte < 128) break
      }
      if (cursor + length > end) return at
      at = cursor + length
      if (at === end) return at
    }
  },
}

/** Plain relay: a frame is a message, nothing else exists. */
export const relay = {
  path: '/',
  subprotocol: '',
  template: (_topic, _qos, size) => ({ bytes: Buffer.alloc(size), packetIdAt: -1, payloadAt: 0 }),
  parse(data, start, _end, sink) {
    sink.onPublish(data, start, 0, 0)
  },
}

function text(value) {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

function packet(first, body) {
  const length = []
  let rest = body.length
  do {
    length.push((rest & 127) | (rest > 127 ? 128 : 0))
    rest >>= 7
  } while (rest > 0)
  return Buffer.concat([Buffer.from([first, ...length]), body])
}
