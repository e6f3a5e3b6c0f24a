/** The bad network of the torture: it may lose the end of a stream, never its order or something in between. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { Random } from '../../../src/base/random.js'
import { BadNetwork } from '../../../src/torture/bad-network.js'

/** A client, a network, and the server's end of it. */
async function laid(t: Test): Promise<{ network: BadNetwork; near: Socket; far: Socket }> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const network = await BadNetwork.start(new Random(1))
  network.targetPort = (server.address() as AddressInfo).port
  const accepted = once(server, 'connection')
  const near = connect(network.port, '127.0.0.1')
  near.on('error', () => {})
  const [far] = (await accepted) as [Socket]
  far.on('error', () => {})
  t.teardown(async () => {
    near.destroy()
    await network.close()
    server.close()
  })
  return { network, near, far }
}

/** So many, or what had come when it ended, which it may do roughly. */
function received(socket: Socket, bytes: number): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let length = 0
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      length += chunk.length
      if (length >= bytes) resolve(Buffer.concat(chunks))
    })
    socket.on('close', () => resolve(Buffer.concat(chunks)))
  })
}

/** However roughly. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

const NUMBERS = Buffer.from(Array.from({ length: 50_000 }, (_, index) => `${index},`).join(''))

t.test('bytes that are delayed, more and less in between, keep their order', async (t) => {
  const { network, near, far } = await laid(t)
  const all = received(far, NUMBERS.length)
  for (let from = 0; from < NUMBERS.length; from += 10_000) {
    network.delaySome(1, 30)
    await new Promise<void>((resolve) => near.write(NUMBERS.subarray(from, from + 10_000), () => resolve()))
  }
  t.ok((await all).equals(NUMBERS))
  t.equal(network.delays, 29)
})

t.test('a connection that is cut ends for both, and what had passed is the beginning', async (t) => {
  const { network, near, far } = await laid(t)
  const all = received(far, NUMBERS.length)
  const ended = closed(near)
  network.cutSome(1)
  near.write(NUMBERS)
  const passed = await all
  t.ok(passed.length < NUMBERS.length, `${passed.length} bytes`)
  t.ok(NUMBERS.subarray(0, passed.length).equals(passed))
  await ended
  t.equal(network.cuts, 1)
})

t.test('half open, nothing arrives and the far end is not told, until the broker is dead', async (t) => {
  const { network, near, far } = await laid(t)
  near.write('before')
  t.equal((await received(far, 6)).toString(), 'before')
  network.halfOpenSome(1)
  let isTold = false
  far.on('close', () => {
    isTold = true
  })
  const gone = closed(near)
  near.write('after')
  near.destroy()
  await gone
  t.equal(far.bytesRead, 6)
  t.equal(isTold, false)
  const told = closed(far)
  network.dropAll()
  await told
  t.equal(network.halfOpened, 1)
})

t.test('where there is no broker, nobody gets through', async (t) => {
  const { network } = await laid(t)
  network.targetPort = 0
  const lost = connect(network.port, '127.0.0.1')
  lost.on('error', () => {})
  await closed(lost)
  t.equal(lost.bytesRead, 0)
})
