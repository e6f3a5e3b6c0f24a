/** What the generator writes: acknowledgements gathered over a read, batches patched in place. */
import t from 'tap'
import { AckWriter } from '../../bench/generator/ack-writer.js'
import type { Connection } from '../../bench/generator/connection.js'
import { mqttWire } from '../../bench/generator/mqtt-wire.js'
import { nativeWire } from '../../bench/generator/native-wire.js'
import { PacketStream } from '../../bench/generator/packet-stream.js'
import { SendFrames } from '../../bench/generator/send-frames.js'
import { MASK } from '../../bench/generator/web-socket-frames.js'
import { idCount, type Packed, PUBACK, PUBREC, readUint32, type Wire } from '../../bench/generator/wire.js'
import { nativeCodec } from '../../../src/protocol/msgpack/codec.js'
import type { PublishPacket } from '../../../src/protocol/packets.js'

class Rig {
  readonly isWebSocket: boolean
  pendingBytes = 0
  readonly writes: Uint8Array[] = []
  readonly onWritten: (() => void)[] = []
  constructor(isWebSocket: boolean) {
    this.isWebSocket = isWebSocket
  }
  get connection(): Connection {
    return this as unknown as Connection
  }
  /** What the broker would read, now: the buffer may be patched again later. */
  write(bytes: Uint8Array, onWritten?: () => void): void {
    this.writes.push(Uint8Array.from(bytes))
    if (onWritten !== undefined) this.onWritten.push(onWritten)
  }
  /** The packets, out of their masked frames. */
  packets(): Uint8Array {
    if (!this.isWebSocket) return Buffer.concat(this.writes)
    return Buffer.concat(this.writes.flatMap(unframed))
  }
}

function unframed(bytes: Uint8Array): Uint8Array[] {
  const payloads: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const short = (bytes[at + 1] as number) & 127
    const head = short < 126 ? 6 : short === 126 ? 8 : 14
    let length = short < 126 ? short : 0
    for (let index = at + 2; index < at + head - 4; index += 1) length = length * 256 + (bytes[index] as number)
    const start = at + head
    payloads.push(bytes.slice(start, start + length).map((byte) => byte ^ MASK))
    at = start + length
  }
  return payloads
}

function told(wire: Wire, bytes: Uint8Array): string[] {
  const lines: string[] = []
  const stream = new PacketStream(wire, {
    onPublish: (data, stampAt, qos, packetId) =>
      lines.push(`${readUint32(data, stampAt + 4)}:${readUint32(data, stampAt)} qos ${qos} id ${packetId}`),
    onAck: (type, first, last) => lines.push(`${type} ${first} ${last}`),
    onProduced: () => lines.push('produced'),
    onOther: () => lines.push('other'),
  })
  stream.feed(bytes, 0, bytes.length)
  return lines
}

for (const isWebSocket of [false, true]) {
  const where = isWebSocket ? 'WebSocket' : 'TCP'

  t.test(`neighbouring ids become one range where there are ranges, ${where}`, async (t) => {
    const rig = new Rig(isWebSocket)
    const acks = new AckWriter(rig.connection, nativeWire)
    for (const id of [65_534, 65_535, 1, 2, 7]) acks.add(PUBACK, id, id)
    acks.add(PUBREC, 8, 8)
    t.equal(rig.writes.length, 0, 'nothing leaves before the read is over')
    acks.flush()
    acks.flush()
    t.equal(rig.writes.length, 1)
    t.same(told(nativeWire, rig.packets()), ['4 65534 2', '4 7 7', '5 8 8'])
  })

  t.test(`as many as there are ids where there are none, through a full buffer, ${where}`, async (t) => {
    const rig = new Rig(isWebSocket)
    const acks = new AckWriter(rig.connection, mqttWire)
    const ids = Array.from({ length: 60_000 }, (_, index) => ((index + 30_000) % 65_535) + 1)
    for (const id of ids) acks.add(PUBACK, id, id)
    acks.flush()
    t.same(
      told(mqttWire, rig.packets()),
      ids.map((id) => `4 ${id} ${id}`),
    )
  })

  t.test(`a batch is patched for each write, and left alone while it is on its way, ${where}`, async (t) => {
    const rig = new Rig(isWebSocket)
    const template = mqttWire.template('bench/3', 1, 64)
    const frames = new SendFrames(rig.connection, { template, publisher: 3, batch: 4, perFrame: 2 })
    frames.send(0, 0, 0)
    frames.send(4, 0, 0)
    for (const onWritten of rig.onWritten.splice(0)) onWritten()
    frames.send(8, 0, 0)
    const wanted = Array.from({ length: 12 }, (_, index) => `3:${index} qos 1 id ${index + 1}`)
    t.same(told(mqttWire, rig.packets()), wanted)
  })

  t.test(`a batch in one packet counts up from its first id, ${where}`, async (t) => {
    const rig = new Rig(isWebSocket)
    for (const [qos, ids] of [
      [1, [1, 2, 3, 4, 5, 6, 7, 8]],
      [0, new Array(8).fill(0)],
    ] as const) {
      rig.writes.length = 0
      const packed = nativeWire.run('bench/3', qos, 64, 4) as Packed
      const frames = new SendFrames(rig.connection, {
        template: packed.message,
        publisher: 3,
        batch: 4,
        perFrame: 4,
        packed,
      })
      frames.send(0, 0, 0)
      frames.send(4, 0, 0)
      const wanted = ids.map((id, index) => `3:${index} qos ${qos} id ${id}`)
      t.same(told(nativeWire, rig.packets()), wanted)
      const taken: string[] = []
      const decoder = nativeCodec.decoder({
        maximumPacketSize: 1_000,
        userPropertiesMax: 0,
        connectPacketSizeMax: 1_000,
      })
      decoder.decode(rig.packets(), (packet) => {
        const { payload, packetId, topicName } = packet as PublishPacket
        taken.push(`${readUint32(payload, 4)}:${readUint32(payload, 0)} qos ${qos} id ${packetId} ${topicName}`)
      })
      t.same(
        taken,
        wanted.map((line) => `${line} bench/3`),
      )
    }
  })
}

t.test('how many ids a range holds', async (t) => {
  t.same([idCount(1, 1), idCount(1, 65_535), idCount(65_534, 2), idCount(2, 1)], [1, 65_535, 4, 65_535])
})
