/** What comes over TCP reaches the peer whole and in order, however often reading is paused, and then the end. */
import { type AddressInfo, connect, type Server } from 'node:net'
import t, { type Test } from 'tap'
import type { TransportPeer, TransportSocket } from '../../src/core/ports/transport.js'
import { mqttCodec } from '../../src/protocol/mqtt/codec.js'
import { tcpServer } from '../../src/transport/tcp.js'
import { Random, seedsOfThisRun } from '../support/random.js'

interface Reading {
  readonly received: (socket: TransportSocket, bytes: Uint8Array) => void
}

/** Resolves with why the connection ended. */
async function sent(t: Test, bytes: Buffer, { received }: Reading): Promise<string> {
  const ended = new Promise<string>((closed) => {
    const opened = (socket: TransportSocket): TransportPeer => ({
      received: (chunk) => received(socket, chunk),
      ponged: () => {},
      drained: () => {},
      closed,
    })
    const server: Server = tcpServer({ refusal: () => null, opened }, mqttCodec)
    t.teardown(() => server.close())
    server.listen(0, '127.0.0.1', () => {
      connect((server.address() as AddressInfo).port, '127.0.0.1').end(bytes)
    })
  })
  return ended
}

t.test('a megabyte, with pauses anywhere', async (t) => {
  for (const seed of seedsOfThisRun(8)) {
    const random = new Random(seed)
    const bytes = Buffer.from(Uint8Array.from({ length: 1_000_000 }, () => random.below(256)))
    const chunks: Buffer[] = []
    let isPaused = false
    let heardWhilePaused = 0
    const detail = await sent(t, bytes, {
      received(socket, chunk) {
        if (isPaused) heardWhilePaused += 1
        chunks.push(Buffer.from(chunk))
        if (isPaused || random.below(3) > 0) return
        isPaused = true
        socket.pauseReading()
        const resume = () => {
          isPaused = false
          socket.resumeReading()
        }
        if (random.below(2) === 0) setImmediate(resume)
        else setImmediate(() => setImmediate(() => setImmediate(resume)))
      },
    })
    t.ok(Buffer.concat(chunks).equals(bytes), `seed ${seed}`)
    t.equal(heardWhilePaused, 0)
    t.equal(detail, 'the peer closed the connection')
  }
})
