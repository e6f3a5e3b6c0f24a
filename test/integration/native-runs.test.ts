/** Runs of publications as a stranger sees them: nothing of ours reads or writes the bytes at the other end. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Packr, unpackMultiple } from 'msgpackr'
import t, { type Test } from 'tap'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import { connect } from '../../src/client/index.js'
import { startBroker } from '../support/ws-clients.js'

const { pack } = new Packr({ useRecords: false })
const [ONE, TWO, THREE] = ['one', 'two', 'three'].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer]
const CONNECT = [1, 1, 'c', 0, 0, null, null, null, { 17: 3_600 }]

class Stranger {
  readonly ws: WebSocket
  readonly #packets: unknown[][] = []
  #wake = () => {}

  constructor(httpUrl: string) {
    this.ws = new WebSocket(`${httpUrl.replace('http', 'ws')}/tally`, 'tally.v1')
    this.ws.on('message', (data: Buffer) => {
      this.#packets.push(...(unpackMultiple(data) as unknown[][]))
      this.#wake()
    })
  }

  static async open(t: Test, httpUrl: string): Promise<Stranger> {
    const stranger = new Stranger(httpUrl)
    t.teardown(() => stranger.ws.terminate())
    await once(stranger.ws, 'open')
    return stranger
  }

  send(...packets: unknown[][]): void {
    // A property map has numbers for keys.
    const plain = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(plain)
      if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value
      return new Map(Object.entries(value).map(([key, item]) => [Number(key), item]))
    }
    this.ws.send(Buffer.concat(packets.map((packet) => Buffer.from(pack(plain(packet))))))
  }

  /** The next packet of this type; others are passed over. */
  async next(type: number): Promise<unknown[]> {
    for (;;) {
      const packet = this.#packets.shift()
      if (packet?.[0] === type) return packet
      if (packet !== undefined) continue
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

for (const qos of [1, 2]) {
  t.test(`QoS ${qos}: a run in, a run out, acknowledged by ranges, and a run again after a resume`, async (t) => {
    const { httpUrl } = await startBroker(t)
    const first = await Stranger.open(t, httpUrl)
    first.send(CONNECT, [8, 1, [['a', 2]]])
    await first.next(9)
    const publisher = await Stranger.open(t, httpUrl)
    publisher.send([1, 1, 'p', 1, 0], [3, qos, 1, 'a', [ONE, TWO, THREE]])
    const ack = qos === 1 ? 4 : 5
    t.same(await publisher.next(ack), [ack, 1, 3])
    const [, flags, packetId, deliverySequence, , topic, payloads] = await first.next(19)
    t.same([flags, packetId, deliverySequence, topic, payloads], [qos, 1, 1, 'a', [ONE, TWO, THREE]])
    first.ws.terminate()
    const second = await Stranger.open(t, httpUrl)
    second.send(CONNECT)
    t.same((await second.next(2))[1], 1)
    const again = await second.next(19)
    t.same([...again.slice(1, 4), again[6]], [qos | 8, 1, 1, [ONE, TWO, THREE]], 'with DUP, under the same numbers')
    second.send([ack, 1, 3])
    publisher.send([3, 1, 4, 'a', ONE])
    t.same((await second.next(19)).slice(2), [4, 4, (again[4] as number) + 3, 'a', ONE], 'one alone is as ever')
  })
}

t.test('a subscriber with a small Maximum Packet Size gets runs that fit', async (t) => {
  const { httpUrl } = await startBroker(t)
  const client = await Stranger.open(t, httpUrl)
  client.send([1, 1, 'c', 1, 0, null, null, null, { 39: 100 }], [8, 1, [['a', 1]]])
  await client.next(9)
  const payloads = Array.from({ length: 10 }, (_, index) => Buffer.alloc(20, index))
  const publisher = await Stranger.open(t, httpUrl)
  publisher.send([1, 1, 'p', 1, 0], [3, 1, 1, 'a', payloads])
  const runs: Buffer[][] = []
  while (runs.flat().length < payloads.length) runs.push((await client.next(19))[6] as Buffer[])
  t.same(
    runs.map((run) => run.length),
    [4, 4, 2],
    'eleven bytes, and 22 for each',
  )
  t.same(runs.flat(), payloads)
})

t.test('what is malformed in the middle of a run takes nothing back of what was in front of it', async (t) => {
  const { httpUrl } = await startBroker(t)
  const subscriber = await Stranger.open(t, httpUrl)
  subscriber.send([1, 1, 's', 1, 0], [8, 1, [['a', 1]]])
  await subscriber.next(9)
  const publisher = await Stranger.open(t, httpUrl)
  publisher.send([1, 1, 'p', 1, 0])
  await publisher.next(2)
  publisher.send([3, 1, 1, 'a', [ONE, TWO, 'three', ONE]])
  t.same((await publisher.next(14))[1], 0x81)
  t.same((await subscriber.next(19))[6], [ONE, TWO])
  t.equal((await once(publisher.ws, 'close'))[0], 3501)
})

t.test('the SDK sends what one turn publishes to one topic as a run', async (t) => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  t.teardown(() => server.close())
  await once(server, 'listening')
  const got: unknown[][] = []
  server.on('connection', (socket) => {
    socket.on('message', (data: RawData) => {
      for (const packet of unpackMultiple(data as Buffer) as unknown[][]) {
        got.push(packet)
        if (packet[0] === 1) socket.send(pack([2, 0, 0]))
        else if (packet[0] === 3) socket.send(pack([4, packet[2], (packet[2] as number) + 2]))
      }
    })
  })
  const { port } = server.address() as AddressInfo
  const client = await connect({ url: `ws://127.0.0.1:${port}`, clientId: 'c' })
  await Promise.all(['one', 'two', 'three'].map((text) => client.publish('a', text, { qos: 1 })))
  t.same(got.slice(1), [[3, 1, 1, 'a', [ONE, TWO, THREE]]])
  await client.close()
})
